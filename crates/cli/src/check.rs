//! `salver check`: every mistake in a folder of models, without serving it.

use salver_repository::{check, discover};

use crate::args::CheckArgs;
use crate::config::{self, Env};
use crate::exit::{Exit, Failure};
use crate::stores::Brought;
use crate::{engine, output};

/// Prints every mistake; the exit code tells whether there is one.
pub(crate) fn run(args: &CheckArgs, env: &Env) -> Result<Exit, Failure> {
    let registry = engine::registry(&config::engines(env));
    let brought = Brought::new(&args.dir, env)?;
    let mut problems = brought.problems();
    let here = check(brought.folder(), &registry);
    problems.extend(
        here.iter()
            .map(|problem| brought.shown(&problem.to_string())),
    );
    for problem in &problems {
        output::result(problem);
    }
    let num_models = discover(brought.folder()).entries.len();
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
