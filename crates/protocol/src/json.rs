//! JSON bodies of TensorFlow Serving's REST calls, in and out: predict, classify and regress.
//!
//! Numbers go straight from the text of a request into a typed, 64-byte-aligned buffer; no document tree is ever
//! built. Owns the two request forms (row: `instances`, columnar: `inputs`), the two answer forms (`predictions`,
//! `outputs`), rows of `tensorflow.Example` and their `results`, and the error form. Does not know HTTP, models or
//! which code an error becomes.
//!
//! ```text
//! body ─► one optimistic pass: members in order, tensors parsed on the way ─► PredictBody
//!              │ anything at all is wrong
//!              ▼
//!         outline (checks all syntax) ─► signature_name ─► lookup ─► the value once more ─► PredictBody or the error
//! ```
//!
//! The second way exists because the order in which errors win is fixed: bad syntax anywhere in the object, then the
//! type of `signature_name`, then an unknown signature, then whatever is wrong with the values.
//!
//! The numbers of a long body may be read by two threads, in the first way only.
//!
//! Memory is proportional to the body; no function recurses on the nesting of a body.

mod base64;
mod columnar;
mod digits;
mod error;
mod examples;
mod excerpt;
mod feature;
mod halves;
pub mod log;
mod nested;
mod number_text;
mod numbers;
mod outline;
mod request;
mod results;
mod rounding;
mod row;
mod scanner;
mod strings;
mod values;
mod writer;

use salver_tensor::Tensor;

use crate::inference::Examples;

pub use error::JsonError;
pub use examples::parse_examples;
pub use halves::Work;
pub use request::{check_predict, parse_predict, parse_predict_by_two};
pub use results::encode_results;
pub use writer::{encode_error, encode_predict};

/// The highest rank that a tensor in a body may have, batch axis included.
///
/// TensorFlow's own bound. Lists that nest deeper are refused; under keys that are ignored they may nest at will.
pub const MAX_RANK: usize = 254;

/// How the tensors of a call are laid out in JSON; the answer takes the form of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A list of instances, each with one value per input: `{"instances": [..]}`, answered by `predictions`.
    Row,
    /// One list per input: `{"inputs": ..}`, answered by `outputs`.
    Columnar,
}

/// A parsed predict request.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictBody {
    /// The signature that the body names, if it names one.
    pub signature_name: Option<String>,
    /// The form of the request.
    pub format: Format,
    /// One tensor per input, in the order of the signature.
    pub inputs: Vec<Tensor>,
}

/// A parsed classify or regress request.
#[derive(Clone, Debug)]
pub struct ExamplesBody {
    /// The signature that the body names, if it names one.
    pub signature_name: Option<String>,
    /// The rows, each a serialized `tensorflow.Example`.
    pub examples: Examples,
}

/// Returns a single as answers have it.
pub(crate) fn single_text(value: f32) -> String {
    let mut text = Vec::new();
    number_text::write_float(&mut text, value);
    String::from_utf8(text).expect("digits are ASCII")
}

/// Returns a double as answers have it.
pub(crate) fn double_text(value: f64) -> String {
    let mut text = Vec::new();
    number_text::write_float(&mut text, value);
    String::from_utf8(text).expect("digits are ASCII")
}

#[cfg(test)]
mod tests;
