//! Salver beside its peers: `cargo xtask bench` builds everything, installs the peers and calls this.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to its terminal"
)]

mod cases;
mod cores;
mod installed;
mod load;
mod model;
mod models;
mod plot;
mod process;
mod report;
mod runs;
mod servers;
mod stalls;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cases::{Bench, CASES, Case, RATE, Scale};
use crate::plot::Bar;
use crate::report::Report;
use crate::servers::Programs;

const HELP: &str = "\
usage: salver-benches --salver FILE [--engines DIR] [--peers DIR] [--out FILE] [--rounds N] [--seconds S]
                      [--requests N] [--overload-seconds S] [--only CASE]... [--from FILE] [--plot FILE]

  --salver FILE   the binary that is measured
  --engines DIR   where its engines were installed (SALVER_CACHE_DIR)
  --peers DIR     a virtual environment with FastAPI, ONNX Runtime and nvidia-pytriton; without it no peer is measured
  --out FILE      every value of every round, as JSON
  --rounds N      how often each server has its turn (default 5)
  --seconds S     how long a turn is (default 3)
  --requests N    requests of a turn in which CPU time is measured (default 20000)
  --overload-seconds S
                  how long each overload is (default: four turns)
  --only CASE     this case only; may be repeated
  --from FILE     measures nothing and shows what --out wrote before
  --plot FILE     draws the rates of the smallest model, as SVG
";

/// The case that is drawn.
const PLOTTED: &str = "tiny, 16 connections";

struct Options {
    bench: Bench,
    out: Option<PathBuf>,
    plot: Option<PathBuf>,
    cases: Vec<&'static Case>,
}

fn main() -> ExitCode {
    match options(std::env::args().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("salver-benches: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let (mut salver, mut engines, mut peers, mut out) = (None, None, None, None);
    let (mut from, mut plot) = (None, None);
    let mut scale = Scale::default();
    let mut cases = Vec::new();
    while let Some(flag) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("{flag} has no value\n{HELP}"))?;
        match flag.as_str() {
            "--salver" => salver = Some(std::path::absolute(value)?),
            "--engines" => engines = Some(std::path::absolute(value)?),
            "--peers" => peers = Some(std::path::absolute(value)?),
            "--out" => out = Some(PathBuf::from(value)),
            "--from" => from = Some(PathBuf::from(value)),
            "--plot" => plot = Some(PathBuf::from(value)),
            "--rounds" => scale.rounds = value.parse().context("--rounds")?,
            "--seconds" => scale.turn = seconds(&value).context("--seconds")?,
            "--requests" => scale.requests = value.parse().context("--requests")?,
            "--overload-seconds" => {
                scale.overload = Some(seconds(&value).context("--overload-seconds")?);
            }
            "--only" => cases.push(case(&value)?),
            _ => bail!("there is no {flag}\n{HELP}"),
        }
    }
    let report = match from {
        Some(file) => Report::read(&std::fs::read_to_string(file)?)?,
        None => {
            if cases.is_empty() {
                cases.extend(CASES);
            }
            Report::default()
        }
    };
    let folder = tempfile::tempdir()?.keep();
    let programs = Programs {
        salver: match salver {
            None if !cases.is_empty() => bail!("--salver is missing\n{HELP}"),
            salver => salver.unwrap_or_default(),
        },
        engines,
        bare: std::env::current_exe()?.with_file_name("bare"),
        peers,
        folder,
    };
    let bench = Bench {
        programs,
        scale,
        report,
    };
    Ok(Options {
        bench,
        out,
        plot,
        cases,
    })
}

fn seconds(value: &str) -> Result<Duration> {
    Ok(Duration::try_from_secs_f64(value.parse()?)?)
}

fn case(name: &str) -> Result<&'static Case> {
    let names = || {
        CASES
            .iter()
            .map(|(name, ..)| *name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    CASES
        .iter()
        .find(|(known, ..)| *known == name)
        .with_context(|| format!("there is no case {name}; there are {}", names()))
}

fn run(options: Options) -> Result<()> {
    let Options {
        mut bench,
        out,
        plot,
        cases,
    } = options;
    for (name, what, play) in cases {
        eprintln!("{name}: {what}");
        play(&mut bench)
            .with_context(|| format!("{name} (logs are in {})", bench.programs.folder.display()))?;
        // After each case: the next may take half an hour, or fail.
        if let Some(out) = &out {
            std::fs::write(out, format!("{:#}\n", bench.report.raw()))?;
        }
    }
    print!("{}", bench.report.tables());
    if let Some(plot) = plot {
        let medians = bench.report.medians(PLOTTED, RATE);
        let bars = medians.into_iter().map(|(who, value)| Bar { who, value });
        std::fs::write(
            plot,
            plot::bars(&format!("{RATE}: {PLOTTED}"), bars.collect()),
        )?;
    }
    std::fs::remove_dir_all(&bench.programs.folder)?;
    Ok(())
}
