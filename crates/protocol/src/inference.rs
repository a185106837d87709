//! `Classify`, `Regress` and `MultiInference`: rows of `tensorflow.Example` in, classes or values out.
//!
//! ```text
//! frames ─► decode ─► Examples (counted, nothing made) ─► Tensor of strings     Tensor ─► Results ─► bytes
//! ```
//!
//! An `Example` is never parsed here: the model does that, by an operator of its own, so its bytes go there as they
//! came. JSON, which has to become an `Example` first, is [`crate::json`]'s matter.
//!
//! A few bytes of a message can stand for much memory (an empty row takes two, and thirty-two as a string; what all
//! rows have in common is copied into each of them). So [`Examples`] says what its tensor will take before one is made.

mod decode;
mod encode;
mod examples;
mod results;

pub use decode::{InferenceRequest, MultiInferenceRequest, Task, decode_multi, decode_request};
pub use encode::{encode_multi, encode_multi_request, encode_request, encode_response};
pub use examples::Examples;
pub use results::{Classifications, Regressions, ResultError, Results};

pub use crate::predict::{DecodeError, MAX_ENTRIES, ModelSpecEcho};

#[cfg(test)]
mod tests;
