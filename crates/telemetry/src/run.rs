//! What is counted for the runs of each loaded version.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::Metric;
use crate::held::Held;
use crate::labels::Labels;
use crate::signature::describe;
use crate::tensorflow::BatchMetrics;

/// Upper bounds of the rows of a run.
const BOUNDS: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// One more than there are bounds: what is above the last.
const NUM_BUCKETS: usize = BOUNDS.len() + 1;

/// The metrics of one loaded version's runs.
///
/// Counting is wait-free and allocates nothing, but for the runs of [`Self::batch_ran`], which take a lock that all models
/// share for some nanoseconds.
#[derive(Debug, Default)]
pub struct RunMetrics {
    buckets: [AtomicU64; NUM_BUCKETS],
    num_rows: AtomicU64,
    costs: OnceLock<Vec<(usize, Duration)>>,
    batches: OnceLock<Arc<BatchMetrics>>,
}

impl RunMetrics {
    /// Counts a run of so many rows.
    #[inline]
    pub fn ran(&self, num_rows: usize) {
        let num_rows = num_rows as u64;
        let bucket_idx = BOUNDS.partition_point(|&bound| bound < num_rows);
        self.buckets[bucket_idx].fetch_add(1, Ordering::Relaxed);
        self.num_rows.fetch_add(num_rows, Ordering::Relaxed);
    }

    /// Says where batches of all models are counted.
    pub(crate) fn count_batches_in(&self, batches: &Arc<BatchMetrics>) {
        self.batches.get_or_init(|| Arc::clone(batches));
    }

    /// Counts a request that comes and may be joined with others: each of its inputs has so many rows.
    #[inline]
    pub fn request_came(&self, num_inputs: usize, num_rows: usize) {
        if let Some(batches) = self.batches.get() {
            batches.request(num_inputs, num_rows);
        }
    }

    /// Counts such a request, or a part of one, whose turn has come.
    #[inline]
    pub fn request_left_queue(&self, waited: Duration) {
        if let Some(batches) = self.batches.get() {
            batches.left_queue(waited);
        }
    }

    /// Counts a run of such requests, of so many rows that are filled up to so many.
    #[inline]
    pub fn batch_ran(&self, num_rows: usize, num_run_rows: usize) {
        if let Some(batches) = self.batches.get() {
            batches.run(num_rows, num_run_rows);
        }
    }

    /// Records how long a run of so many rows took when the version was loaded; what was recorded first stays.
    pub fn set_costs(&self, costs: Vec<(usize, Duration)>) {
        self.costs.get_or_init(|| costs);
    }
}

/// The metrics of the runs of every version.
#[derive(Debug, Default)]
pub(crate) struct RunFamilies(pub(crate) Held<RunMetrics>);

impl Collector for RunFamilies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let versions = self.0.all();
        let mut runs = describe(&mut encoder, Metric::RunRows, MetricType::Histogram)?;
        for ((model, version), metrics) in &versions {
            let labels = Labels::new(Metric::RunRows.labels(), [model.clone(), version.clone()]);
            let counts = metrics
                .buckets
                .each_ref()
                .map(|bucket| bucket.load(Ordering::Relaxed));
            let buckets: [(f64, u64); NUM_BUCKETS] = std::array::from_fn(|bucket_idx| {
                let bound = BOUNDS.get(bucket_idx);
                let bound = bound.map_or(f64::INFINITY, |&bound| bound as f64);
                (bound, counts[bucket_idx])
            });
            let num_rows = metrics.num_rows.load(Ordering::Relaxed) as f64;
            let mut series = runs.encode_family(&labels)?;
            series.encode_histogram::<NoLabelSet>(num_rows, counts.iter().sum(), &buckets, None)?;
        }
        let mut costs = describe(&mut encoder, Metric::RunCost, MetricType::Gauge)?;
        for ((model, version), metrics) in &versions {
            for (num_rows, run) in metrics.costs.get().into_iter().flatten() {
                let rows: Arc<str> = num_rows.to_string().into();
                let values = [model.clone(), version.clone(), rows];
                let labels = Labels::new(Metric::RunCost.labels(), values);
                let gauge = ConstGauge::new(run.as_secs_f64());
                gauge.encode(costs.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
