//! The canonical codes that this server uses, and what they are called.

use http::StatusCode;

/// A canonical status code, numbered as in gRPC; those that this server uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// No failure.
    Ok = 0,
    /// The caller has gone.
    Cancelled = 1,
    /// Of a cause that has no code.
    Unknown = 2,
    /// The request is wrong, whatever the server's state.
    InvalidArgument = 3,
    /// Time ran out.
    DeadlineExceeded = 4,
    /// There is no such model, version or page.
    NotFound = 5,
    /// A limit was reached; less, or later, may do.
    ResourceExhausted = 8,
    /// The model's state does not allow the request.
    FailedPrecondition = 9,
    /// The server does not offer this.
    Unimplemented = 12,
    /// The server is at fault.
    Internal = 13,
    /// Not now; trying again is safe.
    Unavailable = 14,
}

impl Code {
    /// Returns the HTTP status, as TensorFlow Serving maps it.
    #[must_use]
    pub const fn http(self) -> StatusCode {
        match self {
            Self::Ok => StatusCode::OK,
            Self::Cancelled => CLIENT_CLOSED_REQUEST,
            Self::InvalidArgument | Self::FailedPrecondition => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::Unknown | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the number that gRPC sends.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns the name that metrics and logs use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

/// 499, which nginx made customary and the `http` crate has no name for.
const CLIENT_CLOSED_REQUEST: StatusCode = match StatusCode::from_u16(499) {
    Ok(code) => code,
    Err(_) => unreachable!(),
};
