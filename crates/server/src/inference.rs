//! Questions about rows of `tensorflow.Example`: which signature, whether it has the form, one run, the answers.
//!
//! ```text
//! Examples ─► Question (signature, form) ─► rows (one tensor of strings) ─► infer::run ─► Results, one per question
//! ```
//!
//! Owns the order of the checks, which is TensorFlow Serving's. Does not own wire forms.

mod error;
mod joint;

use std::sync::Arc;

use salver_backend::Signature;
use salver_batching::{Batch, Priority};
use salver_protocol::inference::{
    Classifications, Examples, ModelSpecEcho, Regressions, ResultError, Results,
};
use salver_protocol::metadata::debug_string;
use salver_repository::LoadedModel;
use salver_servable::Handle;
use salver_telemetry::Api;
use salver_tensor::Tensor;
use tokio::time::Instant;

use crate::infer::{self, Answer, Job, Outputs};
use crate::status::ServeError;
use crate::work::Work;

pub(crate) use error::InferenceError;

/// Making strings of a message's rows costs some 30 ns each: half as much work for a byte as JSON is.
const JSON_SPEEDUP: usize = 2;

/// The aliases that a signature must have.
const INPUTS: &str = "inputs";
const CLASSES: &str = "classes";
const SCORES: &str = "scores";
const OUTPUTS: &str = "outputs";

/// What kind of answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InferenceMethod {
    Classify,
    Regress,
}

impl InferenceMethod {
    /// Returns the kind of a task, by TensorFlow's name of it.
    pub(crate) fn of_name(name: &str) -> Result<Self, InferenceError> {
        [Self::Classify, Self::Regress]
            .into_iter()
            .find(|method| method.name() == name)
            .ok_or_else(|| InferenceError::UnsupportedMethod(name.to_owned()))
    }

    /// Returns what it is counted as.
    pub(crate) const fn api(self) -> Api {
        match self {
            Self::Classify => Api::Classify,
            Self::Regress => Api::Regress,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Classify => "tensorflow/serving/classify",
            Self::Regress => "tensorflow/serving/regress",
        }
    }

    /// Returns what messages call it.
    const fn noun(self) -> &'static str {
        match self {
            Self::Classify => "classification",
            Self::Regress => "regression",
        }
    }

    /// Checks that a signature has the form of this method; returns the outputs that the answer is made of.
    fn outputs(
        self,
        checks_method_names: bool,
        signature: &Signature,
    ) -> Result<Vec<usize>, InferenceError> {
        if checks_method_names && *signature.method_name != *self.name() {
            return Err(InferenceError::MethodName {
                noun: self.noun(),
                expected: self.name(),
                actual: signature.method_name.to_string(),
            });
        }
        if signature.inputs.len() != 1 {
            return Err(InferenceError::NumInputs);
        }
        match (self, signature.outputs.len()) {
            (Self::Classify, 1 | 2) | (Self::Regress, 1) => {}
            (Self::Classify, num_outputs) => return Err(InferenceError::NumClasses(num_outputs)),
            (Self::Regress, _) => return Err(InferenceError::NumValues),
        }
        let shown = || debug_string(&infer::view(signature));
        if signature.input_idx(INPUTS).is_none() {
            return Err(InferenceError::NoInputs {
                noun: self.noun(),
                signature: shown(),
            });
        }
        let aliases: &[&str] = match self {
            Self::Classify => &[CLASSES, SCORES],
            Self::Regress => &[OUTPUTS],
        };
        let outputs: Vec<usize> = aliases
            .iter()
            .filter_map(|alias| signature.output_idx(alias))
            .collect();
        match (self, outputs.is_empty()) {
            (_, false) => Ok(outputs),
            (Self::Classify, true) => Err(InferenceError::NoClasses(shown())),
            (Self::Regress, true) => Err(InferenceError::NoValues(shown())),
        }
    }
}

/// One question about each row, to a signature that has the form for it.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    method: InferenceMethod,
    signature: Arc<Signature>,
    outputs: Vec<usize>,
}

impl Question {
    /// Finds the signature of a request that asks one question.
    pub(crate) fn new(
        checks_method_names: bool,
        model: &LoadedModel,
        method: InferenceMethod,
        signature_name: &str,
    ) -> Result<Self, InferenceError> {
        let signature = model.signatures().get(signature_name).cloned();
        let signature = signature.ok_or_else(|| {
            InferenceError::NoSignature(infer::or_default(signature_name).to_owned())
        })?;
        let outputs = method.outputs(checks_method_names, &signature)?;
        Ok(Self {
            method,
            signature,
            outputs,
        })
    }

    /// Asks the same of another model.
    pub(crate) fn of(&self, model: &LoadedModel) -> Result<Self, InferenceError> {
        Self::new(false, model, self.method, &self.signature.name)
    }

    pub(crate) fn method(&self) -> InferenceMethod {
        self.method
    }

    pub(crate) fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Returns who answers it.
    pub(crate) fn echo<'a>(&'a self, answer: &'a Answer) -> ModelSpecEcho<'a> {
        ModelSpecEcho {
            name: &answer.handle.id().name,
            version: answer.handle.id().version,
            signature_name: &self.signature.name,
        }
    }

    /// Reads its answer out of what was run.
    pub(crate) fn results<'a>(
        &self,
        outputs: &'a Outputs,
        num_rows: usize,
    ) -> Result<Results<'a>, ServeError> {
        let output = |alias| {
            let output_idx = self.signature.output_idx(alias)?;
            outputs.by_tensor_name(&self.signature.outputs[output_idx].tensor_name)
        };
        let results = match self.method {
            InferenceMethod::Classify => {
                Classifications::new(output(CLASSES), output(SCORES), num_rows)
                    .map(Results::Classifications)
            }
            InferenceMethod::Regress => {
                let outputs = output(OUTPUTS).ok_or_else(|| {
                    ServeError::Internal("a run left out an output that was asked for".to_owned())
                })?;
                Regressions::new(outputs, num_rows).map(Results::Regressions)
            }
        };
        results.map_err(|error: ResultError| InferenceError::Result(error).into())
    }
}

/// What was asked and what was run for it.
pub(crate) struct Answered {
    pub(crate) questions: Vec<Question>,
    pub(crate) answer: Answer,
    pub(crate) num_rows: usize,
}

/// Questions about the same rows.
pub(crate) struct Inquiry {
    pub(crate) api: Api,
    pub(crate) questions: Vec<Question>,
    pub(crate) examples: Examples,
    pub(crate) decode_started: Instant,
}

/// Runs the model once for all questions.
pub(crate) async fn run(
    work: &mut Work<'_>,
    handle: Handle<LoadedModel>,
    inquiry: Inquiry,
) -> Result<Answered, ServeError> {
    let Inquiry {
        api,
        questions,
        examples,
        decode_started,
    } = inquiry;
    let (signature, requested) = joint::signature(&questions);
    work.resolved = Some(Arc::clone(handle.metrics(&signature.name)));
    let num_rows = examples.len();
    let rows = rows(work, examples).await?;
    let inputs = inputs(&signature, rows)?;
    if api == Api::MultiInference {
        handle
            .metrics(&signature.name)
            .model()
            .observe_examples(num_rows);
    }
    let job = Job {
        api,
        handle,
        signature,
        inputs,
        requested,
        decode: decode_started.elapsed(),
    };
    let answer = infer::run(work, job, &questions).await?;
    Ok(Answered {
        questions,
        answer,
        num_rows,
    })
}

/// Returns the one run for all questions, apart from any request's bookkeeping.
pub(crate) fn batch(questions: &[Question], examples: Examples) -> Result<Batch, ServeError> {
    if examples.is_empty() {
        return Err(InferenceError::NoExamples.into());
    }
    batch_of_rows(questions, examples.into_tensor())
}

/// Returns the one run for all questions about rows that are a tensor already.
pub(crate) fn batch_of_rows(questions: &[Question], rows: Tensor) -> Result<Batch, ServeError> {
    let (signature, requested) = joint::signature(questions);
    let inputs = inputs(&signature, rows)?;
    Ok(Batch {
        signature,
        inputs,
        requested,
        deadline: None,
        priority: Priority::default(),
        hold: None,
    })
}

/// Returns the rows as every input of a signature.
fn inputs(signature: &Signature, rows: Tensor) -> Result<Vec<Tensor>, ServeError> {
    let inputs = vec![rows; signature.inputs.len()];
    infer::check_dtypes(signature, &inputs)?;
    Ok(inputs)
}

/// Makes the tensor of a request's rows, for which room is reserved first.
async fn rows(work: &mut Work<'_>, examples: Examples) -> Result<Tensor, ServeError> {
    if examples.is_empty() {
        return Err(InferenceError::NoExamples.into());
    }
    let num_bytes = examples.tensor_bytes();
    let mut reserved = work.reservation.sibling();
    reserved.grow(num_bytes)?;
    let tensor = work
        .app
        .cpu
        .run(num_bytes / JSON_SPEEDUP, move || examples.into_tensor())
        .await?;
    work.reservation = reserved;
    Ok(tensor)
}

#[cfg(test)]
mod tests;
