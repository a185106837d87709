//! Codecs between wire forms and tensors: the only place where they meet.
//!
//! ```text
//! frames ─► rope ─► predict ─► tensor_proto ─► Tensor        Tensor ─► tensor_proto ─► predict ─► bytes
//! frames ─► rope ─► inference ──────────────► Tensor        Tensor ─► inference ──────────────► bytes
//! body   ─► json ───────────────────────────► Tensor        Tensor ─► json ───────────────────► bytes
//! ```
//!
//! Beside them stands [`config`]: the files and messages that TensorFlow Serving is configured by.
//!
//! Tensor data is copied at most once on its way in, and never visited element by element in a document tree. Nothing
//! is allocated because a message announces a length; every decoder is bounded by what arrived and by a budget.

pub mod config;
pub mod inference;
pub mod json;
pub mod metadata;
mod model_spec;
pub mod predict;
pub mod prediction_log;
pub mod rope;
pub mod tensor_proto;
pub mod tfrecord;

pub use model_spec::{ModelSpec, VersionChoice};
pub use salver_wire::WireError;
