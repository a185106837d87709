//! The suite that every backend passes.
//!
//! ```no_run
//! # fn backend() -> impl salver_backend::Backend { salver_testkit::FakeBackend::new() }
//! salver_testkit::conformance::run(&backend(), &[("identity_f64", "computes in single precision")]);
//! ```
//!
//! A backend that cannot do what a case asks for lists the case with a reason. Such a case is run all the same: the
//! backend must refuse the model as [`BackendError::Unsupported`] and say what to do about it. One that passes, or
//! fails in another way, fails the suite, and so does a name that no case has.

mod answers;
mod files;
mod loaded;
mod requests;
mod types;

use std::fmt;

use salver_backend::{Backend, BackendError, ErrorCode, ModelFormat};

use loaded::Loaded;

/// Why a case does not pass.
#[derive(Debug)]
enum Failure {
    /// The backend refused the model.
    Refused(BackendError),
    /// Anything else.
    Wrong(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "the model is refused: {error}"),
            Self::Wrong(message) => f.write_str(message),
        }
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Wrong(message)
    }
}

type Outcome = Result<(), Failure>;

/// One thing that a backend must do.
struct Case {
    name: &'static str,
    check: fn(&dyn Backend) -> Outcome,
}

/// Runs every case against a backend; `skips` are names of cases with the reason why this backend cannot.
///
/// # Panics
/// With a list of everything that is wrong.
pub fn run(backend: &dyn Backend, skips: &[(&str, &str)]) {
    let of_format = match loaded::format(backend) {
        ModelFormat::Onnx => files::ONNX_CASES,
        _ => &[],
    };
    let all = [types::CASES, answers::CASES, requests::CASES, files::CASES];
    let cases: Vec<Case> = all
        .into_iter()
        .chain([of_format])
        .flatten()
        .map(Case::copy)
        .collect();
    let mut problems: Vec<String> = skips
        .iter()
        .filter(|(name, _)| !cases.iter().any(|case| case.name == *name))
        .map(|(name, _)| format!("{name}: is skipped, but there is no such case"))
        .collect();
    for case in &cases {
        let skip = skips.iter().find(|(name, _)| *name == case.name);
        let problem = match (skip, (case.check)(backend)) {
            (None, Ok(())) => continue,
            (None, Err(failure)) => failure.to_string(),
            (Some(_), outcome) => match refusal_problem(outcome) {
                Some(problem) => problem,
                None => continue,
            },
        };
        problems.push(format!("{}: {problem}", case.name));
    }
    assert!(
        problems.is_empty(),
        "{} does not conform:\n  {}",
        backend.platform(),
        problems.join("\n  ")
    );
}

/// What is wrong with the outcome of a case that the backend is said not to be able to do.
fn refusal_problem(outcome: Outcome) -> Option<String> {
    match outcome {
        Ok(()) => Some("is skipped, but passes".to_owned()),
        Err(Failure::Refused(BackendError::Unsupported { remedy, .. })) if !remedy.is_empty() => {
            None
        }
        Err(failure) => Some(format!(
            "is skipped, but is not refused with a remedy: {failure}"
        )),
    }
}

impl Case {
    fn copy(&self) -> Self {
        Self {
            name: self.name,
            check: self.check,
        }
    }
}

/// Fails unless a condition holds.
fn ensure(holds: bool, message: impl FnOnce() -> String) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(Failure::Wrong(message()))
    }
}

/// Fails unless a run was refused because of what it was given, by the engine or by one of the model's kernels.
fn ensure_invalid_input<T: std::fmt::Debug>(result: Result<T, BackendError>) -> Outcome {
    match result {
        Err(
            BackendError::InvalidInput { .. }
            | BackendError::Model {
                code: ErrorCode::InvalidArgument,
                ..
            },
        ) => Ok(()),
        other => Err(Failure::Wrong(format!(
            "expected InvalidInput, got {other:?}"
        ))),
    }
}
