//! The versions of one name, each a small state machine.
//!
//! ```text
//! New ─► Queued ─► Loading ─► Ready ─► Unloading ─► (gone, or New if wanted again)
//!           ▲         ├─► Retrying ─► Queued
//!           │         └─► Failed ─(new revision, or memory came free)─► New
//! ```
//!
//! A version that is no longer wanted leaves `New`, `Queued`, `Retrying` and `Failed` at once. One that is loading is
//! cancelled and its result, if there is one, goes to `Unloading` without ever being in service. One that is ready stays
//! until the policy says otherwise.

mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::version::{Progress, Version, no_longer_wanted};
use super::{Candidate, Effect, Settings, tell};
use crate::{Action, CancelToken, LoadError, ServableId, State, VersionPolicy};

/// One name: what is wanted of it, what is there, what was reported.
#[derive(Debug)]
pub(super) struct Servable<L> {
    name: Arc<str>,
    versions: BTreeMap<i64, Version<L>>,
    /// Why versions that were seen are not wanted yet. Shown while there is nothing else to say of them.
    reports: BTreeMap<i64, LoadError>,
    /// Whether a list of wanted versions ever came.
    has_list: bool,
}

/// What the end of a load means for others.
pub(super) enum LoadOutcome {
    TakesMemory,
    FreesMemory,
}

impl<L: Clone> Servable<L> {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            versions: BTreeMap::new(),
            reports: BTreeMap::new(),
            has_list: false,
        }
    }

    pub(super) fn aspire(
        &mut self,
        list: Vec<Candidate<L>>,
        now: Instant,
        effects: &mut Vec<Effect<L>>,
    ) {
        self.has_list = true;
        let wanted: BTreeMap<i64, _> = list.into_iter().map(|c| (c.version, c)).collect();
        let known: Vec<i64> = self.versions.keys().copied().collect();
        for version in known
            .into_iter()
            .filter(|version| !wanted.contains_key(version))
        {
            self.unwant(version, now, effects);
        }
        for candidate in wanted.into_values() {
            self.want(candidate, now, effects);
        }
    }

    fn want(&mut self, candidate: Candidate<L>, now: Instant, effects: &mut Vec<Effect<L>>) {
        let version = candidate.version;
        self.reports.remove(&version);
        let id = self.id(version);
        let Some(known) = self.versions.get_mut(&version) else {
            self.versions.insert(version, Version::new(candidate, now));
            tell(effects, id, State::Start, None, Duration::ZERO);
            return;
        };
        let has_changed = known
            .aspired
            .as_ref()
            .is_some_and(|c| c.revision != candidate.revision);
        if !has_changed && known.aspired.is_some() {
            // Nothing new; the loader at hand is as good.
            return;
        }
        known.aspired = Some(candidate);
        known.num_failures = 0;
        match known.progress {
            Progress::Retrying { .. } => known.progress = Progress::Queued,
            Progress::Failed { .. } => known.restart(id, now, effects),
            Progress::New | Progress::Queued => {}
            // What is there stays, what ends is looked at again when it has ended.
            Progress::Loading { .. } | Progress::Ready | Progress::Unloading => {}
        }
    }

    fn unwant(&mut self, version: i64, now: Instant, effects: &mut Vec<Effect<L>>) {
        let id = self.id(version);
        let Some(known) = self.versions.get_mut(&version) else {
            return;
        };
        match &known.progress {
            Progress::New | Progress::Queued | Progress::Retrying { .. } => {
                tell(
                    effects,
                    id,
                    State::End,
                    Some(no_longer_wanted()),
                    known.lap(now),
                );
                self.forget(version, effects);
            }
            // Its end was told already.
            Progress::Failed { .. } => self.forget(version, effects),
            Progress::Loading { cancel, .. } => {
                cancel.cancel();
                known.aspired = None;
            }
            Progress::Ready | Progress::Unloading => known.aspired = None,
        }
    }

    pub(super) fn report(
        &mut self,
        version: i64,
        problem: Option<LoadError>,
        effects: &mut Vec<Effect<L>>,
    ) {
        let before = match problem.clone() {
            Some(problem) => self.reports.insert(version, problem),
            None => self.reports.remove(&version),
        };
        if before == problem || self.versions.contains_key(&version) {
            return;
        }
        let state = if problem.is_some() {
            State::Start
        } else {
            State::End
        };
        tell(effects, self.id(version), state, problem, Duration::ZERO);
    }

    /// Follows the policy as far as it goes.
    pub(super) fn follow(
        &mut self,
        policy: &dyn VersionPolicy,
        now: Instant,
        effects: &mut Vec<Effect<L>>,
    ) {
        while let Some(action) = policy.next(&self.snapshots()) {
            let (Action::Load(version) | Action::Unload(version)) = action;
            let id = self.id(version);
            let Some(known) = self.versions.get_mut(&version) else {
                return;
            };
            match (action, &known.progress, &known.aspired) {
                (Action::Load(_), Progress::New, Some(_)) => known.progress = Progress::Queued,
                (Action::Unload(_), Progress::Ready, None) => known.retire(id, now, effects),
                // It does not fit, and asking again would give the same answer.
                _ => return,
            }
        }
    }

    pub(super) fn start_load(&mut self, version: i64, now: Instant, effects: &mut Vec<Effect<L>>) {
        let id = self.id(version);
        let Some(known) = self.versions.get_mut(&version) else {
            return;
        };
        let Some(Candidate {
            revision,
            memory_bytes,
            loader,
            ..
        }) = known.aspired.clone()
        else {
            return;
        };
        let cancel = CancelToken::new();
        known.memory_bytes = memory_bytes;
        known.progress = Progress::Loading {
            cancel: cancel.clone(),
            revision,
        };
        tell(effects, id.clone(), State::Loading, None, known.lap(now));
        effects.push(Effect::Load { id, loader, cancel });
    }

    /// Gives a version up for want of memory, until there is more.
    pub(super) fn refuse(
        &mut self,
        version: i64,
        error: LoadError,
        now: Instant,
        effects: &mut Vec<Effect<L>>,
    ) {
        let id = self.id(version);
        let Some(known) = self.versions.get_mut(&version) else {
            return;
        };
        known.give_up(id, error, true, now, effects);
    }

    pub(super) fn loaded(
        &mut self,
        version: i64,
        result: Result<(), LoadError>,
        settings: &Settings,
        now: Instant,
        effects: &mut Vec<Effect<L>>,
    ) -> LoadOutcome {
        let id = self.id(version);
        let Some(known) = self.versions.get_mut(&version) else {
            return LoadOutcome::FreesMemory;
        };
        let Progress::Loading { cancel, revision } = &known.progress else {
            return LoadOutcome::FreesMemory;
        };
        let is_cancelled = cancel.is_cancelled();
        let is_wanted = known
            .aspired
            .as_ref()
            .is_some_and(|c| c.revision == *revision);
        match result {
            Ok(()) if is_wanted => {
                known.progress = Progress::Ready;
                effects.push(Effect::Publish(id.clone()));
                tell(effects, id, State::Available, None, known.lap(now));
                return LoadOutcome::TakesMemory;
            }
            // Unwanted by now, or the content changed under the load and what came of it may be a mixture.
            Ok(()) => {
                known.progress = Progress::Unloading;
                tell(effects, id.clone(), State::Unloading, None, known.lap(now));
                effects.push(Effect::Discard(id));
                return LoadOutcome::TakesMemory;
            }
            Err(_) if is_cancelled => self.end(version, Some(no_longer_wanted()), now, effects),
            Err(error) => known.load_failed(id, error, settings, now, effects),
        }
        LoadOutcome::FreesMemory
    }

    /// Wants nothing any more and unloads everything, whatever the policy thinks of it.
    pub(super) fn stop(&mut self, now: Instant, effects: &mut Vec<Effect<L>>) {
        self.aspire(Vec::new(), now, effects);
        for version in self.reports.keys().copied().collect::<Vec<_>>() {
            self.report(version, None, effects);
        }
        for (version, known) in &mut self.versions {
            if matches!(known.progress, Progress::Ready) {
                let id = ServableId {
                    name: Arc::clone(&self.name),
                    version: *version,
                };
                known.retire(id, now, effects);
            }
        }
    }

    /// Queues the versions whose next try is due; returns whether there were any.
    pub(super) fn queue_due_retries(&mut self, now: Instant) -> bool {
        let mut any = false;
        for known in self.versions.values_mut() {
            if known.progress.due().is_some_and(|due| due <= now) {
                known.progress = Progress::Queued;
                any = true;
            }
        }
        any
    }

    /// Begins anew with refused versions that need no more than `free_bytes`; returns whether there were any.
    pub(super) fn offer_memory(
        &mut self,
        free_bytes: u64,
        now: Instant,
        effects: &mut Vec<Effect<L>>,
    ) -> bool {
        let mut any = false;
        for (version, known) in &mut self.versions {
            let fits = known
                .aspired
                .as_ref()
                .is_some_and(|c| c.memory_bytes <= free_bytes);
            if fits && matches!(known.progress, Progress::Failed { was_refused: true }) {
                let id = ServableId {
                    name: Arc::clone(&self.name),
                    version: *version,
                };
                known.restart(id, now, effects);
                any = true;
            }
        }
        any
    }

    /// Tells that a version has ended; begins anew if it is wanted again.
    pub(super) fn end(
        &mut self,
        version: i64,
        error: Option<LoadError>,
        now: Instant,
        effects: &mut Vec<Effect<L>>,
    ) {
        let id = self.id(version);
        let Some(known) = self.versions.get_mut(&version) else {
            return;
        };
        tell(effects, id.clone(), State::End, error, known.lap(now));
        match known.aspired.is_some() {
            true => known.restart(id, now, effects),
            false => self.forget(version, effects),
        }
    }

    /// Forgets a version whose end was told; what was reported of it meanwhile comes to light.
    fn forget(&mut self, version: i64, effects: &mut Vec<Effect<L>>) {
        self.versions.remove(&version);
        if let Some(problem) = self.reports.get(&version) {
            let problem = Some(problem.clone());
            tell(
                effects,
                self.id(version),
                State::Start,
                problem,
                Duration::ZERO,
            );
        }
    }

    fn id(&self, version: i64) -> ServableId {
        ServableId {
            name: Arc::clone(&self.name),
            version,
        }
    }
}
