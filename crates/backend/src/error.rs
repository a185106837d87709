//! What can go wrong between a model's files and its answer.

/// The canonical codes of failures, numbered as in gRPC; what a model's own kernels say in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorCode {
    /// The run was given up.
    Cancelled = 1,
    /// Of a cause that has no code.
    Unknown = 2,
    /// The inputs are wrong, whatever the model's state.
    InvalidArgument = 3,
    /// Time ran out.
    DeadlineExceeded = 4,
    /// Something that the model needs is not there: a tensor, a key of a table.
    NotFound = 5,
    /// Something that was to be made is there already.
    AlreadyExists = 6,
    /// The caller may not do this.
    PermissionDenied = 7,
    /// A limit was reached, usually of memory.
    ResourceExhausted = 8,
    /// The model's state does not allow the run.
    FailedPrecondition = 9,
    /// Another run came in between.
    Aborted = 10,
    /// An index or position is beyond the end.
    OutOfRange = 11,
    /// No kernel does this.
    Unimplemented = 12,
    /// The engine broke a promise of its own.
    Internal = 13,
    /// Not now; trying again is safe.
    Unavailable = 14,
    /// Data is lost or damaged.
    DataLoss = 15,
    /// It is not known who the caller is.
    Unauthenticated = 16,
}

impl ErrorCode {
    /// Every code, in the order of the numbers.
    pub const ALL: [Self; 16] = [
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// Returns the code of a number; [`ErrorCode::Unknown`] for numbers that are none, zero among them.
    #[must_use]
    pub fn from_number(number: i32) -> Self {
        Self::ALL
            .into_iter()
            .find(|code| *code as i32 == number)
            .unwrap_or(Self::Unknown)
    }
}

/// Why an engine could not load or run a model.
///
/// Cloneable, because one failed run is the answer to every request of its batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The model's files are not what their names claim, or are damaged.
    #[error("{file}: {reason}")]
    InvalidModel {
        /// The file at fault, relative to the model's folder.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// This engine cannot run this model; another may.
    #[error("{platform} cannot run this model: {reason}; {remedy}")]
    Unsupported {
        /// The engine.
        platform: &'static str,
        /// What the model needs that the engine lacks.
        reason: String,
        /// What to do about it, as a command where there is one.
        remedy: String,
    },
    /// An input's value, shape or dtype is at fault: the client can mend it.
    #[error("{message}")]
    InvalidInput {
        /// What was wanted and what was got, with the input's name.
        message: String,
    },
    /// The engine is not installed or does not start.
    #[error("{platform} is not available: {reason}; {remedy}")]
    Unavailable {
        /// The engine.
        platform: &'static str,
        /// Why it is not there.
        reason: String,
        /// How to get it, as a command where there is one.
        remedy: String,
    },
    /// The engine ran, and the model's own kernels refused or failed. Clients read the message as it is.
    #[error("{message}")]
    Model {
        /// What kind of failure.
        code: ErrorCode,
        /// What the kernel said.
        message: String,
    },
    /// The engine failed on its own account.
    #[error("{platform} failed: {message}")]
    Engine {
        /// The engine.
        platform: &'static str,
        /// What the engine said.
        message: String,
    },
    /// The engine panicked; the instance that did is replaced.
    #[error("{platform} panicked while running the model")]
    Panicked {
        /// The engine.
        platform: &'static str,
    },
}
