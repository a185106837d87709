//! The contract between the server and an inference engine.
//!
//! ```text
//! Backend ─load(files, config)─► Model (shared, weights once) ─instance()─► Instance (one thread's own)
//! ```
//!
//! Everything here is synchronous: an engine blocks the thread that calls it, and that thread belongs to the caller.
//! Owns what a model declares ([`Signature`]), where its files are ([`ModelFiles`]), how it is to be run
//! ([`ModelConfig`]), which engine is chosen and why ([`Registry`]), and reading the declarations out of an ONNX file
//! without an engine ([`onnx`]). No engine is in this crate's tree.

mod config;
mod error;
mod files;
pub mod onnx;
mod registry;
mod signature;

use std::sync::Arc;
use std::time::Instant;

use salver_tensor::Tensor;

pub use config::ModelConfig;
pub use error::{BackendError, ErrorCode};
pub use files::{ModelFiles, ModelFormat};
pub use registry::{Choice, EngineStatus, Registry};
pub use signature::{DEFAULT_SIGNATURE, Signature, Signatures};

/// An inference engine.
pub trait Backend: Send + Sync {
    /// Returns the engine's name in files, flags and messages: `rten`, `onnxruntime`.
    fn platform(&self) -> &'static str;

    /// Returns the kinds of models that the engine takes.
    fn formats(&self) -> &'static [ModelFormat];

    /// Tells whether the engine can be used on this machine, and which build of it.
    ///
    /// # Blocking
    /// Opens the engine's library, if it is one, the first time.
    fn status(&self) -> EngineStatus;

    /// Returns how a model is run of which nothing is said.
    fn default_config(&self) -> ModelConfig {
        ModelConfig::default()
    }

    /// Tells cheaply whether this engine can run a model: format, declared dtypes, operators. Opens no library.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] with what is missing and what to do about it;
    /// [`BackendError::InvalidModel`] if the files cannot be read as what they claim to be.
    fn supports(&self, files: &ModelFiles) -> Result<(), BackendError>;

    /// Loads a model; its weights are held once, however many instances are made of it.
    ///
    /// # Blocking
    /// Reads the whole model: seconds for large ones.
    ///
    /// # Errors
    /// As [`Backend::supports`]; [`BackendError::Engine`] if the engine itself refuses.
    fn load(
        &self,
        files: &ModelFiles,
        config: &ModelConfig,
    ) -> Result<Box<dyn Model>, BackendError>;
}

/// A loaded model.
pub trait Model: Send + Sync {
    /// Returns what the model can be asked for.
    fn signatures(&self) -> &Signatures;

    /// Makes what one thread needs to run the model; shares the weights.
    ///
    /// # Errors
    /// [`BackendError::Engine`] if the engine has no room for another.
    fn instance(&self) -> Result<Box<dyn Instance>, BackendError>;
}

/// The means of running a model once at a time, from whichever thread has it.
///
/// A caller may run a [`Signature`] that is not among the model's own, made of tensors that the model has: several
/// signatures' outputs in one run. Engines without named tensors may refuse it.
pub trait Instance: Send {
    /// Runs the model once and returns the requested outputs in the order asked for.
    ///
    /// # Shapes
    /// Those of the caller: a declared extent does not bind, only the dtype does, unless the engine insists.
    ///
    /// # Errors
    /// [`BackendError::InvalidInput`] if the values are at fault, [`BackendError::Model`] with the code and the words of
    /// the model's kernels where an engine has them, else [`BackendError::Engine`]. The error is `Clone` because it
    /// goes to every request of a batch.
    fn run(
        &mut self,
        inputs: &Inputs<'_>,
        outputs: &Requested<'_>,
    ) -> Result<Outputs, BackendError>;

    /// Returns whether a run goes on in the thread that asks for it, with a stack as any thread has: a short one is then
    /// not worth handing to another.
    fn runs_in_caller(&self) -> bool {
        false
    }

    /// Returns the engine's own thread that this instance runs in, if it has one: whoever runs the instance from there need
    /// not be waited for by another thread.
    fn host(&self) -> Option<Arc<dyn Host>> {
        None
    }
}

/// A thread of an engine that others may work in.
pub trait Host: Send + Sync {
    /// Does some work in the thread.
    ///
    /// # Blocking
    /// Until the work is done.
    fn work(&self, work: Box<dyn FnOnce() + Send>);
}

/// What an instance is run on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The signature that the request named.
    pub signature: &'a Signature,
    /// One tensor for each of [`Signature::inputs`], in that order, of the declared dtypes.
    pub tensors: &'a [Tensor],
    /// When the answer is of no use any more, for engines that can break off a run.
    pub deadline: Option<Instant>,
}

/// Which of a signature's outputs are wanted: indices into [`Signature::outputs`].
#[derive(Clone, Copy, Debug)]
pub struct Requested<'a>(pub &'a [usize]);

/// Results in the order of [`Requested`], of the dtypes that the signature declares.
pub type Outputs = Vec<Tensor>;
