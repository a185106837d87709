//! Where requests wait for an instance: the state machine that forms batches, with a lock and a clock.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use salver_backend::Signature;
use salver_tensor::{DType, Shape};
use tokio::time::Instant;

use crate::former::{BatchFormer, Decision, FormerLimits, Refusal};
use crate::worker::Item;
use crate::{Batch, BatchingConfig, ExecuteError};

/// What requests have to agree in to be joined.
struct LaneKey {
    signature: Arc<Signature>,
    requested: Vec<usize>,
    inputs: Vec<(DType, Class)>,
}

/// What an input has to agree in.
#[derive(PartialEq, Eq)]
enum Class {
    /// The extents behind the first.
    Exact(Shape),
    /// The number of axes: extents are filled up.
    Padded(usize),
}

impl PartialEq for LaneKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.signature, &other.signature)
            && self.requested == other.requested
            && self.inputs == other.inputs
    }
}

impl Eq for LaneKey {}

/// The queue before a model's instances. Everything done under its lock takes microseconds.
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    batching: Option<BatchingConfig>,
    capacity: usize,
}

struct State {
    /// Requests that run alone are in a lane without a key.
    former: BatchFormer<Option<LaneKey>, Item>,
    is_closed: bool,
    /// Signatures that turned out not to keep rows apart.
    unjoinable: HashSet<Arc<str>>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("capacity", &self.capacity)
            .field("batching", &self.batching)
            .finish_non_exhaustive()
    }
}

impl Queue {
    pub(crate) fn new(capacity: usize, batching: Option<BatchingConfig>) -> Self {
        let config = batching.as_ref();
        let limits = FormerLimits {
            max_rows: config.map_or(1, BatchingConfig::max_run_rows),
            delay: config.map_or(Duration::ZERO, |config| config.delay),
            max_batches: config
                .and_then(|config| config.max_enqueued_batches)
                .map_or(usize::MAX, std::num::NonZero::get),
            max_items: capacity,
        };
        let state = State {
            former: BatchFormer::new(limits),
            is_closed: false,
            unjoinable: HashSet::new(),
        };
        Self {
            state: Mutex::new(state),
            wake: Condvar::new(),
            batching,
            capacity,
        }
    }

    pub(crate) fn batching(&self) -> Option<&BatchingConfig> {
        self.batching.as_ref()
    }

    /// Lets a request wait.
    pub(crate) fn push(&self, item: Item) -> Result<(), ExecuteError> {
        let key = self.key(&item.batch);
        let mut state = self.lock();
        if state.is_closed {
            return Err(ExecuteError::Stopped);
        }
        if state.former.num_items() >= self.capacity {
            // Those who have gone make room.
            state.former.retain(|item| !item.reply.is_closed());
        }
        let key = key.filter(|(key, _)| !state.unjoinable.contains(&key.signature.name));
        let (key, num_rows) = match key {
            Some((key, num_rows)) => (Some(key), num_rows),
            None => (
                None,
                self.batching
                    .as_ref()
                    .map_or(1, BatchingConfig::max_run_rows),
            ),
        };
        let refused = state.former.push(item.enqueued_at, key, num_rows, item);
        drop(state);
        match refused {
            Ok(()) => {
                self.wake.notify_one();
                Ok(())
            }
            Err((refusal, _item)) => Err(refusal.into()),
        }
    }

    /// Waits for what to run next; `None` when the queue is closed and empty.
    pub(crate) fn pop(&self) -> Option<Vec<Item>> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            match state.former.poll(now) {
                Decision::Run(items) => {
                    if state.former.num_items() > 0 {
                        // Somebody else has to look after what is left, however long it still waits.
                        self.wake.notify_one();
                    }
                    return Some(items);
                }
                Decision::WaitUntil(until) => {
                    let left = until.saturating_duration_since(now);
                    let waited = self.wake.wait_timeout(state, left);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Decision::Idle if state.is_closed => return None,
                Decision::Idle => {
                    let waited = self.wake.wait(state);
                    state = waited.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Takes nothing more; what waits is still run.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.former.close();
        drop(state);
        self.wake.notify_all();
    }

    /// Joins no more requests for a signature. Returns whether that is news.
    pub(crate) fn stop_joining(&self, signature: &Signature) -> bool {
        let mut state = self.lock();
        state.unjoinable.insert(Arc::clone(&signature.name))
    }

    /// Returns what a request may be joined by, and its rows; `None` if it runs alone.
    fn key(&self, batch: &Batch) -> Option<(LaneKey, usize)> {
        let config = self.batching.as_ref()?;
        let num_rows = num_rows(batch)?;
        let class = |shape: &Shape| match config.pad_variable_length_inputs {
            true => Class::Padded(shape.len()),
            false => Class::Exact(shape.iter().skip(1).copied().collect()),
        };
        let inputs = batch
            .inputs
            .iter()
            .map(|input| (input.dtype(), class(input.shape())))
            .collect();
        let key = LaneKey {
            signature: Arc::clone(&batch.signature),
            requested: batch.requested.clone(),
            inputs,
        };
        Some((key, num_rows))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the rows of a request that can be joined or split: every input has as many, and at least one.
pub(crate) fn num_rows(batch: &Batch) -> Option<usize> {
    let num_rows = batch.inputs.first()?.num_rows()?;
    let is_joinable = num_rows > 0
        && !batch.signature.changes_state
        && batch
            .inputs
            .iter()
            .all(|input| input.num_rows() == Some(num_rows));
    is_joinable.then_some(num_rows)
}

impl From<Refusal> for ExecuteError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full { max_items } => Self::QueueFull {
                capacity: max_items,
            },
            Refusal::LaneFull {
                num_batches,
                max_batches,
            } => Self::BatchQueueFull {
                num_batches,
                max_batches,
            },
            Refusal::TooManyRows { num_rows, max_rows } => Self::TooManyRows { num_rows, max_rows },
        }
    }
}
