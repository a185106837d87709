//! `cargo xtask ci`: every check, cheapest first, with one set of build artefacts.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::shell::{self, Shell};
use crate::steps::Steps;
use crate::{fuzz, licences, number_after, test, tidy, unused};

/// The steps in their order.
const STEPS: [&str; 8] = [
    "fmt", "tidy", "deny", "unused", "clippy", "doc", "test", "fuzz",
];

/// Which checks to make.
#[derive(Debug)]
pub(crate) struct Options {
    only: Vec<String>,
    skip: Vec<String>,
    /// How long each fuzz target runs; 0 only compiles them.
    fuzz_seconds: u64,
    tests: test::Options,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let tests = test::Options { python: true };
        let mut options = Self {
            only: Vec::new(),
            skip: Vec::new(),
            fuzz_seconds: 0,
            tests,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--only" => options.only.push(step(arguments.next())?),
                "--skip" => options.skip.push(step(arguments.next())?),
                "--fuzz-seconds" => {
                    options.fuzz_seconds = number_after(argument, arguments.next())?
                }
                "--no-python" => options.tests.python = false,
                other => bail!("unexpected `{other}`; `cargo xtask help` lists the flags"),
            }
        }
        Ok(options)
    }

    fn wants(&self, step: &str) -> bool {
        let names = |list: &[String]| list.iter().any(|name| name == step);
        (self.only.is_empty() || names(&self.only)) && !names(&self.skip)
    }
}

fn step(name: Option<&String>) -> Result<String> {
    let name = name.context("a step is missing")?;
    if !STEPS.contains(&name.as_str()) {
        bail!("there is no step `{name}`; they are {}", STEPS.join(", "));
    }
    Ok(name.clone())
}

pub(crate) fn run(shell: &Shell, options: &Options) -> Result<()> {
    let mut steps = Steps::default();
    for name in STEPS.into_iter().filter(|name| options.wants(name)) {
        match name {
            "fmt" => steps.take(name, || fmt(shell)),
            "tidy" => steps.take(name, || tidy::run(shell)),
            "deny" => steps.take(name, || licences::run(shell)),
            "unused" => steps.take(name, || unused::run(shell)),
            "clippy" => steps.take(name, || shell::run(clippy(shell))),
            "doc" => steps.take(name, || shell::run(doc(shell))),
            "test" => {
                test::take(shell, &options.tests, &mut steps);
                true
            }
            _ => fuzz::take(shell, options.fuzz_seconds, &mut steps),
        };
    }
    steps.finish("checks")
}

fn fmt(shell: &Shell) -> Result<()> {
    shell::run(shell.cargo(&["fmt", "--all", "--check"]))?;
    // A workspace of its own.
    shell::run(shell.cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"]))
}

fn clippy(shell: &Shell) -> Command {
    shell.cargo(&[
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-Dwarnings",
    ])
}

fn doc(shell: &Shell) -> Command {
    let mut doc = shell.cargo(&[
        "doc",
        "--locked",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ]);
    doc.env("RUSTDOCFLAGS", "-Dwarnings");
    doc
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(line: &str) -> Vec<&'static str> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let options = Options::parse(&arguments).unwrap();
        STEPS
            .into_iter()
            .filter(|step| options.wants(step))
            .collect()
    }

    #[test]
    fn steps_are_chosen_by_only_and_skip() {
        assert_eq!(wanted(""), STEPS);
        assert_eq!(wanted("--only tidy --only fmt"), ["fmt", "tidy"]);
        assert_eq!(
            wanted("--skip test --skip fuzz"),
            ["fmt", "tidy", "deny", "unused", "clippy", "doc"]
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("--only", "missing"),
            ("--only all", "no step `all`"),
            ("--fuzz-seconds x", "whole number"),
        ] {
            let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let error = format!("{:#}", Options::parse(&arguments).unwrap_err());
            assert!(error.contains(part), "{line}: {error}");
        }
    }

    #[test]
    fn the_help_names_every_step() {
        assert!(crate::HELP.contains(&STEPS.join(", ")));
    }
}
