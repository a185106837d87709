//! The canonical codes that this server uses, and what they are called.

use http::StatusCode;

/// A canonical status code, numbered as in gRPC.
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
    /// Something that was to be made is there already.
    AlreadyExists = 6,
    /// The caller may not do this.
    PermissionDenied = 7,
    /// A limit was reached; less, or later, may do.
    ResourceExhausted = 8,
    /// The model's state does not allow the request.
    FailedPrecondition = 9,
    /// Another run came in between.
    Aborted = 10,
    /// An index or position is beyond the end.
    OutOfRange = 11,
    /// The server does not offer this.
    Unimplemented = 12,
    /// The server is at fault.
    Internal = 13,
    /// Not now; trying again is safe.
    Unavailable = 14,
    /// Data is lost or damaged.
    DataLoss = 15,
    /// It is not known who the caller is.
    Unauthenticated = 16,
}

impl Code {
    /// Returns the HTTP status, as TensorFlow Serving maps it.
    #[must_use]
    pub const fn http(self) -> StatusCode {
        match self {
            Self::Ok => StatusCode::OK,
            Self::Cancelled => CLIENT_CLOSED_REQUEST,
            Self::InvalidArgument | Self::FailedPrecondition | Self::OutOfRange => {
                StatusCode::BAD_REQUEST
            }
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::AlreadyExists | Self::Aborted => StatusCode::CONFLICT,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Self::Unknown | Self::Internal | Self::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
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
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

/// 499, which nginx made customary and the `http` crate has no name for.
const CLIENT_CLOSED_REQUEST: StatusCode = match StatusCode::from_u16(499) {
    Ok(code) => code,
    Err(_) => unreachable!(),
};
