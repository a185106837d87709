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

    fn row(self) -> Row {
        let (stem, kind, unit, labels, help): (_, _, _, &[&str], _) = match self {
            Self::Requests => (
                "salver_requests",
                Kind::Counter,
                None,
                &["model", "version", "signature", "code"],
                "Requests that reached a loaded model, by how they ended",
            ),
            Self::FailedRequests => (
                "salver_failed_requests",
                Kind::Counter,
                None,
                &["api", "code"],
                "Requests that failed for any reason, those that reached no model among them, by API",
            ),
            Self::RefusedRequests => (
                "salver_refused_requests",
                Kind::Counter,
                None,
                &["reason"],
                "Requests turned away to protect the server; they are also counted by code",
            ),
            Self::RequestPhaseDuration => (
                "salver_request_phase_duration",
                Kind::Histogram,
                Some(&Unit::Seconds),
                &["model", "version", "signature", "phase"],
                "Time that requests spend in each phase: decode, queue, run, encode",
            ),
            Self::InflightRequests => (
                "salver_inflight_requests",
                Kind::Gauge,
                None,
                &[],
                "Requests being worked on now",
            ),
            Self::InflightBytes => (
                "salver_inflight",
                Kind::Gauge,
                Some(&Unit::Bytes),
                &[],
                "Bytes reserved now for the bodies of requests",
            ),
            Self::InflightBytesLimit => (
                "salver_inflight_limit",
                Kind::Gauge,
                Some(&Unit::Bytes),
                &[],
                "The most bytes that may be reserved for the bodies of requests",
            ),
            Self::ModelVersions => (
                "salver_model_versions",
                Kind::Gauge,
                None,
                &["state"],
                "Model versions in each state",
            ),
            Self::ModelMemory => (
                "salver_model_memory",
                Kind::Gauge,
                Some(&Unit::Bytes),
                &["model", "version"],
                "Estimated memory of each loaded version; gone once it is unloaded",
            ),
            Self::ModelLoads => (
                "salver_model_loads",
                Kind::Counter,
                None,
                &["result"],
                "Attempts to load a version, by result",
            ),
            Self::ResidentMemory => (
                "salver_process_resident_memory",
                Kind::Gauge,
                Some(&Unit::Bytes),
                &[],
                "Physical memory that the process holds",
            ),
            Self::StartTime => (
                "salver_process_start_time",
                Kind::Gauge,
                Some(&Unit::Seconds),
                &[],
                "When the process started, in seconds since 1970-01-01 UTC",
            ),
            Self::Build => (
                "salver_build",
                Kind::Info,
                None,
                &["version"],
                "The build that is running",
            ),
        };
        Row {
            stem,
            help,
            kind,
            unit,
            labels,
        }
    }
}
