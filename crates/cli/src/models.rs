//! The models of a serving process: found, watched, loaded, told of.

use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use salver_protocol::config::{ModelConfig, ModelsFile, TENSORFLOW_PLATFORM};
use salver_repository::{
    FileSystemSource, LoadedModel, ModelBase, ModelEntry, ModelLoaderFactory, ModelSettings,
    Problem, Root, SourceConfig, discover,
};
use salver_servable::{
    AvailabilityPreserving, Event, Manager, ManagerConfig, ServableId, Source, SourceTask, State,
};
use salver_server::{Reload, WarmupRequests};
use salver_telemetry::{Metrics, VersionState};

use crate::config::{Looks, ModelsAt, ServeConfig};
use crate::exit::{Exit, Failure};
use crate::files::TfSettings;
use crate::progress::{Progress, Watch};
use crate::reload::{self, ListConfig, ModelList, Served};
use crate::{engine, files, output};

/// The models, from their folders to their handles.
pub(crate) struct Models {
    pub(crate) manager: Manager<LoadedModel>,
    pub(crate) metrics: Metrics,
    /// Takes new lists of models; `None` if a folder says what there is.
    pub(crate) reload: Arc<dyn Reload>,
    source: SourceTask,
    names: Vec<Arc<str>>,
    watch: Arc<Watch>,
}

/// What is to be watched, and what is there now; mistakes in single models the source itself tells of.
struct Plan {
    roots: Vec<Root>,
    /// What was listed; nothing for a folder, whose models come and go.
    listed: Vec<ModelConfig>,
    names: Vec<Arc<str>>,
}

impl Models {
    /// Starts to load what there is.
    ///
    /// # Errors
    /// If there is nothing to load.
    pub(crate) fn start(config: &ServeConfig, settings: &TfSettings) -> Result<Self, Failure> {
        let list = ListConfig {
            allows_unavailable_labels: config.tensorflow.allows_unavailable_labels,
            platforms: settings.platform_names(),
        };
        let Plan {
            roots,
            listed,
            names,
        } = Plan::of(&config.models, &list)?;
        let registry = engine::registry(&config.engines);
        engine::check_named(config.engine.as_deref(), &config.engines, &registry)?;
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        let watch = Arc::new(Watch::default());
        let (manager, aspired) = Manager::start(manager_config(config), listener(&metrics, &watch));
        let labels_of = manager.clone();
        let source = SourceConfig {
            roots,
            poll_interval: match config.looks {
                Looks::Every(interval) => Some(interval),
                Looks::Once | Looks::Never => None,
            },
            on_labels: Some(Arc::new(move |name: &str, labels: &_| {
                labels_of.set_labels(name, Clone::clone(labels))
            })),
        };
        let factory = ModelLoaderFactory {
            registry,
            metrics: metrics.clone(),
            defaults: ModelSettings {
                engine: config.engine.clone(),
                ..ModelSettings::default()
            },
            warmup: Some(Arc::new(WarmupRequests {
                metrics: metrics.clone(),
                num_iterations: NonZeroU32::MIN,
            })),
        };
        let source = FileSystemSource::new(source, factory);
        let served = Served {
            names: names.iter().cloned().collect(),
            listed,
        };
        let reload = ModelList::new(source.roots_handle(), manager.clone(), list, served);
        let source = source.watch(aspired);
        Ok(Self {
            manager,
            metrics,
            reload: Arc::new(reload),
            source,
            names,
            watch,
        })
    }

    /// Waits until every model that was there at the start is loaded or has failed once.
    ///
    /// # Blocking
    /// As long as the loads take.
    pub(crate) fn first_load(&self) -> FirstLoad {
        FirstLoad {
            manager: self.manager.clone(),
            names: self.names.clone(),
            watch: Arc::clone(&self.watch),
        }
    }

    /// Returns what keeps every model from being served; `None` if one is, or if there is to be none.
    pub(crate) fn obstacles(&self) -> Option<Failure> {
        let statuses = self.manager.statuses();
        let all = || statuses.values().flatten();
        if self.names.is_empty() || all().any(|status| status.state == State::Available) {
            return None;
        }
        let mut obstacles: Vec<String> = statuses
            .iter()
            .flat_map(|(name, versions)| versions.iter().map(move |status| (name, status)))
            .filter_map(|(name, status)| {
                let error = status.error.as_ref()?;
                Some(format!(
                    "{name} version {}: {}",
                    status.version, error.message
                ))
            })
            .collect();
        if obstacles.is_empty() {
            let names = self.names.iter();
            obstacles.extend(names.map(|name| format!("{name}: no version could be loaded")));
        }
        obstacles.push(
            "no model could be loaded; `salver check` tells of every mistake in a folder"
                .to_owned(),
        );
        let status = reload::not_available(&self.manager, &self.names, "servable(s)");
        Some(Failure::all(Exit::Config, obstacles).with_status(format!("UNKNOWN: {status}")))
    }

    /// Stops watching and unloads everything; returns what was still in use at the deadline.
    ///
    /// # Blocking
    /// Until the deadline at most.
    pub(crate) fn stop(self, deadline: Instant) -> Vec<ServableId> {
        // A look at a file system that hangs must not hold up the end: the source is joined on a thread of its own, and
        // the process ends without it.
        let stopping = thread::Builder::new().name("salver-stop".to_owned());
        if let Err(error) = stopping.spawn(move || self.source.stop()) {
            tracing::warn!(%error, "cannot wait for the watch over the folders to end");
        }
        self.manager.shutdown(deadline)
    }
}

/// What waits for the first load, on a thread of its own.
pub(crate) struct FirstLoad {
    manager: Manager<LoadedModel>,
    names: Vec<Arc<str>>,
    watch: Arc<Watch>,
}

impl FirstLoad {
    /// # Blocking
    /// As long as the loads take.
    pub(crate) fn wait(self) -> io::Result<()> {
        let _progress = Progress::start(self.watch, output::is_terminal())?;
        self.manager.wait_first_load(&self.names, None);
        Ok(())
    }
}

impl Plan {
    fn of(models: &ModelsAt, list: &ListConfig) -> Result<Self, Failure> {
        match models {
            ModelsAt::Dir(dir) => Self::of_dir(dir),
            ModelsAt::BasePath { name, path } => Self::of_base_path(name, path),
            ModelsAt::List { file, .. } => match files::models(file)? {
                ModelsFile::List(models) => Self::of_list(models, list),
                ModelsFile::Nothing => Ok(Self::of_models(Vec::new())),
            },
        }
    }

    fn of_dir(dir: &Path) -> Result<Self, Failure> {
        let discovery = discover(dir);
        if discovery.entries.is_empty() {
            let mut messages: Vec<String> =
                discovery.problems.iter().map(Problem::to_string).collect();
            if messages.is_empty() {
                let dir = dir.display();
                messages.push(format!(
                    "{dir}: there is no model; wanted is {dir}/NAME/1/model.onnx or {dir}/NAME.onnx"
                ));
            }
            return Err(Failure::all(Exit::Config, messages));
        }
        let names = discovery
            .entries
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        Ok(Self {
            roots: vec![Root::Discover(dir.to_path_buf())],
            listed: Vec::new(),
            names,
        })
    }

    fn of_base_path(name: &str, path: &str) -> Result<Self, Failure> {
        if let Err(error) = std::fs::metadata(path) {
            let message = format!("{path}: cannot be read: {error}; check --model_base_path");
            return Err(Failure::new(Exit::Config, message));
        }
        Ok(Self::of_models(vec![ModelConfig {
            name: name.to_owned(),
            base_path: path.to_owned(),
            platform: TENSORFLOW_PLATFORM.to_owned(),
            ..ModelConfig::default()
        }]))
    }

    fn of_list(models: Vec<ModelConfig>, list: &ListConfig) -> Result<Self, Failure> {
        reload::check_names(&models, &[])
            .and_then(|()| reload::check_platforms(&models, list))
            .map_err(|error| Failure::new(Exit::Config, error))?;
        Ok(Self::of_models(models))
    }

    fn of_models(listed: Vec<ModelConfig>) -> Self {
        Self {
            roots: listed.iter().map(reload::root).collect(),
            names: listed
                .iter()
                .map(|model| model.name.as_str().into())
                .collect(),
            listed,
        }
    }
}

/// Returns a model at a path that somebody named.
pub(crate) fn entry(name: &str, base_path: &str, settings: ModelSettings) -> ModelEntry {
    let path = Path::new(base_path);
    let base = match path.is_file() {
        true => ModelBase::Flat(path.to_path_buf()),
        false => ModelBase::VersionDirs(path.to_path_buf()),
    };
    ModelEntry {
        name: name.into(),
        base,
        settings,
    }
}

fn manager_config(config: &ServeConfig) -> ManagerConfig {
    ManagerConfig {
        num_load_threads: config.load.num_load_threads,
        max_num_load_retries: config.load.max_num_load_retries,
        load_retry_interval: config.load.load_retry_interval,
        memory_limit_bytes: None,
        policy: Box::new(AvailabilityPreserving),
    }
}

/// Returns what sees every change of a version: the log, the metrics, the progress.
fn listener(metrics: &Metrics, watch: &Arc<Watch>) -> Box<dyn Fn(&Event) + Send + Sync> {
    let (metrics, watch) = (metrics.clone(), Arc::clone(watch));
    Box::new(move |event| {
        metrics.set_version_state(&event.id.name, event.id.version, counted_state(event));
        watch.on_event(event, Instant::now());
        log(event);
        if event.state == State::End {
            salver_memory::release_free_memory();
        }
    })
}

fn counted_state(event: &Event) -> Option<VersionState> {
    match (event.state, &event.error) {
        (State::Start, _) => Some(VersionState::Start),
        (State::Loading, _) => Some(VersionState::Loading),
        (State::Available, _) => Some(VersionState::Available),
        (State::Unloading, _) => Some(VersionState::Unloading),
        (State::End, Some(_)) => Some(VersionState::Failed),
        (State::End, None) => None,
    }
}

fn log(event: &Event) {
    let (model, version, seconds) = (
        &*event.id.name,
        event.id.version,
        event.elapsed.as_secs_f64(),
    );
    match (event.state, &event.error) {
        (State::Start, Some(error)) => {
            tracing::warn!(model, version, %error, "not ready to be loaded")
        }
        (State::Start, None) => tracing::debug!(model, version, "found"),
        (State::Loading, Some(error)) => {
            tracing::warn!(model, version, %error, "load failed, to be tried again")
        }
        (State::Loading, None) => tracing::info!(model, version, "loading"),
        (State::Available, _) => tracing::debug!(model, version, seconds, "available"),
        (State::Unloading, _) => tracing::info!(model, version, "unloading"),
        (State::End, Some(error)) => tracing::error!(model, version, %error, "cannot be served"),
        (State::End, None) => tracing::info!(model, version, seconds, "unloaded"),
    }
}
