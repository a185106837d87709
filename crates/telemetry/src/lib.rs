//! What the server tells about itself: metrics and logs.
//!
//! Owns the catalogue of every metric ([`Metric`]), their values ([`Metrics`]), their text form
//! ([`Metrics::encode`]) and the form of log lines ([`logging`]). Knows nothing of models, requests or protocols:
//! callers say which model, version and signature a value belongs to.
//!
//! ```
//! use std::time::Duration;
//! use salver_telemetry::{Metrics, Phase};
//!
//! let metrics = Metrics::new("0.1.0");
//! let signature = metrics.signature("digits", 1, "serving_default"); // once per loaded version
//! signature.observe(Phase::Run, Duration::from_micros(700)); // per request: atomics only
//! signature.request_ended("OK");
//! assert!(metrics.encode().contains("salver_requests_total{model=\"digits\""));
//! ```

mod arm;
mod catalogue;
mod held;
mod histogram;
mod labels;
pub mod logging;
mod metrics;
mod process;
mod run;
mod signature;
mod tensorflow;
mod words;

pub use arm::{ArmMetrics, ShadowMetrics};
pub use catalogue::{Kind, Metric};
pub use metrics::{CONTENT_TYPE, InflightRequest, Metrics, TENSORFLOW_CONTENT_TYPE};
pub use process::unix_time;
pub use run::RunMetrics;
pub use signature::SignatureMetrics;
pub use tensorflow::ModelMetrics;
pub use words::{Api, Call, LoadResult, LogResult, Phase, Refusal, ShadowResult, VersionState};
