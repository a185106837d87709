//! A latency histogram of atomics.
//!
//! The library's own takes a lock at every observation; this one is a binary search and two relaxed additions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Upper bounds in nanoseconds: from an idle lookup to the longest request anybody waits for, 1-2-5 steps.
const BOUNDS_NANOS: [u64; 20] = [
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    20_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

/// One more than there are bounds: what is above the last.
const NUM_BUCKETS: usize = BOUNDS_NANOS.len() + 1;

const NANOS_PER_SECOND: f64 = 1e9;

/// Counts durations by size; a clone counts into the same buckets.
#[derive(Clone, Default)]
pub(crate) struct Histogram(Arc<Inner>);

#[derive(Default)]
struct Inner {
    buckets: [AtomicU64; NUM_BUCKETS],
    /// Wraps after 584 years of added latency.
    sum_nanos: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub(crate) fn observe(&self, elapsed: Duration) {
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let bucket_idx = BOUNDS_NANOS.partition_point(|&bound| bound < nanos);
        self.0.buckets[bucket_idx].fetch_add(1, Ordering::Relaxed);
        self.0.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram").finish_non_exhaustive()
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let counts = self
            .0
            .buckets
            .each_ref()
            .map(|bucket| bucket.load(Ordering::Relaxed));
        let count = counts.iter().sum();
        let buckets: [(f64, u64); NUM_BUCKETS] = std::array::from_fn(|bucket_idx| {
            let bound = BOUNDS_NANOS.get(bucket_idx);
            let bound_seconds =
                bound.map_or(f64::INFINITY, |&nanos| nanos as f64 / NANOS_PER_SECOND);
            (bound_seconds, counts[bucket_idx])
        });
        let sum = self.0.sum_nanos.load(Ordering::Relaxed) as f64 / NANOS_PER_SECOND;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use super::*;

    fn check(observed_micros: &[u64], expected: &[&str]) {
        let histogram = Histogram::default();
        for &micros in observed_micros {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut registry = Registry::default();
        registry.register("t", "Test", histogram);
        let mut page = String::new();
        text::encode(&mut page, &registry).unwrap();
        for line in expected {
            assert!(
                page.lines().any(|found| found == *line),
                "no line `{line}` in\n{page}"
            );
        }
    }

    #[test]
    fn counts_are_cumulative_and_bounds_inclusive() {
        check(
            &[50, 51, 1_000, 61_000_000],
            &[
                r#"t_bucket{le="0.00005"} 1"#,
                r#"t_bucket{le="0.0001"} 2"#,
                r#"t_bucket{le="0.001"} 3"#,
                r#"t_bucket{le="60.0"} 3"#,
                r#"t_bucket{le="+Inf"} 4"#,
                "t_count 4",
                "t_sum 61.001101",
            ],
        );
    }

    #[test]
    fn an_empty_histogram_is_all_zeros() {
        check(&[], &[r#"t_bucket{le="+Inf"} 0"#, "t_count 0", "t_sum 0.0"]);
    }
}
