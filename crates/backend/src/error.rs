//! What can go wrong between a model's files and its answer.

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
