//! TensorFlow itself: the suite that every backend passes, and what only SavedModels have. Needs the libraries:
//! `cargo run --example install_tensorflow` sets them up; without them there is nothing to test.

mod conformance;
mod fixture;
mod memory;
mod models;
mod requests;
