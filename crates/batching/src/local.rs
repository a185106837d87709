//! Runs batches on instances of an engine in this process.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, TrySendError};
use salver_backend::{BackendError, Model};
use tokio::sync::oneshot;
use tokio::time::{self, Instant};

use crate::worker::{self, Item, Worker};
use crate::{Batch, BoxFuture, ExecuteError, Executed, Executor};

/// The stack of an instance thread, in bytes: engines walk a graph recursively, so a long one needs a deep stack. Only
/// the pages that are touched take memory.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// How a model is executed.
#[derive(Clone, Debug)]
pub struct ExecutorConfig {
    /// The model's name, for the names of its threads and for logs.
    pub name: String,
    /// The engine's name, for errors of instances that panic.
    pub platform: &'static str,
    /// How many runs may go on at once: threads, each with an instance of its own.
    pub num_instances: NonZeroUsize,
    /// How many batches may wait for an instance; one more is refused.
    pub queue_capacity: NonZeroUsize,
}

/// The instance threads of one loaded model and the queue before them.
///
/// Dropping it waits for the runs that go on, then ends the threads and gives up the model.
pub struct LocalExecutor {
    /// `None` only while the executor is dropped: closing the queue is what ends the threads.
    queue: Option<Sender<Item>>,
    queue_capacity: usize,
    threads: Vec<JoinHandle<()>>,
}

impl fmt::Debug for LocalExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalExecutor")
            .field("queue_capacity", &self.queue_capacity)
            .field("num_instances", &self.threads.len())
            .finish_non_exhaustive()
    }
}

impl LocalExecutor {
    /// Makes the instances and starts their threads.
    ///
    /// # Blocking
    /// Making instances may take as long as the engine likes.
    ///
    /// # Errors
    /// What [`Model::instance`] says; [`BackendError::Engine`] if the system gives no thread.
    pub fn start(model: Box<dyn Model>, config: &ExecutorConfig) -> Result<Self, BackendError> {
        let model: Arc<dyn Model> = model.into();
        let queue_capacity = config.queue_capacity.get();
        let (sender, receiver) = crossbeam_channel::bounded(queue_capacity);
        let mut executor = Self {
            queue: Some(sender),
            queue_capacity,
            threads: Vec::new(),
        };
        for instance_idx in 0..config.num_instances.get() {
            let worker = Worker::new(Arc::clone(&model), receiver.clone(), config)?;
            let thread = thread::Builder::new()
                .name(worker::thread_name(&config.name, instance_idx))
                .stack_size(STACK_BYTES)
                .spawn(move || worker.run())
                .map_err(|error| BackendError::Engine {
                    platform: config.platform,
                    message: format!("no thread for instance {instance_idx}: {error}"),
                })?;
            executor.threads.push(thread);
        }
        Ok(executor)
    }

    /// Runs one batch from a thread that is not asynchronous, without a deadline: warm-up, command line.
    ///
    /// # Blocking
    /// Until the engine answers.
    ///
    /// # Panics
    /// If called from within an asynchronous task.
    ///
    /// # Errors
    /// As [`Executor::execute`].
    pub fn execute_blocking(&self, batch: Batch) -> Result<Executed, ExecuteError> {
        let pending = self.enqueue(batch)?;
        pending
            .reply
            .blocking_recv()
            .unwrap_or(Err(ExecuteError::Stopped))
    }

    fn enqueue(&self, batch: Batch) -> Result<Pending, ExecuteError> {
        let queue = self.queue.as_ref().ok_or(ExecuteError::Stopped)?;
        let (sender, reply) = oneshot::channel();
        let is_started = Arc::new(AtomicBool::new(false));
        let item = Item {
            batch: Box::new(batch),
            reply: sender,
            is_started: Arc::clone(&is_started),
            enqueued_at: Instant::now(),
        };
        match queue.try_send(item) {
            Ok(()) => Ok(Pending { reply, is_started }),
            Err(TrySendError::Full(_)) => Err(ExecuteError::QueueFull {
                capacity: self.queue_capacity,
            }),
            Err(TrySendError::Disconnected(_)) => Err(ExecuteError::Stopped),
        }
    }
}

/// A batch that waits or runs, seen from its caller.
struct Pending {
    reply: oneshot::Receiver<Result<Executed, ExecuteError>>,
    is_started: Arc<AtomicBool>,
}

impl Pending {
    async fn wait(self, deadline: Option<Instant>) -> Result<Executed, ExecuteError> {
        let answer = match deadline {
            None => self.reply.await,
            Some(deadline) => match time::timeout_at(deadline, self.reply).await {
                Ok(answer) => answer,
                Err(_) => {
                    let waited_in_queue = !self.is_started.load(Ordering::Acquire);
                    return Err(ExecuteError::DeadlineExceeded { waited_in_queue });
                }
            },
        };
        answer.unwrap_or(Err(ExecuteError::Stopped))
    }
}

impl Executor for LocalExecutor {
    fn execute(&self, batch: Batch) -> BoxFuture<'_, Result<Executed, ExecuteError>> {
        Box::pin(async move {
            let deadline = batch.deadline;
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(ExecuteError::DeadlineExceeded {
                    waited_in_queue: true,
                });
            }
            self.enqueue(batch)?.wait(deadline).await
        })
    }
}

impl Drop for LocalExecutor {
    fn drop(&mut self) {
        drop(self.queue.take());
        let this_thread = thread::current().id();
        for thread in self.threads.drain(..) {
            // A thread cannot wait for itself; it ends by itself, for its queue is closed.
            if thread.thread().id() == this_thread {
                continue;
            }
            if thread.join().is_err() {
                tracing::error!("an instance thread had died of a panic");
            }
        }
    }
}

#[cfg(test)]
mod tests;
