//! `cargo xtask fuzz`: builds the fuzz targets with libFuzzer's instrumentation and runs them.
//!
//! What `cargo fuzz` does is a handful of compiler flags; passing them here needs no further tool, only a nightly
//! compiler (the flags are not stable) and a C++ compiler (libFuzzer is one).

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use toml::Table;

use crate::number_after;
use crate::shell::{self, Shell};
use crate::steps::Steps;

const FOLDER: &str = "fuzz";

/// How long each target runs unless `--seconds` says otherwise.
const DEFAULT_SECONDS: u64 = 60;

/// A decoder that needs more than this for one input has a bug.
const MAX_RSS_MEGABYTES: u64 = 2048;
const MAX_SECONDS_PER_INPUT: u64 = 10;

/// Every branch counts, so that inputs which reach new code are kept; assertions and overflow checks are on.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Copt-level=2 -Cdebug-assertions=on";

/// Naming the target keeps the flags away from build scripts.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Which targets to run, for how long.
#[derive(Debug)]
pub(crate) struct Options {
    seconds: u64,
    targets: Vec<String>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            seconds: DEFAULT_SECONDS,
            targets: Vec::new(),
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seconds" => options.seconds = number_after(argument, arguments.next())?,
                flag if flag.starts_with('-') => {
                    bail!("unexpected `{flag}`; only --seconds is known")
                }
                target => options.targets.push(target.to_owned()),
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(shell: &Shell, options: &Options) -> Result<()> {
    let all = targets(shell)?;
    if let Some(unknown) = options.targets.iter().find(|target| !all.contains(target)) {
        bail!(
            "there is no fuzz target `{unknown}`; they are {}",
            all.join(", ")
        );
    }
    let chosen = if options.targets.is_empty() {
        all
    } else {
        options.targets.clone()
    };
    build(shell)?;
    let mut steps = Steps::default();
    for target in chosen {
        steps.take(&target, || run_target(shell, &target, options.seconds));
    }
    steps.finish("fuzzing")
}

/// Takes the fuzzing steps of `ci`: compiles the targets, and runs them if `seconds` is not 0.
pub(crate) fn take(shell: &Shell, seconds: u64, steps: &mut Steps) -> bool {
    if !shell::succeeds(nightly(shell, "--version")) {
        steps.skip("fuzz", "there is no nightly toolchain");
        return true;
    }
    let is_built = steps.take("fuzz build", || build(shell));
    if !is_built || seconds == 0 {
        return is_built;
    }
    for target in targets(shell).unwrap_or_default() {
        steps.take(&format!("fuzz {target}"), || {
            run_target(shell, &target, seconds)
        });
    }
    true
}

/// Returns the names of the binaries that the package declares.
fn targets(shell: &Shell) -> Result<Vec<String>> {
    let manifest = shell.path(FOLDER).join("Cargo.toml");
    let manifest = fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
    let manifest: Table = manifest.parse().context("fuzz/Cargo.toml")?;
    let binaries = manifest
        .get("bin")
        .and_then(toml::Value::as_array)
        .context("fuzz/Cargo.toml declares [[bin]]")?;
    Ok(binaries
        .iter()
        .filter_map(|binary| binary.get("name")?.as_str().map(str::to_owned))
        .collect())
}

fn build(shell: &Shell) -> Result<()> {
    let mut build = nightly(shell, "build");
    build.args([
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--bins",
        "--release",
        "--target",
        TARGET,
    ]);
    build
        .arg("--target-dir")
        .arg(target_dir(shell))
        .env("RUSTFLAGS", FLAGS);
    shell::run(build)
}

fn nightly(shell: &Shell, command: &str) -> Command {
    let mut cargo = shell.program("cargo", &["+nightly", command]);
    // What the outer cargo set for itself would bind the inner one to the stable compiler.
    for name in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTC", "RUSTDOC", "RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    cargo
}

/// Runs one target on the inputs it has found so far and on the committed seeds.
fn run_target(shell: &Shell, target: &str, seconds: u64) -> Result<()> {
    let corpus = shell.path(FOLDER).join("corpus").join(target);
    let artifacts = shell.path(FOLDER).join("artifacts").join(target);
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    let binary = target_dir(shell).join(TARGET).join("release").join(target);
    let mut fuzz = shell.program(binary, &["-print_final_stats=1", "-verbosity=0"]);
    fuzz.arg(format!("-max_total_time={seconds}"));
    fuzz.arg(format!("-rss_limit_mb={MAX_RSS_MEGABYTES}"));
    fuzz.arg(format!("-timeout={MAX_SECONDS_PER_INPUT}"));
    fuzz.arg(format!("-artifact_prefix={}/", artifacts.display()));
    fuzz.arg(corpus);
    let seeds = shell.path(FOLDER).join("seeds").join(target);
    if seeds.is_dir() {
        fuzz.arg(seeds);
    }
    let log = target_dir(shell).join(format!("{target}.log"));
    fuzz.stderr(fs::File::create(&log)?);
    let outcome = shell::run(fuzz);
    let log = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let is_wanted = |line: &&str| outcome.is_err() || line.starts_with("stat::");
    log.lines()
        .filter(is_wanted)
        .for_each(|line| println!("{line}"));
    outcome.with_context(|| format!("the input that did it is in {}", artifacts.display()))
}

fn target_dir(shell: &Shell) -> PathBuf {
    shell.path("target/fuzz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_and_seconds_are_read() {
        let words = ["--seconds", "5", "json_body"].map(str::to_owned);
        let options = Options::parse(&words).unwrap();
        assert_eq!(
            (options.seconds, options.targets),
            (5, vec!["json_body".to_owned()])
        );
        assert!(Options::parse(&["--minutes".to_owned()]).is_err());
    }
}
