//! The table `batching`, whose keys have the names that TensorFlow Serving has for them.

use std::num::NonZeroUsize;
use std::time::Duration;

use salver_batching::BatchingConfig;
use toml::Spanned;
use toml::de::DeValue;

use super::{BatchingSettings, Reader, in_file_order, integer};

/// Every key, for suggestions.
const KEYS: [&str; 6] = [
    "max_batch_size",
    "max_execution_batch_size",
    "batch_timeout_micros",
    "max_enqueued_batches",
    "allowed_batch_sizes",
    "pad_variable_length_inputs",
];

/// Rows of a batch at most: more than any model is faster with.
const MAX_BATCH_SIZE: usize = 1 << 20;

/// The most batches that may wait.
const MAX_ENQUEUED_BATCHES: usize = 1 << 20;

/// The longest that a request is held back for others to come, in microseconds: a minute.
const MAX_TIMEOUT_MICROS: i64 = 60_000_000;

impl Reader<'_> {
    pub(super) fn batching(&mut self, value: &Spanned<DeValue<'_>>) -> Option<BatchingSettings> {
        let table = match value.get_ref() {
            DeValue::Boolean(false) => return Some(BatchingSettings::Off),
            DeValue::String(word) if word == "auto" => return Some(BatchingSettings::Auto),
            DeValue::Table(table) => table,
            other => {
                let expected = "false, \"auto\" or a table with `max_batch_size`";
                return self.expected("batching", expected, other, value.span());
            }
        };
        let mut max_batch_size = None;
        let mut config = BatchingConfig::new(NonZeroUsize::MIN);
        for (key, value) in in_file_order(table) {
            let name: &str = key.get_ref();
            let full_name = format!("batching.{name}");
            match name {
                "max_batch_size" => max_batch_size = self.count(&full_name, value, MAX_BATCH_SIZE),
                "max_execution_batch_size" => {
                    config.max_execution_batch_size = self.count(&full_name, value, MAX_BATCH_SIZE);
                }
                "batch_timeout_micros" => {
                    config.delay = self.micros(&full_name, value).unwrap_or_default();
                }
                "max_enqueued_batches" => {
                    config.max_enqueued_batches =
                        self.count(&full_name, value, MAX_ENQUEUED_BATCHES);
                }
                "allowed_batch_sizes" => {
                    config.allowed_batch_sizes = self.sizes(&full_name, value).unwrap_or_default();
                }
                "pad_variable_length_inputs" => {
                    config.pad_variable_length_inputs =
                        self.switch(&full_name, value).unwrap_or_default();
                }
                _ => self.unknown_key(name, &KEYS, key.span()),
            }
        }
        if table.get("max_batch_size").is_none() {
            let problem =
                self.problem(value.span(), "`batching` lacks `max_batch_size`".to_owned());
            problem.remedy =
                Some("add max_batch_size = 32, the rows that are run together at most".to_owned());
        }
        config.max_batch_size = max_batch_size?;
        self.check_batching(&config, value);
        Some(BatchingSettings::On(Box::new(config)))
    }

    fn check_batching(&mut self, config: &BatchingConfig, value: &Spanned<DeValue<'_>>) {
        let max = config.max_batch_size;
        if config.max_execution_batch_size.is_some_and(|run| run > max) {
            let message = "`batching.max_execution_batch_size` is more than `max_batch_size`";
            self.problem(value.span(), message.to_owned()).remedy =
                Some(format!("use at most {max}"));
        }
        let largest = config.max_run_rows();
        if config
            .allowed_batch_sizes
            .last()
            .is_some_and(|&last| last != largest)
        {
            let message = "the last of `batching.allowed_batch_sizes` is not the largest batch";
            self.problem(value.span(), message.to_owned()).remedy =
                Some(format!("end the list with {largest}"));
        }
    }

    pub(super) fn micros(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<Duration> {
        let micros =
            integer(value.get_ref()).filter(|micros| (0..=MAX_TIMEOUT_MICROS).contains(micros));
        match micros.and_then(|micros| u64::try_from(micros).ok()) {
            Some(micros) => Some(Duration::from_micros(micros)),
            None => {
                let expected = format!("microseconds from 0 to {MAX_TIMEOUT_MICROS}");
                self.expected(name, &expected, value.get_ref(), value.span())
            }
        }
    }

    fn switch(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(is_on) => Some(*is_on),
            other => self.expected(name, "true or false", other, value.span()),
        }
    }

    fn sizes(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<usize>> {
        let sizes = match value.get_ref() {
            DeValue::Array(sizes) => sizes
                .iter()
                .map(|size| integer(size.get_ref()).and_then(|size| usize::try_from(size).ok()))
                .collect::<Option<Vec<usize>>>(),
            _ => None,
        };
        let sizes = sizes.filter(|sizes| {
            sizes.first().is_none_or(|&first| first > 0)
                && sizes.windows(2).all(|pair| pair[0] < pair[1])
        });
        if sizes.is_none() {
            let expected = "a list of ascending numbers of rows";
            self.expected::<()>(name, expected, value.get_ref(), value.span());
        }
        sizes
    }
}
