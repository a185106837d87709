//! The manager's decisions, without threads, clocks or servables.
//!
//! ```text
//! aspire, report, loaded, unloaded, stop ─► Core ─settle(now)─► [Effect]      next_due() ─► when to settle again
//! ```
//!
//! Told what happened and what time it is, it says what is to be done, in order. So every order of events can be tried
//! in a test, and nothing here can block.

mod servable;
mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::servable::{LoadOutcome, Servable};
use crate::state::board::NameSummary;
use crate::{CancelToken, Event, LoadError, LoadErrorKind, ServableId, State, VersionPolicy};

/// A version that is wanted, and what the manager needs to know to load it.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<L> {
    pub(crate) version: i64,
    pub(crate) revision: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) loader: L,
}

/// Something to be done. To be done in order.
#[derive(Debug)]
pub(crate) enum Effect<L> {
    /// Load this version on a thread and report back by [`Core::loaded`].
    Load {
        id: ServableId,
        loader: L,
        cancel: CancelToken,
    },
    /// Put what was loaded into service.
    Publish(ServableId),
    /// Let go of what was loaded; report back by [`Core::unloaded`] when it has been freed.
    Discard(ServableId),
    /// Take it out of service; report back by [`Core::unloaded`] when it has been freed.
    Retire(ServableId),
    /// Tell everyone who wants to know.
    Tell(Event),
    /// Take note of how a name is doing.
    Summarize(Arc<str>, NameSummary),
}

/// What the decisions depend on besides events.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) num_load_threads: usize,
    pub(crate) max_num_load_retries: u32,
    pub(crate) load_retry_interval: Duration,
    pub(crate) memory_limit_bytes: Option<u64>,
    pub(crate) policy: Box<dyn VersionPolicy>,
}

/// What is wanted, what is there, and the steps from one to the other.
#[derive(Debug)]
pub(crate) struct Core<L> {
    settings: Settings,
    /// Every name of which something is wanted, there, or reported.
    servables: BTreeMap<Arc<str>, Servable<L>>,
    /// Names that something happened to since the last [`Core::settle`].
    touched: BTreeSet<Arc<str>>,
    effects: Vec<Effect<L>>,
    /// The name whose load began last: the next one in order has the next turn.
    last_turn: Option<Arc<str>>,
    is_stopping: bool,
}

/// What the memory limit says about a load.
enum Room {
    Enough,
    /// Not now, but something is being unloaded.
    Wait,
    No(LoadError),
}

impl<L: Clone> Core<L> {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            servables: BTreeMap::new(),
            touched: BTreeSet::new(),
            effects: Vec::new(),
            last_turn: None,
            is_stopping: false,
        }
    }

    /// Replaces the list of the versions of `name` that are wanted.
    pub(crate) fn aspire(&mut self, name: &Arc<str>, list: Vec<Candidate<L>>, now: Instant) {
        if self.is_stopping {
            return;
        }
        let servable = entry(&mut self.servables, name);
        servable.aspire(list, now, &mut self.effects);
        self.touched.insert(Arc::clone(name));
    }

    /// Takes note of why a version is not wanted yet, or that this is over.
    pub(crate) fn report(&mut self, id: &ServableId, problem: Option<LoadError>) {
        if self.is_stopping {
            return;
        }
        let servable = entry(&mut self.servables, &id.name);
        servable.report(id.version, problem, &mut self.effects);
        self.touched.insert(Arc::clone(&id.name));
    }

    /// Takes note of the end of a load.
    pub(crate) fn loaded(&mut self, id: &ServableId, result: Result<(), LoadError>, now: Instant) {
        let Some(servable) = self.servables.get_mut(&id.name) else {
            return;
        };
        self.touched.insert(Arc::clone(&id.name));
        match servable.loaded(id.version, result, &self.settings, now, &mut self.effects) {
            LoadOutcome::TakesMemory => {}
            LoadOutcome::FreesMemory => self.offer_memory(now),
        }
    }

    /// Takes note that a servable has been freed.
    pub(crate) fn unloaded(&mut self, id: &ServableId, error: Option<LoadError>, now: Instant) {
        let Some(servable) = self.servables.get_mut(&id.name) else {
            return;
        };
        self.touched.insert(Arc::clone(&id.name));
        servable.end(id.version, error, now, &mut self.effects);
        self.offer_memory(now);
    }

    /// Begins to unload everything, for good.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.is_stopping = true;
        for (name, servable) in &mut self.servables {
            servable.stop(now, &mut self.effects);
            self.touched.insert(Arc::clone(name));
        }
    }

    /// Decides what is to be done now.
    pub(crate) fn settle(&mut self, now: Instant) -> Vec<Effect<L>> {
        for (name, servable) in &mut self.servables {
            if servable.queue_due_retries(now) {
                self.touched.insert(Arc::clone(name));
            }
        }
        let mut to_summarize = BTreeSet::new();
        while !self.touched.is_empty() {
            for name in std::mem::take(&mut self.touched) {
                if let Some(servable) = self.servables.get_mut(&name) {
                    servable.follow(&*self.settings.policy, now, &mut self.effects);
                }
                to_summarize.insert(name);
            }
            self.start_loads(now);
        }
        for name in to_summarize {
            self.summarize(name);
        }
        std::mem::take(&mut self.effects)
    }

    /// Returns when there will be something to decide even if nothing happens.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.servables.values().filter_map(Servable::next_due).min()
    }

    /// Tells whether everything has been unloaded after [`Core::stop`].
    pub(crate) fn is_finished(&self) -> bool {
        self.is_stopping && self.servables.is_empty()
    }

    /// Gives free load threads to queued versions: names take turns, the highest version of each goes first.
    fn start_loads(&mut self, now: Instant) {
        let mut passed_over = BTreeSet::new();
        while self.num_loading() < self.settings.num_load_threads {
            let Some((id, memory_bytes)) = self.next_queued(&passed_over) else {
                return;
            };
            let room = self.room_for(memory_bytes);
            let Some(servable) = self.servables.get_mut(&id.name) else {
                return;
            };
            match room {
                Room::Enough => {
                    servable.start_load(id.version, now, &mut self.effects);
                    self.last_turn = Some(Arc::clone(&id.name));
                }
                Room::Wait => {
                    passed_over.insert(id);
                }
                Room::No(error) => {
                    servable.refuse(id.version, error, now, &mut self.effects);
                    self.touched.insert(id.name);
                }
            }
        }
    }

    /// Returns the next version in turn and what memory it needs.
    fn next_queued(&self, passed_over: &BTreeSet<ServableId>) -> Option<(ServableId, u64)> {
        let after = self
            .last_turn
            .clone()
            .map_or(Bound::Unbounded, Bound::Excluded);
        let up_to = self
            .last_turn
            .clone()
            .map_or(Bound::Unbounded, Bound::Included);
        let later = self.servables.range((after, Bound::Unbounded));
        let earlier = self.servables.range((Bound::Unbounded, up_to));
        later.chain(earlier).find_map(|(name, servable)| {
            servable.queued().find_map(|(version, memory_bytes)| {
                let id = ServableId {
                    name: Arc::clone(name),
                    version,
                };
                (!passed_over.contains(&id)).then_some((id, memory_bytes))
            })
        })
    }

    fn room_for(&self, memory_bytes: u64) -> Room {
        let Some(limit) = self.settings.memory_limit_bytes else {
            return Room::Enough;
        };
        let taken = self.taken_bytes();
        if taken.saturating_add(memory_bytes) <= limit {
            return Room::Enough;
        }
        if memory_bytes <= limit && self.servables.values().any(Servable::is_unloading) {
            return Room::Wait;
        }
        let message = format!(
            "needs {memory_bytes} bytes of memory, but {taken} of the {limit} allowed bytes are taken"
        );
        Room::No(LoadError::new(LoadErrorKind::ResourceExhausted, message))
    }

    /// Gives another chance to versions that were refused for want of memory and would fit now.
    ///
    /// Ends: memory is freed by unloads and by failed loads only, and the number of failures of each version is bounded.
    fn offer_memory(&mut self, now: Instant) {
        let Some(limit) = self.settings.memory_limit_bytes else {
            return;
        };
        let free_bytes = limit.saturating_sub(self.taken_bytes());
        for (name, servable) in &mut self.servables {
            if servable.offer_memory(free_bytes, now, &mut self.effects) {
                self.touched.insert(Arc::clone(name));
            }
        }
    }

    fn summarize(&mut self, name: Arc<str>) {
        let Some(servable) = self.servables.get(&name) else {
            return;
        };
        let summary = servable.summary();
        if summary.is_gone {
            self.servables.remove(&name);
        }
        self.effects.push(Effect::Summarize(name, summary));
    }

    fn num_loading(&self) -> usize {
        self.servables.values().map(Servable::num_loading).sum()
    }

    fn taken_bytes(&self) -> u64 {
        self.servables
            .values()
            .map(Servable::taken_bytes)
            .fold(0, u64::saturating_add)
    }
}

fn entry<'a, L: Clone>(
    servables: &'a mut BTreeMap<Arc<str>, Servable<L>>,
    name: &Arc<str>,
) -> &'a mut Servable<L> {
    servables
        .entry(Arc::clone(name))
        .or_insert_with(|| Servable::new(Arc::clone(name)))
}

fn tell<L>(
    effects: &mut Vec<Effect<L>>,
    id: ServableId,
    state: State,
    error: Option<LoadError>,
    elapsed: Duration,
) {
    effects.push(Effect::Tell(Event {
        id,
        state,
        error,
        elapsed,
    }));
}

#[cfg(test)]
mod tests;
