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

    /// Puts where it happened in front of the text, with the code spelled out; what is wrong within a row is the
    /// client's mistake, whatever it was before.
    #[cold]
    pub(super) fn within(self, place: &str) -> Self {
        let code = match self {
            Self::InvalidArgument(_) => "INVALID_ARGUMENT",
            Self::Unimplemented(_) => "UNIMPLEMENTED",
        };
        Self::InvalidArgument(format!("{place} Error: {code}: {self}"))
    }
}
