//! What was measured: rows, medians over rounds, ratios and the goals that they meet or miss.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};

/// What one number is.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Key {
    /// The case, as `tiny, 16 connections`.
    pub(crate) case: String,
    /// The server and how it was asked.
    pub(crate) who: String,
    /// What was measured, with its unit.
    pub(crate) what: String,
}

/// Whether a goal is met from above or from below.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Is {
    /// The measured value has to be this at least.
    AtLeast,
    /// The measured value has to be this at most.
    AtMost,
}

#[derive(Clone, Debug)]
struct Goal {
    what: String,
    measured: f64,
    is: Is,
    goal: f64,
}

impl Goal {
    fn is_met(&self) -> bool {
        match self.is {
            Is::AtLeast => self.measured >= self.goal,
            Is::AtMost => self.measured <= self.goal,
        }
    }
}

/// Everything that was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    values: BTreeMap<Key, Vec<f64>>,
    goals: Vec<Goal>,
}

impl Report {
    /// Reads what [`Report::raw`] wrote.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let raw: Raw =
            serde_json::from_str(text).context("these are not the results of a benchmark")?;
        let mut report = Self::default();
        for values in raw.values {
            for value in values.rounds {
                let value = value.unwrap_or(f64::NAN);
                report.add(&values.case, &values.who, &values.what, value);
            }
        }
        for goal in raw.goals {
            let is = if goal.at_least {
                Is::AtLeast
            } else {
                Is::AtMost
            };
            report.goal(goal.what, goal.measured.unwrap_or(f64::NAN), is, goal.goal);
        }
        Ok(report)
    }

    /// Adds what one round measured.
    pub(crate) fn add(&mut self, case: &str, who: &str, what: &str, value: f64) {
        let key = Key {
            case: case.to_owned(),
            who: who.to_owned(),
            what: what.to_owned(),
        };
        self.values.entry(key).or_default().push(value);
    }

    /// Returns the median over the rounds.
    pub(crate) fn median(&self, case: &str, who: &str, what: &str) -> Option<f64> {
        let rounds = self.rounds(case, who, what);
        (!rounds.is_empty()).then(|| median(rounds))
    }

    /// Returns what the last round measured.
    pub(crate) fn last(&self, case: &str, who: &str, what: &str) -> Option<f64> {
        self.rounds(case, who, what).last().copied()
    }

    /// Returns what the last round measured, of what the first did; `None` of fewer than two.
    pub(crate) fn growth(&self, case: &str, who: &str, what: &str) -> Option<f64> {
        match *self.rounds(case, who, what) {
            [first, .., last] => Some(last / first),
            _ => None,
        }
    }

    /// Returns the medians of one value of a case, by whose they are.
    pub(crate) fn medians(&self, case: &str, what: &str) -> Vec<(String, f64)> {
        let of_case = self
            .values
            .iter()
            .filter(|(key, _)| key.case == case && key.what == what);
        of_case
            .map(|(key, values)| (key.who.clone(), median(values)))
            .collect()
    }

    /// Compares two servers with a goal, where both were measured: the median of the ratios within each round, as what
    /// slows the machine down for a while then hits both.
    pub(crate) fn ratio(&mut self, case: &str, whose: [&str; 2], what: &str, is: Is, goal: f64) {
        let [these, others] = whose.map(|who| self.rounds(case, who, what));
        let ratios: Vec<f64> = these
            .iter()
            .zip(others)
            .map(|(this, other)| this / other)
            .collect();
        if !ratios.is_empty() {
            let text = format!("{case}: {what}, {} to {}", whose[0], whose[1]);
            self.goal(text, median(&ratios), is, goal);
        }
    }

    /// Returns the values of all rounds; none if it was not measured.
    fn rounds(&self, case: &str, who: &str, what: &str) -> &[f64] {
        let key = Key {
            case: case.to_owned(),
            who: who.to_owned(),
            what: what.to_owned(),
        };
        self.values.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Adds a value that has a goal.
    pub(crate) fn goal(&mut self, what: String, measured: f64, is: Is, goal: f64) {
        self.goals.push(Goal {
            what,
            measured,
            is,
            goal,
        });
    }

    /// Returns tables of medians, and of the goals.
    pub(crate) fn tables(&self) -> String {
        let mut text = String::new();
        let mut case = "";
        for (key, values) in &self.values {
            if key.case != case {
                case = &key.case;
                write!(text, "\n{case}\n").expect("text can be written");
            }
            let (low, high) = (
                values.iter().copied().fold(f64::INFINITY, f64::min),
                values.iter().copied().fold(0.0, f64::max),
            );
            writeln!(
                text,
                "  {:<36} {:<28} {:>12.2}   {low:.2} to {high:.2}",
                key.who,
                key.what,
                median(values)
            )
            .expect("text can be written");
        }
        text.push('\n');
        for goal in &self.goals {
            let word = if goal.is_met() { "met   " } else { "MISSED" };
            let sense = if goal.is == Is::AtLeast {
                "at least"
            } else {
                "at most"
            };
            writeln!(
                text,
                "{word} {:>8.3}, {sense} {:<6} {}",
                goal.measured, goal.goal, goal.what
            )
            .expect("text can be written");
        }
        text
    }

    /// Returns every value of every round.
    pub(crate) fn raw(&self) -> Value {
        let values: Vec<Value> = self
            .values
            .iter()
            .map(|(key, values)| json!({"case": key.case, "who": key.who, "what": key.what, "rounds": values}))
            .collect();
        let goals: Vec<Value> = self
            .goals
            .iter()
            .map(|goal| {
                json!({
                    "what": goal.what, "measured": goal.measured, "goal": goal.goal,
                    "at_least": goal.is == Is::AtLeast, "met": goal.is_met(),
                })
            })
            .collect();
        json!({"values": values, "goals": goals})
    }
}

#[derive(Deserialize)]
struct Raw {
    values: Vec<RawValues>,
    goals: Vec<RawGoal>,
}

#[derive(Deserialize)]
struct RawValues {
    case: String,
    who: String,
    what: String,
    /// What is not a number is `null` in JSON.
    rounds: Vec<Option<f64>>,
}

#[derive(Deserialize)]
struct RawGoal {
    what: String,
    measured: Option<f64>,
    goal: f64,
    at_least: bool,
}

/// Returns the middle of some values, of which there is one at least.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_compared_one_by_one_and_their_median_with_a_goal() {
        let mut report = Report::default();
        for (this, other) in [(10.0, 5.0), (30.0, 5.0), (20.0, 50.0)] {
            report.add("tiny", "this", "answers/s", this);
            report.add("tiny", "other", "answers/s", other);
        }
        assert_eq!(report.growth("tiny", "this", "answers/s"), Some(2.0));
        report.add("tiny", "this", "once", 1.0);
        assert_eq!(report.growth("tiny", "this", "once"), None);
        report.ratio("tiny", ["this", "other"], "answers/s", Is::AtLeast, 2.0);
        report.ratio("tiny", ["this", "nobody"], "answers/s", Is::AtLeast, 2.0);
        report.ratio("tiny", ["this", "other"], "answers/s", Is::AtMost, 1.5);
        let goals: Vec<(f64, bool)> = report
            .goals
            .iter()
            .map(|goal| (goal.measured, goal.is_met()))
            .collect();
        assert_eq!(goals, [(2.0, true), (2.0, false)]);
        assert!(report.tables().contains("MISSED"));
        let again = Report::read(&report.raw().to_string()).unwrap();
        assert_eq!(again.tables(), report.tables());
        assert_eq!(
            again.medians("tiny", "answers/s"),
            [("other".to_owned(), 5.0), ("this".to_owned(), 20.0)]
        );
    }
}
