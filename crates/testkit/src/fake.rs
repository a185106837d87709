//! A backend without an engine, which does as it is told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use salver_backend::{
    Backend, BackendError, EngineStatus, Inputs, Instance, Model, ModelConfig, ModelFiles,
    ModelFormat, Outputs, Requested, Signature, Signatures,
};
use salver_tensor::{DType, Dim, Tensor, TensorSpec};

use crate::Gate;

/// What a [`FakeBackend`] does from now on.
#[derive(Clone, Debug, Default)]
pub struct FakeBehaviour {
    /// What loading fails with.
    pub load_error: Option<BackendError>,
    /// What loading waits at.
    pub load_gate: Option<Gate>,
    /// What a run waits at.
    pub run_gate: Option<Gate>,
    /// How long a run takes, by the wall clock.
    pub run_delay: Duration,
    /// What a run fails with.
    pub run_error: Option<BackendError>,
    /// Whether a run panics.
    pub run_panics: bool,
}

/// A backend whose models, whatever their files, answer `y = 0.5 x + 2` for `x: f32[batch]`. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct FakeBackend(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    behaviour: Mutex<FakeBehaviour>,
    num_loads: AtomicUsize,
    num_models: AtomicUsize,
    num_instances: AtomicUsize,
    num_runs: AtomicUsize,
}

impl FakeBackend {
    /// Returns a backend that does everything at once and well.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes what models do, those that are loaded too.
    pub fn set(&self, behaviour: FakeBehaviour) {
        *self
            .0
            .behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// Returns how often a model was to be loaded.
    #[must_use]
    pub fn num_loads(&self) -> usize {
        self.0.num_loads.load(Ordering::SeqCst)
    }

    /// Returns how many models there are now.
    #[must_use]
    pub fn num_models(&self) -> usize {
        self.0.num_models.load(Ordering::SeqCst)
    }

    /// Returns how many instances were made.
    #[must_use]
    pub fn num_instances(&self) -> usize {
        self.0.num_instances.load(Ordering::SeqCst)
    }

    /// Returns how many runs began.
    #[must_use]
    pub fn num_runs(&self) -> usize {
        self.0.num_runs.load(Ordering::SeqCst)
    }

    fn behaviour(&self) -> FakeBehaviour {
        self.0
            .behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Backend for FakeBackend {
    fn platform(&self) -> &'static str {
        "fake"
    }

    fn formats(&self) -> &'static [ModelFormat] {
        &[
            ModelFormat::Onnx,
            ModelFormat::SavedModel,
            ModelFormat::TfLite,
            ModelFormat::Python,
        ]
    }

    fn status(&self) -> EngineStatus {
        EngineStatus {
            version: Some("1.0".to_owned()),
            library: None,
            note: "for tests".to_owned(),
        }
    }

    fn supports(&self, _files: &ModelFiles) -> Result<(), BackendError> {
        Ok(())
    }

    fn load(
        &self,
        _files: &ModelFiles,
        _config: &ModelConfig,
    ) -> Result<Box<dyn Model>, BackendError> {
        self.0.num_loads.fetch_add(1, Ordering::SeqCst);
        let behaviour = self.behaviour();
        if let Some(gate) = behaviour.load_gate {
            gate.pass();
        }
        if let Some(error) = behaviour.load_error {
            return Err(error);
        }
        self.0.num_models.fetch_add(1, Ordering::SeqCst);
        let spec = |name| {
            TensorSpec::new(
                name,
                DType::F32,
                Some(vec![Dim::Dynamic(Some("batch".into()))]),
            )
        };
        let signatures = [Signature::serving_default(vec![spec("x")], vec![spec("y")])]
            .into_iter()
            .collect();
        Ok(Box::new(FakeModel {
            backend: self.clone(),
            signatures,
        }))
    }
}

struct FakeModel {
    backend: FakeBackend,
    signatures: Signatures,
}

impl Model for FakeModel {
    fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    fn instance(&self) -> Result<Box<dyn Instance>, BackendError> {
        self.backend.0.num_instances.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(FakeInstance {
            backend: self.backend.clone(),
        }))
    }
}

impl Drop for FakeModel {
    fn drop(&mut self) {
        self.backend.0.num_models.fetch_sub(1, Ordering::SeqCst);
    }
}

struct FakeInstance {
    backend: FakeBackend,
}

impl Instance for FakeInstance {
    fn run(
        &mut self,
        inputs: &Inputs<'_>,
        outputs: &Requested<'_>,
    ) -> Result<Outputs, BackendError> {
        self.backend.0.num_runs.fetch_add(1, Ordering::SeqCst);
        let behaviour = self.backend.behaviour();
        if let Some(gate) = behaviour.run_gate {
            gate.pass();
        }
        if !behaviour.run_delay.is_zero() {
            std::thread::sleep(behaviour.run_delay);
        }
        assert!(!behaviour.run_panics, "told to panic");
        if let Some(error) = behaviour.run_error {
            return Err(error);
        }
        outputs.0.iter().map(|_| half_plus_two(inputs)).collect()
    }
}

fn half_plus_two(inputs: &Inputs<'_>) -> Result<Tensor, BackendError> {
    let invalid = |message: String| BackendError::InvalidInput { message };
    let x = inputs
        .tensors
        .first()
        .ok_or_else(|| invalid("input `x` is missing".to_owned()))?;
    let values = x
        .as_slice::<f32>()
        .map_err(|error| invalid(format!("input `x`: {error}")))?;
    let y = values.iter().map(|value| 0.5 * value + 2.0).collect();
    Tensor::from_vec(x.shape().clone(), y).map_err(|error| invalid(error.to_string()))
}
