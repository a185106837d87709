//! One version: how far it is, and the steps that concern nothing but itself.

use std::time::{Duration, Instant};

use super::{Candidate, Effect, Settings, tell};
use crate::{CancelToken, LoadError, LoadErrorKind, Phase, ServableId, State};

/// One version that is wanted or there.
#[derive(Debug)]
pub(super) struct Version<L> {
    /// `None` if it is not wanted any more, which only what is loaded or being loaded outlives.
    pub(super) aspired: Option<Candidate<L>>,
    pub(super) progress: Progress,
    /// Loads of the present revision that failed.
    pub(super) num_failures: u32,
    /// Whether any load failed or was refused.
    pub(super) has_failed: bool,
    /// What the load under way was estimated to take, or the servable that came of it.
    pub(super) memory_bytes: u64,
    /// When the last event was told.
    told_at: Instant,
}

/// How far a version is.
#[derive(Debug)]
pub(super) enum Progress {
    New,
    Queued,
    Loading { cancel: CancelToken, revision: u64 },
    Retrying { due: Instant },
    Ready,
    Unloading,
    Failed { was_refused: bool },
}

impl<L> Version<L> {
    pub(super) fn new(candidate: Candidate<L>, now: Instant) -> Self {
        Self {
            aspired: Some(candidate),
            progress: Progress::New,
            num_failures: 0,
            has_failed: false,
            memory_bytes: 0,
            told_at: now,
        }
    }

    /// Returns the time since the last event, of which there is one now.
    pub(super) fn lap(&mut self, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.told_at);
        self.told_at = now;
        elapsed
    }

    /// Begins anew.
    pub(super) fn restart(&mut self, id: ServableId, now: Instant, effects: &mut Vec<Effect<L>>) {
        self.progress = Progress::New;
        self.memory_bytes = 0;
        tell(effects, id, State::Start, None, self.lap(now));
    }

    /// Takes it out of service.
    pub(super) fn retire(&mut self, id: ServableId, now: Instant, effects: &mut Vec<Effect<L>>) {
        self.progress = Progress::Unloading;
        effects.push(Effect::Retire(id.clone()));
        tell(effects, id, State::Unloading, None, self.lap(now));
    }

    /// Decides what follows from a load that failed although it was wanted.
    pub(super) fn load_failed(
        &mut self,
        id: ServableId,
        error: LoadError,
        settings: &Settings,
        now: Instant,
        effects: &mut Vec<Effect<L>>,
    ) {
        let Progress::Loading { revision, .. } = self.progress else {
            return;
        };
        if self
            .aspired
            .as_ref()
            .is_some_and(|candidate| candidate.revision != revision)
        {
            // There is something else to load by now, whose failures begin to count at zero.
            self.has_failed = true;
            self.progress = Progress::Queued;
            tell(effects, id, State::Loading, Some(error), self.lap(now));
            return;
        }
        self.num_failures = self.num_failures.saturating_add(1);
        if !error.kind.may_pass() || self.num_failures > settings.max_num_load_retries {
            self.give_up(id, error, false, now, effects);
            return;
        }
        self.has_failed = true;
        // An interval beyond the end of time means that there is no next try.
        match now.checked_add(settings.load_retry_interval) {
            Some(due) => {
                self.progress = Progress::Retrying { due };
                tell(effects, id, State::Loading, Some(error), self.lap(now));
            }
            None => self.give_up(id, error, false, now, effects),
        }
    }

    /// Ends without having been in service, until something changes.
    pub(super) fn give_up(
        &mut self,
        id: ServableId,
        error: LoadError,
        was_refused: bool,
        now: Instant,
        effects: &mut Vec<Effect<L>>,
    ) {
        self.has_failed = true;
        self.progress = Progress::Failed { was_refused };
        tell(effects, id, State::End, Some(error), self.lap(now));
    }
}

impl Progress {
    /// Returns what a policy needs to know of it.
    pub(super) fn phase(&self) -> Phase {
        match self {
            Self::New => Phase::New,
            Self::Queued | Self::Loading { .. } | Self::Retrying { .. } => Phase::Loading,
            Self::Ready => Phase::Ready,
            Self::Unloading => Phase::Unloading,
            Self::Failed { .. } => Phase::Failed,
        }
    }

    /// Returns when the next try is due.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Retrying { due } => Some(*due),
            _ => None,
        }
    }

    /// Tells whether a load thread is at work on it.
    pub(super) fn is_loading(&self) -> bool {
        matches!(self, Self::Loading { .. })
    }

    /// Tells whether memory is taken, or spoken for.
    pub(super) fn takes_memory(&self) -> bool {
        match self {
            Self::Loading { .. } | Self::Ready | Self::Unloading => true,
            Self::New | Self::Queued | Self::Retrying { .. } | Self::Failed { .. } => false,
        }
    }
}

/// Returns what a version ends with that was not loaded because nobody wants it any more.
pub(super) fn no_longer_wanted() -> LoadError {
    LoadError::new(
        LoadErrorKind::Cancelled,
        "loading was cancelled: the version is no longer wanted",
    )
}
