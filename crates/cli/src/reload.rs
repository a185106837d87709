//! The models that are served, and whatever changes them: lists by gRPC, a file that is read again, single models.
//!
//! A list takes the place of everything before it; a single model is added to it, or to the folder that the server was
//! started with.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use salver_protocol::config::{LoggingConfig, ModelConfig, TENSORFLOW_PLATFORM, VersionPolicy};
use salver_repository::{
    LoadedModel, ModelSettings, RequestLogSettings, Root, RootsHandle, SamplingRate,
    VersionPolicyConfig, discover,
};
use salver_servable::{Manager, Patience, State};
use salver_server::{
    Code, Reload, ReloadError, RequestLogs, ServedBy, ServedModel, load_error_code,
};
use salver_store::{Base, BaseKind, StoreError};

use crate::labels::Labels;
use crate::models;
use crate::stores::{self, Stores};

/// What is taken from a list.
#[derive(Clone, Debug)]
pub(crate) struct ListConfig {
    /// Whether unused labels may be given to versions that are not loaded.
    pub(crate) allows_unavailable_labels: bool,
    /// The platforms that models may name.
    pub(crate) platforms: BTreeSet<String>,
    /// Whether a file says again and again what is served.
    pub(crate) is_read_again: bool,
}

/// What is served.
#[derive(Clone, Debug, Default)]
pub(crate) struct Served {
    /// A folder whose models come and go.
    pub(crate) folder: Option<PathBuf>,
    /// Models that were listed or added.
    pub(crate) listed: Vec<ModelConfig>,
    /// Whether models were ever named; an empty file names none.
    pub(crate) is_named: bool,
    /// The names of all that was known at the last change.
    pub(crate) names: BTreeSet<Arc<str>>,
}

impl Served {
    /// Returns a list and nothing beside it.
    pub(crate) fn of(listed: Vec<ModelConfig>) -> Self {
        let names = listed.iter().map(|model| model.name.as_str().into());
        Self {
            folder: None,
            names: names.collect(),
            is_named: true,
            listed,
        }
    }
}

/// What a label must stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LabelRule {
    /// A version that answers, as TensorFlow Serving wants it.
    Answering,
    /// Any version: the label is in force when it answers.
    Any,
}

/// The models that are served.
#[derive(Debug)]
pub(crate) struct ModelList {
    roots: RootsHandle,
    manager: Manager<LoadedModel>,
    labels: Labels,
    stores: Arc<Stores>,
    config: ListConfig,
    /// Held while models change, loads included, so that changes come one after the other.
    turn: Mutex<()>,
    /// Held for looking and copying only.
    served: Mutex<Served>,
}

impl ModelList {
    pub(crate) fn new(
        roots: RootsHandle,
        manager: Manager<LoadedModel>,
        labels: Labels,
        stores: Arc<Stores>,
        config: ListConfig,
        served: Served,
    ) -> Self {
        Self {
            roots,
            manager,
            labels,
            stores,
            config,
            turn: Mutex::new(()),
            served: Mutex::new(served),
        }
    }

    /// Tells whether a list says what is served already.
    pub(crate) fn is_in_force(&self, models: &[ModelConfig]) -> bool {
        let served = self.served();
        served.folder.is_none() && served.is_named && served.listed == models
    }

    /// Puts a list in the place of whatever was served.
    ///
    /// # Blocking
    /// Until every model that was not served before answers, or no try is left.
    pub(crate) fn replace(
        &self,
        models: Vec<ModelConfig>,
        labels: LabelRule,
    ) -> Result<(), ReloadError> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.served().clone();
        check_names(&models, &before.listed)?;
        if labels == LabelRule::Answering {
            self.check_labels(&models)?;
        }
        check_platforms(&models, &self.config)?;
        check_request_logs(&models)?;
        let after = Served::of(models);
        let new: Vec<Arc<str>> = after.names.difference(&before.names).cloned().collect();
        let outcome = self.change(&before, after, &new, Patience::LastTry);
        drop(turn);
        outcome
    }

    /// Serves `after` instead of `before`, and waits for what is `new`.
    fn change(
        &self,
        before: &Served,
        after: Served,
        new: &[Arc<str>],
        patience: Patience,
    ) -> Result<(), ReloadError> {
        let in_store = |error: StoreError| ReloadError::BasePath(error.to_string());
        let bases = bases(&after).map_err(in_store)?;
        self.stores.add(bases.clone()).map_err(in_store)?;
        for gone in before.names.difference(&after.names) {
            self.labels.want(gone, &BTreeMap::new());
        }
        for model in &after.listed {
            self.labels.want(&model.name, &model.labels);
        }
        let mark = self.manager.list_mark();
        self.roots.set(roots(&after, &self.stores));
        // What was in stores before goes on until its folders are no longer watched.
        if let Err(error) = self.stores.keep_only(bases) {
            tracing::warn!(%error, "base paths in stores that are no longer served are mirrored on");
        }
        *self.served() = after;
        self.manager.wait_load_after(mark, new, patience, None);
        self.log_waiting_labels();
        match new.iter().all(|name| self.is_available(name, None)) {
            true => Ok(()),
            false => Err(ReloadError::NotAvailable(not_available(
                &self.manager,
                new,
                "model(s)",
            ))),
        }
    }

    /// Checks a model that is to be served beside the others.
    fn check_single(&self, model: &ModelConfig, before: &Served) -> Result<(), ReloadError> {
        if self.config.is_read_again {
            return Err(ReloadError::InFile);
        }
        if model.name.is_empty() || model.name.contains(['/', ':']) {
            return Err(ReloadError::Name(model.name.clone()));
        }
        let models = std::slice::from_ref(model);
        check_names(models, &before.listed)?;
        check_platforms(models, &self.config)?;
        check_request_logs(models)
    }

    /// Logs which labels wait for versions that do not answer.
    pub(crate) fn log_waiting_labels(&self) {
        self.labels.log_waiting();
    }

    fn is_available(&self, name: &str, version: Option<i64>) -> bool {
        let statuses = self.manager.status(name).unwrap_or_default();
        statuses.iter().any(|status| {
            status.state == State::Available
                && version.is_none_or(|version| status.version == version)
        })
    }

    /// Checks that labels stand for versions that answer; those that are not in use yet may be let wait for theirs.
    fn check_labels(&self, models: &[ModelConfig]) -> Result<(), ReloadError> {
        for model in models {
            let in_force = self.labels.in_force(&model.name);
            let moves = |label: &String, version: i64| {
                in_force.get(label).is_some_and(|&before| before != version)
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

    fn served(&self) -> MutexGuard<'_, Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reload for ModelList {
    fn reload(&self, models: Vec<ModelConfig>) -> Result<(), ReloadError> {
        self.replace(models, LabelRule::Answering)
    }

    fn models(&self) -> Vec<ServedModel> {
        let Served { folder, listed, .. } = self.served().clone();
        let mut models: BTreeMap<String, ServedModel> = BTreeMap::new();
        let named = folder.map(|named| named.to_string_lossy().into_owned());
        let local = named
            .as_ref()
            .map(|named| self.stores.folder(named, BaseKind::Discover));
        for entry in local.iter().flat_map(|local| discover(local).entries) {
            let base_path = match (&named, &local) {
                (Some(named), Some(local)) => {
                    let path = entry.base.path().to_string_lossy();
                    path.replacen(&*local.to_string_lossy(), named, 1)
                }
                _ => entry.base.path().display().to_string(),
            };
            let config = ModelConfig {
                name: entry.name.to_string(),
                base_path,
                platform: TENSORFLOW_PLATFORM.to_owned(),
                versions: versions_of(&entry.settings),
                labels: self.labels.in_force(&entry.name),
                logging: None,
            };
            let by = ServedBy::Folder;
            models.insert(config.name.clone(), ServedModel { config, by });
        }
        for config in listed {
            let by = ServedBy::List;
            models.insert(config.name.clone(), ServedModel { config, by });
        }
        models.into_values().collect()
    }

    fn put(&self, model: ModelConfig) -> Result<(), ReloadError> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.served().clone();
        self.check_single(&model, &before)?;
        let name: Arc<str> = model.name.as_str().into();
        let mut after = before.clone();
        after.listed.retain(|other| other.name != model.name);
        after.listed.push(model);
        after.names.insert(Arc::clone(&name));
        after.is_named = true;
        let outcome = self.change(&before, after, &[name], Patience::FirstTry);
        drop(turn);
        outcome
    }

    fn remove(&self, name: &str) -> Result<(), ReloadError> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.served().clone();
        if self.config.is_read_again {
            return Err(ReloadError::InFile);
        }
        let mut after = before.clone();
        after.listed.retain(|model| model.name != name);
        if after.listed.len() == before.listed.len() {
            let lies_in_folder = self.models().iter().any(|model| model.config.name == name);
            return Err(match lies_in_folder {
                true => ReloadError::InFolder(name.to_owned()),
                false => ReloadError::Unknown(name.to_owned()),
            });
        }
        after.names.remove(name);
        let outcome = self.change(&before, after, &[], Patience::FirstTry);
        drop(turn);
        outcome
    }

    fn has_models(&self) -> bool {
        self.served().is_named
    }
}

/// Returns which versions a model's own settings ask for.
fn versions_of(settings: &ModelSettings) -> VersionPolicy {
    match &settings.version_policy {
        None => VersionPolicy::Default,
        Some(VersionPolicyConfig::Latest(count)) => {
            VersionPolicy::Latest(u32::try_from(count.get()).unwrap_or(u32::MAX))
        }
        Some(VersionPolicyConfig::All) => VersionPolicy::All,
        Some(VersionPolicyConfig::Specific(versions)) => VersionPolicy::Specific(versions.clone()),
    }
}

/// Returns where what is served is found; what was listed goes before a folder's model of the same name.
pub(crate) fn roots(served: &Served, stores: &Stores) -> Vec<Root> {
    let listed = served.listed.iter().map(|model| root(model, stores));
    let folder = served.folder.as_ref().map(|named| {
        let folder = stores.folder(&named.to_string_lossy(), BaseKind::Discover);
        Root::Discover(folder)
    });
    listed.chain(folder).collect()
}

/// Returns the base paths in stores of what is served.
///
/// # Errors
/// If one is meant to be an address, and is none.
pub(crate) fn bases(served: &Served) -> Result<Vec<Base>, StoreError> {
    let listed = served.listed.iter().map(|model| {
        let versions = version_policy(model).unwrap_or_default();
        stores::base(&model.base_path, BaseKind::Model, versions)
    });
    let folder = served.folder.iter().map(|named| {
        let versions = VersionPolicyConfig::default();
        stores::base(&named.to_string_lossy(), BaseKind::Discover, versions)
    });
    listed.chain(folder).filter_map(Result::transpose).collect()
}

/// Returns a model's request log; a share that is none was refused when the list came.
fn request_log(config: &LoggingConfig) -> Option<RequestLogSettings> {
    Some(RequestLogSettings {
        form: config.collector.clone(),
        filename_prefix: config.filename_prefix.clone(),
        sampling_rate: SamplingRate::new(config.share())?,
    })
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

/// Checks that requests can be logged as asked.
pub(crate) fn check_request_logs(models: &[ModelConfig]) -> Result<(), ReloadError> {
    let configs = models
        .iter()
        .filter_map(|model| Some((model.name.as_str(), model.logging.as_ref()?)));
    RequestLogs::check(configs).map_err(|error| ReloadError::RequestLog(error.to_string()))
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
        let of_version = statuses.iter().find_map(|status| {
            let error = status.error.clone()?;
            Some((format!("name: {name} version: {}", status.version), error))
        });
        let of_name = || Some((format!("name: {name}"), manager.complaint(name)?));
        let (what, code, message) = match of_version.or_else(of_name) {
            Some((what, error)) => (what, load_error_code(error.kind), error.message),
            None => (
                format!("name: {name}"),
                Code::NotFound,
                "there is no version of it".to_owned(),
            ),
        };
        failed += &format!("{{{{{what}}} due to error: {}: {message}}}, ", code.name());
    }
    format!("{num_failed} {noun} did not become available: {{{failed}}}")
}

fn version_policy(model: &ModelConfig) -> Option<VersionPolicyConfig> {
    match &model.versions {
        VersionPolicy::Default => None,
        // As in TensorFlow Serving, 0 means the default.
        VersionPolicy::Latest(count) => {
            NonZeroUsize::new(*count as usize).map(VersionPolicyConfig::Latest)
        }
        VersionPolicy::All => Some(VersionPolicyConfig::All),
        VersionPolicy::Specific(versions) => Some(VersionPolicyConfig::Specific(versions.clone())),
    }
}

/// Returns where a model of a list is found.
fn root(model: &ModelConfig, stores: &Stores) -> Root {
    let settings = ModelSettings {
        version_policy: version_policy(model),
        labels: model.labels.clone(),
        request_log: model.logging.as_ref().and_then(request_log),
        ..ModelSettings::default()
    };
    let path = stores.folder(&model.base_path, BaseKind::Model);
    Root::Model(Box::new(models::entry(&model.name, path, settings)))
}

#[cfg(test)]
mod tests;
