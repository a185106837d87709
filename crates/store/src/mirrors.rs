//! The mirrors of a process, and the one thread that owns them.
//!
//! ```text
//! set(bases) ─► owner's thread ─► a task for each base path ─► its downloads
//! stop       ─► tasks are given up and joined, the process's folder in the cache is removed
//! ```

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use salver_repository::VersionPolicyConfig;
use sha2::{Digest, Sha256};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;

use crate::cache::Cache;
use crate::listing::hex;
use crate::mirror::{Mirror, Place, Shared, Status, StatusSink};
use crate::view::View;
use crate::{Base, BaseKind, MirrorsConfig, StoreError, StoreUri};

/// Threads that read sockets and write files: one may wait for the disk while the other goes on.
const NUM_THREADS: usize = 2;

/// The time between two sweeps of the cache.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// A base path with what it is: what lies there is shown once, whoever asks for it.
type Key = (StoreUri, BaseKind);

/// Mirrors of base paths in stores.
///
/// Dropping it stops them, and removes what they show.
#[derive(Debug)]
pub struct Mirrors {
    cache: Arc<Cache>,
    control: Arc<Control>,
    owner: Option<JoinHandle<()>>,
}

/// What the owner's thread is told, and what it tells.
#[derive(Debug, Default)]
struct Control {
    state: Mutex<State>,
    /// Some status has changed.
    changed: Condvar,
    /// There is something to do.
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    is_stopped: bool,
    wanted: BTreeMap<Key, Vec<VersionPolicyConfig>>,
    statuses: BTreeMap<Key, Status>,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mirrors {
    /// Opens the cache and starts the thread that owns the mirrors.
    ///
    /// # Errors
    /// [`StoreError`] if the cache folder cannot be used, or there is no thread to be had.
    pub fn start(config: MirrorsConfig) -> Result<Self, StoreError> {
        let cache = Arc::new(Cache::open(&config.cache_dir)?);
        let control = Arc::new(Control::default());
        let no_thread = |error: std::io::Error| StoreError::Settings {
            reason: format!("no thread could be started: {error}"),
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(NUM_THREADS)
            .thread_name("model-store")
            .enable_all()
            .build()
            .map_err(no_thread)?;
        let poll_interval = config.poll_interval.filter(|interval| !interval.is_zero());
        let shared = Shared {
            cache: Arc::clone(&cache),
            permits: Arc::new(Semaphore::new(config.num_downloads.get())),
            options: config.options,
            poll_interval,
            date: config.date,
            listener: config.listener,
        };
        let owner = Owner {
            shared,
            control: Arc::clone(&control),
            mirrors: BTreeMap::new(),
        };
        let owner = thread::Builder::new()
            .name("model-stores".to_owned())
            .spawn(move || owner.own(&runtime))
            .map_err(no_thread)?;
        Ok(Self {
            cache,
            control,
            owner: Some(owner),
        })
    }

    /// Returns the folder in which a base path is shown, while it is mirrored; its name is that of the base path.
    #[must_use]
    pub fn local_dir(&self, uri: &StoreUri, kind: BaseKind) -> PathBuf {
        self.cache
            .bases()
            .join(hash(uri, kind, &[]))
            .join(uri.name())
    }

    /// Replaces the base paths that are mirrored; folders of new ones are there, and empty, when it returns.
    ///
    /// Versions of a base path that is named more than once are mirrored if one of the namings wants them.
    ///
    /// # Errors
    /// [`StoreError`] if a folder cannot be made.
    pub fn set(&self, bases: &[Base]) -> Result<(), StoreError> {
        let mut wanted = BTreeMap::<Key, Vec<VersionPolicyConfig>>::new();
        for base in bases {
            let key = (base.uri.clone(), base.kind);
            let policies = wanted.entry(key).or_default();
            if !policies.contains(&base.versions) {
                policies.push(base.versions.clone());
            }
        }
        for (uri, kind) in wanted.keys() {
            let dir = self.local_dir(uri, *kind);
            std::fs::create_dir_all(&dir).map_err(|error| StoreError::disk(dir, &error))?;
        }
        let mut state = self.control.lock();
        let before = std::mem::replace(&mut state.wanted, wanted.clone());
        state.statuses.retain(|key, _| wanted.contains_key(key));
        for (key, policies) in &wanted {
            let status = state.statuses.entry(key.clone()).or_default();
            status.is_decided &= before.get(key) == Some(policies);
        }
        drop(state);
        self.control.wake.notify_one();
        Ok(())
    }

    /// Waits until of every base path that is mirrored it is known what can be served of it: that is here, or there is
    /// a reason why not. Returns early when the mirrors are stopped.
    ///
    /// # Blocking
    /// As long as the downloads take, or until the deadline.
    pub fn wait_first(&self, deadline: Option<Instant>) {
        let mut state = self.control.lock();
        while !state.is_stopped && state.statuses.values().any(|status| !status.is_decided) {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                Some(Duration::ZERO) => return,
                Some(left) => {
                    let waited = self.control.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.control.changed.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// Returns what keeps a base path, or some of it, from being mirrored.
    #[must_use]
    pub fn problems(&self, uri: &StoreUri, kind: BaseKind) -> Vec<String> {
        let state = self.control.lock();
        let status = state.statuses.get(&(uri.clone(), kind));
        status.map_or_else(Vec::new, |status| status.problems.clone())
    }

    /// Lets whoever waits go on, and ends the mirrors as soon as the thread comes to it.
    pub fn begin_stop(&self) {
        self.control.lock().is_stopped = true;
        self.control.changed.notify_all();
        self.control.wake.notify_one();
    }
}

impl Drop for Mirrors {
    fn drop(&mut self) {
        self.begin_stop();
        if let Some(owner) = self.owner.take()
            && owner.join().is_err()
        {
            tracing::error!("the thread of the model stores panicked");
        }
        self.cache.close();
    }
}

/// The thread's own.
struct Owner {
    shared: Shared,
    control: Arc<Control>,
    mirrors: BTreeMap<Key, Owned>,
}

/// A mirror and its task.
struct Owned {
    policies: watch::Sender<Vec<VersionPolicyConfig>>,
    /// One task: the set joins it.
    task: JoinSet<()>,
    view: View,
}

impl Owner {
    fn own(mut self, runtime: &Runtime) {
        runtime.block_on(async {
            let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
            loop {
                tokio::select! {
                    () = self.control.wake.notified() => {
                        let (is_stopped, wanted) = {
                            let state = self.control.lock();
                            (state.is_stopped, state.wanted.clone())
                        };
                        let wanted = if is_stopped { BTreeMap::new() } else { wanted };
                        self.keep_only(&wanted).await;
                        if is_stopped {
                            return;
                        }
                        self.mirror(wanted);
                    }
                    _ = sweep.tick() => self.sweep().await,
                }
            }
        });
    }

    /// Ends the mirrors that are no longer wanted.
    async fn keep_only(&mut self, wanted: &BTreeMap<Key, Vec<VersionPolicyConfig>>) {
        let all = std::mem::take(&mut self.mirrors);
        for (key, mut owned) in all {
            if wanted.contains_key(&key) {
                self.mirrors.insert(key, owned);
            } else {
                owned.task.shutdown().await;
                owned.view.remove();
            }
        }
    }

    /// Starts the mirrors that are missing, and tells the others what is wanted now.
    fn mirror(&mut self, wanted: BTreeMap<Key, Vec<VersionPolicyConfig>>) {
        for (key, policies) in wanted {
            if let Some(owned) = self.mirrors.get(&key) {
                owned.policies.send_if_modified(|known| {
                    let is_modified = *known != policies;
                    *known = policies;
                    is_modified
                });
                continue;
            }
            match self.start_mirror(&key, policies) {
                Ok(owned) => {
                    self.mirrors.insert(key, owned);
                }
                Err(error) => self.sink(key)(Status {
                    is_decided: true,
                    problems: vec![error.to_string()],
                }),
            }
        }
    }

    fn start_mirror(
        &self,
        key: &Key,
        policies: Vec<VersionPolicyConfig>,
    ) -> Result<Owned, StoreError> {
        let (uri, kind) = key;
        let cache = &self.shared.cache;
        let dir = cache.bases().join(hash(uri, *kind, &[])).join(uri.name());
        let view = View::open(Arc::clone(cache), dir).map_err(|error| cache.error(&error))?;
        let place = Place {
            uri: uri.clone(),
            kind: *kind,
            view: view.clone(),
            manifest_path: cache.known_path(&hash(uri, *kind, &policies)),
        };
        let sink = self.sink(key.clone());
        let mirror = Mirror::new(self.shared.clone(), place, Arc::clone(&sink));
        let (policies, told) = watch::channel(policies);
        let mut task = JoinSet::new();
        task.spawn(async move {
            if AssertUnwindSafe(mirror.run(told))
                .catch_unwind()
                .await
                .is_err()
            {
                sink(Status {
                    is_decided: true,
                    problems: vec!["mirroring it failed by a mistake in Salver".to_owned()],
                });
            }
        });
        Ok(Owned {
            policies,
            task,
            view,
        })
    }

    fn sink(&self, key: Key) -> StatusSink {
        let control = Arc::clone(&self.control);
        Arc::new(move |status| {
            if let Some(known) = control.lock().statuses.get_mut(&key) {
                *known = status;
            }
            control.changed.notify_all();
        })
    }

    async fn sweep(&self) {
        let (cache, date) = (Arc::clone(&self.shared.cache), (self.shared.date)());
        let swept = tokio::task::spawn_blocking(move || cache.sweep(date)).await;
        if let Ok(Err(error)) = swept {
            tracing::debug!(%error, "the cache of model stores could not be swept");
        }
    }
}

/// Returns a name for a base path that fits a folder; with policies, one for what is mirrored of it.
fn hash(uri: &StoreUri, kind: BaseKind, policies: &[VersionPolicyConfig]) -> String {
    /// Enough to tell base paths apart, and short enough to be read in a log.
    const NUM_BYTES: usize = 8;
    let text = format!("{uri} {kind:?} {policies:?}");
    hex(&Sha256::digest(text)[..NUM_BYTES])
}

#[cfg(test)]
mod tests;
