//! Calls into libtensorflow. The only place of this crate with `unsafe`.
//!
//! ```text
//! Library (opened once, never closed) ◄─ Session (graph, weights) ◄─ Runner (tensors by name) ─► Value (a tensor)
//! ```
//!
//! Every pointer that the library hands out is owned by one of these types and released in its `Drop`; every call that
//! can fail goes through [`status::Status`].

#![allow(
    unsafe_code,
    reason = "a C library is called here; each block says why it is sound"
)]

mod api;
mod library;
mod runner;
mod session;
mod status;
mod tstring;
mod value;

pub(crate) use library::Library;
pub(crate) use runner::Runner;
pub(crate) use session::{LoadOptions, Session};
pub(crate) use status::Error;
pub(crate) use value::Value;
