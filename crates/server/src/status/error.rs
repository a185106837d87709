//! Every way a request can fail, and what the client is told.

use salver_backend::BackendError;
use salver_batching::ExecuteError;
use salver_protocol::json::JsonError;
use salver_servable::LookupError;

use crate::inference::InferenceError;
use crate::reload::ReloadError;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A gRPC request without `model_spec`.
    #[error("Missing ModelSpec")]
    MissingModelSpec,
    /// A `model_spec` without a name.
    #[error("ModelSpec has no name specified.")]
    MissingModelName,
    /// No such model, version or label.
    #[error("{}", lookup_message(.0))]
    Lookup(LookupError),
    /// A split of which no arm is loaded.
    #[error("no arm of {model} that the request may go to has a version in service: {arms}")]
    NoArm {
        /// The model.
        model: String,
        /// The arms, each with what it stands for.
        arms: String,
    },
    /// No such signature, by gRPC.
    #[error("Serving signature key \"{0}\" not found.")]
    UnknownSignature(String),
    /// A signature for something else than prediction, where that is checked.
    #[error("Expected prediction signature method_name to be one of {{{known}}}. Was: {actual}")]
    PredictMethodName {
        /// What it may be for.
        known: String,
        /// What it is for.
        actual: String,
    },
    /// A header about urgency that says something unknown.
    #[error("x-salver-priority: expected high, normal or low, got `{0}`")]
    UnknownPriority(String),
    /// A question about rows that has no answer.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The inputs are more or fewer than the signature's.
    #[error(
        "input size does not match signature: {num_sent}!={num_wanted} len({{{sent}}}) != len({{{wanted}}}). \
         Sent extra: {{{extra}}}. Missing but required: {{{missing}}}."
    )]
    InputCount {
        /// Inputs in the request.
        num_sent: usize,
        /// Inputs of the signature.
        num_wanted: usize,
        /// Names in the request.
        sent: String,
        /// Names in the signature.
        wanted: String,
        /// Names that only the request has.
        extra: String,
        /// Names that only the signature has.
        missing: String,
    },
    /// The right number of inputs, but not the right ones.
    #[error(
        "Signature input alias: {alias}(feed name: {feed}) not found in request and no default value provided. \
         Inputs expected to be in the request {{{sent}}}, or default input alias set: {defaults}"
    )]
    InputAlias {
        /// The signature's input that is missing.
        alias: String,
        /// Its name in the graph.
        feed: String,
        /// Names in the request.
        sent: String,
        /// Names of the signature's inputs that may be left out.
        defaults: String,
    },
    /// Inputs that the signature does not have, beside all that it needs.
    #[error("Inputs contains invalid name. Used request inputs: {used}, request input: {sent}")]
    UnusedInputs {
        /// Names in the request that are the signature's.
        used: String,
        /// Names in the request.
        sent: String,
    },
    /// An input of another dtype than the signature's.
    #[error("Expects arg[{arg_idx}] to be {expected} but {actual} is provided")]
    InputDType {
        /// Position in the signature.
        arg_idx: usize,
        /// TensorFlow's word for the dtype declared.
        expected: &'static str,
        /// TensorFlow's word for the dtype sent.
        actual: &'static str,
    },
    /// A tensor of a gRPC request cannot be decoded.
    #[error("tensor parsing error: {input}")]
    TensorProto {
        /// The input's name.
        input: String,
        /// What is wrong.
        reason: String,
    },
    /// A tensor that is too large for this server.
    #[error(
        "input `{input}` takes more than {max_bytes} bytes, which is all that this request may have"
    )]
    TensorTooLarge {
        /// The input's name.
        input: String,
        /// What the request may have for it.
        max_bytes: usize,
    },
    /// An output filter names no output.
    #[error(
        "output tensor alias not found in signature: {alias} Outputs expected to be in the set {{{known}}}."
    )]
    UnknownOutput {
        /// What was asked for.
        alias: String,
        /// What there is.
        known: String,
    },
    /// An output filter names an output twice.
    #[error("duplicate output tensor alias: {0}")]
    DuplicateOutput(String),
    /// A metadata request without a field.
    #[error("GetModelMetadataRequest must specify at least one metadata_field")]
    MissingMetadataField,
    /// A metadata request for an unknown field.
    #[error("Metadata field {0} is not supported")]
    UnknownMetadataField(String),
    /// The status of a model that was never there.
    #[error("Could not find any versions of model {0}")]
    NoStatus(String),
    /// The status of a model that is to be served, and of which there is no version.
    #[error("Could not find any versions of model {name}: {reason}")]
    NoVersions {
        /// The model.
        name: String,
        /// Why there is none.
        reason: String,
    },
    /// A label, before the first list of models has come.
    #[error("Model labels does not init yet.{0}")]
    LabelsNotReady(String),
    /// The status of a version that was never there.
    #[error("Could not find version {version} of model {name}")]
    NoVersionStatus {
        /// The model.
        name: String,
        /// The version.
        version: i64,
    },
    /// The body is not JSON, or not JSON that fits the signature.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// The message is not protobuf.
    #[error("the request is not a valid {message}: {reason}")]
    Protobuf {
        /// The message's name.
        message: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A path under `/v1` that is none of the API's.
    #[error("Malformed request: {0}")]
    MalformedRequest(String),
    /// `GET /v1/models`.
    #[error("Missing model name in request.")]
    MissingNameInPath,
    /// A version number in the path that is too large.
    #[error("Failed to convert version: {0} to numeric.")]
    VersionInPath(String),
    /// A page outside of every API.
    #[error("{0}")]
    NoSuchPage(String),
    /// A method of gRPC that is not offered.
    #[error("{0}")]
    Unimplemented(String),
    /// Request bytes in flight have reached their limit.
    #[error(
        "the server has no room for this request: {inflight_bytes} of {limit_bytes} bytes are in flight; try again later"
    )]
    NoRoom {
        /// In flight before this request.
        inflight_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// The requests of one model hold so many bytes that others have less.
    #[error(
        "the model has no room for this request: its requests hold {held_bytes} bytes, and {free_bytes} are left for those of \
         all models; try again later"
    )]
    ModelShare {
        /// What the model's requests hold.
        held_bytes: u64,
        /// What is free.
        free_bytes: u64,
    },
    /// One request that is larger than the limit on all of them.
    #[error("the request is larger than this server's limit of {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The body came too slowly.
    #[error("the request's body was not received in time")]
    BodyTimeout,
    /// The caller went away or broke off.
    #[error("the request's body ended early: {0}")]
    BodyBroken(String),
    /// A compressed body that cannot be inflated.
    #[error("the request's body cannot be inflated: {0}")]
    BadCompression(String),
    /// Time ran out before there was an answer.
    #[error("the deadline passed before the answer was ready")]
    Deadline,
    /// A second trace while one is being recorded.
    #[error("another trace is being recorded; try again when it has ended")]
    TraceRunning,
    /// The executor failed.
    #[error("{}", execute_message(.0))]
    Execute(ExecuteError),
    /// A new list of models was refused.
    #[error("{0}")]
    Reload(#[from] ReloadError),
    /// The server itself is at fault; the log says how.
    #[error("internal error; the server's log has the details under this request's id")]
    Internal(String),
}

fn lookup_message(error: &LookupError) -> String {
    match error {
        LookupError::UnknownModel { name } => {
            format!("Servable not found for request: Latest({name})")
        }
        LookupError::UnknownVersion { name, version } => {
            format!("Servable not found for request: Specific({name}, {version})")
        }
        LookupError::UnknownLabel { label, .. } => {
            format!("Unrecognized servable version label: {label}")
        }
    }
}

fn execute_message(error: &ExecuteError) -> String {
    match error {
        ExecuteError::QueueFull { capacity } => {
            format!("the model's queue is full ({capacity} requests are waiting); try again later")
        }
        ExecuteError::DeadlineExceeded {
            waited_in_queue: true,
        } => "the deadline passed while the request waited for the model".to_owned(),
        ExecuteError::DeadlineExceeded {
            waited_in_queue: false,
        } => "the deadline passed before the answer was ready".to_owned(),
        ExecuteError::BatchQueueFull { .. }
        | ExecuteError::TooManyRows { .. }
        | ExecuteError::BatchQueueTimeout => error.to_string(),
        ExecuteError::WouldBeLate { .. } => {
            format!("{error}, too long to be of use; try again later")
        }
        ExecuteError::Stopped => "the model is being unloaded; try again".to_owned(),
        ExecuteError::Backend(
            BackendError::InvalidInput { message } | BackendError::Model { message, .. },
        ) => message.clone(),
        ExecuteError::Backend(BackendError::Panicked { .. }) => {
            "the engine failed while running the model".to_owned()
        }
        ExecuteError::Backend(
            BackendError::InvalidModel { .. }
            | BackendError::Unsupported { .. }
            | BackendError::Unavailable { .. }
            | BackendError::Engine { .. },
        ) => "the engine could not run the model on this input; the server's log has the details"
            .to_owned(),
    }
}
