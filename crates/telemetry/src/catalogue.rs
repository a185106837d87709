//! Every metric there is: name, meaning, unit, labels.
//!
//! `docs/metrics.md` is printed from here by a test, so the page cannot disagree with the server.

use prometheus_client::registry::Unit;

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
}

/// A row of the catalogue.
struct Row {
    metric: Metric,
    /// Without unit and `_total`.
    stem: &'static str,
    help: &'static str,
    kind: Kind,
    unit: Option<&'static Unit>,
    labels: &'static [&'static str],
}

impl Metric {
    /// Every metric, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::Requests,
        Self::FailedRequests,
        Self::RefusedRequests,
        Self::RequestPhaseDuration,
        Self::InflightRequests,
        Self::InflightBytes,
        Self::InflightBytesLimit,
        Self::ModelVersions,
        Self::ModelMemory,
        Self::ModelLoads,
        Self::ResidentMemory,
        Self::StartTime,
        Self::Build,
    ];

    /// Returns the name as it is scraped: `salver_requests_total`.
    #[must_use]
    pub fn name(self) -> String {
        let row = self.row();
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

/// The catalogue, in the order of [`Metric::ALL`].
static ROWS: [Row; Metric::ALL.len()] = [
    Row {
        metric: Metric::Requests,
        stem: "salver_requests",
        kind: Kind::Counter,
        unit: None,
        labels: &["model", "version", "signature", "code"],
        help: "Requests that reached a loaded model, by how they ended",
    },
    Row {
        metric: Metric::FailedRequests,
        stem: "salver_failed_requests",
        kind: Kind::Counter,
        unit: None,
        labels: &["api", "code"],
        help: "Requests that failed for any reason, those that reached no model among them, by API",
    },
    Row {
        metric: Metric::RefusedRequests,
        stem: "salver_refused_requests",
        kind: Kind::Counter,
        unit: None,
        labels: &["reason"],
        help: "Requests turned away to protect the server; they are also counted by code",
    },
    Row {
        metric: Metric::RequestPhaseDuration,
        stem: "salver_request_phase_duration",
        kind: Kind::Histogram,
        unit: Some(&Unit::Seconds),
        labels: &["model", "version", "signature", "phase"],
        help: "Time that requests spend in each phase: decode, queue, run, encode",
    },
    Row {
        metric: Metric::InflightRequests,
        stem: "salver_inflight_requests",
        kind: Kind::Gauge,
        unit: None,
        labels: &[],
        help: "Requests being worked on now",
    },
    Row {
        metric: Metric::InflightBytes,
        stem: "salver_inflight",
        kind: Kind::Gauge,
        unit: Some(&Unit::Bytes),
        labels: &[],
        help: "Bytes reserved now for the bodies of requests",
    },
    Row {
        metric: Metric::InflightBytesLimit,
        stem: "salver_inflight_limit",
        kind: Kind::Gauge,
        unit: Some(&Unit::Bytes),
        labels: &[],
        help: "The most bytes that may be reserved for the bodies of requests",
    },
    Row {
        metric: Metric::ModelVersions,
        stem: "salver_model_versions",
        kind: Kind::Gauge,
        unit: None,
        labels: &["state"],
        help: "Model versions in each state",
    },
    Row {
        metric: Metric::ModelMemory,
        stem: "salver_model_memory",
        kind: Kind::Gauge,
        unit: Some(&Unit::Bytes),
        labels: &["model", "version"],
        help: "Estimated memory of each loaded version; gone once it is unloaded",
    },
    Row {
        metric: Metric::ModelLoads,
        stem: "salver_model_loads",
        kind: Kind::Counter,
        unit: None,
        labels: &["result"],
        help: "Attempts to load a version, by result",
    },
    Row {
        metric: Metric::ResidentMemory,
        stem: "salver_process_resident_memory",
        kind: Kind::Gauge,
        unit: Some(&Unit::Bytes),
        labels: &[],
        help: "Physical memory that the process holds",
    },
    Row {
        metric: Metric::StartTime,
        stem: "salver_process_start_time",
        kind: Kind::Gauge,
        unit: Some(&Unit::Seconds),
        labels: &[],
        help: "When the process started, in seconds since 1970-01-01 UTC",
    },
    Row {
        metric: Metric::Build,
        stem: "salver_build",
        kind: Kind::Info,
        unit: None,
        labels: &["version"],
        help: "The build that is running",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_metrics() {
        assert_eq!(ROWS.each_ref().map(|row| row.metric), Metric::ALL);
        for (idx, metric) in Metric::ALL.into_iter().enumerate() {
            assert_eq!(metric as usize, idx, "{}", metric.name());
        }
    }
}
