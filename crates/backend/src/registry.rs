//! Which engines there are, and which one runs a model.

use std::path::PathBuf;
use std::sync::Arc;

use crate::{Backend, BackendError, ModelFiles};

/// Whether an engine can be used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineStatus {
    /// The engine's version, if it can be used.
    pub version: Option<String>,
    /// The library file, for engines that are opened at run time.
    pub library: Option<PathBuf>,
    /// One line: what it is good for, or why it cannot be used and how to mend that.
    pub note: String,
}

impl EngineStatus {
    /// Tells whether the engine can be used.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.version.is_some()
    }
}

/// The engine that runs a model, and the reason for it.
#[derive(Clone)]
pub struct Choice {
    /// The engine.
    pub backend: Arc<dyn Backend>,
    /// Why this one, in one line for the log and `salver inspect`.
    pub reason: String,
}

impl std::fmt::Debug for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Choice")
            .field("backend", &self.backend.platform())
            .field("reason", &self.reason)
            .finish()
    }
}

/// The engines of this program, fastest first.
#[derive(Clone, Default)]
pub struct Registry {
    backends: Vec<Arc<dyn Backend>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.backends.iter().map(|backend| backend.platform()))
            .finish()
    }
}

impl Registry {
    /// Returns a registry of engines in the order of preference.
    #[must_use]
    pub fn new(backends: Vec<Arc<dyn Backend>>) -> Self {
        Self { backends }
    }

    /// Iterates over the engines, fastest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Backend>> {
        self.backends.iter()
    }

    /// Chooses the engine for a model: the one asked for, else the fastest that is available and can run it.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] for an engine that is unknown, or that could run the model and is not installed;
    /// otherwise the refusal of the last engine that takes models of this format, with its remedy.
    pub fn choose(
        &self,
        files: &ModelFiles,
        asked_for: Option<&str>,
    ) -> Result<Choice, BackendError> {
        match asked_for {
            Some(platform) => self.choose_named(files, platform),
            None => self.choose_fastest(files),
        }
    }

    fn choose_named(&self, files: &ModelFiles, platform: &str) -> Result<Choice, BackendError> {
        let Some(backend) = self
            .backends
            .iter()
            .find(|backend| backend.platform() == platform)
        else {
            let known: Vec<_> = self
                .backends
                .iter()
                .map(|backend| backend.platform())
                .collect();
            return Err(BackendError::Unavailable {
                platform: "the engine",
                reason: format!("there is none named `{platform}`"),
                remedy: format!("known engines: {}", known.join(", ")),
            });
        };
        backend.supports(files)?;
        let status = backend.status();
        if !status.is_available() {
            return Err(unavailable(&**backend, status));
        }
        Ok(Choice {
            backend: Arc::clone(backend),
            reason: "asked for by configuration".to_owned(),
        })
    }

    fn choose_fastest(&self, files: &ModelFiles) -> Result<Choice, BackendError> {
        let mut passed_over = Vec::new();
        let (mut missing, mut refusal) = (None, None);
        let takes_format = |backend: &&Arc<dyn Backend>| backend.formats().contains(&files.format);
        for backend in self.backends.iter().filter(takes_format) {
            // Asked before whether the engine is there: to open a library may take hundreds of megabytes.
            if let Err(error) = backend.supports(files) {
                passed_over.push(error.to_string());
                refusal = Some(error);
                continue;
            }
            let status = backend.status();
            if status.is_available() {
                let reason = match passed_over.is_empty() {
                    true => "fastest engine".to_owned(),
                    false => passed_over.join("; "),
                };
                return Ok(Choice {
                    backend: Arc::clone(backend),
                    reason,
                });
            }
            passed_over.push(format!("{} is not installed", backend.platform()));
            missing.get_or_insert_with(|| unavailable(&**backend, status));
        }
        Err(missing.or(refusal).unwrap_or_else(|| no_engine(files)))
    }
}

fn unavailable(backend: &dyn Backend, status: EngineStatus) -> BackendError {
    BackendError::Unavailable {
        platform: backend.platform(),
        reason: status.note,
        remedy: "`salver engine list` shows the engines of this machine".to_owned(),
    }
}

fn no_engine(files: &ModelFiles) -> BackendError {
    BackendError::Unsupported {
        platform: "this program",
        reason: format!("it has no engine for {} models", files.format.name()),
        remedy: "convert the model to ONNX or to a SavedModel".to_owned(),
    }
}
