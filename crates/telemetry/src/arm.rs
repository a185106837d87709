//! What is counted for the arms and shadows of splits.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::held::Held;
use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::signature::{CODES, OK_IDX, code_idx, describe};
use crate::{Metric, ShadowResult};

/// The metrics of one arm of a model's split; counting is wait-free and allocates nothing.
#[derive(Debug, Default)]
pub struct ArmMetrics {
    requests: [AtomicU64; CODES.len()],
    latency: Histogram,
    fallbacks: AtomicU64,
}

impl ArmMetrics {
    /// Counts a request by the name of the code it ended with, and its time if it succeeded.
    #[inline]
    pub fn request_ended(&self, code: &str, elapsed: Duration) {
        let code_idx = code_idx(code);
        self.requests[code_idx].fetch_add(1, Ordering::Relaxed);
        if code_idx == OK_IDX {
            self.latency.observe(elapsed);
        }
    }

    /// Counts a request that went to another arm, because this one had nobody to answer it; `true` for the first one.
    pub fn fell_back(&self) -> bool {
        self.fallbacks.fetch_add(1, Ordering::Relaxed) == 0
    }
}

/// The metrics of one shadow of a model.
#[derive(Debug, Default)]
pub struct ShadowMetrics([AtomicU64; ShadowResult::COUNT]);

impl ShadowMetrics {
    /// Counts a request that was sent here too.
    pub fn count(&self, result: ShadowResult) {
        self.0[result as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// The metrics of every arm and shadow.
#[derive(Debug, Default)]
pub(crate) struct SplitFamilies {
    pub(crate) arms: Held<ArmMetrics>,
    pub(crate) shadows: Held<ShadowMetrics>,
}

impl Collector for SplitFamilies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let arms = self.arms.all();
        let mut requests = describe(&mut encoder, Metric::ArmRequests, MetricType::Counter)?;
        for ((model, arm), metrics) in &arms {
            for (code, count) in CODES.iter().zip(&metrics.requests) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 || *code == CODES[OK_IDX] {
                    let values = [model.clone(), arm.clone(), (*code).into()];
                    counter(&mut requests, Metric::ArmRequests, values, count)?;
                }
            }
        }
        let metric = Metric::ArmRequestDuration;
        let mut latencies = describe(&mut encoder, metric, MetricType::Histogram)?;
        for ((model, arm), metrics) in &arms {
            let labels = Labels::new(metric.labels(), [model.clone(), arm.clone()]);
            metrics.latency.encode(latencies.encode_family(&labels)?)?;
        }
        let mut fallbacks = describe(&mut encoder, Metric::ArmFallbacks, MetricType::Counter)?;
        for ((model, arm), metrics) in &arms {
            let count = metrics.fallbacks.load(Ordering::Relaxed);
            let values = [model.clone(), arm.clone()];
            counter(&mut fallbacks, Metric::ArmFallbacks, values, count)?;
        }
        let mut shadows = describe(&mut encoder, Metric::ShadowRequests, MetricType::Counter)?;
        for ((model, shadow), metrics) in self.shadows.all() {
            for (result, count) in ShadowResult::ALL.iter().zip(&metrics.0) {
                let values = [model.clone(), shadow.clone(), result.name().into()];
                let count = count.load(Ordering::Relaxed);
                counter(&mut shadows, Metric::ShadowRequests, values, count)?;
            }
        }
        Ok(())
    }
}

fn counter<const N: usize>(
    family: &mut MetricEncoder<'_>,
    metric: Metric,
    values: [Arc<str>; N],
    count: u64,
) -> fmt::Result {
    let labels = Labels::new(metric.labels(), values);
    let mut series = family.encode_family(&labels)?;
    series.encode_counter::<NoLabelSet, _, f64>(&count, None)
}
