//! How a call ended.

use std::ffi::CStr;
use std::ptr::NonNull;

use salver_backend::ErrorCode;

use super::api::TF_Status;
use super::library::Library;

/// What TensorFlow answers to a call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl Error {
    /// Returns the error of a call that succeeded without a result, against the library's own contract.
    pub(crate) fn no_output() -> Self {
        Self {
            code: ErrorCode::Internal,
            message: "TensorFlow returned nothing".to_owned(),
        }
    }
}

/// A status that a call writes into.
pub(super) struct Status<'a> {
    status: NonNull<TF_Status>,
    library: &'a Library,
}

impl<'a> Status<'a> {
    pub(super) fn new(library: &'a Library) -> Result<Self, Error> {
        // SAFETY: it takes nothing and makes an object that is released in `drop`.
        let status = unsafe { (library.api().TF_NewStatus)() };
        Ok(Self {
            status: NonNull::new(status).ok_or_else(Error::no_output)?,
            library,
        })
    }

    pub(super) fn as_ptr(&self) -> *mut TF_Status {
        self.status.as_ptr()
    }

    /// Returns what the last call wrote.
    pub(super) fn check(&self) -> Result<(), Error> {
        let api = self.library.api();
        // SAFETY: the status is alive.
        let code = unsafe { (api.TF_GetCode)(self.as_ptr()) };
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the message is a string that ends in a zero byte; it belongs to the status, which is alive.
        let message = unsafe { CStr::from_ptr((api.TF_Message)(self.as_ptr())) };
        Err(Error {
            code: ErrorCode::from_number(code),
            message: message.to_string_lossy().into_owned(),
        })
    }
}

impl Drop for Status<'_> {
    fn drop(&mut self) {
        // SAFETY: made by this library and released once.
        unsafe { (self.library.api().TF_DeleteStatus)(self.as_ptr()) }
    }
}
