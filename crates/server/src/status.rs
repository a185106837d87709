//! Every way a request can fail, and its code: once for both protocols.
//!
//! The message is for the client: it names what was asked for, never a path, an address or an internal state.

mod code;
mod error;

use http::StatusCode;
use salver_backend::{BackendError, ErrorCode};
use salver_batching::ExecuteError;
use salver_protocol::json::JsonError;
use salver_servable::LookupError;

use crate::inference::InferenceError;
use crate::reload::ReloadError;

pub use code::Code;
pub use error::ServeError;

impl ServeError {
    /// Returns the canonical code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::MissingModelSpec
            | Self::MissingModelName
            | Self::InputCount { .. }
            | Self::InputAlias { .. }
            | Self::UnusedInputs { .. }
            | Self::InputDType { .. }
            | Self::TensorProto { .. }
            | Self::UnknownOutput { .. }
            | Self::DuplicateOutput(_)
            | Self::MissingMetadataField
            | Self::UnknownMetadataField(_)
            | Self::Protobuf { .. }
            | Self::MalformedRequest(_)
            | Self::MissingNameInPath
            | Self::VersionInPath(_)
            | Self::UnknownPriority(_)
            | Self::BadCompression(_) => Code::InvalidArgument,
            Self::Lookup(error) => lookup_code(error),
            Self::PredictMethodName { .. } => Code::Internal,
            Self::Inference(error) => inference_code(error),
            Self::UnknownSignature(_) => Code::FailedPrecondition,
            Self::NoStatus(_)
            | Self::NoVersions { .. }
            | Self::NoVersionStatus { .. }
            | Self::NoSuchPage(_) => Code::NotFound,
            Self::LabelsNotReady(_) | Self::NoArm { .. } => Code::Unavailable,
            Self::Json(error) => json_code(error),
            Self::Unimplemented(_) => Code::Unimplemented,
            Self::NoRoom { .. }
            | Self::ModelShare { .. }
            | Self::TooLarge { .. }
            | Self::TensorTooLarge { .. } => Code::ResourceExhausted,
            Self::BodyTimeout | Self::Deadline => Code::DeadlineExceeded,
            Self::BodyBroken(_) => Code::Cancelled,
            Self::TraceRunning => Code::Unavailable,
            Self::Execute(error) => execute_code(error),
            Self::Reload(error) => reload_code(error),
            Self::Internal(_) => Code::Internal,
        }
    }

    /// Returns the HTTP status: that of the code, but for sizes, where HTTP has words of its own.
    #[must_use]
    pub fn http(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoRoom { .. } | Self::ModelShare { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => self.code().http(),
        }
    }

    /// Returns what only the log may say, if there is more than the message.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Internal(detail) => Some(detail.clone()),
            Self::TensorProto { input, reason } => Some(format!("input `{input}`: {reason}")),
            Self::Execute(ExecuteError::Backend(error)) => Some(error.to_string()),
            _ => None,
        }
    }
}

fn lookup_code(error: &LookupError) -> Code {
    match error {
        LookupError::UnknownModel { .. } | LookupError::UnknownVersion { .. } => Code::NotFound,
        LookupError::UnknownLabel { .. } => Code::InvalidArgument,
    }
}

fn json_code(error: &JsonError) -> Code {
    match error {
        JsonError::InvalidArgument(_) => Code::InvalidArgument,
        JsonError::Unimplemented(_) => Code::Unimplemented,
    }
}

fn inference_code(error: &InferenceError) -> Code {
    match error {
        InferenceError::UnsupportedMethod(_) => Code::Unimplemented,
        InferenceError::NoSignature(_)
        | InferenceError::NoTaskSignature(_)
        | InferenceError::MethodName { .. }
        | InferenceError::NumInputs
        | InferenceError::NumClasses(_)
        | InferenceError::NumValues
        | InferenceError::NoInputs { .. }
        | InferenceError::NoClasses(_)
        | InferenceError::NoValues(_)
        | InferenceError::NoExamples
        | InferenceError::TaskWithoutModel
        | InferenceError::SeveralModels
        | InferenceError::DuplicateSignature(_)
        | InferenceError::Result(_) => Code::InvalidArgument,
    }
}

fn execute_code(error: &ExecuteError) -> Code {
    match error {
        ExecuteError::QueueFull { .. }
        | ExecuteError::BatchQueueFull { .. }
        | ExecuteError::WouldBeLate { .. }
        | ExecuteError::Stopped => Code::Unavailable,
        ExecuteError::TooManyRows { .. } => Code::InvalidArgument,
        ExecuteError::BatchQueueTimeout => Code::ResourceExhausted,
        ExecuteError::DeadlineExceeded { .. } => Code::DeadlineExceeded,
        ExecuteError::Backend(BackendError::InvalidInput { .. }) => Code::InvalidArgument,
        ExecuteError::Backend(BackendError::Model { code, .. }) => model_code(*code),
        ExecuteError::Backend(
            BackendError::InvalidModel { .. }
            | BackendError::Unsupported { .. }
            | BackendError::Unavailable { .. }
            | BackendError::Engine { .. }
            | BackendError::Panicked { .. },
        ) => Code::Internal,
    }
}

fn model_code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::Cancelled => Code::Cancelled,
        ErrorCode::Unknown => Code::Unknown,
        ErrorCode::InvalidArgument => Code::InvalidArgument,
        ErrorCode::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorCode::NotFound => Code::NotFound,
        ErrorCode::AlreadyExists => Code::AlreadyExists,
        ErrorCode::PermissionDenied => Code::PermissionDenied,
        ErrorCode::ResourceExhausted => Code::ResourceExhausted,
        ErrorCode::FailedPrecondition => Code::FailedPrecondition,
        ErrorCode::Aborted => Code::Aborted,
        ErrorCode::OutOfRange => Code::OutOfRange,
        ErrorCode::Unimplemented => Code::Unimplemented,
        ErrorCode::Internal => Code::Internal,
        ErrorCode::Unavailable => Code::Unavailable,
        ErrorCode::DataLoss => Code::DataLoss,
        ErrorCode::Unauthenticated => Code::Unauthenticated,
    }
}

fn reload_code(error: &ReloadError) -> Code {
    match error {
        ReloadError::NotAList
        | ReloadError::Duplicate(_)
        | ReloadError::RelativePath { .. }
        | ReloadError::BasePath(_)
        | ReloadError::UnsupportedPlatform { .. }
        | ReloadError::PlatformChanged { .. }
        | ReloadError::Name(_)
        | ReloadError::RequestLog(_)
        | ReloadError::Invalid(_) => Code::InvalidArgument,
        ReloadError::LabelUnavailable { .. } | ReloadError::InFolder(_) | ReloadError::InFile => {
            Code::FailedPrecondition
        }
        ReloadError::Unknown(_) => Code::NotFound,
        ReloadError::NotAvailable(_) => Code::Unknown,
        ReloadError::Unsupported => Code::Unimplemented,
    }
}

#[cfg(test)]
mod tests;
