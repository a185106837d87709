//! What can be wrong with bytes that should be protobuf.

/// Why bytes are not a protobuf message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The message ends inside a value of fixed size, a varint or a group.
    #[error("message ends in the middle of a value")]
    Truncated,
    /// A length-delimited value is announced longer than what is left of its message.
    #[error("value of {announced} bytes announced, {remaining} bytes are left")]
    LengthBeyondEnd {
        /// The announced length, in bytes.
        announced: u64,
        /// What is left of the enclosing message, in bytes.
        remaining: usize,
    },
    /// A varint does not fit 64 bits, or a field's key does not fit 32.
    #[error("varint is too long")]
    VarintTooLong,
    /// Field number 0.
    #[error("field number 0 is not allowed")]
    FieldZero,
    /// Wire types 6 and 7 do not exist.
    #[error("unknown wire type {0}")]
    UnknownWireType(u8),
    /// A group ends that did not begin, or another one than did.
    #[error("group {0} ends without having begun")]
    UnexpectedEndGroup(u32),
    /// Messages or groups lie too deep in each other.
    #[error("messages are nested more than {max} deep")]
    TooDeep {
        /// The depth that is allowed.
        max: u32,
    },
    /// A string field holds bytes that are not UTF-8.
    #[error("string is not valid UTF-8")]
    InvalidUtf8,
}
