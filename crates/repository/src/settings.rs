//! What a user may say about one model, in its `model.toml`.
//!
//! ```toml
//! engine = "onnxruntime"        # else the fastest one that can run the model
//! instances = 2                 # requests that run at once, each on a thread of its own
//! threads = 4                   # threads that one run may use inside the engine
//! queue_capacity = 512          # requests that may wait for an instance
//! versions = { latest = 2 }     # or "latest", "all", [1, 3]
//!
//! [batching]                    # or: batching = false
//! max_batch_size = 32           # rows that are run together at most
//!
//! [labels]
//! stable = 1                    # clients may ask for `stable` in the place of a number
//!
//! [request_log]
//! type = "jsonl"                # or "tfrecord", whose files are warm-up files
//! filename_prefix = "/var/log/salver/digits"
//! sampling_rate = 0.01          # the share of requests
//!
//! [split]
//! key = "user-id"               # requests with the same value of this header get the same arm
//!
//! [[split.arms]]
//! name = "stable"
//! label = "stable"              # or version = 1, or model = "other"
//! weight = 70
//!
//! [[split.arms]]
//! name = "canary"
//! version = 2
//! weight = 30
//! header = { name = "user-group", value = "canary" }  # requests that carry it always go here
//!
//! [[split.shadows]]
//! name = "next"
//! version = 3
//! percent = 10                  # so many requests are sent here too; the answers are thrown away
//! ```

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;
use std::time::Duration;

use salver_backend::ModelConfig;
use salver_batching::BatchingConfig;

mod parse;
mod split;

pub use parse::{FILE_NAME, parse_split, read};
pub use split::{Arm, HeaderMatch, Percent, Shadow, Split, Target};

/// How many requests of a model may wait for an instance, unless its settings say otherwise.
///
/// A bound against runaway callers only: the memory they take has a budget of its own, and deadlines end the wait.
const DEFAULT_QUEUE_CAPACITY: NonZeroUsize = NonZeroUsize::new(1024).expect("1024 is not zero");

/// Which of the versions on disk are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionPolicyConfig {
    /// The highest ones, so many of them.
    Latest(NonZeroUsize),
    /// Every version.
    All,
    /// These versions and no others.
    Specific(Vec<i64>),
}

impl Default for VersionPolicyConfig {
    /// The highest version only.
    fn default() -> Self {
        Self::Latest(NonZeroUsize::MIN)
    }
}

impl VersionPolicyConfig {
    /// Returns those of the whole versions on disk that are to be served.
    #[must_use]
    pub fn choose(&self, versions: &[i64]) -> Vec<i64> {
        let mut chosen = versions.to_vec();
        chosen.sort_unstable();
        chosen.dedup();
        match self {
            Self::Latest(num_versions) => {
                chosen.drain(..chosen.len().saturating_sub(num_versions.get()));
            }
            Self::All => {}
            Self::Specific(wanted) => chosen.retain(|version| wanted.contains(version)),
        }
        chosen
    }
}

/// Settings of one model; what is `None` takes the server's default, then the built-in one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelSettings {
    /// The engine to run it with; else the fastest one that can.
    pub engine: Option<String>,
    /// Requests that run at once, each on a thread of its own.
    pub instances: Option<NonZeroUsize>,
    /// Threads that one run may use inside the engine.
    pub threads: Option<NonZeroUsize>,
    /// Requests that may wait for an instance.
    pub queue_capacity: Option<NonZeroUsize>,
    /// How long a request may be expected to wait for an instance.
    pub max_wait: Option<Duration>,
    /// Whether requests are joined, and how.
    pub batching: Option<BatchingSettings>,
    /// Which versions are served.
    pub version_policy: Option<VersionPolicyConfig>,
    /// Names that clients may use in the place of version numbers.
    pub labels: BTreeMap<String, i64>,
    /// Which requests are logged, and where to.
    pub request_log: Option<RequestLogSettings>,
    /// How requests that name no version are shared out.
    pub split: Option<Box<Split>>,
}

/// Whether requests of a model are joined, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BatchingSettings {
    /// Each runs alone.
    Off,
    /// They are joined where measuring shows that it pays and that rows are independent.
    Auto,
    /// They are joined so.
    On(Box<BatchingConfig>),
}

/// Which requests of a model are logged, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLogSettings {
    /// `tfrecord` or `jsonl`; empty for the former.
    pub form: String,
    /// How the names of the files begin, with their folder.
    pub filename_prefix: String,
    /// The share of requests.
    pub sampling_rate: SamplingRate,
}

/// A share from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplingRate(f64);

// It is never NaN.
impl Eq for SamplingRate {}

impl SamplingRate {
    /// Returns the share, or `None` if it is none.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        (0.0..=1.0).contains(&share).then_some(Self(share))
    }

    /// Returns the share.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl ModelSettings {
    /// Returns these settings with what they leave open taken from the server's defaults.
    #[must_use]
    pub fn or(&self, defaults: &Self) -> Self {
        let labels = if self.labels.is_empty() {
            &defaults.labels
        } else {
            &self.labels
        };
        Self {
            engine: self.engine.clone().or_else(|| defaults.engine.clone()),
            instances: self.instances.or(defaults.instances),
            threads: self.threads.or(defaults.threads),
            queue_capacity: self.queue_capacity.or(defaults.queue_capacity),
            max_wait: self.max_wait.or(defaults.max_wait),
            batching: self.batching.clone().or_else(|| defaults.batching.clone()),
            version_policy: self
                .version_policy
                .clone()
                .or_else(|| defaults.version_policy.clone()),
            labels: labels.clone(),
            request_log: self
                .request_log
                .clone()
                .or_else(|| defaults.request_log.clone()),
            split: self.split.clone().or_else(|| defaults.split.clone()),
        }
    }

    /// Returns what the engine is told, with its own choice where nothing is set.
    #[must_use]
    pub fn model_config(&self, default: &ModelConfig) -> ModelConfig {
        ModelConfig {
            num_instances: self.instances.unwrap_or(default.num_instances),
            num_threads: self.threads.unwrap_or(default.num_threads),
        }
    }

    /// Returns how many requests may wait for an instance.
    #[must_use]
    pub fn queue_capacity(&self) -> NonZeroUsize {
        self.queue_capacity.unwrap_or(DEFAULT_QUEUE_CAPACITY)
    }

    /// Hashes what matters to loading, so that a version that failed is tried again when its settings are mended.
    pub(crate) fn hash_load(&self, hasher: &mut impl Hasher) {
        (
            &self.engine,
            self.instances,
            self.threads,
            self.queue_capacity,
            self.max_wait,
            &self.batching,
        )
            .hash(hasher);
    }
}

#[cfg(test)]
mod tests;
