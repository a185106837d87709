//! Loads one version: engine, instances, warm-up.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use salver_backend::{BackendError, Choice, Registry};
use salver_batching::{BatchingConfig, ExecutorConfig, LocalExecutor};
use salver_servable::{CancelToken, LoadError, LoadErrorKind, Loader, Resources, ServableId};
use salver_system::scheduling::{self, Pace};
use salver_telemetry::{LoadResult, Metrics};

use crate::layout::Place;
use crate::model::{LoadedModel, VersionMetrics};
use crate::poll::Offer;
use crate::{BatchingSettings, ModelSettings, OpenChoices, Warmup, tune, warmup, whole};

/// What a loaded model is reckoned to take, in percent of the size of its files.
///
/// Engines keep the weights once, plus packed copies of some and the working memory of a run; TensorFlow Serving reckons
/// with the same factor.
const MEMORY_PERCENT_OF_FILES: u64 = 120;

/// Makes loaders; holds what is the same for all of them.
#[derive(Clone)]
pub struct ModelLoaderFactory {
    /// The engines.
    pub registry: Registry,
    /// Where loads and requests are counted.
    pub metrics: Metrics,
    /// What applies where a model's settings say nothing.
    pub defaults: ModelSettings,
    /// Whether models are measured as they are loaded, to decide what is open about them.
    pub measures: bool,
    /// Runs the requests that versions bring along; `None` if theirs are not to be run.
    pub warmup: Option<Arc<dyn Warmup>>,
    /// Reads how a version's requests are joined out of its folder, where a model's settings say nothing; `None` if that is
    /// the same for all.
    pub batching: Option<ReadBatching>,
}

/// Reads how a version's requests are joined out of its folder; what is wrong, if it cannot.
pub type ReadBatching = Arc<dyn Fn(&Path) -> Result<Option<BatchingConfig>, String> + Send + Sync>;

impl fmt::Debug for ModelLoaderFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelLoaderFactory")
            .field("registry", &self.registry)
            .field("defaults", &self.defaults)
            .finish_non_exhaustive()
    }
}

impl ModelLoaderFactory {
    pub(crate) fn loader(
        &self,
        name: &Arc<str>,
        settings: &ModelSettings,
        offer: Offer,
    ) -> ModelLoader {
        let id = ServableId {
            name: Arc::clone(name),
            version: offer.version,
        };
        ModelLoader {
            id,
            offer,
            settings: settings.or(&self.defaults),
            registry: self.registry.clone(),
            metrics: self.metrics.clone(),
            measures: self.measures,
            warmup: self.warmup.clone(),
            read_batching: self
                .batching
                .clone()
                .filter(|_| settings.batching.is_none()),
        }
    }
}

/// Loads one version of one model.
pub struct ModelLoader {
    id: ServableId,
    offer: Offer,
    settings: ModelSettings,
    registry: Registry,
    metrics: Metrics,
    measures: bool,
    warmup: Option<Arc<dyn Warmup>>,
    read_batching: Option<ReadBatching>,
}

impl fmt::Debug for ModelLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelLoader")
            .field("id", &self.id)
            .field("offer", &self.offer)
            .finish_non_exhaustive()
    }
}

impl Loader for ModelLoader {
    type Servable = LoadedModel;

    fn estimate(&self) -> Resources {
        Resources {
            memory_bytes: self.offer.num_bytes / 100 * MEMORY_PERCENT_OF_FILES,
        }
    }

    fn load(&self, cancel: &CancelToken) -> Result<LoadedModel, LoadError> {
        let started_at = Instant::now();
        // Of this thread, which is there for the load alone, and of those of engines and instances, which it starts.
        scheduling::set_pace(Pace::Patient);
        let loaded = self.try_load(cancel);
        let path = self.offer.place.path().to_string_lossy();
        self.metrics
            .load_ended(&path, loaded.is_ok(), started_at.elapsed());
        self.metrics.count_load(match &loaded {
            Ok(_) => LoadResult::Loaded,
            Err(error) if error.kind == LoadErrorKind::Cancelled => LoadResult::Cancelled,
            Err(_) => LoadResult::Failed,
        });
        loaded
    }
}

impl ModelLoader {
    fn try_load(&self, cancel: &CancelToken) -> Result<LoadedModel, LoadError> {
        let started_at = Instant::now();
        self.check_unchanged()?;
        let choice = self.choose()?;
        check_cancelled(cancel)?;
        // An engine's complaint about files that changed under its hands is not the model's fault.
        let (signatures, executor) = self
            .start(&choice)
            .map_err(|error| self.check_unchanged().err().unwrap_or(error))?;
        check_cancelled(cancel)?;
        self.check_unchanged()?;
        let memory_bytes = self.estimate().memory_bytes;
        let metrics = VersionMetrics::new(
            &self.metrics,
            &self.id,
            self.offer.place.path(),
            &signatures,
        );
        let model = LoadedModel {
            id: self.id.clone(),
            platform: choice.backend.platform(),
            reason: choice.reason,
            memory_bytes,
            signatures,
            executor,
            held_bytes: Arc::default(),
            metrics,
        };
        self.warm_up(&model, cancel)?;
        check_cancelled(cancel)?;
        self.metrics
            .set_model_memory(&self.id.name, self.id.version, memory_bytes);
        tracing::info!(
            model = %self.id.name,
            version = self.id.version,
            engine = model.platform,
            reason = model.reason,
            seconds = started_at.elapsed().as_secs_f64(),
            "loaded"
        );
        Ok(model)
    }

    /// Runs the version's own requests; where there are none, made-up ones.
    fn warm_up(&self, model: &LoadedModel, cancel: &CancelToken) -> Result<(), LoadError> {
        // Files beside a model that is a single file may be another model's.
        if let (Some(warmup), Place::Dir(dir) | Place::ModelDir(dir)) =
            (&self.warmup, &self.offer.place)
            && warmup.warm_up(model, dir, cancel)?
        {
            return Ok(());
        }
        warmup::run_made_up(model)
            .map_err(|error| failed(format!("its warm-up run failed: {error}")))
    }

    fn batching(&self) -> Result<BatchingSettings, LoadError> {
        match (&self.read_batching, &self.offer.place) {
            (Some(read), Place::Dir(dir) | Place::ModelDir(dir)) => match read(dir) {
                Ok(Some(config)) => Ok(BatchingSettings::On(Box::new(config))),
                Ok(None) => Ok(BatchingSettings::Off),
                Err(message) => Err(LoadError::new(LoadErrorKind::Invalid, message)),
            },
            _ => {
                let settings = self.settings.batching.clone();
                Ok(settings.unwrap_or(BatchingSettings::Off))
            }
        }
    }

    /// Makes sure that the files are those that were found whole.
    fn check_unchanged(&self) -> Result<(), LoadError> {
        match whole::scan(&self.offer.place) {
            Ok(scan) if scan.fingerprint == self.offer.fingerprint => Ok(()),
            Ok(_) => Err(failed("its files changed while it was loaded")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(LoadError {
                kind: LoadErrorKind::NotFound,
                message: "its files are gone".to_owned(),
            }),
            Err(error) => Err(failed(format!("its files cannot be read: {error}"))),
        }
    }

    fn choose(&self) -> Result<Choice, LoadError> {
        guard(|| {
            self.registry
                .choose(&self.offer.files, self.settings.engine.as_deref())
        })
    }

    fn start(
        &self,
        choice: &Choice,
    ) -> Result<(salver_backend::Signatures, LocalExecutor), LoadError> {
        let batching = self.batching()?;
        let config = self.settings.model_config(&choice.backend.default_config());
        let open = self
            .measures
            .then(|| OpenChoices::of(&self.settings, &batching));
        let tuned = guard(|| {
            tune(
                &self.id.name,
                &*choice.backend,
                &self.offer.files,
                config,
                open,
            )
        })?;
        let signatures = tuned.model.signatures().clone();
        let runs = self.metrics.runs(&self.id.name, self.id.version);
        let costs = tuned.costs.costs().iter();
        runs.set_costs(costs.map(|cost| (cost.num_rows, cost.run)).collect());
        let config = ExecutorConfig {
            name: self.id.name.to_string(),
            platform: choice.backend.platform(),
            num_instances: tuned.config.num_instances,
            queue_capacity: self.settings.queue_capacity(),
            batching: tuned.joining(&batching),
            unjoinable: tuned.unjoinable,
            max_wait: self.settings.max_wait,
            metrics: Some(runs),
        };
        let executor = guard(|| LocalExecutor::start(&tuned.model, &config))?;
        let max_rows = config.batching.as_ref().map(BatchingConfig::max_run_rows);
        tracing::info!(
            model = %self.id.name,
            version = self.id.version,
            instances = config.num_instances,
            threads = tuned.config.num_threads,
            batch = max_rows.unwrap_or(1),
            run_seconds = tuned.costs.at(1).map(|run| run.as_secs_f64()),
            "laid out"
        );
        Ok((signatures, executor))
    }
}

fn check_cancelled(cancel: &CancelToken) -> Result<(), LoadError> {
    match cancel.is_cancelled() {
        false => Ok(()),
        true => Err(LoadError {
            kind: LoadErrorKind::Cancelled,
            message: "the load was cancelled".to_owned(),
        }),
    }
}

/// Calls an engine: its errors become load errors, and so do its panics.
fn guard<T>(call: impl FnOnce() -> Result<T, BackendError>) -> Result<T, LoadError> {
    match panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| load_error(&error)),
        Err(_) => Err(failed("the engine panicked while loading the model")),
    }
}

/// Says of an engine's error whether trying again may help.
fn load_error(error: &BackendError) -> LoadError {
    let kind = match error {
        BackendError::InvalidModel { .. } => LoadErrorKind::Invalid,
        // An engine that is not there now is not there a minute later; it is found at the next start.
        BackendError::Unsupported { .. } | BackendError::Unavailable { .. } => {
            LoadErrorKind::Unsupported
        }
        BackendError::InvalidInput { .. }
        | BackendError::Model { .. }
        | BackendError::Engine { .. }
        | BackendError::Panicked { .. } => LoadErrorKind::Failed,
    };
    LoadError {
        kind,
        message: error.to_string(),
    }
}

fn failed(message: impl Into<String>) -> LoadError {
    LoadError {
        kind: LoadErrorKind::Failed,
        message: message.into(),
    }
}

#[cfg(test)]
mod tests;
