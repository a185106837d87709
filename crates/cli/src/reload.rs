//! New lists of models, in place of what the server was started with: a folder of models or one model.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use salver_protocol::config::{ModelConfig, VersionPolicy};
use salver_repository::{LoadedModel, ModelSettings, Root, RootsHandle, VersionPolicyConfig};
use salver_servable::{Manager, State, VersionStatus};
use salver_server::{Code, Reload, ReloadError, load_error_code};

use crate::models;

/// How long a model may take from being listed to the start of its load: a look at its folder, or an unload before it.
const MAX_SILENCE: Duration = Duration::from_secs(5);
/// The time between two looks at what has become of the models of a new list.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What is taken from a list.
#[derive(Clone, Debug)]
pub(crate) struct ListConfig {
    /// Whether unused labels may be given to versions that are not loaded.
    pub(crate) allows_unavailable_labels: bool,
    /// The platforms that models may name.
    pub(crate) platforms: BTreeSet<String>,
}

/// What is served.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    pub(crate) names: BTreeSet<Arc<str>>,
    /// What the list says of them; nothing of the models of a folder.
    pub(crate) listed: Vec<ModelConfig>,
}

/// The list of models that is in force.
#[derive(Debug)]
pub(crate) struct ModelList {
    roots: RootsHandle,
    manager: Manager<LoadedModel>,
    config: ListConfig,
    /// Held while a list is replaced, so that lists come one after the other.
    served: Mutex<Served>,
}

impl ModelList {
    pub(crate) fn new(
        roots: RootsHandle,
        manager: Manager<LoadedModel>,
        config: ListConfig,
        served: Served,
    ) -> Self {
        Self {
            roots,
            manager,
            config,
            served: Mutex::new(served),
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

    /// Checks that labels stand for versions that answer; those that are not in use yet may have to wait for theirs.
    fn check_labels(
        &self,
        models: &[ModelConfig],
        before: &[ModelConfig],
    ) -> Result<(), ReloadError> {
        for model in models {
            let in_use = before.iter().find(|before| before.name == model.name);
            let moves = |label: &String, version: i64| {
                let before = in_use.and_then(|before| before.labels.get(label));
                before.is_some_and(|&before| before != version)
            };
            let refused = model.labels.iter().find(|&(label, &version)| {
                let may_wait = self.config.allows_unavailable_labels && !moves(label, version);
                !may_wait && !self.is_available(&model.name, Some(version))
            });
            if let Some((_, &version)) = refused {
                return Err(ReloadError::LabelUnavailable {
                    name: model.name.clone(),
                    version,
                });
            }
        }
        Ok(())
    }
}

impl Reload for ModelList {
    fn reload(&self, models: Vec<ModelConfig>) -> Result<(), ReloadError> {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        check_names(&models, &served.listed)?;
        self.check_labels(&models, &served.listed)?;
        check_platforms(&models, &self.config)?;
        let names: BTreeSet<Arc<str>> = models
            .iter()
            .map(|model| model.name.as_str().into())
            .collect();
        let new: Vec<Arc<str>> = names.difference(&served.names).cloned().collect();
        for model in &models {
            self.manager.set_labels(&model.name, model.labels.clone());
        }
        self.roots.set(models.iter().map(root).collect());
        *served = Served {
            names,
            listed: models,
        };
        self.manager.wait_first_load(&new, None);
        self.wait_decided(&new);
        match new.iter().all(|name| self.is_available(name, None)) {
            true => Ok(()),
            false => Err(ReloadError::NotAvailable(not_available(
                &self.manager,
                &new,
                "model(s)",
            ))),
        }
    }
}

/// Checks what a list says by itself, and beside the one before.
pub(crate) fn check_names(
    models: &[ModelConfig],
    before: &[ModelConfig],
) -> Result<(), ReloadError> {
    let mut names = BTreeSet::new();
    if let Some(model) = models.iter().find(|model| !names.insert(&model.name)) {
        return Err(ReloadError::Duplicate(model.name.clone()));
    }
    if let Some(model) = models.iter().find(|model| is_relative(&model.base_path)) {
        return Err(ReloadError::RelativePath {
            name: model.name.clone(),
            base_path: model.base_path.clone(),
        });
    }
    for model in models {
        let same_name = before.iter().find(|before| before.name == model.name);
        if let Some(before) = same_name.filter(|before| before.platform != model.platform) {
            return Err(ReloadError::PlatformChanged {
                name: model.name.clone(),
                before: before.platform.clone(),
                platform: model.platform.clone(),
            });
        }
    }
    Ok(())
}

/// Checks that every model can be run by something.
pub(crate) fn check_platforms(
    models: &[ModelConfig],
    config: &ListConfig,
) -> Result<(), ReloadError> {
    match models
        .iter()
        .find(|model| !config.platforms.contains(&model.platform))
    {
        None => Ok(()),
        Some(model) => Err(ReloadError::UnsupportedPlatform {
            name: model.name.clone(),
            platform: model.platform.clone(),
        }),
    }
}

/// Tells whether a base path is neither absolute nor an address.
fn is_relative(base_path: &str) -> bool {
    let is_address = base_path
        .split_once("://")
        .is_some_and(|(scheme, _)| !scheme.is_empty() && scheme.bytes().all(is_scheme_byte));
    !base_path.starts_with('/') && !is_address
}

fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// Says which of `names` have no version that answers, each with its reason, in TensorFlow Serving's words.
pub(crate) fn not_available(
    manager: &Manager<LoadedModel>,
    names: &[Arc<str>],
    noun: &str,
) -> String {
    let mut num_failed = 0;
    let mut failed = String::new();
    for name in names {
        let statuses = manager.status(name).unwrap_or_default();
        if statuses
            .iter()
            .any(|status| status.state == State::Available)
        {
            continue;
        }
        num_failed += 1;
        let reason = statuses
            .iter()
            .find_map(|status| Some((status.version, status.error.as_ref()?)));
        failed += &match reason {
            Some((version, error)) => format!(
                "{{{{name: {name} version: {version}}} due to error: {}: {}}}, ",
                load_error_code(error.kind).name(),
                error.message
            ),
            None => format!(
                "{{{{name: {name}}} due to error: {}: there is no version of it}}, ",
                Code::NotFound.name()
            ),
        };
    }
    format!("{num_failed} {noun} did not become available: {{{failed}}}")
}

/// Returns where a model of a list is found.
pub(crate) fn root(model: &ModelConfig) -> Root {
    let version_policy = match &model.versions {
        VersionPolicy::Default => None,
        // As in TensorFlow Serving, 0 means the default.
        VersionPolicy::Latest(count) => {
            NonZeroUsize::new(*count as usize).map(VersionPolicyConfig::Latest)
        }
        VersionPolicy::All => Some(VersionPolicyConfig::All),
        VersionPolicy::Specific(versions) => Some(VersionPolicyConfig::Specific(versions.clone())),
    };
    let settings = ModelSettings {
        version_policy,
        labels: model.labels.clone(),
        ..ModelSettings::default()
    };
    Root::Model(models::entry(&model.name, &model.base_path, settings))
}

#[cfg(test)]
mod tests;
