//! Bodies in, answers out: what is taken, what is refused and in which words.

use salver_tensor::{DType, Tensor, TensorSpec};

use super::*;

mod answers;
mod bodies;
mod examples;
mod hostile;
mod log;
mod mismatches;
mod numbers;
mod properties;
mod refusals;

/// Returns the specs of inputs of any shape.
fn specs(inputs: &[(&str, DType)]) -> Vec<TensorSpec> {
    inputs
        .iter()
        .map(|&(name, dtype)| TensorSpec::new(name, dtype, None))
        .collect()
}

/// Parses a body for a model with one signature.
fn parse(inputs: &[(&str, DType)], body: impl AsRef<[u8]>) -> Result<PredictBody, JsonError> {
    let specs = specs(inputs);
    parse_predict(body.as_ref(), |name| {
        (name.is_empty() || name == "serving_default").then_some(specs.as_slice())
    })
}

/// Parses a body that must be right for a model with one input.
#[track_caller]
fn parse_one(dtype: DType, body: impl AsRef<[u8]>) -> Tensor {
    let mut parsed = parse(&[("x", dtype)], body).expect("a right body");
    parsed.inputs.remove(0)
}

/// Parses a body that must be refused; returns the text.
#[track_caller]
fn refusal(inputs: &[(&str, DType)], body: impl AsRef<[u8]>) -> String {
    parse(inputs, body).expect_err("a wrong body").to_string()
}

/// A model with one input.
const X: &[(&str, DType)] = &[("x", DType::F32)];

/// Checks pairs of body and text.
#[track_caller]
fn check_refusals(inputs: &[(&str, DType)], rows: &[(&str, &str)]) {
    for (body, expected) in rows {
        assert_eq!(refusal(inputs, body), *expected, "{body}");
    }
}
