//! Whether ONNX Runtime can run a model, by what its file declares.

use salver_backend::onnx::{self, OnnxHeader, Operator};
use salver_backend::{BackendError, ModelFiles, ModelFormat, Signature};

use crate::{PLATFORM, convert};

/// The domains whose operators the released library has; which of them only loading tells.
const DOMAINS: [&str; 8] = [
    "",
    "ai.onnx.ml",
    "ai.onnx.training",
    "ai.onnx.preview",
    "ai.onnx.preview.training",
    "com.microsoft",
    "com.microsoft.nchwc",
    "com.ms.internal.nhwc",
];

/// How many missing operators a message names.
const MAX_NAMED: usize = 5;

/// Reads what a model declares and checks that ONNX Runtime may be able to run it.
pub(crate) fn check(files: &ModelFiles) -> Result<(OnnxHeader, Signature), BackendError> {
    if files.format != ModelFormat::Onnx {
        let reason = format!("it is a {} model, not ONNX", files.format.name());
        return Err(unsupported(reason, "convert it to ONNX".to_owned()));
    }
    let header = onnx::read(&files.main)?;
    let is_missing = |operator: &&Operator| {
        !DOMAINS.contains(&operator.domain.as_str()) && !header.functions.contains(*operator)
    };
    let missing: Vec<_> = header
        .operators
        .iter()
        .filter(is_missing)
        .take(MAX_NAMED)
        .map(ToString::to_string)
        .collect();
    if !missing.is_empty() {
        let remedy =
            "export the model without custom operators, or with them as ONNX functions".to_owned();
        return Err(unsupported(
            format!("it has no operator {}", missing.join(", ")),
            remedy,
        ));
    }
    let signature = onnx::signature(&header).map_err(|error| {
        let remedy =
            "export the model with tensors only (for scikit-learn: `zipmap=False`)".to_owned();
        unsupported(error.to_string(), remedy)
    })?;
    let mut specs = signature.inputs.iter().chain(&signature.outputs);
    if let Some(spec) = specs.find(|spec| convert::element_type(spec.dtype).is_none()) {
        let reason = format!("`{}` is declared as {}", spec.name, spec.dtype);
        return Err(unsupported(
            reason,
            "export real and imaginary parts as two float tensors".to_owned(),
        ));
    }
    Ok((header, signature))
}

pub(crate) fn unsupported(reason: String, remedy: String) -> BackendError {
    BackendError::Unsupported {
        platform: PLATFORM,
        reason,
        remedy,
    }
}
