//! The page as TensorFlow Serving prints it: metrics by name, series by labels, no help, braces always.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::histogram::Snapshot;
use super::{Counts, ModelMetrics, TensorFlowMetrics};
use crate::signature::CODES;
use crate::{Api, Call, Metric};

/// The only runtime that TensorFlow Serving's open binary has.
const RUNTIME: &str = "TF1";

/// The name of the threads that run batches; TensorFlow Serving's open binary leaves it empty, whatever its parameters say.
const NO_POOL: &str = "";

/// A value and the labels it belongs to.
struct Series {
    labels: Vec<Arc<str>>,
    value: Value,
}

enum Value {
    Count(u64),
    Histogram(Snapshot),
}

impl TensorFlowMetrics {
    /// Returns the page.
    pub(crate) fn page(&self) -> String {
        let mut page = String::new();
        for metric in Metric::TENSORFLOW {
            let (name, kind) = (metric.name(), metric.kind().name());
            line(&mut page, format_args!("# TYPE {name} {kind}"));
            for series in self.series(metric) {
                write_series(&mut page, metric, &name, &series);
            }
        }
        page
    }

    /// Returns the first value of a metric by its name with slashes, as `HandleReloadConfigRequest` asks for it: zero
    /// if there is none yet or it is a histogram; `None` if there is no such metric.
    pub(crate) fn value_of(&self, name: &str) -> Option<i64> {
        let metric = Metric::TENSORFLOW
            .into_iter()
            .find(|metric| metric.stem() == name)?;
        match self.series(metric).first().map(|series| &series.value) {
            Some(Value::Count(count)) => Some(i64::try_from(*count).unwrap_or(i64::MAX)),
            Some(Value::Histogram(_)) | None => Some(0),
        }
    }

    fn series(&self, metric: Metric) -> Vec<Series> {
        let mut series = match metric {
            Metric::TfLoadAttemptCount => counts(&self.counts().load_attempts),
            Metric::TfLoadLatency => counts(&self.counts().load_micros),
            Metric::TfModelWarmupLatency => warmups(&self.counts()),
            Metric::TfModelWarmupRecordsRead => counts(&self.counts().warmup_records),
            Metric::TfRequestLogCount => counts(&self.counts().request_logs),
            Metric::TfDirectSessionRuns | Metric::TfGraphRuns => {
                total(self.runs().map(|run| run.count()).sum())
            }
            Metric::TfGraphRunTime => total(self.runs().map(|run| run.sum).sum()),
            Metric::TfBatchInputSize => histogram([], self.batches.input_sizes()),
            Metric::TfBatchPaddingSize => self.padding(),
            Metric::TfBatchProcessedSize => histogram([], self.batches.processed_sizes()),
            Metric::TfBatchQueuingLatency => {
                histogram([NO_POOL.into()], self.batches.queue_micros())
            }
            Metric::TfBatchRuns => total(self.batches.num_runs()),
            _ => self
                .models()
                .iter()
                .flat_map(|(name, model)| of_model(metric, name, model))
                .collect(),
        };
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        series
    }

    /// Returns how many rows batches were filled up with, by the rows that ran.
    fn padding(&self) -> Vec<Series> {
        let by_size = self.batches.padding_by_size().into_iter();
        by_size
            .flat_map(|(num_rows, padding)| histogram([num_rows], padding))
            .collect()
    }

    /// Returns how long the engines ran, for every model and API.
    fn runs(&self) -> impl Iterator<Item = Snapshot> {
        let models: Vec<_> = self.models().values().cloned().collect();
        models
            .into_iter()
            .flat_map(|model| model.runtime_micros.each_ref().map(super::Micros::snapshot))
    }
}

fn counts<const N: usize>(counts: &std::collections::BTreeMap<[Arc<str>; N], u64>) -> Vec<Series> {
    let series = counts.iter().map(|(labels, count)| Series {
        labels: labels.to_vec(),
        value: Value::Count(*count),
    });
    series.collect()
}

fn warmups(counts: &Counts) -> Vec<Series> {
    let series = counts.warmup_micros.iter().map(|(labels, micros)| Series {
        labels: labels.to_vec(),
        value: Value::Histogram(micros.snapshot()),
    });
    series.collect()
}

/// Returns a histogram of something that has occurred; none of what never did.
fn histogram<const N: usize>(labels: [Arc<str>; N], snapshot: Snapshot) -> Vec<Series> {
    if snapshot.count() == 0 {
        return Vec::new();
    }
    vec![Series {
        labels: labels.into(),
        value: Value::Histogram(snapshot),
    }]
}

/// A metric without labels appears once it counts something.
fn total(count: u64) -> Vec<Series> {
    let series = Series {
        labels: Vec::new(),
        value: Value::Count(count),
    };
    if count > 0 { vec![series] } else { Vec::new() }
}

/// Returns what a metric of models says of one of them; what never occurred has no line.
fn of_model(metric: Metric, name: &Arc<str>, model: &ModelMetrics) -> Vec<Series> {
    let of = |labels: &[&str], value| {
        let labels = labels.iter().map(|&label| label.into());
        Series {
            labels: [Arc::clone(name)].into_iter().chain(labels).collect(),
            value,
        }
    };
    let histogram = |labels: &[&str], snapshot: Snapshot| {
        (snapshot.count() > 0).then(|| of(labels, Value::Histogram(snapshot)))
    };
    match metric {
        Metric::TfRequestCount => {
            let by_code = CODES.iter().zip(&model.requests);
            let counts = by_code.map(|(code, count)| (code, count.load(Ordering::Relaxed)));
            counts
                .filter(|(_, count)| *count > 0)
                .map(|(code, count)| of(&[code], Value::Count(count)))
                .collect()
        }
        Metric::TfRequestLatency => Call::ALL
            .iter()
            .zip(&model.request_micros)
            .filter_map(|(call, micros)| {
                histogram(&[call.api(), call.entrypoint()], micros.snapshot())
            })
            .collect(),
        Metric::TfRuntimeLatency => Api::ALL
            .iter()
            .zip(&model.runtime_micros)
            .filter(|(api, _)| api.has_runtime_latency())
            .filter_map(|(api, micros)| histogram(&[api.name(), RUNTIME], micros.snapshot()))
            .collect(),
        Metric::TfRequestExampleCounts => histogram(&[], model.examples.snapshot())
            .into_iter()
            .collect(),
        Metric::TfRequestExampleCountTotal => {
            let examples = model.examples.snapshot();
            (examples.count() > 0)
                .then(|| of(&[], Value::Count(examples.sum)))
                .into_iter()
                .collect()
        }
        _ => Vec::new(),
    }
}

fn write_series(page: &mut String, metric: Metric, name: &str, series: &Series) {
    let labels: Vec<String> = metric
        .labels()
        .iter()
        .zip(&series.labels)
        .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
        .collect();
    let labels = labels.join(",");
    match &series.value {
        Value::Count(count) => line(page, format_args!("{name}{{{labels}}} {count}")),
        Value::Histogram(snapshot) => write_histogram(page, name, &labels, snapshot),
    }
}

fn write_histogram(page: &mut String, name: &str, labels: &str, snapshot: &Snapshot) {
    debug_assert_eq!(snapshot.counts.len(), snapshot.limits.len() + 1);
    let comma = if labels.is_empty() { "" } else { "," };
    let limits = snapshot.limits.iter().map(|&limit| general(limit));
    let mut cumulative = 0;
    for (limit, count) in limits.chain(["+Inf".to_owned()]).zip(&snapshot.counts) {
        cumulative += count;
        line(
            page,
            format_args!("{name}_bucket{{{labels}{comma}le=\"{limit}\"}} {cumulative}"),
        );
    }
    let sum = general(snapshot.sum as f64);
    line(page, format_args!("{name}_sum{{{labels}}} {sum}"));
    line(page, format_args!("{name}_count{{{labels}}} {cumulative}"));
}

fn line(page: &mut String, line: std::fmt::Arguments<'_>) {
    page.write_fmt(line)
        .expect("writing to a string does not fail");
    page.push('\n');
}

/// A line feed would end the line, so it is escaped too, as the format demands and TensorFlow Serving forgets.
fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Writes a number as C's `%g` does: six significant digits, no zeros behind.
pub(super) fn general(value: f64) -> String {
    let scientific = format!("{value:.5e}");
    let Some((digits, exponent)) = scientific
        .split_once('e')
        .and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?)))
    else {
        return scientific;
    };
    let trim = |number: &str| match number.contains('.') {
        true => number
            .trim_end_matches('0')
            .trim_end_matches('.')
            .to_owned(),
        false => number.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or_default();
        return trim(&format!("{value:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(digits), exponent.abs())
}
