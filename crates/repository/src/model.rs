//! A version that can be asked.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use salver_backend::Signatures;
use salver_batching::{Batch, ExecuteError, Executed, Executor, LocalExecutor};
use salver_servable::ServableId;
use salver_telemetry::{Metrics, SignatureMetrics};

/// A loaded version: its signatures, the executor that runs it, and its metrics.
///
/// Dropping it waits for the runs that go on, frees the model, and takes its metrics off the page.
///
/// # Blocking
/// Dropping does; the manager does it on a thread of its own.
pub struct LoadedModel {
    /// Which version of which model this is.
    pub id: ServableId,
    /// The engine that runs it.
    pub platform: &'static str,
    /// Why that engine, in one line.
    pub reason: String,
    /// What it is estimated to take.
    pub memory_bytes: u64,
    pub(crate) signatures: Signatures,
    pub(crate) held_bytes: Arc<AtomicU64>,
    // Fields are dropped in this order: the memory is free before its metric says so.
    pub(crate) executor: LocalExecutor,
    pub(crate) metrics: VersionMetrics,
}

impl fmt::Debug for LoadedModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedModel")
            .field("id", &self.id)
            .field("platform", &self.platform)
            .field("memory_bytes", &self.memory_bytes)
            .finish_non_exhaustive()
    }
}

impl LoadedModel {
    /// Returns what the model can be asked for.
    #[must_use]
    pub fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    /// Returns what runs the model.
    #[must_use]
    pub fn executor(&self) -> &dyn Executor {
        &self.executor
    }

    /// Returns how many bytes the requests hold that wait for it or run; counted by whoever lets them in, and shared with
    /// them, because they may outlast it.
    #[must_use]
    pub fn held_bytes(&self) -> &Arc<AtomicU64> {
        &self.held_bytes
    }

    /// Runs one batch from a thread that is not asynchronous, without a deadline.
    ///
    /// # Blocking
    /// Until the engine answers.
    ///
    /// # Errors
    /// As [`Executor::execute`].
    pub fn execute_blocking(&self, batch: Batch) -> Result<Executed, ExecuteError> {
        self.executor.execute_blocking(batch)
    }

    /// Returns the metrics of one of the model's signatures.
    ///
    /// # Panics
    /// If `signature` is not the name of one of [`LoadedModel::signatures`].
    #[must_use]
    pub fn metrics(&self, signature: &str) -> &Arc<SignatureMetrics> {
        self.metrics
            .by_signature
            .get(signature)
            .expect("every signature has its metrics")
    }
}

/// The metrics of one version; they leave the page when this is dropped.
pub(crate) struct VersionMetrics {
    metrics: Metrics,
    id: ServableId,
    path: String,
    by_signature: BTreeMap<Arc<str>, Arc<SignatureMetrics>>,
}

impl VersionMetrics {
    pub(crate) fn new(
        metrics: &Metrics,
        id: &ServableId,
        path: &Path,
        signatures: &Signatures,
    ) -> Self {
        let by_signature = signatures
            .iter()
            .map(|signature| {
                let of_signature = metrics.signature(&id.name, id.version, &signature.name);
                (Arc::clone(&signature.name), of_signature)
            })
            .collect();
        Self {
            metrics: metrics.clone(),
            id: id.clone(),
            path: path.to_string_lossy().into_owned(),
            by_signature,
        }
    }
}

impl Drop for VersionMetrics {
    fn drop(&mut self) {
        self.metrics.remove_version(&self.id.name, self.id.version);
        self.metrics.remove_path(&self.path);
    }
}
