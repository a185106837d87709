//! Watches folders and says which versions are to be served.
//!
//! Looks at a steady pace; the system's file notifications only make a look come sooner, so a file system without them
//! (network drives) is served as well. What a look means is decided in [`crate::poll`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event};
use salver_servable::{Aspired, AspiredVersions, Source, SourceTask};

use crate::loader::{ModelLoader, ModelLoaderFactory};
use crate::poll::{Change, Now, Poller};
use crate::{ModelEntry, Problem, RequestLogSettings, Split};

/// How long files rest to count as finished; less if folders are looked at more often than that.
///
/// Not the polling interval: that may be an hour, and what was just written would not be offered for as long.
const MAX_REST: Duration = Duration::from_secs(1);

/// The longest polling interval; a point in time that is much farther away cannot be expressed.
const MAX_INTERVAL: Duration = Duration::from_hours(365 * 24);

/// The part of the time between two looks that must pass, however many notifications come in: a copy of many files sends
/// thousands.
const EARLY_LOOK_PART: u32 = 5;

/// Told the labels of a model whenever they change.
pub type LabelSink = Arc<dyn Fn(&str, &BTreeMap<String, i64>) + Send + Sync>;

/// Told which requests of a model are to be logged whenever that changes.
pub type RequestLogSink = Arc<dyn Fn(&str, Option<&RequestLogSettings>) + Send + Sync>;

/// Told how the requests of a model are shared out whenever that changes.
pub type SplitSink = Arc<dyn Fn(&str, Option<&Split>) + Send + Sync>;

/// Where models come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// Whatever [`discover`](crate::discover()) finds there, now and later.
    Discover(PathBuf),
    /// One model, named by flags or by a configuration file. Its settings are these; `model.toml` is not read.
    Model(Box<ModelEntry>),
}

impl Root {
    /// Returns the folder or file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Discover(path) => path,
            Self::Model(entry) => entry.base.path(),
        }
    }
}

/// What is watched, and how.
#[derive(Clone)]
pub struct SourceConfig {
    /// Where models come from; of two of one name the first counts.
    pub roots: Vec<Root>,
    /// The time between two looks; `None` or zero looks until nothing is moving any more, and never again.
    pub poll_interval: Option<Duration>,
    /// Told the labels of models.
    pub on_labels: Option<LabelSink>,
    /// Told which requests of models are to be logged.
    pub on_request_log: Option<RequestLogSink>,
    /// Told how requests of models are shared out.
    pub on_split: Option<SplitSink>,
}

impl fmt::Debug for SourceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceConfig")
            .field("roots", &self.roots)
            .field("poll_interval", &self.poll_interval)
            .finish_non_exhaustive()
    }
}

/// Offers the versions of models in folders.
#[derive(Debug)]
pub struct FileSystemSource {
    config: SourceConfig,
    factory: ModelLoaderFactory,
    control: RootsHandle,
    wake: Receiver<()>,
}

/// What the thread of a source is told from outside.
#[derive(Debug, Default)]
struct Control {
    is_stopped: bool,
    new_roots: Option<Vec<Root>>,
}

/// Replaces the roots of a source while it runs.
#[derive(Clone, Debug)]
pub struct RootsHandle {
    control: Arc<Mutex<Control>>,
    wake: SyncSender<()>,
}

impl RootsHandle {
    /// Replaces the roots; models that are in none of the new ones are unloaded.
    pub fn set(&self, roots: Vec<Root>) {
        self.tell(|control| control.new_roots = Some(roots));
    }

    fn stop(&self) {
        self.tell(|control| control.is_stopped = true);
    }

    fn tell(&self, change: impl FnOnce(&mut Control)) {
        change(&mut self.control.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake();
    }

    fn wake(&self) {
        // Full means that the thread is about to wake up anyway; disconnected, that it has ended.
        self.wake.try_send(()).ok();
    }
}

impl FileSystemSource {
    /// Returns a source that does nothing until it is [watched](Source::watch).
    #[must_use]
    pub fn new(config: SourceConfig, factory: ModelLoaderFactory) -> Self {
        let (sender, wake) = mpsc::sync_channel(1);
        let control = RootsHandle {
            control: Arc::default(),
            wake: sender,
        };
        Self {
            config,
            factory,
            control,
            wake,
        }
    }

    /// Returns what replaces the roots while the source runs.
    #[must_use]
    pub fn roots_handle(&self) -> RootsHandle {
        self.control.clone()
    }
}

impl Source for FileSystemSource {
    type Loader = ModelLoader;

    fn watch(self, aspired: AspiredVersions<ModelLoader>) -> SourceTask {
        let control = self.control.clone();
        let thread = thread::Builder::new()
            .name("model-source".to_owned())
            .spawn(move || Watch::new(self, aspired).run())
            .expect("the system gives a thread at start");
        SourceTask::new(move || control.stop(), thread)
    }
}

/// The state of a source's thread.
struct Watch {
    config: SourceConfig,
    factory: ModelLoaderFactory,
    aspired: AspiredVersions<ModelLoader>,
    poller: Poller,
    control: RootsHandle,
    wake: Receiver<()>,
    /// Kept alive for its notifications; `None` where the system has none to give.
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    fn new(source: FileSystemSource, aspired: AspiredVersions<ModelLoader>) -> Self {
        let FileSystemSource {
            mut config,
            factory,
            control,
            wake,
        } = source;
        config.poll_interval = config
            .poll_interval
            .filter(|interval| !interval.is_zero())
            .map(|interval| interval.min(MAX_INTERVAL));
        let rest = rest(config.poll_interval);
        let poller = Poller::new(config.roots.clone(), rest, factory.defaults.clone());
        let watcher = config
            .poll_interval
            .and_then(|_| watch_files(&config.roots, &control));
        Self {
            config,
            factory,
            aspired,
            poller,
            control,
            wake,
            watcher,
        }
    }

    fn run(mut self) {
        loop {
            self.look();
            if !self.wait() {
                return;
            }
        }
    }

    fn look(&mut self) {
        let now = Now {
            steady: Instant::now(),
            wall: SystemTime::now(),
        };
        for change in self.poller.poll_once(now) {
            self.apply(change);
        }
    }

    fn apply(&self, change: Change) {
        match change {
            Change::Offer {
                name,
                settings,
                offers,
            } => {
                let versions = offers
                    .into_iter()
                    .map(|offer| Aspired {
                        version: offer.version,
                        revision: offer.revision,
                        loader: self.factory.loader(&name, &settings, offer),
                    })
                    .collect();
                self.aspired.set(&name, versions);
            }
            Change::Labels { name, labels } => {
                if let Some(on_labels) = &self.config.on_labels {
                    on_labels(&name, &labels);
                }
            }
            Change::Complaint { name, problem } => self.aspired.complain(&name, problem),
            Change::RequestLog { name, request_log } => {
                if let Some(on_request_log) = &self.config.on_request_log {
                    on_request_log(&name, request_log.as_ref());
                }
            }
            Change::Split { name, split } => {
                if let Some(on_split) = &self.config.on_split {
                    on_split(&name, split.as_deref());
                }
            }
            Change::Report {
                name,
                version,
                problem,
            } => {
                self.aspired.report(&name, version, problem);
            }
            Change::Problem(problem) => warn(&problem),
            Change::Ignored(path) => tracing::debug!(path = %path.display(), "ignored for now"),
        }
    }

    /// Waits for the time of the next look; `false` if there is to be none.
    fn wait(&mut self) -> bool {
        let looked_at = Instant::now();
        let pause = pause(self.config.poll_interval, self.poller.is_unsettled());
        // A woken thread looks no sooner than this; without an interval only new roots wake it.
        let earliest = looked_at + pause.unwrap_or_default().min(MAX_REST) / EARLY_LOOK_PART;
        let mut wake_at = pause.map(|pause| looked_at + pause);
        loop {
            let mut control = self
                .control
                .control
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if control.is_stopped {
                return false;
            }
            let new_roots = control.new_roots.take();
            drop(control);
            if let Some(roots) = new_roots {
                self.set_roots(roots);
                return true;
            }
            if wake_at.is_some_and(|wake_at| wake_at <= Instant::now()) {
                return true;
            }
            match self.sleep_until(wake_at) {
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
                Ok(()) => wake_at = Some(wake_at.map_or(earliest, |wake_at| wake_at.min(earliest))),
            }
        }
    }

    fn sleep_until(&self, wake_at: Option<Instant>) -> Result<(), RecvTimeoutError> {
        match wake_at {
            Some(wake_at) => self
                .wake
                .recv_timeout(wake_at.saturating_duration_since(Instant::now())),
            None => self.wake.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn set_roots(&mut self, roots: Vec<Root>) {
        if self.config.poll_interval.is_some() {
            self.watcher = watch_files(&roots, &self.control);
        }
        self.poller.set_roots(roots);
    }
}

/// Returns how long files rest to count as finished.
fn rest(poll_interval: Option<Duration>) -> Duration {
    poll_interval.map_or(MAX_REST, |interval| interval.min(MAX_REST))
}

/// Returns the time until the next look, if there is to be one: files that rest are looked at as soon as they may have
/// rested long enough.
fn pause(poll_interval: Option<Duration>, is_unsettled: bool) -> Option<Duration> {
    match is_unsettled {
        true => Some(rest(poll_interval)),
        false => poll_interval,
    }
}

/// Asks the system to tell of changes below the roots; where it cannot, polling alone must do.
fn watch_files(roots: &[Root], control: &RootsHandle) -> Option<RecommendedWatcher> {
    let control = control.clone();
    let on_event = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| is_change(&event.kind)) {
            control.wake();
        }
    };
    let mut watcher = match notify::recommended_watcher(on_event) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::debug!(%error, "no file notifications; folders are polled");
            return None;
        }
    };
    for root in roots {
        if let Err(error) = watcher.watch(root.path(), RecursiveMode::Recursive) {
            tracing::debug!(path = %root.path().display(), %error, "no file notifications here");
        }
    }
    Some(watcher)
}

/// Tells whether files may differ after an event; our own reading of them is an event too.
fn is_change(kind: &EventKind) -> bool {
    use event::{AccessKind, AccessMode};
    match kind {
        EventKind::Access(kind) => *kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn warn(problem: &Problem) {
    let Problem {
        file,
        line,
        message,
        remedy,
    } = problem;
    tracing::warn!(file = %file.display(), line, remedy, "{message}");
}

#[cfg(test)]
mod tests;
