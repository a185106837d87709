//! SavedModels by TensorFlow itself: shared libraries that are found and opened at run time.
//!
//! ```text
//! explicit path, else <cache>/tensorflow/<version>/libtensorflow_cc.so.2 (newest) ─► opened once ─► sessions
//! ```
//!
//! Owns registration ([`TensorFlow`]), finding the libraries, loading and running models, and fetching the libraries
//! ([`install()`]). Reading what a file declares is `salver_savedmodel`'s.
//!
//! Invariants: a model is in memory once, in one session that all its instances run at the same time; numbers go in and
//! come out without a copy, unless TensorFlow's alignment or a variable's memory asks for one; a tensor is found by its
//! name, so that any signature can be run whose tensors the graph has, those in its interior too.

mod check;
mod convert;
mod ffi;
mod install;
mod instance;
mod library;
mod model;
mod options;

use std::path::PathBuf;
use std::sync::OnceLock;

use salver_backend::{
    Backend, BackendError, EngineStatus, Model, ModelConfig, ModelFiles, ModelFormat,
};

pub use install::{VERSION as INSTALLED_VERSION, install};
pub use options::Options;
pub use salver_engine_install::InstallError;

use library::Opened;

/// The engine's name in files, flags and messages.
pub(crate) const PLATFORM: &str = "tensorflow";

/// The command that gets the libraries.
pub(crate) const INSTALL_COMMAND: &str = "run `salver engine install tensorflow`";

/// Where the libraries are and how sessions are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `libtensorflow_cc.so.2`, or the folder that it is in. Nothing else is tried if it is given.
    pub library: Option<PathBuf>,
    /// The folder that [`install()`] put libraries into.
    pub cache_dir: Option<PathBuf>,
    /// What holds for every model.
    pub options: Options,
}

/// TensorFlow.
#[derive(Debug)]
pub struct TensorFlow {
    config: Config,
    opened: OnceLock<Result<Opened, String>>,
}

impl TensorFlow {
    /// Returns the engine; the libraries, which take 340 MB of memory, are opened when they are first needed.
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

impl Backend for TensorFlow {
    fn platform(&self) -> &'static str {
        PLATFORM
    }

    fn formats(&self) -> &'static [ModelFormat] {
        &[ModelFormat::SavedModel]
    }

    fn status(&self) -> EngineStatus {
        match self.opened() {
            Ok(opened) => EngineStatus {
                version: Some(opened.library.version().to_owned()),
                library: Some(opened.path.clone()),
                note: "SavedModels on CPU, everything in them".to_owned(),
            },
            Err(reason) => EngineStatus {
                version: None,
                library: None,
                note: format!("{reason}; {INSTALL_COMMAND}"),
            },
        }
    }

    /// An instance for each core: a run keeps few models busy on more than one, and a session takes runs from any number
    /// of threads. On two cores a second instance doubles the runs per second (`examples/concurrency.rs`).
    fn default_config(&self) -> ModelConfig {
        let config = ModelConfig::default();
        ModelConfig {
            num_instances: config.num_threads,
            ..config
        }
    }

    fn supports(&self, files: &ModelFiles) -> Result<(), BackendError> {
        check::check(files, &self.config.options).map(|_| ())
    }

    fn load(
        &self,
        files: &ModelFiles,
        config: &ModelConfig,
    ) -> Result<Box<dyn Model>, BackendError> {
        let declared = check::check(files, &self.config.options)?;
        let opened = self.opened().map_err(|reason| BackendError::Unavailable {
            platform: PLATFORM,
            reason: reason.to_owned(),
            remedy: INSTALL_COMMAND.to_owned(),
        })?;
        let options = self.config.options.for_model(config);
        Ok(Box::new(model::TfModel::load(
            &opened.library,
            files,
            declared,
            &options,
        )?))
    }
}
