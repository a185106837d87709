//! Requests and their answers, kept for whoever trains the next model, looks for a fault, or warms up the next version.
//!
//! ```text
//! request ─► drawn by lot? ─► tensors in, tensors out ─► bounded queue ─► one thread ─► PREFIX-TIME-PID-N.{tfrecord|jsonl}
//! ```
//!
//! Never holds up a request: what there is no room for is dropped and counted. Tensors are shared, not copied; they
//! are put into their written form by the thread. At rest it costs a request one look at a flag.

mod entry;
mod files;
mod queue;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use salver_protocol::config::LoggingConfig;
use salver_telemetry::Metrics;

pub(crate) use entry::{Entry, Exchange};
use queue::Queue;

/// Two to the power of 64: the numbers that lots are drawn from.
const NUM_LOTS: f64 = 18_446_744_073_709_551_616.0;

/// Why requests cannot be logged as asked.
#[derive(Debug, thiserror::Error)]
pub enum RequestLogError {
    /// Another kind of log than those there are.
    #[error(
        "No request-logger-creator provided for type `{collector}` of model {model}; the types are `tfrecord` and `jsonl`"
    )]
    UnknownCollector {
        /// The model.
        model: String,
        /// What was asked for.
        collector: String,
    },
    /// Settings for a logger of somebody's own.
    #[error(
        "No request-logger-creator provided for the custom_logging_config of model {model}; leave it out"
    )]
    Custom {
        /// The model.
        model: String,
    },
    /// Files without a name.
    #[error(
        "logging_config of model {model} has no log_collector_config.filename_prefix; say how its files begin, such as \
         /var/log/salver/{model}"
    )]
    NoPrefix {
        /// The model.
        model: String,
    },
    /// A share that is none.
    #[error(
        "logging_config of model {model} has sampling_rate {rate}; wanted is a share from 0 to 1"
    )]
    SamplingRate {
        /// The model.
        model: String,
        /// What was asked for.
        rate: f64,
    },
    /// The thread that writes cannot be started.
    #[error("cannot start the thread that writes request logs: {0}")]
    Thread(#[from] io::Error),
}

/// How requests are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum LogForm {
    /// `PredictionLog` records of requests that succeeded: a file of them is a warm-up file.
    TfRecord,
    /// One line of JSON for each request, failed ones too.
    JsonLines,
}

impl LogForm {
    /// Returns what its files end in.
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::TfRecord => "tfrecord",
            Self::JsonLines => "jsonl",
        }
    }
}

/// The log of one model.
#[derive(Debug, PartialEq)]
pub(crate) struct ModelLog {
    pub(crate) model: Arc<str>,
    pub(crate) form: LogForm,
    pub(crate) prefix: PathBuf,
    pub(crate) sampling_rate: f64,
    /// A lot below this number is drawn.
    num_drawn: u64,
}

impl ModelLog {
    /// Reads a model's configuration.
    fn new(model: &str, config: &LoggingConfig) -> Result<Self, RequestLogError> {
        let name = || model.to_owned();
        if config.custom.is_some() {
            return Err(RequestLogError::Custom { model: name() });
        }
        let form = match config.collector.as_str() {
            "" | "tfrecord" => LogForm::TfRecord,
            "jsonl" => LogForm::JsonLines,
            other => {
                return Err(RequestLogError::UnknownCollector {
                    model: name(),
                    collector: other.to_owned(),
                });
            }
        };
        if config.filename_prefix.is_empty() {
            return Err(RequestLogError::NoPrefix { model: name() });
        }
        let rate = config.share();
        if !(0.0..=1.0).contains(&rate) {
            return Err(RequestLogError::SamplingRate {
                model: name(),
                rate,
            });
        }
        Ok(Self {
            model: model.into(),
            form,
            prefix: config.filename_prefix.clone().into(),
            sampling_rate: rate,
            num_drawn: (rate * NUM_LOTS) as u64,
        })
    }

    fn draws(&self, lot: u64) -> bool {
        lot < self.num_drawn || self.num_drawn == u64::MAX
    }
}

/// The request logs of all models; a clone is the same logs.
#[derive(Clone)]
pub struct RequestLogs(Arc<Inner>);

struct Inner {
    is_on: AtomicBool,
    models: ArcSwap<BTreeMap<Arc<str>, Arc<ModelLog>>>,
    queue: Queue,
}

impl fmt::Debug for RequestLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestLogs")
            .field("models", &self.0.models.load())
            .finish_non_exhaustive()
    }
}

impl RequestLogs {
    /// Returns logs that log nothing yet; what becomes of requests is counted in `metrics`.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self(Arc::new(Inner {
            is_on: AtomicBool::new(false),
            models: ArcSwap::default(),
            queue: Queue::new(metrics),
        }))
    }

    /// Checks configurations, by the names of their models.
    ///
    /// # Errors
    /// [`RequestLogError`] for the first one that cannot be followed.
    pub fn check<'a>(
        configs: impl IntoIterator<Item = (&'a str, &'a LoggingConfig)>,
    ) -> Result<(), RequestLogError> {
        configs
            .into_iter()
            .try_for_each(|(model, config)| ModelLog::new(model, config).map(drop))
    }

    /// Logs these models from now on, and no others.
    ///
    /// # Errors
    /// [`RequestLogError`], and nothing is changed.
    pub fn set<'a>(
        &self,
        configs: impl IntoIterator<Item = (&'a str, &'a LoggingConfig)>,
    ) -> Result<(), RequestLogError> {
        let mut models = BTreeMap::new();
        for (name, config) in configs {
            let log = ModelLog::new(name, config)?;
            models.insert(Arc::clone(&log.model), Arc::new(log));
        }
        let is_on = !models.is_empty();
        if is_on {
            self.0.queue.start()?;
        }
        self.0.models.store(Arc::new(models));
        self.0.is_on.store(is_on, Ordering::Relaxed);
        Ok(())
    }

    /// Logs one model from now on, or does not; the others stay as they are.
    ///
    /// # Errors
    /// [`RequestLogError`], and nothing is changed.
    pub fn set_model(
        &self,
        model: &str,
        config: Option<&LoggingConfig>,
    ) -> Result<(), RequestLogError> {
        let log = config
            .map(|config| ModelLog::new(model, config))
            .transpose()?
            .map(Arc::new);
        if log.is_some() {
            self.0.queue.start()?;
        }
        let models = self.0.models.rcu(|models| {
            let mut models = BTreeMap::clone(models);
            match &log {
                Some(log) => drop(models.insert(Arc::clone(&log.model), Arc::clone(log))),
                None => drop(models.remove(model)),
            }
            models
        });
        let is_on = log.is_some() || models.keys().any(|name| **name != *model);
        self.0.is_on.store(is_on, Ordering::Relaxed);
        Ok(())
    }

    /// Writes what is still in memory and logs nothing from now on.
    pub(crate) async fn stop(&self) {
        self.0.is_on.store(false, Ordering::Relaxed);
        let inner = Arc::clone(&self.0);
        if let Err(error) = tokio::task::spawn_blocking(move || inner.queue.stop()).await {
            tracing::error!(%error, "cannot wait for the request log to be written");
        }
    }

    /// Returns the log of a model if a request is to go there; `lot` is a random number.
    #[inline]
    pub(crate) fn draw(&self, model: &str, lot: impl FnOnce() -> u64) -> Option<Arc<ModelLog>> {
        if !self.0.is_on.load(Ordering::Relaxed) {
            return None;
        }
        let models = self.0.models.load();
        let log = models.get(model)?;
        log.draws(lot()).then(|| Arc::clone(log))
    }

    /// Hands a request over to be written.
    pub(crate) fn push(&self, entry: Entry) {
        if entry.is_wanted() {
            self.0.queue.push(entry);
        }
    }
}

#[cfg(test)]
mod tests;
