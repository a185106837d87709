//! Running a model.

use std::sync::Arc;

use rten::{NodeId, RunError, RunErrorKind, RunOptions, ThreadPool, Value, ValueOrView};
use salver_backend::{BackendError, Host, Inputs, Instance, Outputs, Requested};
use salver_tensor::{Tensor, TensorSpec};

use crate::model::Shared;
use crate::{PLATFORM, convert};

pub(crate) struct RtenInstance {
    shared: Arc<Shared>,
    pool: Arc<ThreadPool>,
    is_hosted: bool,
}

impl RtenInstance {
    pub(crate) fn new(shared: Arc<Shared>, pool: Arc<ThreadPool>, is_hosted: bool) -> Self {
        Self {
            shared,
            pool,
            is_hosted,
        }
    }

    fn run_nodes(
        &self,
        inputs: &Inputs<'_>,
        outputs: &[NodeId],
    ) -> Result<Vec<Value>, BackendError> {
        let values = bind(
            &inputs.signature.inputs,
            inputs.tensors,
            &self.shared.inputs,
        )?;
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        self.shared
            .model
            .run(values, outputs, Some(options))
            .map_err(|error| run_error(&error))
    }
}

impl Instance for RtenInstance {
    fn run(
        &mut self,
        inputs: &Inputs<'_>,
        outputs: &Requested<'_>,
    ) -> Result<Outputs, BackendError> {
        // rten computes each output once: an output that is asked for twice is taken once and shared.
        let mut wanted: Vec<usize> = Vec::with_capacity(outputs.0.len());
        for &output in outputs.0 {
            if output >= self.shared.outputs.len() {
                return Err(invalid(format!("the model has no output {output}")));
            }
            if !wanted.contains(&output) {
                wanted.push(output);
            }
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let nodes: Vec<_> = wanted
            .iter()
            .map(|&output| self.shared.outputs[output])
            .collect();
        let values = self.run_nodes(inputs, &nodes)?;
        let tensors: Vec<Tensor> = wanted
            .iter()
            .zip(values)
            .map(|(&output, value)| convert::output(&inputs.signature.outputs[output], value))
            .collect::<Result<_, _>>()?;
        if tensors.len() == outputs.0.len() {
            return Ok(tensors);
        }
        let position = |output| wanted.iter().position(|&known| known == output);
        Ok(outputs
            .0
            .iter()
            .filter_map(|&output| position(output))
            .map(|idx| tensors[idx].clone())
            .collect())
    }

    /// rten runs in a thread of the pool, whoever asks; who asks from there is spared two changes of threads.
    fn host(&self) -> Option<Arc<dyn Host>> {
        let host = PoolHost(Arc::clone(&self.pool));
        self.is_hosted.then(|| Arc::new(host) as Arc<dyn Host>)
    }
}

struct PoolHost(Arc<ThreadPool>);

impl Host for PoolHost {
    fn work(&self, work: Box<dyn FnOnce() + Send>) {
        self.0.run(work);
    }
}

/// Pairs tensors with the graph's inputs.
fn bind<'a>(
    specs: &[TensorSpec],
    tensors: &'a [Tensor],
    nodes: &[NodeId],
) -> Result<Vec<(NodeId, ValueOrView<'a>)>, BackendError> {
    if tensors.len() != nodes.len() || specs.len() != nodes.len() {
        return Err(invalid(format!(
            "expected {} inputs, got {}",
            nodes.len(),
            tensors.len()
        )));
    }
    let pair = |((spec, tensor), &node)| Ok((node, convert::input(spec, tensor)?));
    specs.iter().zip(tensors).zip(nodes).map(pair).collect()
}

fn invalid(message: String) -> BackendError {
    BackendError::InvalidInput { message }
}

/// Tells the client's mistakes from the engine's. An operator that ran before on other values and fails on these fails
/// because of them: shapes that do not go together, indices out of range.
fn run_error(error: &RunError) -> BackendError {
    let message = error.to_string();
    match error.kind() {
        RunErrorKind::InvalidInput | RunErrorKind::OperatorError => invalid(message),
        _ => BackendError::Engine {
            platform: PLATFORM,
            message,
        },
    }
}
