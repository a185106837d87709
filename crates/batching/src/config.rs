//! How requests are joined.

use std::num::NonZeroUsize;
use std::time::Duration;

/// How requests of a model are joined into batches.
///
/// What is joined: requests for the same outputs of the same signature whose inputs have a first axis of equal length and
/// agree in the other axes. Every other request runs alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BatchingConfig {
    /// Rows of one request at most; and of one batch, unless requests are split.
    pub max_batch_size: NonZeroUsize,
    /// Rows of one batch at most, into which larger requests are split; `None` if none is split.
    pub max_execution_batch_size: Option<NonZeroUsize>,
    /// How long a batch that is not full waits for more while an instance is idle.
    pub delay: Duration,
    /// Batches that may wait, of each kind; `None` for any number.
    pub max_enqueued_batches: Option<NonZeroUsize>,
    /// Sizes that batches are filled up to, ascending; empty if they run as they are.
    pub allowed_batch_sizes: Vec<usize>,
    /// Whether inputs that differ in other axes than the first are filled up to the longest.
    pub pad_variable_length_inputs: bool,
    /// Rows of joined requests at most, where that was measured and not asked for; a request of more runs alone.
    pub max_joined_rows: Option<NonZeroUsize>,
    /// Rows from which requests are joined, where that was measured: fewer run one request at a time. 0 joins any.
    pub min_joined_rows: usize,
}

impl BatchingConfig {
    /// Returns one that joins up to so many rows and waits for nothing.
    #[must_use]
    pub fn new(max_batch_size: NonZeroUsize) -> Self {
        Self {
            max_batch_size,
            max_execution_batch_size: None,
            delay: Duration::ZERO,
            max_enqueued_batches: None,
            allowed_batch_sizes: Vec::new(),
            pad_variable_length_inputs: false,
            max_joined_rows: None,
            min_joined_rows: 0,
        }
    }

    /// Returns one that joins up to so many rows, refuses nothing and waits for nothing.
    #[must_use]
    pub fn measured(max_joined_rows: NonZeroUsize) -> Self {
        Self {
            max_joined_rows: Some(max_joined_rows),
            ..Self::new(NonZeroUsize::MAX)
        }
    }

    /// Returns how many rows one run has at most.
    #[must_use]
    pub fn max_run_rows(&self) -> usize {
        let max = self.max_execution_batch_size.unwrap_or(self.max_batch_size);
        let max = self.max_joined_rows.unwrap_or(max);
        max.min(self.max_batch_size).get()
    }

    /// Tells whether somebody asked for it: what times out while it waits is then answered as by TensorFlow Serving.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.max_joined_rows.is_none()
    }

    /// Returns the number of rows that a batch is filled up to.
    pub(crate) fn allowed_size(&self, num_rows: usize) -> usize {
        let sizes = self.allowed_batch_sizes.iter().copied();
        sizes
            .filter(|&size| size >= num_rows)
            .min()
            .unwrap_or(num_rows)
    }
}
