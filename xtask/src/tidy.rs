//! The project's own rules, checked over every file that git knows or would take.
//!
//! Each rule is a function of the [`Tree`] to its [`Finding`]s, so its test is a small tree with the mistake in it.
//! What a rule must let pass is listed in [`exceptions`] with the reason; an exception that lets nothing pass is
//! itself a finding.

mod boundaries;
mod commands;
mod edges;
mod exceptions;
mod lints;
mod sizes;
mod source;
mod texts;
mod tree;

use std::fmt;

use anyhow::{Result, bail};

pub(crate) use source::Source;
pub(crate) use tree::{Tree, dependencies};

use crate::shell::Shell;

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    rule: &'static str,
    path: String,
    line: Option<usize>,
    /// What an exception names: the path, or `path#function`.
    subject: String,
    message: String,
}

impl Finding {
    fn at(rule: &'static str, path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            line: Some(line),
            ..Self::of_file(rule, path, message)
        }
    }

    fn of_file(rule: &'static str, path: &str, message: impl Into<String>) -> Self {
        Self {
            rule,
            path: path.to_owned(),
            line: None,
            subject: path.to_owned(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {} [{}]", self.path, self.message, self.rule),
            None => write!(f, "{}: {} [{}]", self.path, self.message, self.rule),
        }
    }
}

type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: &[Rule] = &[
    sizes::functions,
    sizes::files,
    sizes::module_docs,
    sizes::module_files,
    edges::crates,
    edges::engines,
    lints::tables,
    lints::reasons,
    boundaries::unsafe_code,
    boundaries::environment,
    boundaries::proto,
    boundaries::tasks,
    boundaries::channels,
    boundaries::clocks,
    boundaries::test_code,
    boundaries::status_table,
    texts::workplace,
    texts::sources,
    texts::links,
    commands::documented,
];

pub(crate) fn run(shell: &Shell) -> Result<()> {
    let tree = Tree::read(shell)?;
    let all = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    let findings = exceptions::apply(all);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => {
            println!(
                "tidy: {} rules hold in {} files",
                RULES.len(),
                tree.num_files()
            );
            Ok(())
        }
        count => bail!(
            "{count} places break a rule; what cannot be otherwise is listed in tidy/exceptions.rs"
        ),
    }
}
