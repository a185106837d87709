//! `PredictionService`.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use prost::Message as _;
use salver_proto::tensorflow::serving::GetModelMetadataRequest;
use salver_protocol::metadata as wire;
use salver_protocol::predict as codec;
use salver_protocol::tensor_proto::TensorStyle;
use tokio::time::Instant;

use super::{Message, message_buffer, model_spec};
use crate::app::App;
use crate::infer::{self, Job};
use crate::status::ServeError;
use crate::work::Work;

/// The only metadata there is.
const SIGNATURE_DEF: &str = "signature_def";

/// Runs a model.
pub(super) async fn predict(work: &mut Work<'_>, message: Message) -> Result<BytesMut, ServeError> {
    let decode_started = Instant::now();
    let num_bytes = message.remaining();
    let room = work.reservation.remaining();
    let request = work
        .app
        .cpu
        .run(num_bytes / COPY_SPEEDUP, move || {
            codec::decode_request(message, room)
        })
        .await?;
    let request = request.map_err(|error| ServeError::Protobuf {
        message: "tensorflow.serving.PredictRequest",
        reason: error.to_string(),
    })?;
    let spec = request.model.ok_or(ServeError::MissingModelSpec)?;
    let handle = infer::lookup(work.app, &spec.name, &spec.version)?;
    let signature = handle.signatures().get(&spec.signature_name).cloned();
    let signature =
        signature.ok_or_else(|| ServeError::UnknownSignature(spec.signature_name.clone()))?;
    work.resolved = Some(Arc::clone(handle.metrics(&signature.name)));
    let inputs = infer::arrange(&signature, request.inputs)?;
    let requested = infer::requested(&signature, &request.output_filter)?;
    let job = Job {
        handle,
        signature,
        inputs,
        requested,
        decode: decode_started.elapsed(),
    };
    let answer = infer::run(work, job).await?;
    let encode_started = Instant::now();
    let mut encoded = message_buffer();
    let echo = codec::ModelSpecEcho {
        name: &answer.handle.id().name,
        version: answer.handle.id().version,
        signature_name: &answer.signature.name,
    };
    codec::encode_response(
        &echo,
        &answer.named_outputs(),
        TensorStyle::Fields,
        &mut encoded,
    );
    answer.encoded(encode_started.elapsed());
    Ok(encoded)
}

/// Tensors in protobuf are copied, not parsed: some ten times as fast as JSON, so ten times as many bytes stay on the
/// I/O thread.
const COPY_SPEEDUP: usize = 10;

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
