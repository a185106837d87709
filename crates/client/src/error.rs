//! What can go wrong between a request and its answer.

use std::time::Duration;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address cannot be one of a server.
    #[error("`{address}` is not the address of a server: {reason}")]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers at the address.
    #[error(
        "cannot reach {address}: {reason}; is the server running? `salver serve DIR` starts one"
    )]
    Connect {
        /// Where it was tried.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// The connection could not be secured.
    #[error("no secure connection with {address}: {reason}; {hint}")]
    Insecure {
        /// Where it was tried.
        address: String,
        /// What was wrong.
        reason: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The client's own certificates or authorities cannot be used.
    #[error("connections cannot be secured: {reason}")]
    Certificates {
        /// What is wrong with them.
        reason: String,
    },
    /// The server is there but did not answer in time.
    #[error("{address} did not answer within {} s", timeout.as_secs_f64())]
    Timeout {
        /// Who did not answer.
        address: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// The server refused the request.
    #[error("the server answered {code}: {message}")]
    Refused {
        /// `404 Not Found` or `NOT_FOUND`, as the API has it.
        code: String,
        /// The server's own words.
        message: String,
    },
    /// The answer is not what this API gives.
    #[error("the server's answer cannot be read: {reason}")]
    Answer {
        /// What is wrong with it.
        reason: String,
    },
    /// The model has no such signature.
    #[error("the model has no signature `{name}`; it has {known}")]
    UnknownSignature {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// JSON has no form for this dtype.
    #[error("input `{input}` is {dtype}, which the REST API cannot take; use the gRPC API")]
    NotInJson {
        /// The input.
        input: String,
        /// Its dtype.
        dtype: salver_tensor::DType,
    },
}

impl ClientError {
    pub(crate) fn answer(reason: impl std::fmt::Display) -> Self {
        Self::Answer {
            reason: reason.to_string(),
        }
    }
}

/// Returns an error's causes in one line, outermost first, without repeating one that the outer one quotes.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Returns the innermost cause of an error: what the system said, without the layers that passed it on.
pub(crate) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
