//! Histograms with TensorFlow Serving's limits: a value on a limit belongs above it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Limits of latencies in microseconds: 10 × 1.8ᵏ.
pub(crate) const MICROS_LIMITS: [f64; 33] = exponential(10.0, 1.8);
/// Limits of numbers of examples: 2ᵏ.
const EXAMPLES_LIMITS: [f64; 15] = exponential(1.0, 2.0);
/// Limits of numbers of rows: 2ᵏ.
const SIZES_LIMITS: [f64; 14] = exponential(1.0, 2.0);
/// Limits of the time in a queue, in microseconds: 100 × 1.2ᵏ.
const QUEUE_LIMITS: [f64; 52] = exponential(100.0, 1.2);

/// A distribution of durations.
pub(crate) type Micros = Histogram<33>;
/// A distribution of numbers of examples.
pub(crate) type Examples = Histogram<15>;
/// A distribution of numbers of rows.
pub(crate) type Sizes = Histogram<14>;
/// A distribution of durations in a queue.
pub(crate) type QueueMicros = Histogram<52>;

const fn exponential<const N: usize>(scale: f64, growth: f64) -> [f64; N] {
    let mut limits = [scale; N];
    let mut idx = 1;
    while idx < N {
        limits[idx] = limits[idx - 1] * growth;
        idx += 1;
    }
    limits
}

/// Counts whole numbers by size.
pub(crate) struct Histogram<const N: usize> {
    buckets: [AtomicU64; N],
    /// What is on the last limit or above.
    above: AtomicU64,
    sum: AtomicU64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::default()),
            above: AtomicU64::default(),
            sum: AtomicU64::default(),
        }
    }
}

impl<const N: usize> fmt::Debug for Histogram<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram").finish_non_exhaustive()
    }
}

impl Micros {
    #[inline]
    pub(crate) fn observe(&self, elapsed: Duration) {
        self.count(&MICROS_LIMITS, super::micros(elapsed));
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.read(&MICROS_LIMITS)
    }
}

impl Examples {
    #[inline]
    pub(crate) fn observe(&self, num_examples: u64) {
        self.count(&EXAMPLES_LIMITS, num_examples);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.read(&EXAMPLES_LIMITS)
    }
}

impl Sizes {
    #[inline]
    pub(crate) fn observe(&self, num_rows: u64) {
        self.count(&SIZES_LIMITS, num_rows);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.read(&SIZES_LIMITS)
    }
}

impl QueueMicros {
    #[inline]
    pub(crate) fn observe(&self, waited: Duration) {
        self.count(&QUEUE_LIMITS, super::micros(waited));
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.read(&QUEUE_LIMITS)
    }
}

impl<const N: usize> Histogram<N> {
    #[inline]
    fn count(&self, limits: &[f64; N], value: u64) {
        let bucket_idx = limits.partition_point(|&limit| limit <= value as f64);
        let bucket = self.buckets.get(bucket_idx).unwrap_or(&self.above);
        bucket.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    fn read(&self, limits: &'static [f64; N]) -> Snapshot {
        let buckets = self.buckets.iter().chain([&self.above]);
        Snapshot {
            limits,
            counts: buckets
                .map(|bucket| bucket.load(Ordering::Relaxed))
                .collect(),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

/// What a histogram held at one moment, or nearly so.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) limits: &'static [f64],
    /// One more than there are limits.
    pub(crate) counts: Vec<u64>,
    pub(crate) sum: u64,
}

impl Snapshot {
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}
