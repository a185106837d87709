//! gRPC: one message in, one message out, over HTTP/2.
//!
//! The unary calls that carry tensors are framed here rather than by a framework, because a framework's decoder
//! reserves whatever length a frame announces and joins the message before it is parsed. Here bytes are counted as they
//! arrive and tensors are copied once, from the HTTP/2 frames to where the engine reads them. Health and reflection are
//! tonic's, with small message limits.

mod early;
mod inference;
mod model_service;
mod model_spec;
mod predict;
mod profiler;
mod standard;
mod unary;

use std::pin::pin;

use bytes::BytesMut;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use salver_protocol::rope::Rope;

use crate::admission::Reservation;
use crate::app::{App, Call};
use crate::context::{self, grpc_timeout};
use crate::inference::InferenceMethod;
use crate::response::ResponseBody;
use crate::split::ARM;
use crate::status::ServeError;
use crate::work::{Work, until};

pub(crate) use standard::Standard;

/// The start of every unary message: a compression flag and a length.
const PREFIX_BYTES: usize = 5;
/// A question about a model: its name and version.
const MAX_QUESTION_BYTES: u64 = 64 << 10;
/// A list of models: some ten thousand of them.
const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// Longer texts are cut: they travel in a header.
const MAX_MESSAGE_BYTES: usize = 1024;
const GRPC_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");
/// What `grpc-message` must escape: everything but printable ASCII, and the percent sign.
const MESSAGE_ESCAPES: &AsciiSet = &CONTROLS.add(b'%');

/// Answers one call.
pub(crate) async fn answer(app: &App, call: &mut Call) -> Response<ResponseBody> {
    let deadline = grpc_timeout(&call.headers).map(|timeout| call.context.started + timeout);
    call.body.await_until(deadline);
    let mut work = Work::begin(app, "grpc", call.context.clone(), deadline);
    let result = {
        let step = pin!(respond(&mut work, call));
        until(deadline, step).await
    };
    let arm = work.arm_name();
    let reservation = work.end(result.as_ref().err());
    let mut response = match result {
        Ok(message) => success(message, reservation),
        Err(error) => trailers_only(&error),
    };
    if let Some(arm) = arm {
        response.headers_mut().insert(ARM, arm);
    }
    response
}

/// Answers with an error of the service as a whole.
pub(crate) fn refuse(message: &str) -> Response<ResponseBody> {
    trailers_only(&ServeError::Unimplemented(message.to_owned()))
}

async fn respond(work: &mut Work<'_>, call: &mut Call) -> Result<BytesMut, ServeError> {
    if call.method != Method::POST {
        return Err(ServeError::Unimplemented(format!(
            "gRPC calls are POST, not {}",
            call.method
        )));
    }
    let rpc = Rpc::of(call.uri.path()).filter(|rpc| rpc.is_offered(work.app));
    let rpc = rpc
        .ok_or_else(|| ServeError::Unimplemented(format!("unknown method {}", call.uri.path())))?;
    work.call = rpc.counted_as();
    work.priority = context::priority(&call.headers)?;
    let budget_bytes = work.app.budget.limit_bytes();
    let allowed_bytes = work.app.config.channel.max_message_bytes;
    let limit_bytes = rpc.max_request_bytes(budget_bytes.min(allowed_bytes.unwrap_or(u64::MAX)));
    let headers = &call.headers;
    let message = unary::receive(work, headers, &mut call.body, limit_bytes).await?;
    match rpc {
        Rpc::Predict => predict::predict(work, headers, message).await,
        // What is rare is kept out of every other call's future.
        Rpc::Classify => {
            Box::pin(inference::ask(
                work,
                headers,
                message,
                InferenceMethod::Classify,
            ))
            .await
        }
        Rpc::Regress => {
            Box::pin(inference::ask(
                work,
                headers,
                message,
                InferenceMethod::Regress,
            ))
            .await
        }
        Rpc::MultiInference => Box::pin(inference::ask_all(work, headers, message)).await,
        Rpc::GetModelMetadata => predict::metadata(work.app, message),
        Rpc::GetModelStatus => model_service::status(work.app, message),
        Rpc::HandleReloadConfigRequest => Box::pin(model_service::reload(work.app, message)).await,
        Rpc::Profile => Box::pin(profiler::profile(work, message)).await,
        Rpc::Terminate => profiler::terminate(work.app, message),
    }
}

/// The unary calls that are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rpc {
    Predict,
    Classify,
    Regress,
    MultiInference,
    GetModelMetadata,
    GetModelStatus,
    HandleReloadConfigRequest,
    Profile,
    Terminate,
}

impl Rpc {
    /// Returns how large a request may be: tensors and rows as large as the budget; what becomes a tree of small objects, many
    /// times larger than its message, much less.
    fn max_request_bytes(self, budget_bytes: u64) -> u64 {
        match self {
            Self::Predict | Self::Classify | Self::Regress | Self::MultiInference => budget_bytes,
            Self::GetModelMetadata | Self::GetModelStatus | Self::Profile | Self::Terminate => {
                MAX_QUESTION_BYTES.min(budget_bytes)
            }
            Self::HandleReloadConfigRequest => MAX_CONFIG_BYTES.min(budget_bytes),
        }
    }

    /// Returns what TensorFlow Serving counts it as.
    fn counted_as(self) -> Option<salver_telemetry::Call> {
        match self {
            Self::Predict => Some(salver_telemetry::Call::GrpcPredict),
            Self::Classify => Some(salver_telemetry::Call::GrpcClassify),
            Self::Regress => Some(salver_telemetry::Call::GrpcRegress),
            Self::MultiInference
            | Self::GetModelMetadata
            | Self::GetModelStatus
            | Self::HandleReloadConfigRequest
            | Self::Profile
            | Self::Terminate => None,
        }
    }

    fn is_offered(self, app: &App) -> bool {
        app.config.has_profiler || !matches!(self, Self::Profile | Self::Terminate)
    }

    fn of(path: &str) -> Option<Self> {
        match path {
            "/tensorflow.serving.PredictionService/Predict" => Some(Self::Predict),
            "/tensorflow.serving.PredictionService/Classify" => Some(Self::Classify),
            "/tensorflow.serving.PredictionService/Regress" => Some(Self::Regress),
            "/tensorflow.serving.PredictionService/MultiInference" => Some(Self::MultiInference),
            "/tensorflow.serving.PredictionService/GetModelMetadata" => {
                Some(Self::GetModelMetadata)
            }
            "/tensorflow.serving.ModelService/GetModelStatus" => Some(Self::GetModelStatus),
            "/tensorflow.serving.ModelService/HandleReloadConfigRequest" => {
                Some(Self::HandleReloadConfigRequest)
            }
            "/tensorflow.ProfilerService/Profile" => Some(Self::Profile),
            "/tensorflow.ProfilerService/Terminate" => Some(Self::Terminate),
            _ => None,
        }
    }
}

/// Returns a buffer with room for the prefix, which [`success`] fills in.
fn message_buffer() -> BytesMut {
    let mut message = BytesMut::with_capacity(256);
    message.extend_from_slice(&[0; PREFIX_BYTES]);
    message
}

fn success(mut message: BytesMut, reservation: Reservation) -> Response<ResponseBody> {
    let Ok(length) = u32::try_from(message.len() - PREFIX_BYTES) else {
        return trailers_only(&ServeError::Internal("an answer over 4 GB".to_owned()));
    };
    message[1..PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let mut response = Response::new(ResponseBody::counted(
        message.freeze(),
        Some(trailers),
        reservation,
    ));
    response.headers_mut().insert(CONTENT_TYPE, GRPC_TYPE);
    response
}

/// Returns an answer that is a status and nothing else.
fn trailers_only(error: &ServeError) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC_TYPE);
    headers.insert(
        "grpc-status",
        HeaderValue::from(u16::from(error.code().number())),
    );
    let message = cut(error.to_string());
    let message = utf8_percent_encode(&message, MESSAGE_ESCAPES).to_string();
    if let Ok(message) = HeaderValue::from_str(&message) {
        headers.insert("grpc-message", message);
    }
    response
}

fn cut(mut message: String) -> String {
    if message.len() > MAX_MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
        message.push_str("...TRUNCATED");
    }
    message
}

/// A message as it came: frames, not joined.
type Message = Rope;
