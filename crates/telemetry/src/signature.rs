//! What is counted for each signature of each loaded version.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::{Metric, ModelMetrics, Phase};

/// The canonical codes by number, which every API of the server shares.
pub(crate) const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Where success is counted.
pub(crate) const OK_IDX: usize = 0;

/// Where a code that is none of [`CODES`] is counted.
const UNKNOWN_IDX: usize = 2;

/// Returns where a code is counted, by its name.
pub(crate) fn code_idx(code: &str) -> usize {
    let idx = CODES.iter().position(|name| *name == code);
    idx.unwrap_or(UNKNOWN_IDX)
}

/// The metrics of one signature of one loaded version; counting is wait-free and allocates nothing.
#[derive(Debug)]
pub struct SignatureMetrics {
    model: Arc<ModelMetrics>,
    phases: [Histogram; Phase::COUNT],
    requests: [AtomicU64; CODES.len()],
}

impl SignatureMetrics {
    fn new(model: Arc<ModelMetrics>) -> Self {
        Self {
            model,
            phases: Default::default(),
            requests: Default::default(),
        }
    }

    /// Returns the metrics of the whole model under TensorFlow Serving's names.
    #[inline]
    #[must_use]
    pub fn model(&self) -> &ModelMetrics {
        &self.model
    }

    /// Counts the time of one phase of a request.
    #[inline]
    pub fn observe(&self, phase: Phase, elapsed: Duration) {
        self.phases[phase as usize].observe(elapsed);
    }

    /// Counts a request by the name of the code it ended with: `OK`, `INVALID_ARGUMENT`, …
    #[inline]
    pub fn request_ended(&self, code: &str) {
        self.requests[code_idx(code)].fetch_add(1, Ordering::Relaxed);
    }
}

/// Model, version, signature.
type Key = (Arc<str>, i64, Arc<str>);

/// The metrics of every signature of every loaded version.
#[derive(Debug, Default)]
pub(crate) struct SignatureFamilies(Mutex<BTreeMap<Key, Arc<SignatureMetrics>>>);

impl SignatureFamilies {
    pub(crate) fn get_or_make(
        &self,
        model: &str,
        version: i64,
        signature: &str,
        of_model: impl FnOnce() -> Arc<ModelMetrics>,
    ) -> Arc<SignatureMetrics> {
        let key: Key = (model.into(), version, signature.into());
        let mut signatures = self.lock();
        let make = || Arc::new(SignatureMetrics::new(of_model()));
        Arc::clone(signatures.entry(key).or_insert_with(make))
    }

    pub(crate) fn remove_version(&self, model: &str, version: i64) {
        self.lock()
            .retain(|key, _| &*key.0 != model || key.1 != version);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<SignatureMetrics>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for SignatureFamilies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let signatures = self.lock();
        let mut requests = describe(&mut encoder, Metric::Requests, MetricType::Counter)?;
        for (key, metrics) in signatures.iter() {
            for (code, count) in CODES.iter().zip(&metrics.requests) {
                let count = count.load(Ordering::Relaxed);
                // Most codes never occur, and need no line on the page; that of success is always there.
                if count > 0 || *code == CODES[0] {
                    let labels = labels(Metric::Requests, key, code);
                    let mut series = requests.encode_family(&labels)?;
                    series.encode_counter::<NoLabelSet, _, f64>(&count, None)?;
                }
            }
        }
        let mut phases = describe(
            &mut encoder,
            Metric::RequestPhaseDuration,
            MetricType::Histogram,
        )?;
        for (key, metrics) in signatures.iter() {
            for (phase, histogram) in Phase::ALL.iter().zip(&metrics.phases) {
                let labels = labels(Metric::RequestPhaseDuration, key, phase.name());
                histogram.encode(phases.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

pub(crate) fn describe<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    metric: Metric,
    metric_type: MetricType,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    encoder.encode_descriptor(metric.stem(), metric.help(), metric.unit(), metric_type)
}

fn labels(metric: Metric, (model, version, signature): &Key, last: &str) -> Labels {
    let version = version.to_string().into();
    let values = [
        Arc::clone(model),
        version,
        Arc::clone(signature),
        last.into(),
    ];
    Labels::new(metric.labels(), values)
}
