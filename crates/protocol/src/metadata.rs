//! What a model declares and how its versions are: `GetModelMetadata` and `GetModelStatus`, as protobuf and as JSON.
//!
//! The JSON forms are protobuf's own (64-bit integers as strings, enums by name, defaults written out) with the names
//! of the `.proto` files, as TensorFlow Serving prints them.

mod json;
mod pretty;
mod protobuf;
mod tensor_json;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use salver_tensor::{Tensor, TensorSpec};

pub use json::{metadata_json, status_json};
pub use protobuf::{encode_metadata, encode_status};
pub use text::debug_string;

/// A signature to be told about.
#[derive(Clone, Copy, Debug)]
pub struct SignatureView<'a> {
    /// The key clients ask by.
    pub name: &'a str,
    /// TensorFlow's method name: `tensorflow/serving/predict`.
    pub method_name: &'a str,
    /// Declared inputs.
    pub inputs: &'a [TensorSpec],
    /// Declared outputs.
    pub outputs: &'a [TensorSpec],
    /// What inputs are if a request leaves them out, by the key clients use.
    pub defaults: &'a BTreeMap<Arc<str>, Tensor>,
}

/// How one version is, in TensorFlow Serving's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionState {
    /// The version.
    pub version: i64,
    /// 10 START, 20 LOADING, 30 AVAILABLE, 40 UNLOADING, 50 END; 0 if not known.
    pub state: i32,
    /// Canonical code of why it failed; 0 if it did not.
    pub error_code: i32,
    /// Why it failed; empty if it did not.
    pub error_message: String,
}

#[cfg(test)]
mod tests;
