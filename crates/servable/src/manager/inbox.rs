//! Everything that the manager's thread is told, and how it is woken.
//!
//! One lock, held for pushing and taking only: no foreign code runs under it, and what is replaced is dropped after it.
//! Bounded by what it carries: one list and one complaint per name, one report per version, one result per load thread and two notes per
//! servable that exists.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Candidate;
use crate::handle::Released;
use crate::{Handle, LoadError, Loader, ServableId};

/// A loader that the source made and a load thread will use.
pub(crate) type SharedLoader<S> = Arc<dyn Loader<Servable = S>>;

/// How a load ended.
pub(crate) struct Loaded<S> {
    pub(crate) id: ServableId,
    pub(crate) result: Result<Handle<S>, LoadError>,
}

/// How an unload ended.
pub(crate) struct Unloaded {
    pub(crate) id: ServableId,
    pub(crate) error: Option<LoadError>,
}

/// What a source wants of a name.
pub(crate) struct List<S> {
    /// Lists are counted, over all names, from 1.
    pub(crate) number: u64,
    pub(crate) versions: Vec<Candidate<SharedLoader<S>>>,
}

/// What has come since it was last taken.
pub(crate) struct Mail<S> {
    pub(crate) aspired: BTreeMap<Arc<str>, List<S>>,
    pub(crate) complaints: BTreeMap<Arc<str>, Option<LoadError>>,
    pub(crate) reports: BTreeMap<ServableId, Option<LoadError>>,
    pub(crate) loaded: Vec<Loaded<S>>,
    pub(crate) released: Vec<Released<S>>,
    pub(crate) unloaded: Vec<Unloaded>,
    pub(crate) is_shutdown_wanted: bool,
}

/// The manager's letter box.
pub(crate) struct Inbox<S> {
    state: Mutex<State<S>>,
    has_mail: Condvar,
    num_lists: AtomicU64,
}

struct State<S> {
    mail: Mail<S>,
    /// Set when nobody will look any more.
    is_closed: bool,
}

impl<S> Inbox<S> {
    pub(crate) fn new() -> Self {
        let state = State {
            mail: Mail::default(),
            is_closed: false,
        };
        Self {
            state: Mutex::new(state),
            has_mail: Condvar::new(),
            num_lists: AtomicU64::new(0),
        }
    }

    pub(crate) fn post_aspired(&self, name: &str, versions: Vec<Candidate<SharedLoader<S>>>) {
        let number = self.num_lists.fetch_add(1, Ordering::Relaxed) + 1;
        let list = List { number, versions };
        let replaced = self.post(|mail| mail.aspired.insert(name.into(), list));
        drop(replaced);
    }

    /// Returns how many lists have come so far.
    pub(crate) fn num_lists(&self) -> u64 {
        self.num_lists.load(Ordering::Relaxed)
    }

    pub(crate) fn post_complaint(&self, name: &str, problem: Option<LoadError>) {
        self.post(|mail| mail.complaints.insert(name.into(), problem));
    }

    pub(crate) fn post_report(&self, name: &str, version: i64, problem: Option<LoadError>) {
        let id = ServableId {
            name: name.into(),
            version,
        };
        self.post(|mail| mail.reports.insert(id, problem));
    }

    pub(crate) fn post_loaded(&self, loaded: Loaded<S>) {
        self.post(|mail| mail.loaded.push(loaded));
    }

    pub(crate) fn post_released(&self, released: Released<S>) {
        self.post(|mail| mail.released.push(released));
    }

    pub(crate) fn post_unloaded(&self, unloaded: Unloaded) {
        self.post(|mail| mail.unloaded.push(unloaded));
    }

    pub(crate) fn post_shutdown(&self) {
        self.post(|mail| mail.is_shutdown_wanted = true);
    }

    /// Waits for mail, at most until `due`, and takes all of it.
    pub(crate) fn take(&self, due: Option<Instant>) -> Mail<S> {
        let mut state = self.lock();
        while state.mail.is_empty() {
            state = match due.map(|due| due.checked_duration_since(Instant::now())) {
                None => self
                    .has_mail
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(None) => break,
                Some(Some(left)) => {
                    let waited = self.has_mail.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        std::mem::take(&mut state.mail)
    }

    /// Throws away what comes from now on.
    pub(crate) fn close(&self) {
        let left = {
            let mut state = self.lock();
            state.is_closed = true;
            std::mem::take(&mut state.mail)
        };
        drop(left);
    }

    /// Puts something in, unless nobody looks any more; then what `put` holds is dropped here, outside the lock.
    fn post<R>(&self, put: impl FnOnce(&mut Mail<S>) -> R) -> Option<R> {
        let mut state = self.lock();
        if state.is_closed {
            drop(state);
            return None;
        }
        let replaced = put(&mut state.mail);
        drop(state);
        self.has_mail.notify_one();
        Some(replaced)
    }

    /// A panic while the lock was held cannot leave half a change behind: each is one insertion.
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Mail<S> {
    fn is_empty(&self) -> bool {
        self.aspired.is_empty()
            && self.complaints.is_empty()
            && self.reports.is_empty()
            && self.loaded.is_empty()
            && self.released.is_empty()
            && self.unloaded.is_empty()
            && !self.is_shutdown_wanted
    }
}

impl<S> Default for Mail<S> {
    fn default() -> Self {
        Self {
            aspired: BTreeMap::new(),
            complaints: BTreeMap::new(),
            reports: BTreeMap::new(),
            loaded: Vec::new(),
            released: Vec::new(),
            unloaded: Vec::new(),
            is_shutdown_wanted: false,
        }
    }
}
