//! Calls into libonnxruntime. The only place of this crate with `unsafe`.
//!
//! ```text
//! Library (opened once, never closed) ◄─ Session (weights) ◄─ Value (a tensor; the session's or the caller's memory)
//! ```
//!
//! Every pointer that the library hands out is owned by one of these types and released in its `Drop`; every call that
//! can fail goes through [`Library::check`].

#![allow(
    unsafe_code,
    reason = "a C library is called here; each block says why it is sound"
)]

mod library;
mod session;
mod strings;
mod value;

pub(crate) use library::Library;
pub(crate) use session::{Session, SessionOptions};
pub(crate) use value::Value;

pub(crate) use ort_sys::{ONNXTensorElementDataType as ElementType, OrtErrorCode as ErrorCode};

/// What the library answers to a call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}
