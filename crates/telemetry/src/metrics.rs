//! The values behind the catalogue.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::info::Info;
use prometheus_client::metrics::{counter, gauge};
use prometheus_client::registry::{self, Registry};

use crate::arm::SplitFamilies;
use crate::labels::Labels;
use crate::run::RunFamilies;
use crate::signature::SignatureFamilies;
use crate::tensorflow::TensorFlowMetrics;
use crate::{
    ArmMetrics, Call, LoadResult, LogResult, Metric, Refusal, RunMetrics, ShadowMetrics,
    SignatureMetrics, VersionState, process,
};

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The media type of [`Metrics::encode_tensorflow`].
pub const TENSORFLOW_CONTENT_TYPE: &str = "text/plain";

type Counter = counter::Counter<u64, AtomicU64>;
type Gauge = gauge::Gauge<i64, AtomicI64>;
type FloatGauge = gauge::Gauge<f64, AtomicU64>;

/// The metrics of the server; a clone counts into the same values.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    failed: Family<Labels, Counter>,
    refused: [Counter; Refusal::COUNT],
    loads: [Counter; LoadResult::COUNT],
    inflight_requests: Gauge,
    inflight_bytes: Gauge,
    inflight_bytes_limit: Gauge,
    versions: Mutex<BTreeMap<(Arc<str>, i64), VersionState>>,
    versions_by_state: [Gauge; VersionState::COUNT],
    model_available: Family<Labels, Gauge>,
    model_memory: Family<Labels, Gauge>,
    store_up: Family<Labels, Gauge>,
    store_downloaded_bytes: Counter,
    resident_memory: Gauge,
    signatures: Arc<SignatureFamilies>,
    splits: Arc<SplitFamilies>,
    runs: Arc<RunFamilies>,
    request_logs: Family<Labels, Counter>,
    tensorflow: TensorFlowMetrics,
}

/// A request that is being worked on; it is counted until this is dropped.
#[derive(Debug)]
#[must_use = "it counts the request until it is dropped"]
pub struct InflightRequest(Gauge);

impl Drop for InflightRequest {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Returns metrics that all stand at zero; `version` is the build's, for `salver_build_info`.
    #[must_use]
    pub fn new(version: &str) -> Self {
        Self(Arc::new(Inner::new(version)))
    }

    /// Returns the metrics of one signature, made if they are not there.
    ///
    /// Takes a lock: call it once per loaded version and signature, not per request.
    #[must_use]
    pub fn signature(&self, model: &str, version: i64, signature: &str) -> Arc<SignatureMetrics> {
        let of_model = || self.0.tensorflow.model(model);
        self.0
            .signatures
            .get_or_make(model, version, signature, of_model)
    }

    /// Returns the metrics of an arm of a model's split, made if nobody holds them; they are on the page while somebody does.
    ///
    /// Takes a lock: call it once per split and arm, not per request.
    #[must_use]
    pub fn arm(&self, model: &str, arm: &str) -> Arc<ArmMetrics> {
        self.0.splits.arms.get_or_make(model, arm)
    }

    /// Returns the metrics of a shadow, as [`Metrics::arm`] does.
    #[must_use]
    pub fn shadow(&self, model: &str, shadow: &str) -> Arc<ShadowMetrics> {
        self.0.splits.shadows.get_or_make(model, shadow)
    }

    /// Returns the metrics of a version's runs, as [`Metrics::arm`] does.
    #[must_use]
    pub fn runs(&self, model: &str, version: i64) -> Arc<RunMetrics> {
        let runs = self.0.runs.0.get_or_make(model, &version.to_string());
        runs.count_batches_in(&self.0.tensorflow.batches);
        runs
    }

    /// Forgets a version that was unloaded, so that the page does not grow with every version ever served.
    pub fn remove_version(&self, model: &str, version: i64) {
        self.0.signatures.remove_version(model, version);
        self.0.model_memory.remove(&memory_labels(model, version));
    }

    /// Records where a version stands; `None` takes it out of the count.
    pub fn set_version_state(&self, model: &str, version: i64, state: Option<VersionState>) {
        let mut versions = self
            .0
            .versions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = match state {
            Some(state) => versions.insert((model.into(), version), state),
            None => versions.remove(&(model.into(), version)),
        };
        if let Some(before) = before {
            self.0.versions_by_state[before as usize].dec();
        }
        if let Some(state) = state {
            self.0.versions_by_state[state as usize].inc();
        }
    }

    /// Records which of the models that are to be served have a version that answers; others are forgotten.
    pub fn set_model_availability(&self, models: &BTreeMap<Arc<str>, bool>) {
        let labels =
            |name: &str| Labels::new(Metric::ModelAvailable.labels(), [name.to_owned().into()]);
        // The page is written from the values, so nobody sees them half done but who asks at the same time.
        self.0.model_available.clear();
        for (name, is_available) in models {
            let gauge = self.0.model_available.get_or_create(&labels(name));
            gauge.set(i64::from(*is_available));
        }
    }

    /// Returns where counters stand that are known by these names: TensorFlow's with slashes, ours as they are scraped; of
    /// several series the first, of none 0.
    #[must_use]
    pub fn first_values(&self, names: &[String]) -> Vec<i64> {
        let page = self.encode();
        let value = |name: &String| {
            self.value_of(name)
                .unwrap_or_else(|| first_value(&page, name))
        };
        names.iter().map(value).collect()
    }

    /// Records what a loaded version is estimated to take.
    pub fn set_model_memory(&self, model: &str, version: i64, bytes: u64) {
        self.0
            .model_memory
            .get_or_create(&memory_labels(model, version))
            .set(clamp(bytes));
    }

    /// Counts an attempt to load a version.
    pub fn count_load(&self, result: LoadResult) {
        self.0.loads[result as usize].inc();
    }

    /// Records how an attempt ended to load the version at a path, under TensorFlow's names.
    pub fn load_ended(&self, path: &str, is_loaded: bool, elapsed: Duration) {
        self.0.tensorflow.load_ended(path, is_loaded, elapsed);
    }

    /// Records how the requests went that the version at a path brought along; `status` is `OK` or what was wrong.
    pub fn warmed_up(&self, path: &str, status: &str, elapsed: Duration, num_records: usize) {
        self.0
            .tensorflow
            .warmed_up(path, status, elapsed, num_records);
    }

    /// Forgets what was recorded for a path, whose version was unloaded.
    pub fn remove_path(&self, path: &str) {
        self.0.tensorflow.remove_path(path);
    }

    /// Counts a request that ran no model, as [`crate::ModelMetrics::request_ended`] does, by the name it asked for.
    pub fn unresolved_request_ended(&self, model: &str, call: Call, code: &str, elapsed: Duration) {
        let model = self.0.tensorflow.model_if_room(model);
        model.request_ended(call, code, elapsed);
    }

    /// Counts a request that was to be logged.
    pub fn count_request_log(&self, model: &str, result: LogResult) {
        let labels = Labels::new(
            Metric::RequestLogRecords.labels(),
            [model.into(), result.name().into()],
        );
        self.0.request_logs.get_or_create(&labels).inc();
        self.0
            .tensorflow
            .count_request_log(model, result.code_name());
    }

    /// Records whether a base path in an object store can be read.
    pub fn set_store_up(&self, base_path: &str, is_up: bool) {
        let labels = store_labels(base_path);
        self.0.store_up.get_or_create(&labels).set(is_up.into());
    }

    /// Forgets a base path that is no longer mirrored.
    pub fn remove_store(&self, base_path: &str) {
        self.0.store_up.remove(&store_labels(base_path));
    }

    /// Counts bytes that were downloaded from object stores.
    pub fn count_downloaded(&self, bytes: u64) {
        self.0.store_downloaded_bytes.inc_by(bytes);
    }

    /// Counts a request that was turned away.
    pub fn count_refused(&self, reason: Refusal) {
        self.0.refused[reason as usize].inc();
    }

    /// Counts a request that failed, by the API it came by (`grpc`, `rest`) and the name of its code.
    pub fn request_failed(&self, api: &'static str, code: &'static str) {
        let labels = Labels::new(Metric::FailedRequests.labels(), [api.into(), code.into()]);
        self.0.failed.get_or_create(&labels).inc();
    }

    /// Counts a request as being worked on until the result is dropped.
    pub fn request_started(&self) -> InflightRequest {
        self.0.inflight_requests.inc();
        InflightRequest(self.0.inflight_requests.clone())
    }

    /// Records the bytes reserved for requests, and the budget they come from.
    pub fn set_inflight_bytes(&self, bytes: u64, limit_bytes: u64) {
        self.0.inflight_bytes.set(clamp(bytes));
        self.0.inflight_bytes_limit.set(clamp(limit_bytes));
    }

    /// Returns every value as OpenMetrics text, which Prometheus reads; see [`CONTENT_TYPE`].
    #[must_use]
    pub fn encode(&self) -> String {
        if let Some(bytes) = process::resident_memory_bytes() {
            self.0.resident_memory.set(clamp(bytes));
        }
        let mut page = String::new();
        text::encode(&mut page, &self.0.registry).expect("writing to a string does not fail");
        page
    }

    /// Returns the values that TensorFlow Serving has, as it writes them: Prometheus text, see
    /// [`TENSORFLOW_CONTENT_TYPE`].
    #[must_use]
    pub fn encode_tensorflow(&self) -> String {
        self.0.tensorflow.page()
    }

    /// Returns the first value of a metric of TensorFlow's, by the name with slashes that it registers: zero if nothing
    /// was counted yet or it is a histogram; `None` if there is no such metric.
    #[must_use]
    pub fn value_of(&self, name: &str) -> Option<i64> {
        self.0.tensorflow.value_of(name)
    }
}

impl Inner {
    fn new(version: &str) -> Self {
        let mut register = Registrar(Registry::default());
        let signatures = Arc::new(SignatureFamilies::default());
        register
            .0
            .register_collector(Box::new(Arc::clone(&signatures)));
        let splits = Arc::new(SplitFamilies::default());
        register.0.register_collector(Box::new(Arc::clone(&splits)));
        let runs = Arc::new(RunFamilies::default());
        register.0.register_collector(Box::new(Arc::clone(&runs)));
        let refused = register.family(Metric::RefusedRequests);
        let loads = register.family(Metric::ModelLoads);
        let versions = register.family(Metric::ModelVersions);
        let started_at = process::unix_time().as_secs_f64();
        register
            .value(Metric::StartTime, FloatGauge::default())
            .set(started_at);
        let build = Info::new(Labels::new(Metric::Build.labels(), [version.into()]));
        register.add(Metric::Build, build);
        Self {
            failed: register.family(Metric::FailedRequests),
            refused: Refusal::ALL
                .map(|reason| series(&refused, Metric::RefusedRequests, reason.name())),
            loads: LoadResult::ALL.map(|result| series(&loads, Metric::ModelLoads, result.name())),
            inflight_requests: register.value(Metric::InflightRequests, Gauge::default()),
            inflight_bytes: register.value(Metric::InflightBytes, Gauge::default()),
            inflight_bytes_limit: register.value(Metric::InflightBytesLimit, Gauge::default()),
            versions: Mutex::default(),
            versions_by_state: VersionState::ALL
                .map(|state| series(&versions, Metric::ModelVersions, state.name())),
            model_available: register.family(Metric::ModelAvailable),
            model_memory: register.family(Metric::ModelMemory),
            store_up: register.family(Metric::StoreUp),
            store_downloaded_bytes: register
                .value(Metric::StoreDownloadedBytes, Counter::default()),
            resident_memory: register.value(Metric::ResidentMemory, Gauge::default()),
            signatures,
            splits,
            runs,
            request_logs: register.family(Metric::RequestLogRecords),
            tensorflow: TensorFlowMetrics::default(),
            registry: register.0,
        }
    }
}

/// Registers metrics under their names in the catalogue.
struct Registrar(Registry);

impl Registrar {
    fn add(&mut self, metric: Metric, values: impl registry::Metric) {
        match metric.unit() {
            Some(unit) => {
                self.0
                    .register_with_unit(metric.stem(), metric.help(), unit.clone(), values)
            }
            None => self.0.register(metric.stem(), metric.help(), values),
        }
    }

    fn value<V: registry::Metric + Clone>(&mut self, metric: Metric, value: V) -> V {
        self.add(metric, value.clone());
        value
    }

    fn family<V>(&mut self, metric: Metric) -> Family<Labels, V>
    where
        V: Default + Clone,
        Family<Labels, V>: registry::Metric + Default,
    {
        self.value(metric, Family::default())
    }
}

fn series<V: Default + Clone>(
    family: &Family<Labels, V>,
    metric: Metric,
    value: &'static str,
) -> V {
    family.get_or_create_owned(&Labels::new(metric.labels(), [value.into()]))
}

fn store_labels(base_path: &str) -> Labels {
    Labels::new(Metric::StoreUp.labels(), [base_path.into()])
}

fn memory_labels(model: &str, version: i64) -> Labels {
    Labels::new(
        Metric::ModelMemory.labels(),
        [model.into(), version.to_string().into()],
    )
}

/// Reads the first value of a metric from a page of them.
fn first_value(page: &str, name: &str) -> i64 {
    let value = |line: &str| -> Option<f64> {
        let rest = line.strip_prefix(name)?;
        let (_, value) = rest.rsplit_once(' ')?;
        rest.starts_with(['{', ' ']).then(|| value.parse().ok())?
    };
    // A counter has no fraction, and where a gauge has one it is of no interest.
    page.lines().find_map(value).map_or(0, |value| value as i64)
}

fn clamp(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
