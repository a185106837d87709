//! What mirrors are told, and what they tell.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use salver_repository::VersionPolicyConfig;

use crate::{StoreError, StoreUri};

/// Settings of stores by the names they have in the environment: `AWS_REGION`, `GOOGLE_APPLICATION_CREDENTIALS`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options(pub BTreeMap<String, String>);

impl Options {
    /// Returns a setting that is there and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// Names only: values may be credentials.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// How stores are mirrored.
#[derive(Clone)]
pub struct MirrorsConfig {
    /// The folder that everything is kept in; several servers may share it.
    pub cache_dir: PathBuf,
    /// The time between two listings; `None` or zero lists until nothing is changing any more, and never again.
    pub poll_interval: Option<Duration>,
    /// How stores are reached.
    pub options: Options,
    /// How many objects are downloaded at once.
    pub num_downloads: NonZeroUsize,
    /// Returns the date, which times of objects are compared with.
    pub date: fn() -> SystemTime,
    /// Told what happens.
    pub listener: Listener,
}

impl fmt::Debug for MirrorsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MirrorsConfig")
            .field("cache_dir", &self.cache_dir)
            .field("poll_interval", &self.poll_interval)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// What lies at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BaseKind {
    /// One model or a folder of models, as [`discover`](salver_repository::discover()) finds out; `model.toml` is read.
    Discover,
    /// One model, whose settings come from elsewhere.
    Model,
}

/// A base path that is to be mirrored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Where it is.
    pub uri: StoreUri,
    /// What it is.
    pub kind: BaseKind,
    /// Which of its versions are wanted; settings in its models' `model.toml` come first.
    pub versions: VersionPolicyConfig,
}

/// Something that happened to a base path.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A version is being downloaded.
    Downloading {
        /// The model's name; of a base path that is one model the last part of its address.
        model: &'a str,
        /// The version.
        version: i64,
        /// What is here of it, in bytes.
        num_bytes: u64,
        /// Its size, in bytes.
        total_bytes: u64,
    },
    /// A version is no longer being downloaded: it is here, or something came up that other events tell of.
    Downloaded {
        /// The model's name.
        model: &'a str,
        /// The version.
        version: i64,
    },
    /// A version has been made visible.
    Published {
        /// The base path.
        uri: &'a StoreUri,
        /// The model's name.
        model: &'a str,
        /// The version.
        version: i64,
        /// How much of it was downloaded, in bytes; the rest was in the cache.
        num_bytes: u64,
        /// How long that took.
        elapsed: Duration,
    },
    /// A version has been taken away: it is gone from the store, or no longer wanted.
    Withdrawn {
        /// The base path.
        uri: &'a StoreUri,
        /// The model's name.
        model: &'a str,
        /// The version.
        version: i64,
    },
    /// A store was read for the first time.
    Listed {
        /// The base path.
        uri: &'a StoreUri,
    },
    /// A store cannot be read; what was published stays. Told once, until it has recovered.
    Trouble {
        /// The base path.
        uri: &'a StoreUri,
        /// What came up.
        error: &'a StoreError,
        /// How many versions are served from the cache meanwhile.
        num_published: usize,
    },
    /// A store can be read again.
    Recovered {
        /// The base path.
        uri: &'a StoreUri,
        /// How long it could not.
        elapsed: Duration,
    },
    /// Something in a base path cannot be served as it is. Told once, until it changes.
    Refused {
        /// The base path.
        uri: &'a StoreUri,
        /// The model's name.
        model: &'a str,
        /// The version, if it is one.
        version: Option<i64>,
        /// What is wrong with it.
        reason: &'a str,
    },
}

/// Told what happens; called from threads that download, so it must not block.
pub type Listener = Arc<dyn Fn(&Event<'_>) + Send + Sync>;
