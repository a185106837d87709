//! TensorFlow Serving's batching parameters, as executors are told them.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use salver_batching::BatchingConfig;
use salver_protocol::config::{BatchingParameters, parse_batching};

/// The file in a version's folder that `--enable_per_model_batching_parameters` asks for.
const FILE_NAME: &str = "batching_params.pbtxt";

/// TensorFlow Serving's defaults.
const MAX_BATCH_SIZE: NonZeroUsize = NonZeroUsize::new(1000).expect("1000 is not 0");
const MAX_ENQUEUED_BATCHES: NonZeroUsize = NonZeroUsize::new(10).expect("10 is not 0");

/// Returns what parameters say that were checked.
pub(crate) fn config(parameters: &BatchingParameters) -> BatchingConfig {
    let max_batch_size = count(parameters.max_batch_size).unwrap_or(MAX_BATCH_SIZE);
    let is_splitting = parameters.enable_large_batch_splitting.unwrap_or(false);
    let max_execution = count(parameters.max_execution_batch_size);
    let micros = parameters.batch_timeout_micros.unwrap_or(0);
    let sizes = parameters.allowed_batch_sizes.iter();
    BatchingConfig {
        max_batch_size,
        max_execution_batch_size: max_execution.filter(|_| is_splitting),
        delay: Duration::from_micros(u64::try_from(micros).unwrap_or(0)),
        max_enqueued_batches: count(parameters.max_enqueued_batches).or(Some(MAX_ENQUEUED_BATCHES)),
        allowed_batch_sizes: sizes
            .filter_map(|&size| usize::try_from(size).ok())
            .collect(),
        pad_variable_length_inputs: parameters.pad_variable_length_inputs,
        max_joined_rows: None,
        min_joined_rows: 0,
    }
}

/// Returns how many batches run at once.
pub(crate) fn num_threads(parameters: &BatchingParameters) -> Option<NonZeroUsize> {
    count(parameters.num_batch_threads)
}

/// Reads the parameters in a version's folder; without a file its requests run alone.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn of_version(dir: &Path) -> Result<Option<BatchingConfig>, String> {
    let file = dir.join(FILE_NAME);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{FILE_NAME} cannot be read: {error}")),
    };
    let parameters = parse_batching(&text).map_err(|error| format!("{FILE_NAME}: {error}"))?;
    let checked = parameters.check();
    checked.map_err(|error| format!("{FILE_NAME}: {error}"))?;
    Ok(Some(config(&parameters)))
}

fn count(count: Option<i64>) -> Option<NonZeroUsize> {
    NonZeroUsize::new(usize::try_from(count?).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_taken_over_with_tensorflow_servings_defaults() {
        let of = |text| config(&parse_batching(text).unwrap());
        let default = of("");
        assert_eq!(default.max_batch_size, MAX_BATCH_SIZE);
        assert_eq!(default.max_enqueued_batches, Some(MAX_ENQUEUED_BATCHES));
        assert_eq!(default.delay, Duration::ZERO);
        let all = of(
            "max_batch_size { value: 8 } batch_timeout_micros { value: 500 } max_enqueued_batches { value: 3 } \
             max_execution_batch_size { value: 4 } enable_large_batch_splitting { value: true } \
             allowed_batch_sizes: [1, 4] pad_variable_length_inputs: true",
        );
        let expected = BatchingConfig {
            max_batch_size: NonZeroUsize::new(8).unwrap(),
            max_execution_batch_size: NonZeroUsize::new(4),
            delay: Duration::from_micros(500),
            max_enqueued_batches: NonZeroUsize::new(3),
            allowed_batch_sizes: vec![1, 4],
            pad_variable_length_inputs: true,
            max_joined_rows: None,
            min_joined_rows: 0,
        };
        assert_eq!(all, expected);
        let not_split = of("max_batch_size { value: 8 } max_execution_batch_size { value: 4 }");
        assert_eq!(not_split.max_execution_batch_size, None);
    }

    #[test]
    fn a_version_without_a_file_runs_requests_alone_and_a_bad_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(of_version(dir.path()), Ok(None));
        let file = dir.path().join(FILE_NAME);
        std::fs::write(&file, "max_batch_size { value: 8 }").unwrap();
        assert_eq!(
            of_version(dir.path())
                .unwrap()
                .unwrap()
                .max_batch_size
                .get(),
            8
        );
        std::fs::write(&file, "max_batch_size { value: 0 }").unwrap();
        let error = of_version(dir.path()).unwrap_err();
        assert_eq!(
            error,
            "batching_params.pbtxt: input_batch_size_limit must be positive; was 0"
        );
    }
}
