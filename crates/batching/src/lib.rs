//! From requests to runs: batches, and the executors that run them.
//!
//! ```text
//! Batch ─► Executor::execute ─► queue (bounded) ─► instance thread ─► Instance::run ─► Executed
//! ```
//!
//! Owns the queue before an engine, the threads that its instances run on, and what happens when time runs out there.
//! Does not own models, admission or clocks: time is `tokio::time`, so tests can pause it.
//!
//! For now a batch is one request; joining several is not done yet.

mod error;
mod executor;
mod local;
mod worker;

pub use error::ExecuteError;
pub use executor::{Batch, BoxFuture, Executed, Executor};
pub use local::{ExecutorConfig, LocalExecutor};
