//! Runs batches on instances of an engine in this process.

use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use salver_backend::{BackendError, Model};
use salver_telemetry::RunMetrics;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::join::Parts;
use crate::queue::{self, Queue, Run};
use crate::worker::{self, Item, Worker};
use crate::{Batch, BatchingConfig, BoxFuture, ExecuteError, Executed, Executor, Priority, join};

/// The stack of an instance thread, in bytes: engines walk a graph recursively, so a long one needs a deep stack. Only
/// the pages that are touched take memory.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// How a model is executed.
#[derive(Clone, Debug)]
pub struct ExecutorConfig {
    /// The model's name, for the names of its threads and for logs.
    pub name: String,
    /// The engine's name, for errors of instances that panic.
    pub platform: &'static str,
    /// How many runs may go on at once: threads, each with an instance of its own.
    pub num_instances: NonZeroUsize,
    /// How many requests may wait for an instance; one more is refused.
    pub queue_capacity: NonZeroUsize,
    /// How requests are joined; `None` if each runs alone.
    pub batching: Option<BatchingConfig>,
    /// The names of signatures whose requests are not joined all the same: their rows are not known to be independent.
    pub unjoinable: Vec<Arc<str>>,
    /// How long a request may be expected to wait; one that would wait longer is refused. Whatever is said here, one that
    /// could not be answered before its deadline is.
    pub max_wait: Option<Duration>,
    /// Where runs are counted; `None` if nobody wants to know.
    pub metrics: Option<Arc<RunMetrics>>,
}

/// The instance threads of one loaded model and the queue before them.
///
/// Dropping it waits for the runs that go on, then ends the threads and gives up the model.
pub struct LocalExecutor {
    /// Closing it is what ends the threads.
    queue: Arc<Queue>,
    /// Each thread's own; a short run borrows one that is idle.
    workers: Vec<Arc<Mutex<Worker>>>,
    threads: Vec<JoinHandle<()>>,
    runs_in_caller: bool,
    metrics: Option<Arc<RunMetrics>>,
}

impl fmt::Debug for LocalExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalExecutor")
            .field("queue", &self.queue)
            .field("num_instances", &self.threads.len())
            .finish_non_exhaustive()
    }
}

impl LocalExecutor {
    /// Makes the instances and starts their threads.
    ///
    /// # Blocking
    /// Making instances may take as long as the engine likes.
    ///
    /// # Errors
    /// What [`Model::instance`] says; [`BackendError::Engine`] if the system gives no thread.
    pub fn start(model: &Arc<dyn Model>, config: &ExecutorConfig) -> Result<Self, BackendError> {
        let queue = Queue::new(config);
        let mut executor = Self {
            queue: Arc::new(queue),
            workers: Vec::new(),
            threads: Vec::new(),
            runs_in_caller: false,
            metrics: config.metrics.clone(),
        };
        for instance_idx in 0..config.num_instances.get() {
            let worker = Worker::new(Arc::clone(model), Arc::clone(&executor.queue), config)?;
            executor.runs_in_caller = worker.runs_in_caller();
            let host = worker.host();
            let worker = Arc::new(Mutex::new(worker));
            executor.workers.push(Arc::clone(&worker));
            let queue = Arc::clone(&executor.queue);
            let thread = thread::Builder::new()
                .name(worker::thread_name(&config.name, instance_idx))
                .stack_size(STACK_BYTES)
                .spawn(move || match host {
                    Some(host) => host.work(Box::new(move || serve(instance_idx, &queue, &worker))),
                    None => serve(instance_idx, &queue, &worker),
                })
                .map_err(|error| BackendError::Engine {
                    platform: config.platform,
                    message: format!("no thread for instance {instance_idx}: {error}"),
                })?;
            executor.threads.push(thread);
        }
        Ok(executor)
    }

    /// Runs one batch from a thread that is not asynchronous, without a deadline: warm-up, command line.
    ///
    /// # Blocking
    /// Until the engine answers.
    ///
    /// # Panics
    /// If called from within an asynchronous task.
    ///
    /// # Errors
    /// As [`Executor::execute`].
    pub fn execute_blocking(&self, batch: Batch) -> Result<Executed, ExecuteError> {
        let (item, pending) = self.item(batch);
        self.queue.push_unbounded(item)?;
        let answer = pending.reply.blocking_recv();
        answer.unwrap_or(Err(ExecuteError::Stopped))
    }

    /// Returns the parts in which a request is run, if it is not run as it is.
    fn parts(&self, batch: &Batch) -> Result<Option<Parts>, ExecuteError> {
        let Some(config) = self.queue.batching() else {
            return Ok(None);
        };
        let Some(num_rows) = queue::num_rows(batch) else {
            return Ok(None);
        };
        let max_rows = config.max_batch_size.get();
        if num_rows > max_rows {
            return Err(ExecuteError::TooManyRows { num_rows, max_rows });
        }
        let is_whole = num_rows <= config.max_run_rows() || config.max_joined_rows.is_some();
        if is_whole || self.queue.is_unjoinable(&batch.signature) {
            return Ok(None);
        }
        // What cannot be cut is run as it is.
        Ok(join::cut(batch, num_rows, config.max_run_rows()).ok())
    }

    fn item(&self, batch: Batch) -> (Item, Pending) {
        let (sender, reply) = oneshot::channel();
        let is_started = Arc::new(AtomicBool::new(false));
        let item = Item {
            num_bytes: batch.num_bytes(),
            batch: Box::new(batch),
            reply: sender,
            is_started: Arc::clone(&is_started),
            enqueued_at: Instant::now(),
        };
        (item, Pending { reply, is_started })
    }

    /// Runs a small request in this thread, if that will not take long and an instance is idle: to hand it to the
    /// instance's thread and its answer back would take longer. Returns the request where it is not so.
    fn run_here(&self, batch: Batch) -> Result<Result<Executed, ExecuteError>, Batch> {
        let is_small = || batch.num_bytes() <= queue::MAX_SMALL_BYTES;
        let is_for_here = self.runs_in_caller && is_small() && !self.is_filled_up(&batch);
        if !is_for_here {
            return Err(batch);
        }
        let Some(run) = self.queue.take_instance() else {
            return Err(batch);
        };
        let mut taken = Taken::new(&self.queue, run);
        for worker in &self.workers {
            let mut worker = match worker.try_lock() {
                Ok(worker) => worker,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            worker.count_wait(&batch, Duration::ZERO);
            let (outputs, took) = worker.run_one(&batch, Instant::now());
            taken.took = worker.tell(outputs.is_ok().then_some(took));
            let executed = outputs.map(|outputs| Executed {
                outputs,
                queue: Duration::ZERO,
                run: took,
            });
            return Ok(executed.map_err(ExecuteError::Backend));
        }
        Err(batch)
    }

    /// Tells whether a request has to have rows added to it.
    fn is_filled_up(&self, batch: &Batch) -> bool {
        let rows = self.queue.batching().zip(queue::num_rows(batch));
        rows.is_some_and(|(config, num_rows)| config.allowed_size(num_rows) != num_rows)
    }

    async fn run_whole(&self, batch: Batch) -> Result<Executed, ExecuteError> {
        let batch = match self.run_here(batch) {
            Ok(executed) => return executed,
            Err(batch) => batch,
        };
        let deadline = batch.deadline;
        let (item, pending) = self.item(batch);
        self.queue.push(item)?;
        self.wait(pending, deadline).await
    }

    async fn run_parts(&self, batch: Batch, parts: Parts) -> Result<Executed, ExecuteError> {
        let Parts { batches, num_rows } = parts;
        let mut items = batches.into_iter().map(|part| self.item(part));
        let Some((first, pending)) = items.next() else {
            return self.run_whole(batch).await;
        };
        let (others, mut pendings): (Vec<_>, Vec<_>) = items.unzip();
        pendings.insert(0, pending);
        self.queue.push_parts(first, others)?;
        let mut executed = Vec::new();
        for pending in pendings {
            executed.push(self.wait(pending, batch.deadline).await?);
        }
        match Executed::of_parts(&executed, &num_rows) {
            Some(whole) => Ok(whole),
            None => {
                self.queue.stop_joining(&batch.signature);
                self.run_whole(batch).await
            }
        }
    }

    /// Returns what a request is answered with whose time is up.
    fn late(&self, waited_in_queue: bool) -> ExecuteError {
        match waited_in_queue && self.queue.is_batching_asked_for() {
            true => ExecuteError::BatchQueueTimeout,
            false => ExecuteError::DeadlineExceeded { waited_in_queue },
        }
    }

    async fn wait(
        &self,
        mut pending: Pending,
        deadline: Option<Instant>,
    ) -> Result<Executed, ExecuteError> {
        poll_fn(|context| {
            if let Poll::Ready(answer) = Pin::new(&mut pending.reply).poll(context) {
                return Poll::Ready(answer.unwrap_or(Err(ExecuteError::Stopped)));
            }
            match deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                true => Poll::Ready(Err(self.late(!pending.is_started.load(Ordering::Acquire)))),
                false => Poll::Pending,
            }
        })
        .await
    }
}

/// Works until the queue is closed and empty.
fn serve(instance_idx: usize, queue: &Queue, worker: &Mutex<Worker>) {
    let mut ended = None;
    while let Some((items, run)) = queue.pop(instance_idx, ended.take()) {
        let taken = Taken::new(queue, run);
        let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
        let took = worker.answer(items);
        ended = taken.keep().map(|run| (run, worker.tell(took)));
    }
}

/// An instance that runs; it is given back however the run ends.
struct Taken<'a> {
    queue: &'a Queue,
    /// `None` once somebody else gives it back.
    run: Option<Run>,
    /// How long its run took, if that says something of others.
    took: Option<Duration>,
}

impl<'a> Taken<'a> {
    fn new(queue: &'a Queue, run: Run) -> Self {
        Self {
            queue,
            run: Some(run),
            took: None,
        }
    }

    /// Leaves it to the caller to give it back.
    fn keep(mut self) -> Option<Run> {
        self.run.take()
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(run) = &self.run {
            self.queue.done(run, self.took);
        }
    }
}

/// A request, or a part of one, that waits or runs, seen from its caller.
struct Pending {
    reply: oneshot::Receiver<Result<Executed, ExecuteError>>,
    is_started: Arc<AtomicBool>,
}

impl Executor for LocalExecutor {
    fn execute(&self, batch: Batch) -> BoxFuture<'_, Result<Executed, ExecuteError>> {
        Box::pin(async move {
            let deadline = batch.deadline;
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(self.late(true));
            }
            let num_rows = self.queue.joinable_rows(&batch);
            if let (Some(metrics), Some(num_rows)) = (&self.metrics, num_rows) {
                metrics.request_came(batch.inputs.len(), num_rows);
            }
            match self.parts(&batch)? {
                None => self.run_whole(batch).await,
                Some(parts) => self.run_parts(batch, parts).await,
            }
        })
    }

    fn refusal(&self, deadline: Option<Instant>, priority: Priority) -> Option<ExecuteError> {
        self.queue.refusal(Instant::now, deadline, priority)
    }

    fn drop_unwanted(&self) {
        self.queue.drop_unwanted(Instant::now());
    }
}

impl Drop for LocalExecutor {
    fn drop(&mut self) {
        self.queue.close();
        let this_thread = thread::current().id();
        for thread in self.threads.drain(..) {
            // A thread cannot wait for itself; it ends by itself, for its queue is closed.
            if thread.thread().id() == this_thread {
                continue;
            }
            if thread.join().is_err() {
                tracing::error!("an instance thread had died of a panic");
            }
        }
    }
}

#[cfg(test)]
mod tests;
