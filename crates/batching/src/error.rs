//! Why a batch was not run.

use salver_backend::BackendError;

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
