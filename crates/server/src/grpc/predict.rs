//! `PredictionService`.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use http::HeaderMap;
use prost::Message as _;
use salver_proto::tensorflow::serving::GetModelMetadataRequest;
use salver_protocol::metadata as wire;
use salver_protocol::predict as codec;
use salver_protocol::tensor_proto::{TensorProtoError, TensorStyle};
use salver_telemetry::Api;
use salver_tensor::Tensor;
use tokio::time::Instant;

use super::{Message, early, message_buffer, model_spec};
use crate::admission::Reservation;
use crate::app::App;
use crate::infer::{self, Answer, Job};
use crate::status::ServeError;
use crate::work::Work;

/// Tensors in protobuf are copied, not parsed: some ten times as fast as JSON, so ten times as many bytes stay on the
/// I/O thread.
const COPY_SPEEDUP: usize = 10;
/// What decoded tensors may take beyond the message they came in.
const USUAL_SURPLUS_BYTES: usize = 64 * 1024;
/// An empty string takes two bytes in a message and 32 in memory.
const MAX_EXPANSION: usize = 32;
/// One value may stand for a whole tensor; up to this size however small the message is.
const MIN_EXPANDED_BYTES: usize = 256 << 20;
/// The only metadata there is.
const SIGNATURE_DEF: &str = "signature_def";

/// Runs a model.
pub(super) async fn predict(
    work: &mut Work<'_>,
    headers: &HeaderMap,
    message: Message,
) -> Result<BytesMut, ServeError> {
    let decode_started = Instant::now();
    let found = early::admit(work, headers, &message)?;
    let request = decode(work, message).await?;
    let spec = request.model.ok_or(ServeError::MissingModelSpec)?;
    let handle = early::handle(work, headers, found, spec.name, &spec.version)?;
    let signature = handle.signatures().get(&spec.signature_name).cloned();
    let signature = signature.ok_or_else(|| {
        ServeError::UnknownSignature(infer::or_default(&spec.signature_name).to_owned())
    })?;
    work.resolved = Some(Arc::clone(handle.metrics(&signature.name)));
    infer::check_method_name(work.app, &signature)?;
    let inputs = infer::arrange(&signature, request.inputs)?;
    let requested = infer::requested(&signature, &request.output_filter)?;
    infer::check_dtypes(&signature, &inputs)?;
    let job = Job {
        api: Api::Predict,
        handle,
        signature,
        inputs,
        requested,
        decode: decode_started.elapsed(),
    };
    let app = work.app;
    let answer = infer::run(work, job, &[]).await?;
    let num_bytes = answer.outputs.num_bytes();
    let style = if app.config.is_tensor_content {
        TensorStyle::Content
    } else {
        TensorStyle::Fields
    };
    app.cpu
        .run(num_bytes / COPY_SPEEDUP, move || encode(&answer, style))
        .await
}

/// Decodes a request, with room reserved for its tensors before they are made.
///
/// Most tensors take no more than the message. Some take far more (one value that fills a shape, small numbers as
/// varints): they get a second try with more room.
async fn decode(
    work: &mut Work<'_>,
    message: Message,
) -> Result<codec::PredictRequest, ServeError> {
    let num_bytes = message.remaining();
    let usual = num_bytes.saturating_add(USUAL_SURPLUS_BYTES);
    let (request, reserved) = try_decode(work, message.clone(), usual).await?;
    if !has_too_large(&request) {
        work.reservation = reserved;
        return Ok(request);
    }
    drop((request, reserved));
    let most = num_bytes
        .saturating_mul(MAX_EXPANSION)
        .max(MIN_EXPANDED_BYTES);
    let (request, reserved) =
        try_decode(work, message, most.min(work.reservation.remaining())).await?;
    work.reservation = reserved;
    Ok(request)
}

async fn try_decode(
    work: &Work<'_>,
    message: Message,
    room: usize,
) -> Result<(codec::PredictRequest, Reservation), ServeError> {
    let mut reserved = work.reservation.sibling();
    reserved.grow(room)?;
    let work_bytes = message
        .remaining()
        .max(room.saturating_sub(USUAL_SURPLUS_BYTES))
        / COPY_SPEEDUP;
    let decoded = work
        .app
        .cpu
        .run(work_bytes, move || codec::decode_request(message, room))
        .await?;
    let request = decoded.map_err(|error| ServeError::Protobuf {
        message: "tensorflow.serving.PredictRequest",
        reason: error.to_string(),
    })?;
    let tensors = request
        .inputs
        .iter()
        .filter_map(|(_, tensor)| tensor.as_ref().ok());
    reserved.shrink_to(tensors.map(Tensor::num_bytes).sum());
    Ok((request, reserved))
}

fn has_too_large(request: &codec::PredictRequest) -> bool {
    let is_too_large = |tensor: &Result<Tensor, TensorProtoError>| {
        matches!(tensor, Err(TensorProtoError::TooLarge { .. }))
    };
    request
        .inputs
        .iter()
        .any(|(_, tensor)| is_too_large(tensor))
}

fn encode(answer: &Answer, style: TensorStyle) -> BytesMut {
    let encode_started = Instant::now();
    let mut encoded = message_buffer();
    let echo = codec::ModelSpecEcho {
        name: &answer.handle.id().name,
        version: answer.handle.id().version,
        signature_name: &answer.signature.name,
    };
    codec::encode_response(&echo, &answer.outputs.named(), style, &mut encoded);
    answer.encoded(encode_started.elapsed());
    encoded
}

/// Returns a model's signatures.
pub(super) fn metadata(app: &App, message: Message) -> Result<BytesMut, ServeError> {
    let request =
        GetModelMetadataRequest::decode(message).map_err(|error| ServeError::Protobuf {
            message: "tensorflow.serving.GetModelMetadataRequest",
            reason: error.to_string(),
        })?;
    let spec = request.model_spec.ok_or(ServeError::MissingModelSpec)?;
    if request.metadata_field.is_empty() {
        return Err(ServeError::MissingMetadataField);
    }
    if let Some(unknown) = request
        .metadata_field
        .iter()
        .find(|field| *field != SIGNATURE_DEF)
    {
        return Err(ServeError::UnknownMetadataField(unknown.clone()));
    }
    let (name, version) = model_spec::read(spec);
    let handle = infer::lookup(app, &name, &version)?;
    let mut encoded = message_buffer();
    let views = infer::views(handle.signatures());
    wire::encode_metadata(&handle.id().name, handle.id().version, &views, &mut encoded);
    Ok(encoded)
}
