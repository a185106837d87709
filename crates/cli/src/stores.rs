//! Base paths in object stores, on their way to folders that are watched like any others.

mod brought;

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use salver_store::{Base, BaseKind, Event, Mirrors, MirrorsConfig, Options, StoreError, StoreUri};
use salver_telemetry::Metrics;

use crate::progress::Watch;

pub(crate) use brought::Brought;

/// How many objects are downloaded at once: enough to fill a line, few enough to leave some of it to requests.
const NUM_DOWNLOADS: NonZeroUsize = NonZeroUsize::new(4).expect("4 is not zero");

/// How stores are reached, and where what they hold is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoresConfig {
    /// `None` if there is no home folder either.
    pub(crate) cache_dir: Option<PathBuf>,
    /// The time between two listings; `None` lists until nothing is changing, and never again.
    pub(crate) poll_interval: Option<Duration>,
    /// Settings and credentials by the names they have in the environment.
    pub(crate) options: Options,
}

/// The base paths in stores; nothing is started before there is one.
pub(crate) struct Stores {
    config: StoresConfig,
    metrics: Metrics,
    watch: Arc<Watch>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    mirrors: Option<Arc<Mirrors>>,
    /// What is mirrored.
    bases: Vec<Base>,
    is_stopped: bool,
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Stores {
    pub(crate) fn new(config: StoresConfig, metrics: Metrics, watch: Arc<Watch>) -> Self {
        Self {
            config,
            metrics,
            watch,
            state: Mutex::default(),
        }
    }

    /// Mirrors base paths beside those that are mirrored already, and waits until it is known what can be served of
    /// them.
    ///
    /// # Blocking
    /// As long as the downloads take.
    pub(crate) fn add(&self, bases: Vec<Base>) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if bases.is_empty() || state.is_stopped {
            return Ok(());
        }
        let mirrors = match &state.mirrors {
            Some(mirrors) => Arc::clone(mirrors),
            None => Arc::clone(state.mirrors.insert(Arc::new(self.start()?))),
        };
        for base in bases {
            if !state.bases.contains(&base) {
                state.bases.push(base);
            }
        }
        mirrors.set(&state.bases)?;
        drop(state);
        mirrors.wait_first(None);
        Ok(())
    }

    /// Ends the mirrors of all other base paths.
    pub(crate) fn keep_only(&self, bases: Vec<Base>) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut state.bases, bases);
        for base in before {
            if !state.bases.iter().any(|kept| kept.uri == base.uri) {
                self.metrics.remove_store(&base.uri.to_string());
            }
        }
        match &state.mirrors {
            Some(mirrors) => mirrors.set(&state.bases),
            None => Ok(()),
        }
    }

    /// Returns the folder that a base path is found in: itself, or that of its mirror.
    pub(crate) fn folder(&self, base_path: &str, kind: BaseKind) -> PathBuf {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match (&state.mirrors, StoreUri::parse(base_path)) {
            (Some(mirrors), Ok(uri)) => mirrors.local_dir(&uri, kind),
            _ => PathBuf::from(base_path),
        }
    }

    /// Returns what keeps base paths, or some of what is in them, from being served.
    pub(crate) fn problems(&self) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mirrors) = &state.mirrors else {
            return Vec::new();
        };
        let of_base = |base: &Base| {
            let problems = mirrors.problems(&base.uri, base.kind).into_iter();
            let uri = base.uri.clone();
            problems.map(move |problem| format!("{uri}: {problem}"))
        };
        state.bases.iter().flat_map(of_base).collect()
    }

    /// Lets whoever waits go on: the process is about to end.
    pub(crate) fn begin_stop(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_stopped = true;
        if let Some(mirrors) = &state.mirrors {
            mirrors.begin_stop();
        }
    }

    /// Ends the mirrors.
    ///
    /// # Blocking
    /// Until what they write to the disk is written.
    pub(crate) fn stop(&self) {
        self.begin_stop();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mirrors = state.mirrors.take();
        drop(state);
        drop(mirrors);
    }

    fn start(&self) -> Result<Mirrors, StoreError> {
        let cache_dir = self.config.cache_dir.clone();
        let (metrics, watch) = (self.metrics.clone(), Arc::clone(&self.watch));
        Mirrors::start(MirrorsConfig {
            cache_dir: cache_dir.ok_or_else(|| StoreError::Settings {
                reason: "there is no folder to keep models in; set SALVER_CACHE_DIR or HOME"
                    .to_owned(),
            })?,
            poll_interval: self.config.poll_interval,
            options: self.config.options.clone(),
            num_downloads: NUM_DOWNLOADS,
            date: SystemTime::now,
            listener: Arc::new(move |event| {
                count(event, &metrics);
                watch.on_store(event, Instant::now());
                log(event);
            }),
        })
    }
}

/// Returns a base path to be mirrored; `None` if it is a path of this machine.
///
/// # Errors
/// If it is meant to be an address, and is none.
pub(crate) fn base(
    base_path: &str,
    kind: BaseKind,
    versions: salver_repository::VersionPolicyConfig,
) -> Result<Option<Base>, StoreError> {
    if !StoreUri::is_remote(base_path) {
        return Ok(None);
    }
    let uri = StoreUri::parse(base_path)?;
    Ok(Some(Base {
        uri,
        kind,
        versions,
    }))
}

fn count(event: &Event<'_>, metrics: &Metrics) {
    match event {
        Event::Published { num_bytes, .. } => metrics.count_downloaded(*num_bytes),
        Event::Trouble { uri, .. } => metrics.set_store_up(&uri.to_string(), false),
        Event::Recovered { uri, .. } | Event::Listed { uri } => {
            metrics.set_store_up(&uri.to_string(), true);
        }
        Event::Downloading { .. }
        | Event::Downloaded { .. }
        | Event::Withdrawn { .. }
        | Event::Refused { .. } => {}
    }
}

fn log(event: &Event<'_>) {
    match event {
        Event::Downloading { .. } | Event::Downloaded { .. } | Event::Listed { .. } => {}
        Event::Published {
            uri,
            model,
            version,
            num_bytes,
            elapsed,
        } => {
            let seconds = elapsed.as_secs_f64();
            tracing::info!(model, version, %uri, num_bytes, seconds, "fetched from its store");
        }
        Event::Withdrawn {
            uri,
            model,
            version,
        } => tracing::info!(model, version, %uri, "gone from its store, or no longer wanted"),
        Event::Trouble {
            uri,
            error,
            num_published,
        } => {
            tracing::warn!(%uri, %error, num_versions = num_published, "a store cannot be read now; what is here goes on");
        }
        Event::Recovered { uri, elapsed } => {
            let seconds = elapsed.as_secs_f64();
            tracing::info!(%uri, seconds, "a store can be read again");
        }
        Event::Refused {
            uri,
            model,
            version,
            reason,
        } => {
            tracing::warn!(model, version, %uri, reason, "cannot be taken from its store as it is")
        }
    }
}
