//! How requests are joined into batches: `BatchingParameters`, and what TensorFlow Serving refuses of them.

use salver_proto::tensorflow::serving::BatchingParameters as BatchingProto;

use super::text::{self, TextError};

const MESSAGE: &str = "tensorflow.serving.BatchingParameters";

/// TensorFlow Serving's largest batch where nothing is said.
const DEFAULT_MAX_BATCH_SIZE: i64 = 1000;

/// How requests are joined into batches; what is `None` takes the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchingParameters {
    /// Rows in one batch at most.
    pub max_batch_size: Option<i64>,
    /// How long a batch that is not full waits for more, in microseconds.
    pub batch_timeout_micros: Option<i64>,
    /// Batches that may wait.
    pub max_enqueued_batches: Option<i64>,
    /// Batches that run at once.
    pub num_batch_threads: Option<i64>,
    /// Name of the threads.
    pub thread_pool_name: Option<String>,
    /// Whether a request may be spread over several batches.
    pub enable_large_batch_splitting: Option<bool>,
    /// Rows in one run at most, where requests are spread.
    pub max_execution_batch_size: Option<i64>,
    /// Sizes that batches are filled up to.
    pub allowed_batch_sizes: Vec<i64>,
    /// Whether inputs of different lengths are filled up to the longest.
    pub pad_variable_length_inputs: bool,
}

/// What TensorFlow Serving refuses, in its words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchingError {
    /// No thread.
    #[error("num_batch_threads must be positive; was {0}")]
    Threads(i64),
    /// No row.
    #[error("input_batch_size_limit must be positive; was {0}")]
    Size(i64),
    /// Time before now.
    #[error("batch_timeout_micros must be non-negative; was {0}")]
    Timeout(i64),
    /// No room to wait.
    #[error("max_enqueued_batches must be positive; was {0}")]
    Queue(i64),
    /// Sizes that do not ascend.
    #[error("allowed_batch_sizes entries must be monotonically increasing")]
    Order,
    /// The largest size is not the last.
    #[error(
        "Last entry in allowed_batch_sizes must match max_batch_size; last entry was {last}; expected {expected}"
    )]
    Last {
        /// The last size.
        last: i64,
        /// The largest size.
        expected: i64,
    },
    /// The largest size of a run is not the last.
    #[error(
        "Last entry in allowed_batch_sizes must be equal to max_execution_batch_size; last entry was {last}; \
         expected {expected}"
    )]
    LastExecution {
        /// The last size.
        last: i64,
        /// The largest size of a run.
        expected: i64,
    },
    /// A run larger than a batch.
    #[error(
        "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to \
         max_execution_batch_size."
    )]
    Execution,
}

/// Reads the text of a `batching_parameters_file`.
///
/// # Errors
/// [`TextError`]; what the values say is checked by [`BatchingParameters::check`].
pub fn parse_batching(text: &str) -> Result<BatchingParameters, TextError> {
    text::parse::<BatchingProto>(MESSAGE, text).map(read)
}

pub(super) fn read(proto: BatchingProto) -> BatchingParameters {
    BatchingParameters {
        max_batch_size: proto.max_batch_size,
        batch_timeout_micros: proto.batch_timeout_micros,
        max_enqueued_batches: proto.max_enqueued_batches,
        num_batch_threads: proto.num_batch_threads,
        thread_pool_name: proto.thread_pool_name,
        enable_large_batch_splitting: proto.enable_large_batch_splitting,
        max_execution_batch_size: proto.max_execution_batch_size,
        allowed_batch_sizes: proto.allowed_batch_sizes,
        pad_variable_length_inputs: proto.pad_variable_length_inputs,
    }
}

impl BatchingParameters {
    /// Checks that the values go together.
    ///
    /// # Errors
    /// [`BatchingError`]: the first that TensorFlow Serving would find.
    pub fn check(&self) -> Result<(), BatchingError> {
        let max_batch_size = self.max_batch_size.unwrap_or(DEFAULT_MAX_BATCH_SIZE);
        match self.num_batch_threads {
            Some(threads) if threads < 1 => return Err(BatchingError::Threads(threads)),
            _ => {}
        }
        if max_batch_size < 1 {
            return Err(BatchingError::Size(max_batch_size));
        }
        match self.batch_timeout_micros {
            Some(timeout) if timeout < 0 => return Err(BatchingError::Timeout(timeout)),
            _ => {}
        }
        match self.max_enqueued_batches {
            Some(queue) if queue < 1 => return Err(BatchingError::Queue(queue)),
            _ => {}
        }
        self.check_sizes(max_batch_size)
    }

    fn check_sizes(&self, max_batch_size: i64) -> Result<(), BatchingError> {
        let is_splitting = self.enable_large_batch_splitting.unwrap_or(false);
        let max_execution = self.max_execution_batch_size.unwrap_or(max_batch_size);
        if is_splitting && max_execution > max_batch_size {
            return Err(BatchingError::Execution);
        }
        let sizes = &self.allowed_batch_sizes;
        let Some(&last) = sizes.last() else {
            return Ok(());
        };
        if sizes.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(BatchingError::Order);
        }
        if is_splitting && last != max_execution {
            let expected = max_execution;
            return Err(BatchingError::LastExecution { last, expected });
        }
        if !is_splitting && last != max_batch_size {
            let expected = max_batch_size;
            return Err(BatchingError::Last { last, expected });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(), &str>) {
        let checked = parse_batching(text).expect(text).check();
        let checked = checked.map_err(|error| error.to_string());
        assert_eq!(checked, expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn values_that_go_together_are_taken() {
        check("", Ok(()));
        check(
            "max_batch_size { value: 32 } allowed_batch_sizes: [1, 8, 32]",
            Ok(()),
        );
        check("allowed_batch_sizes: 1000", Ok(()));
        check(
            "batch_timeout_micros { value: 0 }, num_batch_threads: { value: 4 };",
            Ok(()),
        );
    }

    #[test]
    fn what_tensorflow_serving_refuses_is_refused_in_its_words() {
        let last = "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 16; expected 32";
        check(
            "max_batch_size { value: 32 } allowed_batch_sizes: [1, 16]",
            Err(last),
        );
        let ascending = "allowed_batch_sizes entries must be monotonically increasing";
        check(
            "max_batch_size { value: 8 } allowed_batch_sizes: [8, 8]",
            Err(ascending),
        );
        check(
            "num_batch_threads { value: 0 }",
            Err("num_batch_threads must be positive; was 0"),
        );
        check(
            "max_batch_size { value: 0 }",
            Err("input_batch_size_limit must be positive; was 0"),
        );
        check(
            "batch_timeout_micros { value: -1 }",
            Err("batch_timeout_micros must be non-negative; was -1"),
        );
        check(
            "max_enqueued_batches { value: 0 }",
            Err("max_enqueued_batches must be positive; was 0"),
        );
        let splitting = "enable_large_batch_splitting { value: true } max_batch_size { value: 8 }";
        let execution =
            format!("{splitting} max_execution_batch_size {{ value: 4 }} allowed_batch_sizes: 8");
        let last = "Last entry in allowed_batch_sizes must be equal to max_execution_batch_size; last entry was 8; \
                    expected 4";
        check(&execution, Err(last));
    }
}
