//! A model that a case works with.

use std::num::NonZeroUsize;
use std::sync::Arc;

use salver_backend::{
    Backend, BackendError, Inputs, Instance, Model, ModelConfig, ModelFormat, Outputs, Requested,
    Signature,
};
use salver_tensor::Tensor;

use super::Failure;
use crate::{ModelFolder, Tiny};

/// Models run with so many threads: more than one, so that the engine's pool takes part.
const NUM_THREADS: NonZeroUsize = NonZeroUsize::new(2).expect("two");

pub(super) struct Loaded {
    pub(super) model: Box<dyn Model>,
    pub(super) signature: Arc<Signature>,
    pub(super) instance: Box<dyn Instance>,
}

/// Returns the format of the models that the cases are made of.
pub(super) fn format(backend: &dyn Backend) -> ModelFormat {
    *backend.formats().first().expect("every backend takes one")
}

/// Returns how the cases configure models.
pub(super) fn config() -> ModelConfig {
    ModelConfig {
        num_instances: NonZeroUsize::MIN,
        num_threads: NUM_THREADS,
    }
}

impl Loaded {
    /// Loads one of the tiny models, in the format that the backend takes.
    pub(super) fn new(backend: &dyn Backend, model: Tiny) -> Result<Self, Failure> {
        Self::from_folder(backend, &model.folder(format(backend)))
    }

    pub(super) fn from_folder(
        backend: &dyn Backend,
        folder: &ModelFolder,
    ) -> Result<Self, Failure> {
        let files = folder.files();
        backend.supports(&files).map_err(Failure::Refused)?;
        let model = backend.load(&files, &config()).map_err(Failure::Refused)?;
        let signature = model
            .signatures()
            .get("")
            .ok_or_else(|| "no default signature".to_owned())?;
        let signature = Arc::clone(signature);
        let instance = model
            .instance()
            .map_err(|error| format!("no instance: {error}"))?;
        Ok(Self {
            model,
            signature,
            instance,
        })
    }

    /// Runs the model and asks for all outputs.
    pub(super) fn run(&mut self, tensors: &[Tensor]) -> Result<Outputs, BackendError> {
        let all: Vec<_> = (0..self.signature.outputs.len()).collect();
        self.run_for(tensors, &all)
    }

    pub(super) fn run_for(
        &mut self,
        tensors: &[Tensor],
        outputs: &[usize],
    ) -> Result<Outputs, BackendError> {
        run(&mut *self.instance, &self.signature, tensors, outputs)
    }

    /// Returns where an output is: some formats keep the order of the file, others that of the names.
    pub(super) fn output(&self, name: &str) -> Result<usize, Failure> {
        let output = self.signature.output_idx(name);
        Ok(output.ok_or_else(|| format!("there is no output `{name}`"))?)
    }

    /// Runs a model that must not fail.
    pub(super) fn answer(&mut self, tensors: &[Tensor]) -> Result<Outputs, Failure> {
        Ok(self
            .run(tensors)
            .map_err(|error| format!("run on {tensors:?}: {error}"))?)
    }
}

pub(super) fn run(
    instance: &mut dyn Instance,
    signature: &Signature,
    tensors: &[Tensor],
    outputs: &[usize],
) -> Result<Outputs, BackendError> {
    let inputs = Inputs {
        signature,
        tensors,
        deadline: None,
    };
    instance.run(&inputs, &Requested(outputs))
}
