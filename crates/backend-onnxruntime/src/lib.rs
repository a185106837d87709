//! ONNX models by ONNX Runtime, the fast engine: a shared library that is found and opened at run time.
//!
//! ```text
//! explicit path, else <cache>/onnxruntime/<version>/libonnxruntime.so* (newest) ─► opened once ─► sessions
//! ```
//!
//! Owns registration ([`OnnxRuntime`]), finding the library, loading and running models, and fetching the library
//! ([`install()`]). Reading what a file declares is [`salver_backend::onnx`]'s.
//!
//! Invariants: weights are in memory once, however many instances run them at the same time; inputs are borrowed and
//! outputs handed over without a copy; no file is read after loading, so that one overwritten in place harms nobody.

mod check;
mod convert;
mod ffi;
mod install;
mod instance;
mod library;
mod model;

use std::path::PathBuf;
use std::sync::OnceLock;

use salver_backend::{
    Backend, BackendError, EngineStatus, Model, ModelConfig, ModelFiles, ModelFormat,
};

pub use install::{VERSION as INSTALLED_VERSION, install};
pub use salver_engine_install::InstallError;

use library::Opened;

/// The engine's name in files, flags and messages.
pub(crate) const PLATFORM: &str = "onnxruntime";

/// The command that gets the library.
pub(crate) const INSTALL_COMMAND: &str = "run `salver engine install onnxruntime`";

/// Where the library is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The library file. Nothing else is tried if it is given.
    pub library: Option<PathBuf>,
    /// The folder that [`install()`] put libraries into.
    pub cache_dir: Option<PathBuf>,
}

/// ONNX Runtime.
#[derive(Debug)]
pub struct OnnxRuntime {
    config: Config,
    opened: OnceLock<Result<Opened, String>>,
}

impl OnnxRuntime {
    /// Returns the engine; the library is opened when it is first asked for.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            opened: OnceLock::new(),
        }
    }

    fn opened(&self) -> Result<&Opened, &str> {
        self.opened
            .get_or_init(|| library::open(&self.config))
            .as_ref()
            .map_err(String::as_str)
    }
}

impl Backend for OnnxRuntime {
    fn platform(&self) -> &'static str {
        PLATFORM
    }

    fn formats(&self) -> &'static [ModelFormat] {
        &[ModelFormat::Onnx]
    }

    fn status(&self) -> EngineStatus {
        match self.opened() {
            Ok(opened) => EngineStatus {
                version: Some(opened.library.version().to_owned()),
                library: Some(opened.path.clone()),
                note: "ONNX on CPU; the fastest engine for it".to_owned(),
            },
            Err(reason) => EngineStatus {
                version: None,
                library: None,
                note: format!("{reason}; {INSTALL_COMMAND}"),
            },
        }
    }

    fn supports(&self, files: &ModelFiles) -> Result<(), BackendError> {
        check::check(files).map(|_| ())
    }

    fn load(
        &self,
        files: &ModelFiles,
        config: &ModelConfig,
    ) -> Result<Box<dyn Model>, BackendError> {
        let (header, signature) = check::check(files)?;
        let opened = self.opened().map_err(|reason| BackendError::Unavailable {
            platform: PLATFORM,
            reason: reason.to_owned(),
            remedy: INSTALL_COMMAND.to_owned(),
        })?;
        Ok(Box::new(model::OrtModel::load(
            &opened.library,
            files,
            &header,
            signature,
            config,
        )?))
    }
}
