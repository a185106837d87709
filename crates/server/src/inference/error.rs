//! What can be wrong with a question about rows, in TensorFlow Serving's words.

use salver_protocol::inference::ResultError;

/// Why a question about rows has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InferenceError {
    /// No such signature.
    #[error("No signature was found with the name: {0}")]
    NoSignature(String),
    /// No such signature, in one of several questions.
    #[error("Requested signature not found in model graph: {0}")]
    NoTaskSignature(String),
    /// A signature for something else, where that is checked.
    #[error("Expected {noun} signature method_name to be {expected}. Was: {actual}")]
    MethodName {
        /// `classification` or `regression`.
        noun: &'static str,
        /// The one method name it may have.
        expected: &'static str,
        /// The one it has.
        actual: String,
    },
    /// A signature with no or several inputs.
    #[error("Expected one input Tensor.")]
    NumInputs,
    /// A classification with none or more than two outputs.
    #[error("Expected one or two output Tensors, found {0}")]
    NumClasses(usize),
    /// A regression with no or several outputs.
    #[error("Expected one output Tensor.")]
    NumValues,
    /// A signature whose input is not called `inputs`.
    #[error("No {noun} inputs found in SignatureDef: {signature}")]
    NoInputs {
        /// `classification` or `regression`.
        noun: &'static str,
        /// The signature.
        signature: String,
    },
    /// A classification without `classes` and without `scores`.
    #[error(
        "Expected classification signature outputs to contain at least one of \"classes\" or \"scores\". \
         Signature was: {0}"
    )]
    NoClasses(String),
    /// A regression without `outputs`.
    #[error("No regression outputs found in SignatureDef: {0}")]
    NoValues(String),
    /// A request without rows.
    #[error("Input is empty.")]
    NoExamples,
    /// One of several questions to nobody.
    #[error("Found ModelSpec with an empty model name.")]
    TaskWithoutModel,
    /// Questions to several models.
    #[error("All ModelSpecs in a MultiInferenceRequest must access the same model name.")]
    SeveralModels,
    /// Two questions to one signature.
    #[error("Duplicate evaluation of signature: {0}")]
    DuplicateSignature(String),
    /// A question of a kind that there is not.
    #[error("Unsupported signature method_name: {0}")]
    UnsupportedMethod(String),
    /// Outputs that are no answer.
    #[error(transparent)]
    Result(#[from] ResultError),
}
