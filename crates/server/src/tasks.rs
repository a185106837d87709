//! The only place that spawns: every task has an owner that joins it, or is driven by one that does.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::status::ServeError;

/// Bodies above this many bytes are decoded off the I/O threads: about 500 µs of JSON at 250 MB/s.
pub(crate) const OFFLOAD_BYTES: usize = 128 * 1024;

/// Runs HTTP/2 streams for hyper, on the connection's runtime.
///
/// A stream's task ends with its connection, which the connection set owns and joins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamExecutor;

impl<F> hyper::rt::Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

/// A set of tasks of one owner.
#[derive(Debug, Default)]
pub(crate) struct Tasks(JoinSet<()>);

impl Tasks {
    pub(crate) fn spawn(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(future);
    }

    /// Waits for one task to end; pending for ever if there is none.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn ended(&mut self) {
        if self.0.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Forgets the tasks that have ended.
    pub(crate) fn reap(&mut self) {
        while self.0.try_join_next().is_some() {}
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Waits for all tasks.
    pub(crate) async fn join_all(&mut self) {
        while self.0.join_next().await.is_some() {}
    }

    /// Ends all tasks that are left and waits until they have gone.
    pub(crate) async fn abort_all(&mut self) {
        self.0.shutdown().await;
    }
}

/// A bounded pool for work on the CPU that is too long for an I/O thread.
#[derive(Clone, Debug)]
pub(crate) struct CpuPool {
    permits: Arc<Semaphore>,
}

impl CpuPool {
    pub(crate) fn new(num_threads: NonZeroUsize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(num_threads.get())),
        }
    }

    /// Has a part of some work done by another thread of the pool, if there is a place that nobody needs now; else drops it.
    ///
    /// Whoever is in the pool owns that part, and takes it over if it is not begun.
    pub(crate) fn lend(&self, work: impl FnOnce() + Send + 'static) {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            drop(tokio::task::spawn_blocking(move || {
                work();
                drop(permit);
            }));
        }
    }

    /// Runs `work` on the pool if `num_bytes` is large, else here.
    ///
    /// # Cancel safety
    /// If dropped while waiting for a place, the work is never begun.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        num_bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServeError> {
        if num_bytes <= OFFLOAD_BYTES {
            return Ok(work());
        }
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit =
            permit.map_err(|_| ServeError::Internal("the CPU pool is closed".to_owned()))?;
        let task = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        task.await
            .map_err(|error| ServeError::Internal(format!("decoding failed: {error}")))
    }
}
