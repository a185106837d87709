//! Every metric there is: name, meaning, unit, labels.
//!
//! `docs/metrics.md` is printed from here by a test, so the page cannot disagree with the server.

mod rows;

use prometheus_client::registry::Unit;

use rows::ROWS;

/// What a metric's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by size; gives `_bucket`, `_sum` and `_count`.
    Histogram,
    /// Always 1; its labels are the news.
    Info,
}

impl Kind {
    /// Returns the word that the exposition uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// One metric of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Requests that reached a loaded model.
    Requests,
    /// Requests that failed, by the API they came by.
    FailedRequests,
    /// Requests turned away to protect the server.
    RefusedRequests,
    /// Time of each phase of a request.
    RequestPhaseDuration,
    /// Requests being worked on.
    InflightRequests,
    /// Bytes reserved for requests.
    InflightBytes,
    /// The budget of [`Metric::InflightBytes`].
    InflightBytesLimit,
    /// Model versions in each state.
    ModelVersions,
    /// Whether each model that is wanted answers.
    ModelAvailable,
    /// What a loaded version is estimated to take.
    ModelMemory,
    /// Finished loads.
    ModelLoads,
    /// Memory of the process.
    ResidentMemory,
    /// When the process started.
    StartTime,
    /// What was built.
    Build,
    /// Requests to be logged, by what came of it.
    RequestLogRecords,
    /// Whether each object store can be read.
    StoreUp,
    /// What was downloaded from object stores.
    StoreDownloadedBytes,
    /// Requests that went to each arm of a split.
    ArmRequests,
    /// Time of the requests that an arm answered.
    ArmRequestDuration,
    /// Requests that others answered in the place of an arm.
    ArmFallbacks,
    /// Requests that were sent to shadows.
    ShadowRequests,
    /// Rows of each run.
    RunRows,
    /// What runs cost when the version was loaded.
    RunCost,
    /// `/tensorflow/cc/saved_model/load_attempt_count` of TensorFlow.
    TfLoadAttemptCount,
    /// `/tensorflow/cc/saved_model/load_latency` of TensorFlow.
    TfLoadLatency,
    /// `/tensorflow/core/direct_session_runs` of TensorFlow.
    TfDirectSessionRuns,
    /// `/tensorflow/core/graph_run_time_usecs` of TensorFlow.
    TfGraphRunTime,
    /// `/tensorflow/core/graph_runs` of TensorFlow.
    TfGraphRuns,
    /// `/tensorflow/serving/batching_session/input_batch_size` of TensorFlow.
    TfBatchInputSize,
    /// `/tensorflow/serving/batching_session/padding_size` of TensorFlow.
    TfBatchPaddingSize,
    /// `/tensorflow/serving/batching_session/processed_batch_size` of TensorFlow.
    TfBatchProcessedSize,
    /// `/tensorflow/serving/batching_session/queuing_latency` of TensorFlow.
    TfBatchQueuingLatency,
    /// `/tensorflow/serving/batching_session/wrapped_run_count` of TensorFlow.
    TfBatchRuns,
    /// `/tensorflow/serving/model_warmup_latency` of TensorFlow.
    TfModelWarmupLatency,
    /// `/tensorflow/serving/model_warmup_records_read` of TensorFlow.
    TfModelWarmupRecordsRead,
    /// `/tensorflow/serving/request_count` of TensorFlow.
    TfRequestCount,
    /// `/tensorflow/serving/request_example_count_total` of TensorFlow.
    TfRequestExampleCountTotal,
    /// `/tensorflow/serving/request_example_counts` of TensorFlow.
    TfRequestExampleCounts,
    /// `/tensorflow/serving/request_latency` of TensorFlow.
    TfRequestLatency,
    /// `/tensorflow/serving/request_log_count` of TensorFlow.
    TfRequestLogCount,
    /// `/tensorflow/serving/runtime_latency` of TensorFlow.
    TfRuntimeLatency,
}

/// A row of the catalogue.
struct Row {
    metric: Metric,
    /// Without unit and `_total`; TensorFlow's with slashes, as it registers them.
    stem: &'static str,
    help: &'static str,
    kind: Kind,
    unit: Option<&'static Unit>,
    labels: &'static [&'static str],
}

impl Metric {
    /// Every metric of our own, in the order of the documentation.
    pub const ALL: [Self; 23] = [
        Self::Requests,
        Self::FailedRequests,
        Self::RefusedRequests,
        Self::RequestPhaseDuration,
        Self::InflightRequests,
        Self::InflightBytes,
        Self::InflightBytesLimit,
        Self::ModelVersions,
        Self::ModelAvailable,
        Self::ModelMemory,
        Self::ModelLoads,
        Self::ResidentMemory,
        Self::StartTime,
        Self::Build,
        Self::RequestLogRecords,
        Self::StoreUp,
        Self::StoreDownloadedBytes,
        Self::ArmRequests,
        Self::ArmRequestDuration,
        Self::ArmFallbacks,
        Self::ShadowRequests,
        Self::RunRows,
        Self::RunCost,
    ];

    /// Every metric under a name of TensorFlow's, sorted by it as on the page.
    pub const TENSORFLOW: [Self; 18] = [
        Self::TfLoadAttemptCount,
        Self::TfLoadLatency,
        Self::TfDirectSessionRuns,
        Self::TfGraphRunTime,
        Self::TfGraphRuns,
        Self::TfBatchInputSize,
        Self::TfBatchPaddingSize,
        Self::TfBatchProcessedSize,
        Self::TfBatchQueuingLatency,
        Self::TfBatchRuns,
        Self::TfModelWarmupLatency,
        Self::TfModelWarmupRecordsRead,
        Self::TfRequestCount,
        Self::TfRequestExampleCountTotal,
        Self::TfRequestExampleCounts,
        Self::TfRequestLatency,
        Self::TfRequestLogCount,
        Self::TfRuntimeLatency,
    ];

    const NUM_ROWS: usize = Self::ALL.len() + Self::TENSORFLOW.len();

    /// Returns the name as it is scraped: `salver_requests_total`, `:tensorflow:serving:request_count`.
    #[must_use]
    pub fn name(self) -> String {
        let row = self.row();
        if row.stem.starts_with('/') {
            return row.stem.replace('/', ":");
        }
        let unit = row
            .unit
            .map_or_else(String::new, |unit| format!("_{}", unit.as_str()));
        let suffix = match row.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{}{unit}{suffix}", row.stem)
    }

    /// Returns what it tells, in one line without a full stop.
    #[must_use]
    pub fn help(self) -> &'static str {
        self.row().help
    }

    /// Returns what its values are.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.row().kind
    }

    /// Returns the names of its labels.
    #[must_use]
    pub fn labels(self) -> &'static [&'static str] {
        self.row().labels
    }

    pub(crate) fn stem(self) -> &'static str {
        self.row().stem
    }

    pub(crate) fn unit(self) -> Option<&'static Unit> {
        self.row().unit
    }

    fn row(self) -> &'static Row {
        let row = &ROWS[self as usize];
        debug_assert_eq!(row.metric, self);
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_metrics() {
        let metrics = Metric::ALL.into_iter().chain(Metric::TENSORFLOW);
        for (idx, metric) in metrics.enumerate() {
            assert_eq!(ROWS[idx].metric, metric);
            assert_eq!(metric as usize, idx, "{}", metric.name());
        }
    }
}
