//! What everyone else may know: the state of every version that was ever heard of.
//!
//! Written by the manager's thread only, event by event; read by anyone. The lock is held for looking and copying,
//! never while foreign code runs. Requests do not come here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{Event, LoadError, ServableId, State, VersionStatus};

/// How many ended versions of one name are remembered: enough to tell the story of a day of releases, and a bound on
/// memory for a name that gets a new version every minute. The one that ended first is forgotten first.
pub(crate) const MAX_ENDED_VERSIONS: usize = 64;
/// How many names are remembered of which no version is wanted any more: a bound for sources whose names come and go.
/// The one that went first is forgotten first.
pub(crate) const MAX_GONE_NAMES: usize = 1024;

/// The state of every version that was ever heard of.
#[derive(Debug, Default)]
pub(crate) struct StatusBoard {
    names: Mutex<Names>,
    /// Notified when a name settles or wakes up, and when everything has ended.
    has_changed: Condvar,
}

#[derive(Debug, Default)]
struct Names {
    by_name: BTreeMap<Arc<str>, Versions>,
    /// Names that nothing is wanted of, in the order in which that came about.
    gone: VecDeque<Arc<str>>,
    /// Names of which it is known how their first load went, at least of one version.
    settled: BTreeMap<Arc<str>, Settled>,
    /// What is wrong with names as a whole.
    complaints: BTreeMap<Arc<str>, LoadError>,
    /// Set when the manager has ended: nothing will change any more.
    is_closed: bool,
}

#[derive(Debug, Default)]
struct Versions {
    statuses: BTreeMap<i64, VersionStatus>,
    /// Those that have ended, in the order in which they did.
    ended: VecDeque<i64>,
}

/// What is known of how the first load of a name went.
#[derive(Clone, Copy, Debug)]
struct Settled {
    /// Whether every version was tried.
    is_tried: bool,
    /// Whether one answers or no try is left.
    is_decided: bool,
    /// The list that it is about.
    list_number: u64,
}

/// How long a wait for a first load has patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until every version answers or has failed once, so that clients find all of them.
    FirstTry,
    /// Until a version answers, or every one was given up.
    LastTry,
}

/// What the manager knows of a name beyond the states of its versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NameSummary {
    /// Whether it is known of every version how its first load went, or that there is nothing to load.
    pub(crate) is_settled: bool,
    /// Whether one answers, or no try is left for any.
    pub(crate) is_decided: bool,
    /// Whether nothing is wanted, loaded or reported.
    pub(crate) is_gone: bool,
}

impl StatusBoard {
    /// Takes note of one change.
    pub(crate) fn record(&self, event: &Event) {
        let mut names = self.lock();
        let versions = names.by_name.entry(Arc::clone(&event.id.name)).or_default();
        versions.record(event.id.version, event.state, event.error.clone());
    }

    /// Takes note of what is wrong with a name as a whole; `None` that nothing is.
    pub(crate) fn complain(&self, name: &Arc<str>, problem: Option<LoadError>) {
        let mut names = self.lock();
        match problem {
            Some(problem) => names.complaints.insert(Arc::clone(name), problem),
            None => names.complaints.remove(name),
        };
    }

    /// Takes note of how a name is doing as a whole, after the list of that number.
    pub(crate) fn summarize(&self, name: &Arc<str>, summary: NameSummary, list_number: u64) {
        let mut names = self.lock();
        let settled = Settled {
            is_tried: summary.is_settled,
            is_decided: summary.is_decided,
            list_number,
        };
        match summary.is_settled || summary.is_decided {
            true => names.settled.insert(Arc::clone(name), settled),
            false => names.settled.remove(name),
        };
        names.gone.retain(|gone| gone != name);
        if summary.is_gone {
            names.gone.push_back(Arc::clone(name));
        }
        if names.gone.len() > MAX_GONE_NAMES
            && let Some(oldest) = names.gone.pop_front()
        {
            names.by_name.remove(&oldest);
            names.settled.remove(&oldest);
        }
        self.has_changed.notify_all();
    }

    /// Says that everything has ended.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.has_changed.notify_all();
    }

    /// Returns the versions of a name, the highest first; `None` if it was never heard of.
    pub(crate) fn status(&self, name: &str) -> Option<Vec<VersionStatus>> {
        self.lock().by_name.get(name).map(Versions::descending)
    }

    /// Returns the versions of every name.
    pub(crate) fn statuses(&self) -> BTreeMap<Arc<str>, Vec<VersionStatus>> {
        let names = self.lock();
        let copy =
            |(name, versions): (&Arc<str>, &Versions)| (Arc::clone(name), versions.descending());
        names.by_name.iter().map(copy).collect()
    }

    /// Returns what is wrong with a name as a whole.
    pub(crate) fn complaint(&self, name: &str) -> Option<LoadError> {
        self.lock().complaints.get(name).cloned()
    }

    /// Returns every name of which something is wanted, and whether a version of it is in service.
    pub(crate) fn availability(&self) -> BTreeMap<Arc<str>, bool> {
        let names = self.lock();
        let is_available = |versions: &Versions| {
            let mut statuses = versions.statuses.values();
            statuses.any(|status| status.state == State::Available)
        };
        let complained_of = names
            .complaints
            .keys()
            .map(|name| (Arc::clone(name), false));
        let mut availability: BTreeMap<Arc<str>, bool> = complained_of.collect();
        for (name, versions) in &names.by_name {
            if !names.gone.contains(name) {
                availability.insert(Arc::clone(name), is_available(versions));
            }
        }
        availability
    }

    /// Waits until every one of `names` is settled by a list of a number above `after`; returns whether that came about
    /// in time.
    pub(crate) fn wait_settled(
        &self,
        names: &[Arc<str>],
        after: u64,
        patience: Patience,
        timeout: Option<Duration>,
    ) -> bool {
        // A time-out beyond the end of time is none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let has_waited = |settled: &Settled| {
            let is_over = match patience {
                Patience::FirstTry => settled.is_tried,
                Patience::LastTry => settled.is_decided,
            };
            is_over && settled.list_number > after
        };
        let is_settled = |board: &Names| {
            let mut settled = names.iter().map(|name| board.settled.get(name));
            settled.all(|settled| settled.is_some_and(has_waited))
        };
        self.wait(
            deadline,
            |board| is_settled(board) || board.is_closed,
            is_settled,
        )
    }

    /// Waits until everything has ended; returns whether that came about in time.
    pub(crate) fn wait_closed(&self, deadline: Instant) -> bool {
        self.wait(
            Some(deadline),
            |board| board.is_closed,
            |board| board.is_closed,
        )
    }

    /// Returns every version that has not ended.
    pub(crate) fn unended(&self) -> Vec<ServableId> {
        let names = self.lock();
        let ids = names.by_name.iter().flat_map(|(name, versions)| {
            let unended = versions
                .statuses
                .values()
                .filter(|status| status.state != State::End);
            unended.map(|status| ServableId {
                name: Arc::clone(name),
                version: status.version,
            })
        });
        ids.collect()
    }

    fn wait(
        &self,
        deadline: Option<Instant>,
        is_over: impl Fn(&Names) -> bool,
        answer: impl Fn(&Names) -> bool,
    ) -> bool {
        let mut names = self.lock();
        while !is_over(&names) {
            names = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                None => self
                    .has_changed
                    .wait(names)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break,
                Some(left) => {
                    let waited = self.has_changed.wait_timeout(names, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        answer(&names)
    }

    /// A panic while the lock was held cannot leave half a change behind that matters: each is one insertion.
    fn lock(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Versions {
    fn record(&mut self, version: i64, state: State, error: Option<LoadError>) {
        let before = self.statuses.remove(&version);
        // While the next try is under way, the reason why there has to be one is still of interest.
        let standing = before
            .and_then(|status| status.error)
            .filter(|_| state == State::Loading);
        self.statuses.insert(
            version,
            VersionStatus {
                version,
                state,
                error: error.or(standing),
            },
        );
        self.ended.retain(|ended| *ended != version);
        if state == State::End {
            self.ended.push_back(version);
        }
        if self.ended.len() > MAX_ENDED_VERSIONS
            && let Some(oldest) = self.ended.pop_front()
        {
            self.statuses.remove(&oldest);
        }
    }

    fn descending(&self) -> Vec<VersionStatus> {
        self.statuses.values().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
