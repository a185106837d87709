//! What others ask about a name. Changes nothing.

use std::time::Instant;

use super::{Progress, Servable, Version};
use crate::VersionSnapshot;
use crate::state::board::NameSummary;

impl<L> Servable<L> {
    /// Returns queued versions and what memory they need, the highest first.
    pub(crate) fn queued(&self) -> impl Iterator<Item = (i64, u64)> {
        self.versions
            .iter()
            .rev()
            .filter_map(|(version, known)| match known.progress {
                Progress::Queued => known.aspired.as_ref().map(|c| (*version, c.memory_bytes)),
                _ => None,
            })
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.versions
            .values()
            .filter_map(|known| known.progress.due())
            .min()
    }

    pub(crate) fn num_loading(&self) -> usize {
        self.versions
            .values()
            .filter(|known| known.progress.is_loading())
            .count()
    }

    pub(crate) fn is_unloading(&self) -> bool {
        self.versions
            .values()
            .any(|known| matches!(known.progress, Progress::Unloading))
    }

    pub(crate) fn taken_bytes(&self) -> u64 {
        let taking = self
            .versions
            .values()
            .filter(|known| known.progress.takes_memory());
        taking
            .map(|known| known.memory_bytes)
            .fold(0, u64::saturating_add)
    }

    pub(crate) fn summary(&self) -> NameSummary {
        let aspired = || {
            self.versions
                .values()
                .filter(|known| known.aspired.is_some())
        };
        let is_ready = |known: &Version<L>| matches!(known.progress, Progress::Ready);
        let has_no_try_left =
            |known: &Version<L>| matches!(known.progress, Progress::Failed { .. });
        let is_served = self.versions.values().any(is_ready);
        NameSummary {
            is_settled: self.has_list && aspired().all(|known| is_ready(known) || known.has_failed),
            is_decided: self.has_list && (is_served || aspired().all(has_no_try_left)),
            is_gone: self.versions.is_empty() && self.reports.is_empty(),
        }
    }

    pub(super) fn snapshots(&self) -> Vec<VersionSnapshot> {
        let snapshot = |(version, known): (&i64, &Version<L>)| VersionSnapshot {
            version: *version,
            phase: known.progress.phase(),
            is_aspired: known.aspired.is_some(),
        };
        self.versions.iter().map(snapshot).collect()
    }
}
