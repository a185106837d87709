//! Holds what a request sends and asks for to its signature: names, numbers, dtypes; in TensorFlow Serving's order.

use std::collections::BTreeSet;

use salver_backend::Signature;
use salver_protocol::tensor_proto::{self, TensorProtoError};
use salver_tensor::{Tensor, TensorSpec};

use crate::app::App;
use crate::status::ServeError;

/// What a signature that takes predictions may say it is for.
const PREDICTION_METHODS: [&str; 3] = [
    "tensorflow/serving/predict",
    "tensorflow/serving/classify",
    "tensorflow/serving/regress",
];

/// Checks that a signature may be asked for a prediction, where that is wanted.
pub(crate) fn check_method_name(app: &App, signature: &Signature) -> Result<(), ServeError> {
    let is_known = PREDICTION_METHODS.contains(&&*signature.method_name);
    if is_known || !app.config.checks_method_names {
        return Ok(());
    }
    Err(ServeError::PredictMethodName {
        known: list(PREDICTION_METHODS.into_iter(), ", "),
        actual: signature.method_name.to_string(),
    })
}

/// Puts the inputs of a request into the order of the signature; those that it leaves out and that have a default are
/// that.
///
/// # Errors
/// In TensorFlow Serving's order: number of inputs, names, decoding. Dtypes are checked later, shapes never: they are
/// the model's matter.
pub(crate) fn arrange(
    signature: &Signature,
    sent: Vec<(String, Result<Tensor, TensorProtoError>)>,
) -> Result<Vec<Tensor>, ServeError> {
    let (num_sent, num_wanted) = (sent.len(), signature.inputs.len());
    if num_sent > num_wanted || (num_sent < num_wanted && signature.defaults.is_empty()) {
        return Err(count_mismatch(signature, &sent));
    }
    let mut slots: Vec<Option<Result<Tensor, TensorProtoError>>> = vec![None; num_wanted];
    let mut unused = Vec::new();
    for (name, tensor) in sent {
        match signature.input_idx(&name) {
            Some(input_idx) => slots[input_idx] = Some(tensor),
            None => unused.push(name),
        }
    }
    let used = slots.iter().zip(&signature.inputs);
    let used = used.filter_map(|(slot, spec)| slot.as_ref().map(|_| &*spec.name));
    let names = Names {
        used: used.map(str::to_owned).collect(),
        unused,
    };
    let mut tensors = Vec::with_capacity(num_wanted);
    for (slot, spec) in slots.into_iter().zip(&signature.inputs) {
        let default = || signature.defaults.get(&spec.name).cloned().map(Ok);
        let tensor = slot
            .or_else(default)
            .ok_or_else(|| names.missing(signature, spec))?;
        let tensor = tensor.map_err(|error| tensor_error(&spec.name, error))?;
        tensors.push(tensor);
    }
    if !names.unused.is_empty() {
        return Err(names.unused());
    }
    Ok(tensors)
}

fn tensor_error(input: &str, error: TensorProtoError) -> ServeError {
    match error {
        TensorProtoError::TooLarge { max_bytes } => ServeError::TensorTooLarge {
            input: input.to_owned(),
            max_bytes,
        },
        error => ServeError::TensorProto {
            input: input.to_owned(),
            reason: error.to_string(),
        },
    }
}

/// The inputs that a request names, for messages.
struct Names {
    used: Vec<String>,
    unused: Vec<String>,
}

impl Names {
    fn sent(&self) -> String {
        sorted(self.used.iter().chain(&self.unused).map(String::as_str))
    }

    fn missing(&self, signature: &Signature, spec: &TensorSpec) -> ServeError {
        ServeError::InputAlias {
            alias: spec.name.to_string(),
            feed: spec.tensor_name.to_string(),
            sent: self.sent(),
            defaults: sorted(signature.defaults.keys().map(|name| &**name)),
        }
    }

    fn unused(&self) -> ServeError {
        ServeError::UnusedInputs {
            used: sorted(self.used.iter().map(String::as_str)),
            sent: self.sent(),
        }
    }
}

/// Checks that inputs are of the declared dtypes. TensorFlow numbers them in the order of their names in the graph.
pub(crate) fn check_dtypes(signature: &Signature, tensors: &[Tensor]) -> Result<(), ServeError> {
    let pairs = signature.inputs.iter().zip(tensors);
    let Some((spec, tensor)) = pairs
        .filter(|(spec, tensor)| spec.dtype != tensor.dtype())
        .min_by_key(|(spec, _)| &*spec.tensor_name)
    else {
        return Ok(());
    };
    let is_before = |other: &&TensorSpec| other.tensor_name < spec.tensor_name;
    Err(ServeError::InputDType {
        arg_idx: signature.inputs.iter().filter(is_before).count(),
        expected: tensor_proto::dtype_word(spec.dtype),
        actual: tensor_proto::dtype_word(tensor.dtype()),
    })
}

fn count_mismatch(
    signature: &Signature,
    sent: &[(String, Result<Tensor, TensorProtoError>)],
) -> ServeError {
    let sent: BTreeSet<&str> = sent.iter().map(|(name, _)| name.as_str()).collect();
    let wanted: BTreeSet<&str> = signature.inputs.iter().map(|spec| &*spec.name).collect();
    ServeError::InputCount {
        num_sent: sent.len(),
        num_wanted: wanted.len(),
        extra: sorted(sent.difference(&wanted).copied()),
        missing: sorted(wanted.difference(&sent).copied()),
        sent: sorted(sent.into_iter()),
        wanted: sorted(wanted.into_iter()),
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>, separator: &str) -> String {
    names.collect::<Vec<_>>().join(separator)
}

/// Returns the names, each once, in their order.
fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    list(names.collect::<BTreeSet<_>>().into_iter(), ",")
}

/// Returns the positions of the outputs that a filter asks for; of all of them if there is no filter.
pub(crate) fn requested(
    signature: &Signature,
    filter: &[String],
) -> Result<Vec<usize>, ServeError> {
    if filter.is_empty() {
        return Ok((0..signature.outputs.len()).collect());
    }
    let mut requested = Vec::with_capacity(filter.len());
    for alias in filter {
        let output_idx = signature
            .output_idx(alias)
            .ok_or_else(|| ServeError::UnknownOutput {
                alias: alias.clone(),
                known: sorted(signature.outputs.iter().map(|spec| &*spec.name)),
            })?;
        if requested.contains(&output_idx) {
            return Err(ServeError::DuplicateOutput(alias.clone()));
        }
        requested.push(output_idx);
    }
    Ok(requested)
}
