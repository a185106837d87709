//! The models of a serving process: found, watched, loaded, told of.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use salver_protocol::config::{ModelConfig, ModelsFile, TENSORFLOW_PLATFORM};
use salver_repository::{
    BatchingSettings, FileSystemSource, LabelSink, LoadedModel, ModelBase, ModelEntry,
    ModelLoaderFactory, ModelSettings, Problem, ReadBatching, RequestLogSink, SourceConfig,
    SplitSink, discover,
};
use salver_servable::{
    AvailabilityPreserving, Event, Manager, ManagerConfig, ServableId, Source, SourceTask, State,
};
use salver_server::{LoggingConfig, RequestLogs, SplitSource, Splits, WarmupRequests};
use salver_store::{BaseKind, StoreUri};
use salver_telemetry::{Metrics, VersionState};

use crate::config::{EngineConfig, Looks, ModelsAt, ServeConfig};
use crate::exit::{Exit, Failure};
use crate::files::TfSettings;
use crate::labels::Labels;
use crate::list_file::FileWatch;
use crate::progress::{Progress, Watch};
use crate::reload::{self, ListConfig, ModelList, Served};
use crate::stores::Stores;
use crate::{batching, engine, files, output};

/// The models, from their folders to their handles.
pub(crate) struct Models {
    pub(crate) manager: Manager<LoadedModel>,
    pub(crate) metrics: Metrics,
    pub(crate) request_logs: RequestLogs,
    pub(crate) splits: Splits,
    /// What is served, and what changes it.
    pub(crate) list: Arc<ModelList>,
    source: SourceTask,
    stores: Arc<Stores>,
    /// What reads the list of models again, once the first load is over.
    file_watch: Option<FileWatch>,
    names: Vec<Arc<str>>,
    watch: Arc<Watch>,
}

/// What is there before the models are.
#[derive(Debug)]
pub(crate) struct Around {
    pub(crate) metrics: Metrics,
    pub(crate) watch: Arc<Watch>,
    pub(crate) stores: Arc<Stores>,
}

impl Around {
    pub(crate) fn new(config: &ServeConfig) -> Self {
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        let watch = Arc::new(Watch::default());
        let stores = Stores::new(config.stores.clone(), metrics.clone(), Arc::clone(&watch));
        Self {
            metrics,
            watch,
            stores: Arc::new(stores),
        }
    }
}

impl Models {
    /// Starts to load what there is.
    ///
    /// # Errors
    /// If there is nothing to load.
    ///
    /// # Blocking
    /// As long as the downloads from stores take.
    pub(crate) fn start(
        config: &ServeConfig,
        settings: &TfSettings,
        around: Around,
    ) -> Result<Self, Failure> {
        let Around {
            metrics,
            watch,
            stores,
        } = around;
        let list = ListConfig {
            allows_unavailable_labels: config.tensorflow.allows_unavailable_labels,
            platforms: settings.platform_names(),
            is_read_again: matches!(
                config.models,
                ModelsAt::List {
                    poll_interval: Some(_),
                    ..
                }
            ),
        };
        let served = served(&config.models, &list, &stores)?;
        let names: Vec<Arc<str>> = served.names.iter().cloned().collect();
        let engines = EngineConfig {
            sessions: settings.sessions(),
            ..config.engines.clone()
        };
        let registry = engine::registry(&engines);
        engine::check_named(config.engine.as_deref(), &engines, &registry)?;
        let labels = Labels::default();
        let listener = listener(&metrics, &watch, &labels);
        let (manager, aspired) = Manager::start(manager_config(config), listener);
        labels.attach(&manager);
        let request_logs = RequestLogs::new(metrics.clone());
        let splits = Splits::new(metrics.clone());
        let source = SourceConfig {
            roots: reload::roots(&served, &stores),
            poll_interval: match config.looks {
                Looks::Every(interval) => Some(interval),
                Looks::Once | Looks::Never => None,
            },
            on_request_log: Some(on_request_log(&request_logs)),
            on_split: Some(on_split(&splits)),
            on_labels: Some(on_labels(&labels)),
        };
        let num_warmup_iterations = settings.num_warmup_iterations(&config.tensorflow);
        let factory = ModelLoaderFactory {
            registry,
            metrics: metrics.clone(),
            defaults: defaults(config, settings),
            batching: (config.tensorflow.has_batching_by_version && settings.batching().is_some())
                .then(|| Arc::new(batching::of_version) as ReadBatching),
            measures: num_warmup_iterations.is_some(),
            warmup: num_warmup_iterations.map(|num_iterations| {
                Arc::new(WarmupRequests {
                    metrics: metrics.clone(),
                    num_iterations,
                }) as _
            }),
        };
        let source = FileSystemSource::new(source, factory);
        let roots = source.roots_handle();
        let in_stores = Arc::clone(&stores);
        let list = ModelList::new(roots, manager.clone(), labels, in_stores, list, served);
        let source = source.watch(aspired);
        Ok(Self {
            manager,
            request_logs,
            splits,
            metrics,
            list: Arc::new(list),
            source,
            stores,
            file_watch: None,
            names,
            watch,
        })
    }

    /// Begins to read the list of models again, if it is to be.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(crate) fn watch_list(&mut self, models: &ModelsAt) -> io::Result<()> {
        if let ModelsAt::List {
            file,
            poll_interval: Some(interval),
        } = models
        {
            let watch = FileWatch::start(file.clone(), *interval, Arc::clone(&self.list))?;
            self.file_watch = Some(watch);
        }
        Ok(())
    }

    /// Waits until every version of every model that was there at the start is loaded or has failed once.
    ///
    /// # Blocking
    /// As long as the loads take.
    pub(crate) fn first_load(&self) -> FirstLoad {
        FirstLoad {
            manager: self.manager.clone(),
            list: Arc::clone(&self.list),
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
        obstacles.extend(self.stores.problems());
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
        let (source, file_watch) = (self.source, self.file_watch);
        let stop = move || {
            source.stop();
            drop(file_watch);
        };
        if let Err(error) = stopping.spawn(stop) {
            tracing::warn!(%error, "cannot wait for the watch over the folders to end");
        }
        let stragglers = self.manager.shutdown(deadline);
        // Only now: what is loaded may look into its folder until it is unloaded.
        self.stores.stop();
        stragglers
    }
}

/// Returns what holds for models of which nothing is said.
fn defaults(config: &ServeConfig, settings: &TfSettings) -> ModelSettings {
    let of_all = |_: &&_| !config.tensorflow.has_batching_by_version;
    let asked_for = settings
        .batching()
        .filter(of_all)
        .map(|parameters| BatchingSettings::On(Box::new(batching::config(parameters))));
    // TensorFlow Serving joins nothing unless it is told to, and neither does what stands in for it.
    let is_open = matches!(config.models, ModelsAt::Dir(_)) && settings.batching().is_none();
    ModelSettings {
        engine: config.engine.clone(),
        instances: settings.batching().and_then(batching::num_threads),
        batching: asked_for.or(is_open.then_some(BatchingSettings::Auto)),
        ..ModelSettings::default()
    }
}

/// What waits for the first load, on a thread of its own.
pub(crate) struct FirstLoad {
    manager: Manager<LoadedModel>,
    list: Arc<ModelList>,
    names: Vec<Arc<str>>,
    watch: Arc<Watch>,
}

impl FirstLoad {
    /// # Blocking
    /// As long as the loads take.
    pub(crate) fn wait(self) -> io::Result<()> {
        let _progress = Progress::start(self.watch, output::is_terminal())?;
        self.manager.wait_first_load(&self.names, None);
        self.list.log_waiting_labels();
        Ok(())
    }
}

/// Finds out what is to be served; mistakes in single models the source itself tells of.
fn served(models: &ModelsAt, list: &ListConfig, stores: &Stores) -> Result<Served, Failure> {
    let served = match models {
        ModelsAt::Dir(dir) => return of_dir(dir, stores),
        ModelsAt::BasePath { name, path } => of_base_path(name, path)?,
        ModelsAt::List { file, .. } => match files::models(file)? {
            ModelsFile::List(models) => of_list(models, list)?,
            ModelsFile::Nothing => Served::default(),
        },
    };
    let bases = reload::bases(&served);
    bases
        .and_then(|bases| stores.add(bases))
        .map_err(|error| Failure::new(Exit::Config, error))?;
    Ok(served)
}

fn of_dir(dir: &Path, stores: &Stores) -> Result<Served, Failure> {
    let shown = dir.display();
    let mut served = Served {
        folder: Some(dir.to_path_buf()),
        names: BTreeSet::new(),
        is_named: true,
        listed: Vec::new(),
    };
    let bases = reload::bases(&served);
    bases
        .and_then(|bases| stores.add(bases))
        .map_err(|error| Failure::new(Exit::Config, format!("{shown}: {error}")))?;
    let discovery = discover(&stores.folder(&dir.to_string_lossy(), BaseKind::Discover));
    if discovery.entries.is_empty() {
        let mut messages: Vec<String> = discovery.problems.iter().map(Problem::to_string).collect();
        messages.extend(stores.problems());
        if messages.is_empty() {
            messages.push(format!(
                "{shown}: there is no model; wanted is {shown}/NAME/1/model.onnx or {shown}/NAME.onnx"
            ));
        }
        return Err(Failure::all(Exit::Config, messages));
    }
    let names = discovery.entries.into_iter().map(|entry| entry.name);
    served.names = names.collect();
    Ok(served)
}

fn of_base_path(name: &str, path: &str) -> Result<Served, Failure> {
    if !StoreUri::is_remote(path)
        && let Err(error) = std::fs::metadata(path)
    {
        let message = format!("{path}: cannot be read: {error}; check --model_base_path");
        return Err(Failure::new(Exit::Config, message));
    }
    Ok(Served::of(vec![ModelConfig {
        name: name.to_owned(),
        base_path: path.to_owned(),
        platform: TENSORFLOW_PLATFORM.to_owned(),
        ..ModelConfig::default()
    }]))
}

fn of_list(models: Vec<ModelConfig>, list: &ListConfig) -> Result<Served, Failure> {
    reload::check_names(&models, &[])
        .and_then(|()| reload::check_platforms(&models, list))
        .and_then(|()| reload::check_request_logs(&models))
        .map_err(|error| Failure::new(Exit::Config, error))?;
    Ok(Served::of(models))
}

/// Returns a model at a path that somebody named.
pub(crate) fn entry(name: &str, path: PathBuf, settings: ModelSettings) -> ModelEntry {
    let base = match path.is_file() {
        true => ModelBase::Flat(path),
        false => ModelBase::VersionDirs(path),
    };
    ModelEntry {
        name: name.into(),
        base,
        settings,
    }
}

/// Returns what follows the settings of models on their labels.
fn on_labels(labels: &Labels) -> LabelSink {
    let labels = labels.clone();
    Arc::new(move |model, wanted| labels.want(model, wanted))
}

/// Returns what follows the settings of models on the logging of their requests.
fn on_request_log(request_logs: &RequestLogs) -> RequestLogSink {
    let request_logs = request_logs.clone();
    Arc::new(move |model, settings| {
        let config = settings.map(|settings| LoggingConfig {
            collector: settings.form.clone(),
            filename_prefix: settings.filename_prefix.clone(),
            sampling_rate: settings.sampling_rate.get(),
            ..LoggingConfig::default()
        });
        if let Err(error) = request_logs.set_model(model, config.as_ref()) {
            tracing::error!(model, %error, "requests are not logged");
        }
    })
}

/// Returns what follows the settings of models on the sharing out of their requests.
fn on_split(splits: &Splits) -> SplitSink {
    let splits = splits.clone();
    Arc::new(move |model, split| splits.set(model, SplitSource::File, split))
}

fn manager_config(config: &ServeConfig) -> ManagerConfig {
    ManagerConfig {
        num_load_threads: config.load.num_load_threads,
        num_unload_threads: config.tensorflow.num_unload_threads,
        max_num_load_retries: config.load.max_num_load_retries,
        load_retry_interval: config.load.load_retry_interval,
        memory_limit_bytes: None,
        policy: Box::new(AvailabilityPreserving),
    }
}

/// Returns what sees every change of a version: the log, the metrics, the progress.
fn listener(
    metrics: &Metrics,
    watch: &Arc<Watch>,
    labels: &Labels,
) -> Box<dyn Fn(&Event) + Send + Sync> {
    let (metrics, watch, labels) = (metrics.clone(), Arc::clone(watch), labels.clone());
    Box::new(move |event| {
        metrics.set_version_state(&event.id.name, event.id.version, counted_state(event));
        watch.on_event(event, Instant::now());
        labels.on_change(&event.id.name);
        log(event);
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
