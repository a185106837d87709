//! One instance and what runs it: a batch at a time, together where it can be, answered one by one.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use salver_backend::{BackendError, Host, Inputs, Instance, Model, Outputs, Requested, Signature};
use salver_telemetry::RunMetrics;
use salver_tensor::Tensor;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::former::Together;
use crate::join::{self, Joined};
use crate::queue::{self, Queue};
use crate::{Batch, ExecuteError, Executed, ExecutorConfig};

/// How many times in a row requests may fail together and succeed alone before they are no longer joined.
const MAX_JOINT_FAILURES: u32 = 3;

/// The longest thread name that Linux shows.
const MAX_THREAD_NAME_BYTES: usize = 15;

/// A batch in the queue.
pub(crate) struct Item {
    /// Boxed, as it is moved from the caller to a lane to a batch.
    pub(crate) batch: Box<Batch>,
    /// The memory that its inputs take.
    pub(crate) num_bytes: usize,
    pub(crate) reply: oneshot::Sender<Result<Executed, ExecuteError>>,
    /// Set when the engine begins, so that a caller whose time is up knows what it waited for.
    pub(crate) is_started: Arc<AtomicBool>,
    pub(crate) enqueued_at: Instant,
}

/// What came of running requests together.
enum JointRun {
    /// The outputs of each.
    Answered(Vec<Outputs>),
    /// Each has to be run alone; the signature's requests failed together, unless they are no longer joined anyway.
    Failed(Option<Arc<Signature>>),
    /// They are not to be joined.
    NotTried,
}

impl Item {
    /// Tells whether somebody still waits for the answer; whose time is up is told so.
    pub(crate) fn is_wanted(&mut self, now: Instant, is_batching_asked_for: bool) -> bool {
        if self.reply.is_closed() {
            return false;
        }
        if self.batch.deadline.is_none_or(|deadline| deadline > now) {
            return true;
        }
        let late = match is_batching_asked_for {
            true => ExecuteError::BatchQueueTimeout,
            false => ExecuteError::DeadlineExceeded {
                waited_in_queue: true,
            },
        };
        let (gone, _) = oneshot::channel();
        drop(std::mem::replace(&mut self.reply, gone).send(Err(late)));
        false
    }

    /// Tells whoever waits for the answer that there is none.
    pub(crate) fn refuse(self, error: ExecuteError) {
        drop(self.batch);
        drop(self.reply.send(Err(error)));
    }

    fn answer(self, outputs: Result<Outputs, BackendError>, started_at: Instant, run: Duration) {
        let answer = outputs.map(|outputs| Executed {
            outputs,
            queue: started_at.saturating_duration_since(self.enqueued_at),
            run,
        });
        // The inputs go first: the next thing the caller does may be to give their bytes back to a budget.
        drop(self.batch);
        drop(self.reply.send(answer.map_err(ExecuteError::Backend)));
    }
}

/// An instance, run by its own thread or by whoever borrows it from there.
pub(crate) struct Worker {
    model: Arc<dyn Model>,
    /// `None` after a panic whose replacement could not be made yet.
    instance: Option<Box<dyn Instance>>,
    queue: Arc<Queue>,
    name: String,
    platform: &'static str,
    metrics: Option<Arc<RunMetrics>>,
    num_joint_failures: u32,
    has_run: bool,
}

impl Worker {
    pub(crate) fn new(
        model: Arc<dyn Model>,
        queue: Arc<Queue>,
        config: &ExecutorConfig,
    ) -> Result<Self, BackendError> {
        let instance = Some(model.instance()?);
        Ok(Self {
            has_run: false,
            model,
            instance,
            queue,
            name: config.name.clone(),
            platform: config.platform,
            metrics: config.metrics.clone(),
            num_joint_failures: 0,
        })
    }

    /// Returns whether its runs go on in the thread that asks for them.
    pub(crate) fn runs_in_caller(&self) -> bool {
        let instance = self.instance.as_ref();
        instance.is_some_and(|instance| instance.runs_in_caller())
    }

    /// Returns the engine's own thread for the instance.
    pub(crate) fn host(&self) -> Option<Arc<dyn Host>> {
        self.instance.as_ref()?.host()
    }

    /// Runs one request alone, from `started_at` on, which is now. Returns how long that took.
    pub(crate) fn run_one(
        &mut self,
        batch: &Batch,
        started_at: Instant,
    ) -> (Result<Outputs, BackendError>, Duration) {
        if let (Some(metrics), Some(num_rows)) = (&self.metrics, self.queue.joinable_rows(batch)) {
            metrics.batch_ran(num_rows, num_rows);
        }
        let answer = self.run_batch(batch);
        let run = started_at.elapsed();
        if let Ok(outputs) = &answer {
            self.check_rows(batch, outputs);
        }
        (answer, run)
    }

    /// Counts how long a request has waited, if it may be joined with others.
    pub(crate) fn count_wait(&self, batch: &Batch, waited: Duration) {
        if let Some(metrics) = &self.metrics
            && self.queue.joinable_rows(batch).is_some()
        {
            metrics.request_left_queue(waited);
        }
    }

    /// Returns what a run says of those to come; the first takes longer than any other.
    pub(crate) fn tell(&mut self, run: Option<Duration>) -> Option<Duration> {
        let has_run = std::mem::replace(&mut self.has_run, true);
        run.filter(|_| has_run)
    }

    /// Answers requests, together if they can be. Returns how long the last run took, if anything was run.
    pub(crate) fn answer(&mut self, mut items: Together<Item>) -> Option<Duration> {
        let now = Instant::now();
        for item in &items {
            self.count_wait(&item.batch, now.saturating_duration_since(item.enqueued_at));
        }
        items.retain_mut(|item| item.is_wanted(now, self.queue.is_batching_asked_for()));
        let (failed, mut started_at) = match self.run_joined(&items) {
            JointRun::Answered(outputs) => {
                let run = now.elapsed();
                for (item, outputs) in items.into_iter().zip(outputs) {
                    item.answer(Ok(outputs), now, run);
                }
                return Some(run);
            }
            JointRun::Failed(signature) => (signature, Instant::now()),
            JointRun::NotTried => (None, now),
        };
        let num_items = items.len();
        let (mut last_run, mut num_answered) = (None, 0);
        for mut item in items {
            // The others' runs may have taken long.
            if !item.is_wanted(started_at, self.queue.is_batching_asked_for()) {
                continue;
            }
            item.is_started.store(true, Ordering::Release);
            let (answer, run) = self.run_one(&item.batch, started_at);
            if answer.is_ok() {
                num_answered += 1;
                last_run = Some(run);
            }
            item.answer(answer, started_at, run);
            started_at += run;
        }
        if let Some(signature) = failed.filter(|_| num_answered == num_items) {
            self.count_joint_failure(&signature);
        }
        last_run
    }

    /// Joins a signature's requests no more after several times in which they failed together and none did alone.
    fn count_joint_failure(&mut self, signature: &Signature) {
        self.num_joint_failures += 1;
        if self.num_joint_failures < MAX_JOINT_FAILURES {
            return;
        }
        self.num_joint_failures = 0;
        self.stop_joining(signature, "requests fail together that succeed alone");
    }

    /// Finds out whether a signature's outputs have the rows of its inputs.
    fn check_rows(&self, batch: &Batch, outputs: &Outputs) {
        let rows = queue::num_rows(batch).filter(|_| self.queue.batching().is_some());
        let Some(rows) = rows else {
            return;
        };
        if outputs.iter().any(|output| output.num_rows() != Some(rows)) {
            self.stop_joining(
                &batch.signature,
                "its outputs have other rows than its inputs",
            );
        }
    }

    fn stop_joining(&self, signature: &Signature, reason: &str) {
        if self.queue.stop_joining(signature) {
            tracing::warn!(
                model = self.name,
                signature = &*signature.name,
                reason,
                "its requests run one by one from now on"
            );
        }
    }

    /// Runs requests as one, if they can be joined.
    fn run_joined(&mut self, items: &[Item]) -> JointRun {
        let Some((joined, first)) = self.join(items) else {
            return JointRun::NotTried;
        };
        for item in items {
            item.is_started.store(true, Ordering::Release);
        }
        if let Some(metrics) = &self.metrics
            && self.queue.is_batching_asked_for()
        {
            let num_rows = items.iter().filter_map(|item| queue::num_rows(&item.batch));
            let num_run_rows = joined.inputs.first().and_then(Tensor::num_rows);
            metrics.batch_ran(num_rows.sum(), num_run_rows.unwrap_or_default());
        }
        let deadlines = items.iter().map(|item| item.batch.deadline);
        let batch = Batch {
            signature: Arc::clone(&first.signature),
            inputs: joined.inputs.clone(),
            requested: first.requested.clone(),
            // One that is late must not break off the others' run.
            deadline: deadlines
                .collect::<Option<Vec<_>>>()
                .and_then(|all| all.into_iter().max()),
            priority: first.priority,
            hold: None,
        };
        let Ok(outputs) = self.run_batch(&batch) else {
            return JointRun::Failed(Some(batch.signature));
        };
        match joined.split(&outputs) {
            Ok(answers) => {
                self.num_joint_failures = 0;
                JointRun::Answered(answers)
            }
            Err(error) => {
                self.stop_joining(&batch.signature, &error.to_string());
                JointRun::Failed(None)
            }
        }
    }

    /// Joins requests, with the first of them; `None` if they are to be run alone.
    fn join<'a>(&self, items: &'a [Item]) -> Option<(Joined, &'a Batch)> {
        let config = self.queue.batching()?;
        let first = &*items.first()?.batch;
        let num_rows = items.iter().map(|item| queue::num_rows(&item.batch));
        let num_rows = num_rows.sum::<Option<usize>>()?;
        if items.len() == 1
            && (config.allowed_size(num_rows) == num_rows
                || self.queue.is_unjoinable(&first.signature))
        {
            return None;
        }
        let batches: Vec<&Batch> = items.iter().map(|item| &*item.batch).collect();
        // A panic here would end the thread.
        let join = |_: &Self| Ok(join::join(&batches, config));
        let joined = self.guard(join).ok()?.ok()?;
        Some((joined, first))
    }

    fn run_batch(&mut self, batch: &Batch) -> Result<Outputs, BackendError> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => self.guard(|worker| worker.model.instance())?,
        };
        let inputs = Inputs {
            signature: &batch.signature,
            tensors: &batch.inputs,
            deadline: batch.deadline.map(Instant::into_std),
        };
        let requested = Requested(&batch.requested);
        let run = || instance.run(&inputs, &requested);
        match panic::catch_unwind(AssertUnwindSafe(run)) {
            Ok(result) => {
                self.instance = Some(instance);
                if let Some(metrics) = self.metrics.as_ref().filter(|_| result.is_ok()) {
                    let num_rows = batch.inputs.first().and_then(Tensor::num_rows);
                    metrics.ran(num_rows.unwrap_or(1));
                }
                result
            }
            Err(panic) => {
                self.report_panic(panic.as_ref());
                self.replace(instance);
                Err(BackendError::Panicked {
                    platform: self.platform,
                })
            }
        }
    }

    /// Puts a new instance in the place of one that panicked, whose state cannot be trusted.
    fn replace(&mut self, poisoned: Box<dyn Instance>) {
        let replaced = self.guard(|worker| {
            drop(poisoned);
            worker.model.instance()
        });
        match replaced {
            Ok(instance) => self.instance = Some(instance),
            Err(error) => tracing::error!(
                model = self.name,
                %error,
                "no instance in the place of one that panicked; it is tried again at the next request"
            ),
        }
    }

    /// Calls the engine; a panic becomes an error.
    fn guard<T>(
        &self,
        call: impl FnOnce(&Self) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        panic::catch_unwind(AssertUnwindSafe(|| call(self))).unwrap_or_else(|panic| {
            self.report_panic(panic.as_ref());
            Err(BackendError::Panicked {
                platform: self.platform,
            })
        })
    }

    fn report_panic(&self, panic: &(dyn Any + Send)) {
        let message = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        tracing::error!(
            model = self.name,
            platform = self.platform,
            panic = message,
            "an instance panicked"
        );
    }
}

/// Returns `<model>-<idx>`, with the model's name cut so that the number is seen in lists of threads.
pub(crate) fn thread_name(model: &str, instance_idx: usize) -> String {
    let suffix = format!("-{instance_idx}");
    let mut name = String::new();
    for letter in model.chars().filter(|letter| *letter != '\0') {
        if name.len() + letter.len_utf8() + suffix.len() > MAX_THREAD_NAME_BYTES {
            break;
        }
        name.push(letter);
    }
    name + &suffix
}
