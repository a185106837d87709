//! The `salver` command.
//!
//! ```text
//! tf_style (whose rules) ─► args (what was typed) ─► config (what it means) ─► serve | predict | inspect | check | engine
//! ```
//!
//! The only place that reads arguments and the environment, and (in `engine`) the only one that names engines.

mod answer;
mod args;
mod batching;
mod certificates;
mod check;
mod config;
mod engine;
mod example;
mod exit;
mod files;
mod inspect;
mod labels;
mod list_file;
mod local;
mod machine;
mod models;
mod output;
mod picture;
mod predict;
mod progress;
mod quiet;
mod reload;
mod serve;
mod signals;
mod startup;
mod stores;
mod table;
mod tf_style;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use config::Env;
use exit::Exit;
use tf_style::{CommandLine, Style};

/// How variables begin that concern Salver: its own, and those that say how object stores are reached.
const OF_PREFIXES: [&str; 4] = ["SALVER_", "AWS_", "AZURE_", "GOOGLE_"];

/// Variables that concern Salver beside those.
const OTHER_VARIABLES: [&str; 6] = [
    "HOME",
    "IDENTITY_ENDPOINT",
    "MODEL_BASE_PATH",
    "MODEL_NAME",
    "STORAGE_EMULATOR_HOST",
    "XDG_CACHE_HOME",
];

fn main() -> ExitCode {
    salver_system::memory::configure();
    run(std::env::args_os().collect(), &environment()).into()
}

fn run(typed: Vec<OsString>, env: &Env) -> Exit {
    let line = CommandLine::read(typed, env);
    if line.asks_for_version() {
        let tensorflow = engine::tensorflow_version(env);
        output::result(&tf_style::versions(tensorflow.as_deref()));
        return Exit::Done;
    }
    if line.asks_for_usage() {
        usage(line.style);
        return Exit::TfStart;
    }
    let cli = match Cli::try_parse_from(&line.words) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, line.style),
    };
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(&args, env, line.style, &line.unknown),
        Command::Predict(args) => predict::run(&args, env),
        Command::Inspect(args) => inspect::run(&args, env),
        Command::Check(args) => check::run(&args, env),
        Command::Engine(command) => engine::run(&command, env),
        Command::Entrypoint(args) => {
            return run(tf_style::entrypoint(args.arguments, env), env);
        }
    };
    match outcome {
        Ok(exit) => exit,
        Err(failure) => {
            failure.report(false);
            failure.exit
        }
    }
}

/// Returns the variables that concern Salver; what is not UTF-8 is kept as well as can be, to be named in an error.
fn environment() -> Env {
    std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        })
        .filter(|(name, _)| {
            OF_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
                || OTHER_VARIABLES.contains(&name.as_str())
        })
        .collect()
}

/// Prints help or what is wrong with the command line.
fn refuse(error: &clap::Error, style: Style) -> Exit {
    // Only a closed pipe makes this fail, and then nobody reads it.
    drop(error.print());
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ if style.is_tensorflow() => {
            usage(style);
            Exit::TfStart
        }
        _ => Exit::Usage,
    }
}

/// Prints the flags, where TensorFlow's server does.
fn usage(style: Style) {
    let name = match style {
        Style::TensorFlowName => tf_style::NAME,
        Style::Own | Style::TensorFlowFlags => "salver serve",
    };
    let command = Cli::command();
    if let Some(serve) = command.find_subcommand("serve") {
        let mut serve = serve.clone().bin_name(name);
        output::result(&serve.render_help().to_string());
    }
}

#[cfg(test)]
mod tests;
