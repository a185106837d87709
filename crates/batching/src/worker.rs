//! One instance thread: takes batches off the queue, runs them, answers.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Receiver;
use salver_backend::{BackendError, Inputs, Instance, Model, Outputs, Requested};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::{Batch, ExecuteError, Executed, ExecutorConfig};

/// The longest thread name that Linux shows.
const MAX_THREAD_NAME_BYTES: usize = 15;

/// A batch in the queue.
pub(crate) struct Item {
    /// Boxed, so that an empty queue of large capacity takes little memory.
    pub(crate) batch: Box<Batch>,
    pub(crate) reply: oneshot::Sender<Result<Executed, ExecuteError>>,
    /// Set when the engine begins, so that a caller whose time is up knows what it waited for.
    pub(crate) is_started: Arc<AtomicBool>,
    pub(crate) enqueued_at: Instant,
}

/// What an instance thread works with.
pub(crate) struct Worker {
    model: Arc<dyn Model>,
    /// `None` after a panic whose replacement could not be made yet.
    instance: Option<Box<dyn Instance>>,
    queue: Receiver<Item>,
    name: String,
    platform: &'static str,
}

impl Worker {
    pub(crate) fn new(
        model: Arc<dyn Model>,
        queue: Receiver<Item>,
        config: &ExecutorConfig,
    ) -> Result<Self, BackendError> {
        let instance = Some(model.instance()?);
        Ok(Self {
            model,
            instance,
            queue,
            name: config.name.clone(),
            platform: config.platform,
        })
    }

    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        while let Ok(item) = self.queue.recv() {
            self.answer(item);
        }
    }

    fn answer(&mut self, item: Item) {
        let Item {
            batch,
            reply,
            is_started,
            enqueued_at,
        } = item;
        if reply.is_closed() {
            return;
        }
        let started_at = Instant::now();
        if batch
            .deadline
            .is_some_and(|deadline| deadline <= started_at)
        {
            drop(reply.send(Err(ExecuteError::DeadlineExceeded {
                waited_in_queue: true,
            })));
            return;
        }
        is_started.store(true, Ordering::Release);
        let answer = self.run_batch(&batch).map(|outputs| Executed {
            outputs,
            queue: started_at.saturating_duration_since(enqueued_at),
            run: started_at.elapsed(),
        });
        // The inputs go first: the next thing the caller does may be to give their bytes back to a budget.
        drop(batch);
        drop(reply.send(answer.map_err(ExecuteError::Backend)));
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
