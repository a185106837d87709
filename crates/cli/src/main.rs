//! The `salver` command.
//!
//! ```text
//! args (what was typed) ─► config (what it means) ─► serve | predict | inspect | check | engine
//! ```
//!
//! The only place that reads arguments and the environment, and (in `engine`) the only one that names engines.

mod answer;
mod args;
mod check;
mod config;
mod engine;
mod example;
mod exit;
mod inspect;
mod local;
mod machine;
mod models;
mod output;
mod picture;
mod predict;
mod progress;
mod reload;
mod serve;
mod signals;
mod startup;
mod table;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Cli, Command};
use config::Env;
use exit::Exit;

/// The name under which the program takes the arguments of TensorFlow's server.
const TENSORFLOW_NAME: &str = "tensorflow_model_server";

fn main() -> ExitCode {
    salver_memory::configure();
    let typed: Vec<OsString> = std::env::args_os().collect();
    let is_tf_style = is_tf_style(&typed);
    let cli = match Cli::try_parse_from(with_command(typed)) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, is_tf_style).into(),
    };
    let env = environment();
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(&args, &env, is_tf_style),
        Command::Predict(args) => predict::run(&args, &env),
        Command::Inspect(args) => inspect::run(&args, &env),
        Command::Check(args) => check::run(&args, &env),
        Command::Engine(command) => engine::run(&command, &env),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.report(false);
            failure.exit.into()
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
            name.starts_with("SALVER_") || name == "XDG_CACHE_HOME" || name == "HOME"
        })
        .collect()
}

/// Puts in the command that goes without saying under TensorFlow's name.
fn with_command(mut typed: Vec<OsString>) -> Vec<OsString> {
    if is_tensorflow_name(&typed) {
        typed.insert(1, OsString::from("serve"));
    }
    typed
}

fn is_tensorflow_name(typed: &[OsString]) -> bool {
    typed
        .first()
        .and_then(|program| Path::new(program).file_stem())
        .is_some_and(|name| name == TENSORFLOW_NAME)
}

/// Tells before anything is parsed whether a mistake has the exit code of TensorFlow's server.
fn is_tf_style(typed: &[OsString]) -> bool {
    let is_base_path = |word: &OsString| {
        let word = word.to_string_lossy();
        word.starts_with("--model_base_path") || word.starts_with("--model-base-path")
    };
    is_tensorflow_name(typed) || typed.iter().any(is_base_path)
}

/// Prints help or what is wrong with the command line.
fn refuse(error: &clap::Error, is_tf_style: bool) -> Exit {
    // Only a closed pipe makes this fail, and then nobody reads it.
    drop(error.print());
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ if is_tf_style => Exit::TfStart,
        _ => Exit::Usage,
    }
}

#[cfg(test)]
mod tests;
