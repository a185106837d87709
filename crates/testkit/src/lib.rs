//! For tests only: tiny models, a backend without an engine, and the suite that every backend passes.
//!
//! ```
//! use salver_testkit::{FakeBackend, ModelFolder, models};
//!
//! let folder = ModelFolder::with_model(&models::half_plus_two());
//! let backend = FakeBackend::new();
//! # let _ = (folder.files(), backend);
//! ```
//!
//! Tests may panic, and so may everything here.

pub mod conformance;
mod fake;
mod folder;
mod gate;
pub mod models;
pub mod onnx;
pub mod saved_model;
pub mod saved_models;
mod tiny;
mod tolerance;

pub use fake::{FakeBackend, FakeBehaviour};
pub use folder::ModelFolder;
pub use gate::Gate;
pub use tiny::Tiny;
pub use tolerance::Tolerance;
