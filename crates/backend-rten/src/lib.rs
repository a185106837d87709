//! ONNX models by rten, an engine in pure Rust that is part of the program.
//!
//! Owns registration ([`Rten`]), loading, running, and the conversion between the dtypes that a model declares and the
//! four that rten computes in. Reading what a file declares is [`salver_backend::onnx`]'s.
//!
//! Invariants: weights are in memory once, read and not mapped, so a file that is overwritten in place harms nobody;
//! an integer that does not fit rten's 32 bits is an error, never another number.

mod convert;
mod instance;
mod load;
mod model;
mod operators;

use salver_backend::{
    Backend, BackendError, EngineStatus, Model, ModelConfig, ModelFiles, ModelFormat,
};

/// The engine's name in files, flags and messages.
pub(crate) const PLATFORM: &str = "rten";

/// The version that is linked; `Cargo.toml` of the workspace and a test keep it true.
const VERSION: &str = "0.27";

/// What to do about a model that rten cannot run.
const REMEDY: &str = "run `salver engine install onnxruntime`";

/// The embedded engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rten;

impl Backend for Rten {
    fn platform(&self) -> &'static str {
        PLATFORM
    }

    fn formats(&self) -> &'static [ModelFormat] {
        &[ModelFormat::Onnx]
    }

    fn status(&self) -> EngineStatus {
        EngineStatus {
            version: Some(VERSION.to_owned()),
            library: None,
            note: "built in; ONNX on CPU; computes in f32, i32, i8 and u8".to_owned(),
        }
    }

    fn supports(&self, files: &ModelFiles) -> Result<(), BackendError> {
        load::check(files).map(|_| ())
    }

    fn load(
        &self,
        files: &ModelFiles,
        config: &ModelConfig,
    ) -> Result<Box<dyn Model>, BackendError> {
        Ok(Box::new(model::RtenModel::load(files, config)?))
    }
}

/// Returns the error for a model that another engine may run.
fn unsupported(reason: String) -> BackendError {
    BackendError::Unsupported {
        platform: PLATFORM,
        reason,
        remedy: REMEDY.to_owned(),
    }
}
