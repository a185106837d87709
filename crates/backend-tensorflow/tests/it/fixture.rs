//! The engine and models that the tests load.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use salver_backend::{
    Backend, BackendError, Inputs, Instance, Model, ModelConfig, ModelFormat, Outputs, Requested,
    Signature,
};
use salver_backend_tensorflow::{Config, TensorFlow};
use salver_tensor::Tensor;
use salver_testkit::ModelFolder;
use salver_testkit::saved_model::Graph;

/// Returns the engine; `None`, with a word about it, if it is not installed and need not be.
#[allow(clippy::print_stdout, reason = "a test that tests nothing says so")]
pub(crate) fn backend() -> Option<&'static TensorFlow> {
    static BACKEND: OnceLock<TensorFlow> = OnceLock::new();
    let backend = BACKEND.get_or_init(|| {
        let cache_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/engines");
        TensorFlow::new(Config {
            cache_dir: Some(cache_dir),
            ..Config::default()
        })
    });
    let status = backend.status();
    if status.is_available() {
        return Some(backend);
    }
    let is_required = std::env::var_os("SALVER_TEST_TENSORFLOW").is_some();
    assert!(!is_required, "{}", status.note);
    println!("not tested: {}", status.note);
    None
}

/// A model and one instance of it.
pub(crate) struct Loaded {
    pub(crate) model: Box<dyn Model>,
    pub(crate) instance: Box<dyn Instance>,
}

/// Writes a model into a folder of its own.
pub(crate) fn folder(graph: &Graph) -> ModelFolder {
    ModelFolder::of(ModelFormat::SavedModel, &graph.to_bytes())
}

/// Loads a model; `None` if there is no engine.
pub(crate) fn load(graph: &Graph) -> Option<Loaded> {
    load_folder(&folder(graph))
}

pub(crate) fn load_folder(folder: &ModelFolder) -> Option<Loaded> {
    let backend = backend()?;
    let files = folder.files();
    backend.supports(&files).expect("it can be run");
    let model = backend
        .load(&files, &ModelConfig::default())
        .expect("it can be loaded");
    let instance = model.instance().expect("there is room for an instance");
    Some(Loaded { model, instance })
}

impl Loaded {
    pub(crate) fn signature(&self, name: &str) -> Arc<Signature> {
        let signature = self.model.signatures().get(name);
        Arc::clone(signature.expect("the model has this signature"))
    }

    /// Runs one of the model's signatures and returns all outputs.
    pub(crate) fn run(&mut self, name: &str, tensors: &[Tensor]) -> Result<Outputs, BackendError> {
        let signature = self.signature(name);
        self.run_until(&signature, tensors, None)
    }

    /// Runs any signature, until a deadline.
    pub(crate) fn run_until(
        &mut self,
        signature: &Signature,
        tensors: &[Tensor],
        deadline: Option<Instant>,
    ) -> Result<Outputs, BackendError> {
        let inputs = Inputs {
            signature,
            tensors,
            deadline,
        };
        let all: Vec<usize> = (0..signature.outputs.len()).collect();
        self.instance.run(&inputs, &Requested(&all))
    }
}

pub(crate) fn floats(values: &[f32]) -> Tensor {
    Tensor::from_vec([values.len()], values.to_vec()).expect("fits")
}

pub(crate) fn scalar(value: f32) -> Tensor {
    Tensor::from_vec([0; 0], vec![value]).expect("fits")
}

pub(crate) fn strings<S: AsRef<[u8]>>(values: &[S]) -> Tensor {
    let strings = values
        .iter()
        .map(|value| bytes::Bytes::copy_from_slice(value.as_ref()));
    Tensor::from_strings([values.len()], strings.collect()).expect("fits")
}
