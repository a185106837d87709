//! `PredictionService`: the calls that take `tensorflow.Example`.

use bytes::{Buf, BytesMut};
use http::HeaderMap;
use salver_protocol::inference::{self as codec, DecodeError};
use salver_telemetry::Api;
use tokio::time::Instant;

use super::{Message, early, message_buffer};
use crate::inference::{self, Answered, InferenceMethod, Inquiry, Question};
use crate::split;
use crate::status::ServeError;
use crate::work::Work;

/// Passing over rows without making anything of them is some twice as fast as JSON, if they are short.
const WALK_SPEEDUP: usize = 2;

/// Answers `Classify` or `Regress`.
pub(super) async fn ask(
    work: &mut Work<'_>,
    headers: &HeaderMap,
    message: Message,
    method: InferenceMethod,
) -> Result<BytesMut, ServeError> {
    let name = match method {
        InferenceMethod::Classify => "tensorflow.serving.ClassificationRequest",
        InferenceMethod::Regress => "tensorflow.serving.RegressionRequest",
    };
    let decode_started = Instant::now();
    let found = early::admit(work, headers, &message)?;
    let request = decode(work, message, name, codec::decode_request).await?;
    let spec = request.model.ok_or(ServeError::MissingModelSpec)?;
    let handle = early::handle(work, headers, found, spec.name, &spec.version)?;
    let checks = work.app.config.checks_method_names;
    let inquiry = Inquiry {
        api: method.api(),
        questions: vec![Question::new(
            checks,
            &handle,
            method,
            &spec.signature_name,
        )?],
        examples: request.examples,
        decode_started,
    };
    let answered = inference::run(work, handle, inquiry).await?;
    encode(work, answered, |answered, encoded| {
        let question = &answered.questions[0];
        let results = question.results(&answered.answer.outputs, answered.num_rows)?;
        codec::encode_response(&question.echo(&answered.answer), &results, encoded);
        Ok(())
    })
    .await
}

/// Answers several questions about the same rows by one run.
pub(super) async fn ask_all(
    work: &mut Work<'_>,
    headers: &HeaderMap,
    message: Message,
) -> Result<BytesMut, ServeError> {
    let name = "tensorflow.serving.MultiInferenceRequest";
    let decode_started = Instant::now();
    let request = decode(work, message, name, codec::decode_multi).await?;
    let spec = request.tasks.first().and_then(|task| task.model.clone());
    let spec = spec.unwrap_or_default();
    let routed = split::route(work.app, headers, &spec.name, &spec.version)?;
    let handle = work.follow(routed);
    let checks = work.app.config.checks_method_names;
    let inquiry = Inquiry {
        api: Api::MultiInference,
        questions: Question::of_tasks(checks, &handle, request.tasks)?,
        examples: request.examples,
        decode_started,
    };
    let answered = inference::run(work, handle, inquiry).await?;
    encode(work, answered, |answered, encoded| {
        let mut answers = Vec::with_capacity(answered.questions.len());
        for question in &answered.questions {
            let results = question.results(&answered.answer.outputs, answered.num_rows)?;
            answers.push((question.echo(&answered.answer), results));
        }
        codec::encode_multi(&answers, encoded);
        Ok(())
    })
    .await
}

async fn decode<T: Send + 'static>(
    work: &Work<'_>,
    message: Message,
    name: &'static str,
    decode: fn(Message) -> Result<T, DecodeError>,
) -> Result<T, ServeError> {
    let num_bytes = message.remaining();
    let decoded = work
        .app
        .cpu
        .run(num_bytes / WALK_SPEEDUP, move || decode(message))
        .await?;
    decoded.map_err(|error| ServeError::Protobuf {
        message: name,
        reason: error.to_string(),
    })
}

/// Encodes an answer; a class or a value is a message of its own, so that takes as long as JSON does.
async fn encode(
    work: &Work<'_>,
    answered: Answered,
    write: fn(&Answered, &mut BytesMut) -> Result<(), ServeError>,
) -> Result<BytesMut, ServeError> {
    let num_bytes = answered.answer.outputs.num_bytes();
    let encode = move || {
        let encode_started = Instant::now();
        let mut encoded = message_buffer();
        write(&answered, &mut encoded)?;
        answered.answer.encoded(encode_started.elapsed());
        Ok(encoded)
    };
    work.app.cpu.run(num_bytes, encode).await?
}
