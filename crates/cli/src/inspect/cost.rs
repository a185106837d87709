//! What a model's runs cost on this machine.

use std::time::Duration;

use salver_backend::{BackendError, Choice, ModelFiles};
use salver_batching::BatchingConfig;
use salver_repository::{BatchingSettings, ModelSettings, OpenChoices, Tuned, tune};
use serde_json::{Value, json};

/// How a server would run a model here, and what that takes.
#[derive(Debug)]
pub(super) struct Cost {
    tuned: Tuned,
    max_rows: usize,
}

impl Cost {
    /// Loads a model and measures it, as `salver serve DIR` does.
    ///
    /// # Blocking
    /// Until it is loaded and has run.
    pub(super) fn measure(
        name: &str,
        choice: &Choice,
        files: &ModelFiles,
        settings: &ModelSettings,
    ) -> Result<Self, BackendError> {
        let config = settings.model_config(&choice.backend.default_config());
        let batching = settings
            .batching
            .as_ref()
            .unwrap_or(&BatchingSettings::Auto);
        let open = OpenChoices::of(settings, batching);
        let tuned = tune(name, &*choice.backend, files, config, Some(open))?;
        let joined = tuned.joining(batching);
        let max_rows = joined.as_ref().map_or(1, BatchingConfig::max_run_rows);
        Ok(Self { tuned, max_rows })
    }

    /// Returns how it is run, then a line for each size: rows, the time of a run, and what each row takes of it.
    pub(super) fn lines(&self) -> Vec<String> {
        let count = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            _ => format!("{count} {what}s"),
        };
        let config = self.tuned.config;
        let joined = match self.max_rows {
            1 => "each request runs alone".to_owned(),
            max_rows => format!("requests of up to {max_rows} rows run together"),
        };
        let layout = format!(
            "{} of {}; {joined}",
            count(config.num_instances.get(), "instance"),
            count(config.num_threads.get(), "thread"),
        );
        let costs = self.tuned.costs.costs().iter().map(|cost| {
            let row = cost.run.div_f64(cost.num_rows as f64);
            let rows = count(cost.num_rows, "row");
            let (run, row) = (time_text(cost.run), time_text(row));
            format!("{rows:<9} {run:>9} {row:>9} a row")
        });
        let mut lines: Vec<String> = [layout].into_iter().chain(costs).collect();
        if lines.len() == 1 {
            lines.push("not measured: inputs cannot be made up from what it declares, it refuses them, or it is slow".to_owned());
        }
        lines
    }

    pub(super) fn to_json(&self) -> Value {
        let runs = self.tuned.costs.costs().iter();
        json!({
            "instances": self.tuned.config.num_instances,
            "threads": self.tuned.config.num_threads,
            "max_joined_rows": self.max_rows,
            "runs": runs
                .map(|cost| json!({ "rows": cost.num_rows, "seconds": cost.run.as_secs_f64() }))
                .collect::<Value>(),
        })
    }
}

/// Writes a time in milliseconds, with three digits that say something.
fn time_text(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    let num_decimals = match millis {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        0.1.. => 3,
        _ => 4,
    };
    format!("{millis:.num_decimals$} ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_or_more() {
        let rows = [
            (7, "0.0070 ms"),
            (150, "0.150 ms"),
            (1500, "1.50 ms"),
            (15_000, "15.0 ms"),
            (1_500_000, "1500 ms"),
        ];
        for (micros, expected) in rows {
            assert_eq!(time_text(Duration::from_micros(micros)), expected);
        }
    }
}
