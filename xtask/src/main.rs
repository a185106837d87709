//! Everything that CI does, as commands: `cargo xtask help`.
//!
//! Owns the project's own checks ([`tidy`], [`licences`], [`unused`]) and the order in which the rest are run. Does
//! not own what a check means to a reader: `docs/style.md` and `ARCHITECTURE.md` do.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to its terminal"
)]

mod bench;
mod ci;
mod fuzz;
mod licences;
mod metadata;
mod shell;
mod steps;
mod test;
mod tidy;
mod unused;

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::shell::Shell;

const HELP: &str = "\
Everything that CI does, as commands.

  cargo xtask test [--no-python]           sets up what the tests need and runs every test
  cargo xtask ci [--only STEP]... [--skip STEP]... [--fuzz-seconds N] [--no-python]
                                           every check; the steps are fmt, tidy, deny, unused, clippy, doc, test, fuzz
  cargo xtask tidy                         the project's own rules: sizes, crate edges, unsafe, channels, texts
  cargo xtask deny                         licences, bans and sources of all dependencies (deny.toml)
  cargo xtask unused                       dependencies that no source file names
  cargo xtask bench [--no-peers] [--rounds N] [--seconds S] [--requests N] [--overload-seconds S]
                    [--only CASE]...       measures the release build beside its peers and prints ratios; without
                                           them, and without ONNX Runtime, beside bare handlers only
  cargo xtask fuzz [--seconds N] [TARGET]... runs the fuzz targets (needs the nightly toolchain and a C++ compiler)

Nothing is installed outside target/, except by apt-get where a package is missing and the user is root.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else {
        println!("{HELP}");
        return Ok(());
    };
    let shell = Shell::at_repository_root()?;
    match command.as_str() {
        "test" => test::run(&shell, &test::Options::parse(rest)?),
        "ci" => ci::run(&shell, &ci::Options::parse(rest)?),
        "bench" => bench::run(&shell, &bench::Options::parse(rest)),
        "fuzz" => fuzz::run(&shell, &fuzz::Options::parse(rest)?),
        "tidy" => without_arguments(rest).and_then(|()| tidy::run(&shell)),
        "deny" => without_arguments(rest).and_then(|()| licences::run(&shell)),
        "unused" => without_arguments(rest).and_then(|()| unused::run(&shell)),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        other => bail!("there is no command `{other}`; `cargo xtask help` lists them"),
    }
}

fn without_arguments(rest: &[String]) -> Result<()> {
    match rest.first() {
        None => Ok(()),
        Some(extra) => bail!("unexpected `{extra}`"),
    }
}

/// Returns the number after a flag.
fn number_after(flag: &str, value: Option<&String>) -> Result<u64> {
    let value = value.with_context(|| format!("{flag} needs a number"))?;
    value
        .parse()
        .with_context(|| format!("{flag} {value}: not a whole number"))
}
