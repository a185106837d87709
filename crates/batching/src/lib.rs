//! From requests to runs: batches, and the executors that run them.
//!
//! ```text
//! Batch ─► Executor::execute ─► BatchFormer (bounded) ─► instance thread ─► join ─► Instance::run ─► split ─► Executed
//! ```
//!
//! A small request for a model whose runs are short is run by its caller instead, where an instance is idle.
//!
//! Owns the queue before an engine, the threads that its instances run on, and what happens when time runs out there.
//! Does not own models, admission or clocks: time is `tokio::time`, so tests can pause it.
//!
//! An idle instance takes what waits at once; batches form while all are busy, and wait for more only if they are told to.
//! A request that cannot be joined, or whose batch fails, runs alone: none fails for another's sake. The more urgent go
//! first, and where the queue is full they take the places of others.

mod config;
mod cost;
mod error;
mod executor;
mod forecast;
mod former;
mod join;
mod local;
mod priority;
mod queue;
mod worker;

pub use config::BatchingConfig;
pub use cost::{Cost, CostCurve};
pub use error::ExecuteError;
pub use executor::{Batch, BoxFuture, Executed, Executor};
pub use former::{BatchFormer, Decision, FormerLimits, Refusal, Together};
pub use local::{ExecutorConfig, LocalExecutor};
pub use priority::Priority;
