//! Where a batch goes: instance threads of a local engine, or remote servers.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use salver_backend::Signature;
use salver_tensor::{Tensor, batch};
use tokio::time::Instant;

use crate::{ExecuteError, Priority};

/// A future behind a pointer, so that executors of different kinds are one type.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One run of a model: what it is run on and what is wanted of it.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The signature that the request named.
    pub signature: Arc<Signature>,
    /// One tensor for each of the signature's inputs, in that order, of the declared dtypes.
    pub inputs: Vec<Tensor>,
    /// Which outputs are wanted: indices into the signature's outputs, in the order of the answer.
    pub requested: Vec<usize>,
    /// When the answer is of no use any more.
    pub deadline: Option<Instant>,
    /// Whom it goes before where several wait.
    pub priority: Priority,
    /// What is to be kept for as long as the inputs are in memory: the caller's reservation of it.
    pub hold: Option<Arc<dyn Any + Send + Sync>>,
}

impl Batch {
    /// Returns the memory that its inputs take, in bytes.
    pub(crate) fn num_bytes(&self) -> usize {
        self.inputs.iter().map(Tensor::num_bytes).sum()
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Executed {
    /// The requested outputs, in the order asked for.
    pub outputs: Vec<Tensor>,
    /// How long the batch waited for an instance.
    pub queue: Duration,
    /// How long the engine took.
    pub run: Duration,
}

impl Executed {
    /// Makes one result of those of a request's parts, in their order; `None` if one does not have the rows of its part.
    pub(crate) fn of_parts(parts: &[Self], num_rows: &[usize]) -> Option<Self> {
        let num_outputs = parts.first()?.outputs.len();
        let has_rows = |(part, rows): (&Self, &usize)| {
            part.outputs.len() == num_outputs
                && part
                    .outputs
                    .iter()
                    .all(|output| output.num_rows() == Some(*rows))
        };
        if !parts.iter().zip(num_rows).all(has_rows) {
            return None;
        }
        let join = |output_idx: usize| {
            let outputs = parts.iter().map(|part| part.outputs[output_idx].clone());
            batch::concat(&outputs.collect::<Vec<_>>()).ok()
        };
        Some(Self {
            outputs: (0..num_outputs).map(join).collect::<Option<_>>()?,
            queue: parts
                .iter()
                .map(|part| part.queue)
                .max()
                .unwrap_or_default(),
            run: parts.iter().map(|part| part.run).sum(),
        })
    }
}

/// Runs batches.
pub trait Executor: Send + Sync {
    /// Runs one batch.
    ///
    /// The future has no timer of its own: whoever waits for it polls it again once the batch's deadline has passed, as
    /// [`tokio::time::timeout_at`] does, and is told what the time went into.
    ///
    /// # Errors
    /// [`ExecuteError::QueueFull`] at once; [`ExecuteError::DeadlineExceeded`] when polled after the deadline, whatever
    /// the engine is doing; [`ExecuteError::Backend`] with what the engine said; [`ExecuteError::Stopped`] during
    /// shutdown.
    ///
    /// # Cancel safety
    /// Dropping the future keeps the batch from being run; its inputs are freed when its turn comes. A run that has begun goes on and its result is dropped.
    fn execute(&self, batch: Batch) -> BoxFuture<'_, Result<Executed, ExecuteError>>;

    /// Returns what [`Executor::execute`] would say at once to any batch of that urgency that came now, whatever it asks;
    /// `None` if there is a batch that it might run. Cheap: to be asked before a request is decoded.
    fn refusal(&self, deadline: Option<Instant>, priority: Priority) -> Option<ExecuteError>;

    /// Lets go of batches that nobody waits for any more before their turn comes; now and then only, so that it is cheap.
    fn drop_unwanted(&self);
}
