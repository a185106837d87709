//! A loaded model: signatures, weights, and the nodes of its inputs and outputs.

use std::sync::Arc;

use rten::{NodeId, ThreadPool};
use salver_backend::{BackendError, Instance, Model, ModelConfig, ModelFiles, Signatures};

use crate::instance::RtenInstance;
use crate::{PLATFORM, load};

pub(crate) struct RtenModel {
    signatures: Signatures,
    shared: Arc<Shared>,
    num_threads: usize,
    is_hosted: bool,
}

/// The most operators of a graph whose instances live in a thread of rten's pool: rten follows a graph recursively before
/// it runs it in the pool, whose threads have a stack of 2 MiB, an eighth of an instance thread's.
const MAX_HOSTED_NODES: usize = 1_000;

/// What all instances of a model use.
pub(crate) struct Shared {
    pub(crate) model: rten::Model,
    /// In the order of the signature.
    pub(crate) inputs: Vec<NodeId>,
    /// In the order of the signature.
    pub(crate) outputs: Vec<NodeId>,
}

impl RtenModel {
    pub(crate) fn load(files: &ModelFiles, config: &ModelConfig) -> Result<Self, BackendError> {
        let (header, signature) = load::check(files)?;
        let model = load::load(files, &header)?;
        let nodes = |specs: &[salver_tensor::TensorSpec]| -> Result<Vec<_>, BackendError> {
            let node = |spec: &salver_tensor::TensorSpec| {
                model
                    .find_node(&spec.tensor_name)
                    .ok_or_else(|| BackendError::InvalidModel {
                        file: files.file_name(),
                        reason: format!("`{}` is not in its graph", spec.name),
                    })
            };
            specs.iter().map(node).collect()
        };
        let (inputs, outputs) = (nodes(&signature.inputs)?, nodes(&signature.outputs)?);
        Ok(Self {
            signatures: [signature].into_iter().collect(),
            shared: Arc::new(Shared {
                model,
                inputs,
                outputs,
            }),
            num_threads: config.num_threads.get(),
            is_hosted: header.num_nodes <= MAX_HOSTED_NODES,
        })
    }
}

impl Model for RtenModel {
    fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    /// Each instance has threads of its own: `num_threads` is what one run may use, and runs of one pool would take
    /// each other's pieces of work and wait for them.
    fn instance(&self) -> Result<Box<dyn Instance>, BackendError> {
        let pool = ThreadPool::with_num_threads(self.num_threads);
        Ok(Box::new(RtenInstance::new(
            Arc::clone(&self.shared),
            Arc::new(pool),
            self.is_hosted,
        )))
    }
}

impl std::fmt::Debug for RtenModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtenModel")
            .field("platform", &PLATFORM)
            .finish_non_exhaustive()
    }
}
