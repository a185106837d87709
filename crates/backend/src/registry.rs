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
    /// [`BackendError::Unavailable`] for an engine that is unknown or not installed; otherwise the refusal of the
    /// engine that came nearest, with its remedy.
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
        let status = backend.status();
        if !status.is_available() {
            return Err(BackendError::Unavailable {
                platform: backend.platform(),
                reason: status.note,
                remedy: "`salver engine list` shows the engines of this machine".to_owned(),
            });
        }
        backend.supports(files)?;
        Ok(Choice {
            backend: Arc::clone(backend),
            reason: "asked for by configuration".to_owned(),
        })
    }

    fn choose_fastest(&self, files: &ModelFiles) -> Result<Choice, BackendError> {
        let mut passed_over = Vec::new();
        let mut refusal = None;
        for backend in &self.backends {
            if !backend.status().is_available() {
                passed_over.push(format!("{} is not installed", backend.platform()));
                continue;
            }
            match backend.supports(files) {
                Ok(()) => {
                    let reason = match passed_over.is_empty() {
                        true => "fastest engine".to_owned(),
                        false => passed_over.join("; "),
                    };
                    return Ok(Choice {
                        backend: Arc::clone(backend),
                        reason,
                    });
                }
                Err(error) => {
                    passed_over.push(error.to_string());
                    refusal = Some(error);
                }
            }
        }
        Err(refusal.unwrap_or_else(|| BackendError::Unavailable {
            platform: "every engine",
            reason: passed_over.join("; "),
            remedy: "run `salver engine list`".to_owned(),
        }))
    }
}
