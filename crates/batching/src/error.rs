//! Why a batch was not run.

use std::time::Duration;

use salver_backend::BackendError;

use crate::former::Refusal;

/// Why there is no result.
///
/// Cloneable, because it is the answer to every request of its batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecuteError {
    /// So many requests wait already that another would only wait in vain.
    #[error("the queue of the model is full: {capacity} requests are waiting")]
    QueueFull {
        /// How many may wait.
        capacity: usize,
    },
    /// So many batches wait already, and the request fits into none. TensorFlow Serving's words.
    #[error(
        "The batch scheduling queue to which this task was submitted is full; currently {num_batches} batches enqueued \
         and max_enqueued_batches is {max_batches}"
    )]
    BatchQueueFull {
        /// How many wait.
        num_batches: usize,
        /// How many may wait.
        max_batches: usize,
    },
    /// The request has more rows than a batch may have. TensorFlow Serving's words.
    #[error("Task size {num_rows} is larger than maximum input batch size {max_rows}")]
    TooManyRows {
        /// Its rows.
        num_rows: usize,
        /// Rows of a batch at most.
        max_rows: usize,
    },
    /// The deadline passed before the request's batch ran. TensorFlow Serving's words.
    #[error("Run() timeout exceeded while waiting in batching queue")]
    BatchQueueTimeout,
    /// It would wait for so long that it could not be answered before its deadline, or longer than anybody is to wait.
    #[error("the request would wait {} ms for the model", .wait.as_millis())]
    WouldBeLate {
        /// How long it would wait, by what runs took before.
        wait: Duration,
    },
    /// The deadline passed.
    #[error("{}", deadline_message(*.waited_in_queue))]
    DeadlineExceeded {
        /// Whether the model was never run: nobody was free in time.
        waited_in_queue: bool,
    },
    /// The executor was shut down, or its thread is gone.
    #[error("the model is being unloaded")]
    Stopped,
    /// The engine ran and failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

fn deadline_message(waited_in_queue: bool) -> &'static str {
    match waited_in_queue {
        true => "the deadline passed while the request waited for the model to be free",
        false => "the deadline passed while the model ran",
    }
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
