//! What can be wrong with a body, in the words of TensorFlow Serving where it has words for it.

/// Why a body cannot be taken or an answer cannot be written.
///
/// The text is meant for the client and shows nothing but what the client sent and what the signature declares.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The client's mistake: HTTP 400.
    #[error("{0}")]
    InvalidArgument(String),
    /// JSON has no form for a dtype of the model: HTTP 501.
    #[error("{0}")]
    Unimplemented(String),
}

impl JsonError {
    /// Text that is not JSON, at a byte offset of the body.
    #[cold]
    pub(super) fn syntax(reason: &str, offset: usize) -> Self {
        Self::InvalidArgument(format!("JSON Parse error: {reason} at offset: {offset}"))
    }

    /// Puts where it happened in front of the text; the code stays and is spelled out.
    #[cold]
    pub(super) fn within(self, place: &str) -> Self {
        match self {
            Self::InvalidArgument(text) => {
                Self::InvalidArgument(format!("{place} Error: INVALID_ARGUMENT: {text}"))
            }
            Self::Unimplemented(text) => {
                Self::Unimplemented(format!("{place} Error: UNIMPLEMENTED: {text}"))
            }
        }
    }
}
