//! Several questions in one run.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;

use salver_backend::Signature;
use salver_protocol::inference::Task;
use salver_repository::LoadedModel;
use salver_tensor::TensorSpec;

use super::{InferenceError, InferenceMethod, Question};
use crate::infer;

impl Question {
    /// Checks the tasks of a request, one after the other.
    pub(crate) fn of_tasks(
        checks_method_names: bool,
        model: &LoadedModel,
        tasks: Vec<Task>,
    ) -> Result<Vec<Self>, InferenceError> {
        let mut seen = HashSet::new();
        let mut model_name = String::new();
        let mut questions = Vec::with_capacity(tasks.len());
        for task in tasks {
            let spec = task.model.unwrap_or_default();
            if spec.name.is_empty() {
                return Err(InferenceError::TaskWithoutModel);
            }
            if model_name.is_empty() {
                model_name = spec.name;
            } else if model_name != spec.name {
                return Err(InferenceError::SeveralModels);
            }
            let name = infer::or_default(&spec.signature_name).to_owned();
            if !seen.insert(name.clone()) {
                return Err(InferenceError::DuplicateSignature(name));
            }
            let signature = model.signatures().get(&name).cloned();
            let signature = signature.ok_or(InferenceError::NoTaskSignature(name))?;
            let method = InferenceMethod::of_name(&task.method_name)?;
            let outputs = method.outputs(checks_method_names, &signature)?;
            questions.push(Self {
                method,
                signature,
                outputs,
            });
        }
        Ok(questions)
    }
}

/// Returns a signature that answers all questions at once, and its outputs that are wanted.
///
/// One question goes to its own signature. Several go to one that has each tensor of the graph once, in the order of
/// their names, as TensorFlow Serving runs them; it is called by that name, and counted as the first of theirs.
///
/// # Panics
/// If there are no questions.
pub(super) fn signature(questions: &[Question]) -> (Arc<Signature>, Vec<usize>) {
    let (first, others) = questions.split_first().expect("somebody asked");
    if others.is_empty() {
        return (Arc::clone(&first.signature), first.outputs.clone());
    }
    let inputs = questions
        .iter()
        .flat_map(|question| &question.signature.inputs);
    let outputs = questions.iter().flat_map(|question| {
        let of_output = |&output_idx| &question.signature.outputs[output_idx];
        question.outputs.iter().map(of_output)
    });
    let outputs = by_tensor_name(outputs);
    let requested = (0..outputs.len()).collect();
    let joint = Signature {
        inputs: by_tensor_name(inputs),
        outputs,
        ..Signature::clone(&first.signature)
    };
    (Arc::new(joint), requested)
}

/// Returns each tensor once, called as the graph calls it, in the order of those names.
fn by_tensor_name<'a>(specs: impl Iterator<Item = &'a TensorSpec>) -> Vec<TensorSpec> {
    let unique: BTreeMap<&str, &TensorSpec> =
        specs.map(|spec| (&*spec.tensor_name, spec)).collect();
    let renamed = |spec: &TensorSpec| TensorSpec {
        name: Arc::clone(&spec.tensor_name),
        ..spec.clone()
    };
    unique.into_values().map(renamed).collect()
}
