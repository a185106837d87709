//! How a model is to be run.

use std::num::NonZeroUsize;

/// Settings of one model, as far as its engine is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelConfig {
    /// How many requests may run at once: instances, each on a thread of its own.
    pub num_instances: NonZeroUsize,
    /// How many threads one run may use inside the engine.
    pub num_threads: NonZeroUsize,
}

impl Default for ModelConfig {
    /// One instance that may use every core: the lowest latency of a single request.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            num_instances: NonZeroUsize::MIN,
            num_threads: cores,
        }
    }
}
