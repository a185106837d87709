//! What TensorFlow Serving counts, under its names and labels, for dashboards that know those.
//!
//! Per model and, but for runs of batches, wait-free on a request's path, like [`crate::SignatureMetrics`], which leads here. Unlike those, a
//! model's values stay for the life of the process, as TensorFlow Serving keeps them. What it counts and this server
//! does not know (stages of its loader) is not there, rather than zero.

mod batching;
mod histogram;
mod page;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::signature::{CODES, OK_IDX, code_idx};
use crate::{Api, Call};

pub(crate) use batching::BatchMetrics;
pub(crate) use histogram::{Examples, Micros};

/// Names that clients make up are counted one by one up to this many; beyond it, under the empty name.
const MAX_NAMES: usize = 1000;

/// What is counted for one model, whatever its version.
#[derive(Debug)]
pub struct ModelMetrics {
    name: Arc<str>,
    /// By code.
    requests: [AtomicU64; CODES.len()],
    request_micros: [Micros; Call::COUNT],
    /// Of the engine, by API.
    runtime_micros: [Micros; Api::COUNT],
    examples: Examples,
}

impl ModelMetrics {
    fn new(name: Arc<str>) -> Self {
        Self {
            name,
            requests: Default::default(),
            request_micros: Default::default(),
            runtime_micros: Default::default(),
            examples: Examples::default(),
        }
    }

    /// Returns the model's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts a request by the name of the code it ended with and, if it succeeded, by how long it took.
    #[inline]
    pub fn request_ended(&self, call: Call, code: &str, elapsed: Duration) {
        let code_idx = code_idx(code);
        self.requests[code_idx].fetch_add(1, Ordering::Relaxed);
        if code_idx == OK_IDX {
            self.request_micros[call as usize].observe(elapsed);
        }
    }

    /// Counts how long the engine took.
    #[inline]
    pub fn observe_runtime(&self, api: Api, elapsed: Duration) {
        self.runtime_micros[api as usize].observe(elapsed);
    }

    /// Counts the examples of a request.
    #[inline]
    pub fn observe_examples(&self, num_examples: usize) {
        self.examples.observe(num_examples as u64);
    }
}

/// What is counted apart from requests; keys are the values of labels.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Model and code.
    request_logs: BTreeMap<[Arc<str>; 2], u64>,
    /// Path and status.
    warmup_micros: BTreeMap<[Arc<str>; 2], Micros>,
    warmup_records: BTreeMap<[Arc<str>; 2], u64>,
    /// Path and `success` or `fail`.
    load_attempts: BTreeMap<[Arc<str>; 2], u64>,
    /// Path.
    load_micros: BTreeMap<[Arc<str>; 1], u64>,
}

/// Everything that is counted under TensorFlow Serving's names.
#[derive(Debug, Default)]
pub(crate) struct TensorFlowMetrics {
    models: Mutex<BTreeMap<Arc<str>, Arc<ModelMetrics>>>,
    counts: Mutex<Counts>,
    pub(crate) batches: Arc<BatchMetrics>,
}

impl TensorFlowMetrics {
    /// Returns the metrics of a model that is served.
    pub(crate) fn model(&self, name: &str) -> Arc<ModelMetrics> {
        let mut models = self.models();
        match models.get(name) {
            Some(model) => Arc::clone(model),
            None => {
                let name: Arc<str> = name.into();
                let model = Arc::new(ModelMetrics::new(Arc::clone(&name)));
                models.insert(name, Arc::clone(&model));
                model
            }
        }
    }

    /// Returns the metrics of a model that may not exist.
    pub(crate) fn model_if_room(&self, name: &str) -> Arc<ModelMetrics> {
        let is_full = {
            let models = self.models();
            models.len() >= MAX_NAMES && !models.contains_key(name)
        };
        self.model(if is_full { "" } else { name })
    }

    pub(crate) fn count_request_log(&self, model: &str, code: &str) {
        let key = [model.into(), code.into()];
        *self.counts().request_logs.entry(key).or_default() += 1;
    }

    pub(crate) fn warmed_up(
        &self,
        path: &str,
        status: &str,
        elapsed: Duration,
        num_records: usize,
    ) {
        let key = [Arc::from(path), Arc::from(status)];
        let mut counts = self.counts();
        let micros = counts.warmup_micros.entry(key.clone()).or_default();
        micros.observe(elapsed);
        *counts.warmup_records.entry(key).or_default() += num_records as u64;
    }

    pub(crate) fn load_ended(&self, path: &str, is_loaded: bool, elapsed: Duration) {
        let path = Arc::from(path);
        let status = if is_loaded { "success" } else { "fail" };
        let mut counts = self.counts();
        let attempts = [Arc::clone(&path), status.into()];
        *counts.load_attempts.entry(attempts).or_default() += 1;
        *counts.load_micros.entry([path]).or_default() += micros(elapsed);
    }

    /// Forgets a path whose version was unloaded, so that the page does not grow with every version ever served.
    pub(crate) fn remove_path(&self, path: &str) {
        let mut counts = self.counts();
        counts.warmup_micros.retain(|key, _| *key[0] != *path);
        counts.warmup_records.retain(|key, _| *key[0] != *path);
        counts.load_attempts.retain(|key, _| *key[0] != *path);
        counts.load_micros.retain(|key, _| *key[0] != *path);
    }

    fn models(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<ModelMetrics>>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
