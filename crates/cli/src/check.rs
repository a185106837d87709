//! `salver check`: every mistake in a folder of models, without serving it.

use salver_repository::{check, discover};

use crate::args::CheckArgs;
use crate::config::{self, Env};
use crate::exit::{Exit, Failure};
use crate::{engine, output};

/// Prints every mistake; the exit code tells whether there is one.
pub(crate) fn run(args: &CheckArgs, env: &Env) -> Result<Exit, Failure> {
    let registry = engine::registry(&config::engines(env));
    let problems = check(&args.dir, &registry);
    for problem in &problems {
        output::result(&problem.to_string());
    }
    let num_models = discover(&args.dir).entries.len();
    let (summary, exit) = match (problems.len(), num_models) {
        (0, 0) => (
            "there is no model; wanted is NAME/1/model.onnx or NAME.onnx".to_owned(),
            Exit::Config,
        ),
        (0, 1) => ("1 model, no mistakes".to_owned(), Exit::Done),
        (0, _) => (format!("{num_models} models, no mistakes"), Exit::Done),
        (1, _) => ("1 mistake".to_owned(), Exit::Config),
        (num_problems, _) => (format!("{num_problems} mistakes"), Exit::Config),
    };
    output::note(&format!("{}: {summary}", args.dir.display()));
    Ok(exit)
}
