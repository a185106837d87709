//! New lists of models, in place of what the server was started with: a folder of models or one model.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use salver_repository::{LoadedModel, ModelSettings, Root, RootsHandle, VersionPolicyConfig};
use salver_servable::{Manager, State, VersionStatus};
use salver_server::{Reload, ReloadError, ReloadModel, ReloadVersions};

use crate::models;

/// How long a model may take from being listed to the start of its load: a look at its folder, or an unload before it.
const MAX_SILENCE: Duration = Duration::from_secs(5);
/// The time between two looks at what has become of the models of a new list.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The list of models that is in force.
#[derive(Debug)]
pub(crate) struct ModelList {
    roots: RootsHandle,
    manager: Manager<LoadedModel>,
    /// Held while a list is replaced, so that lists come one after the other.
    served: Mutex<BTreeSet<Arc<str>>>,
}

impl ModelList {
    pub(crate) fn new(
        roots: RootsHandle,
        manager: Manager<LoadedModel>,
        served: Vec<Arc<str>>,
    ) -> Self {
        Self {
            roots,
            manager,
            served: Mutex::new(served.into_iter().collect()),
        }
    }

    fn is_available(&self, name: &str, version: Option<i64>) -> bool {
        self.manager
            .status(name)
            .unwrap_or_default()
            .iter()
            .any(|status| {
                status.state == State::Available
                    && version.is_none_or(|version| status.version == version)
            })
    }

    /// Waits for models that were served before and have come back: of them the manager still knows the end, and
    /// nothing yet of the new beginning.
    fn wait_decided(&self, names: &[Arc<str>]) {
        let give_up = Instant::now() + MAX_SILENCE;
        while let Some(is_begun) = self.undecided(names) {
            if !is_begun && Instant::now() >= give_up {
                return;
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Tells whether some of `names` is neither served nor known to have failed, and whether one of those has begun.
    fn undecided(&self, names: &[Arc<str>]) -> Option<bool> {
        let statuses = names
            .iter()
            .map(|name| self.manager.status(name).unwrap_or_default());
        let undecided: Vec<_> = statuses
            .filter(|versions| {
                !versions
                    .iter()
                    .any(|status| status.state == State::Available || status.error.is_some())
            })
            .collect();
        let is_begun = |versions: &Vec<VersionStatus>| {
            versions.iter().any(|status| status.state == State::Loading)
        };
        (!undecided.is_empty()).then(|| undecided.iter().any(is_begun))
    }

    fn check(&self, models: &[ReloadModel]) -> Result<(), ReloadError> {
        let mut names = BTreeSet::new();
        for model in models {
            if !names.insert(&model.name) {
                return Err(ReloadError::Duplicate(model.name.clone()));
            }
            if !model.base_path.is_absolute() {
                let base_path = model.base_path.display().to_string();
                return Err(ReloadError::RelativePath {
                    name: model.name.clone(),
                    base_path,
                });
            }
        }
        for model in models {
            let unavailable = model
                .labels
                .values()
                .find(|&&version| !self.is_available(&model.name, Some(version)));
            if let Some(&version) = unavailable {
                return Err(ReloadError::LabelUnavailable {
                    name: model.name.clone(),
                    version,
                });
            }
        }
        Ok(())
    }

    /// Returns an error that names what did not load, each with its reason.
    fn not_available(&self, names: &[Arc<str>]) -> Option<ReloadError> {
        let failed: Vec<String> = names
            .iter()
            .filter(|name| !self.is_available(name, None))
            .map(|name| {
                let statuses = self.manager.status(name).unwrap_or_default();
                let reason = statuses
                    .iter()
                    .find_map(|status| Some((status.version, status.error.as_ref()?)));
                match reason {
                    Some((version, error)) => format!(
                        "{{name: {name} version: {version}}} due to error: {}",
                        error.message
                    ),
                    None => format!("{{name: {name}}} due to error: it has no version"),
                }
            })
            .collect();
        let message = || {
            format!(
                "{} servable(s) did not become available: {{{}}}",
                failed.len(),
                failed.join(", ")
            )
        };
        (!failed.is_empty()).then(|| ReloadError::NotAvailable(message()))
    }
}

impl Reload for ModelList {
    fn reload(&self, models: Vec<ReloadModel>) -> Result<(), ReloadError> {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        self.check(&models)?;
        let names: BTreeSet<Arc<str>> = models
            .iter()
            .map(|model| model.name.as_str().into())
            .collect();
        let new: Vec<Arc<str>> = names.difference(&served).cloned().collect();
        for model in &models {
            self.manager.set_labels(&model.name, model.labels.clone());
        }
        self.roots.set(models.into_iter().map(root).collect());
        *served = names;
        self.manager.wait_first_load(&new, None);
        self.wait_decided(&new);
        self.not_available(&new).map_or(Ok(()), Err)
    }
}

fn root(model: ReloadModel) -> Root {
    let version_policy = match model.versions {
        ReloadVersions::Default => None,
        // As in TensorFlow Serving, 0 means the default.
        ReloadVersions::Latest(count) => {
            NonZeroUsize::new(count as usize).map(VersionPolicyConfig::Latest)
        }
        ReloadVersions::All => Some(VersionPolicyConfig::All),
        ReloadVersions::Specific(versions) => Some(VersionPolicyConfig::Specific(versions)),
    };
    let labels: BTreeMap<String, i64> = model.labels;
    let settings = ModelSettings {
        version_policy,
        labels,
        ..ModelSettings::default()
    };
    Root::Model(models::entry(
        &model.name.into(),
        &model.base_path,
        settings,
    ))
}

#[cfg(test)]
mod tests;
