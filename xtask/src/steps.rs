//! Steps with their times, and the table of them at the end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How a step ended.
#[derive(Debug)]
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// The steps that were taken so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    taken: Vec<(String, Outcome, Duration)>,
}

impl Steps {
    /// Takes a step; a failure is kept for the end, so that the steps after it are tried too.
    ///
    /// Returns whether it passed.
    pub(crate) fn take(&mut self, name: &str, step: impl FnOnce() -> Result<()>) -> bool {
        println!("\n== {name}");
        let started = Instant::now();
        let outcome = match step() {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::Failed(format!("{error:#}")),
        };
        let elapsed = started.elapsed();
        let is_passed = matches!(outcome, Outcome::Passed);
        println!("== {name}: {} in {}", word(&outcome), seconds(elapsed));
        self.taken.push((name.to_owned(), outcome, elapsed));
        is_passed
    }

    pub(crate) fn skip(&mut self, name: &str, reason: impl Into<String>) {
        let reason = reason.into();
        println!("\n== {name}: skipped: {reason}");
        self.taken
            .push((name.to_owned(), Outcome::Skipped(reason), Duration::ZERO));
    }

    /// Prints the table and the closing line; fails if a step has failed.
    pub(crate) fn finish(self, title: &str) -> Result<()> {
        println!("\n{title:<24} {:>8}  outcome", "time");
        for (name, outcome, elapsed) in &self.taken {
            let note = match outcome {
                Outcome::Passed => String::new(),
                Outcome::Failed(reason) | Outcome::Skipped(reason) => format!(": {reason}"),
            };
            println!(
                "{name:<24} {:>8}  {}{note}",
                seconds(*elapsed),
                word(outcome)
            );
        }
        let total: Duration = self.taken.iter().map(|(_, _, elapsed)| *elapsed).sum();
        println!("{:<24} {:>8}", "total", seconds(total));
        let count = |word_of: &str| {
            self.taken
                .iter()
                .filter(|(_, outcome, _)| word(outcome) == word_of)
                .count()
        };
        let num_failed = count("failed");
        println!(
            "\n{title}: {} passed, {num_failed} failed, {} skipped",
            count("passed"),
            count("skipped")
        );
        match num_failed {
            0 => Ok(()),
            _ => bail!("{num_failed} of {} steps failed", self.taken.len()),
        }
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed(_) => "failed",
        Outcome::Skipped(_) => "skipped",
    }
}

fn seconds(elapsed: Duration) -> String {
    format!("{:.1} s", elapsed.as_secs_f64())
}
