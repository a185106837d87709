//! `tensorflow.serving.PredictRequest` and `PredictResponse`, read from frames and written in one go.
//!
//! A tensor that cannot be decoded does not spoil its request: TensorFlow Serving looks up the model first, so the
//! fault is kept beside the input's name until then. Bytes that are not protobuf do spoil it.

mod decode;
mod encode;

use salver_tensor::Tensor;
use salver_wire::WireError;

use crate::ModelSpec;
use crate::tensor_proto::TensorProtoError;

pub(crate) use decode::merge_model;
pub use decode::{decode_request, decode_response, model_of};
pub use encode::{ModelSpecEcho, encode_request, encode_response};

/// The most inputs, outputs and names in a filter that a message may have.
///
/// An empty one takes two bytes on the wire and a hundred here; real models have a few, the widest some thousands.
pub const MAX_ENTRIES: usize = 65_536;

/// A question to a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PredictRequest {
    /// Whom to ask; `None` if the request does not say.
    pub model: Option<ModelSpec>,
    /// Inputs by alias, each alias once, in the order they came.
    pub inputs: Vec<(String, Result<Tensor, TensorProtoError>)>,
    /// Aliases of the outputs wanted, duplicates included; all outputs if empty.
    pub output_filter: Vec<String>,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PredictResponse {
    /// Who answered.
    pub model: Option<ModelSpec>,
    /// Outputs by alias, each alias once, in the order they came.
    pub outputs: Vec<(String, Result<Tensor, TensorProtoError>)>,
}

/// Why bytes are not a request or an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They are not protobuf.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// They have more inputs, outputs or names than [`MAX_ENTRIES`].
    #[error("message has more than {max} entries")]
    TooManyEntries {
        /// How many are allowed.
        max: usize,
    },
}

/// Field numbers.
mod field {
    pub(super) const REQUEST_MODEL_SPEC: u32 = 1;
    pub(super) const REQUEST_INPUTS: u32 = 2;
    pub(super) const REQUEST_OUTPUT_FILTER: u32 = 3;
    pub(super) const RESPONSE_OUTPUTS: u32 = 1;
    pub(super) const RESPONSE_MODEL_SPEC: u32 = 2;
    /// Of a map's entry.
    pub(super) const KEY: u32 = 1;
    pub(super) const VALUE: u32 = 2;
}

#[cfg(test)]
mod tests;
