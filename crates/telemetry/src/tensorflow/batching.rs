//! What TensorFlow Serving counts where it joins requests: `batching_session`, of all models together.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::histogram::{QueueMicros, Sizes, Snapshot};

/// The counts of all models together.
#[derive(Debug, Default)]
pub(crate) struct BatchMetrics {
    queue_micros: QueueMicros,
    input_sizes: Sizes,
    processed_sizes: Sizes,
    /// By the rows that ran.
    padding_sizes: Mutex<BTreeMap<usize, Sizes>>,
    num_runs: AtomicU64,
}

impl BatchMetrics {
    /// Counts a request that comes: each of its inputs has so many rows.
    pub(crate) fn request(&self, num_inputs: usize, num_rows: usize) {
        for _ in 0..num_inputs {
            self.input_sizes.observe(num_rows as u64);
        }
    }

    /// Counts a request, or a part of one, whose turn has come.
    pub(crate) fn left_queue(&self, waited: Duration) {
        self.queue_micros.observe(waited);
    }

    /// Counts a run of so many rows that are filled up to so many.
    pub(crate) fn run(&self, num_rows: usize, num_run_rows: usize) {
        let padding = num_run_rows.saturating_sub(num_rows) as u64;
        let mut by_size = self.padding_sizes();
        by_size.entry(num_run_rows).or_default().observe(padding);
        drop(by_size);
        self.processed_sizes.observe(num_run_rows as u64);
        self.num_runs.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn queue_micros(&self) -> Snapshot {
        self.queue_micros.snapshot()
    }

    pub(crate) fn input_sizes(&self) -> Snapshot {
        self.input_sizes.snapshot()
    }

    pub(crate) fn processed_sizes(&self) -> Snapshot {
        self.processed_sizes.snapshot()
    }

    pub(crate) fn padding_by_size(&self) -> Vec<(Arc<str>, Snapshot)> {
        let by_size = self.padding_sizes();
        let series = by_size
            .iter()
            .map(|(num_rows, sizes)| (num_rows.to_string().into(), sizes.snapshot()));
        series.collect()
    }

    pub(crate) fn num_runs(&self) -> u64 {
        self.num_runs.load(Ordering::Relaxed)
    }

    fn padding_sizes(&self) -> MutexGuard<'_, BTreeMap<usize, Sizes>> {
        self.padding_sizes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
