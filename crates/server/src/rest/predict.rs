//! `POST …:predict`.

use std::sync::Arc;

use bytes::Bytes;
use salver_protocol::json::{self, Format, JsonError};
use salver_repository::LoadedModel;
use salver_servable::Handle;
use salver_telemetry::Api;
use salver_tensor::Tensor;
use tokio::time::Instant;

use super::route::Model;
use crate::app::{App, Call};
use crate::infer::{self, Job};
use crate::split;
use crate::status::ServeError;
use crate::tasks::{CpuPool, OFFLOAD_BYTES};
use crate::work::Work;

pub(super) async fn answer(
    work: &mut Work<'_>,
    call: &mut Call,
    model: &Model,
) -> Result<Vec<u8>, ServeError> {
    let app = work.app;
    let body = super::receive(work, call).await?;
    let decode_started = Instant::now();
    // A body that is not JSON is the first thing to be wrong, even if the model is unknown.
    let handle = match split::route(app, &call.headers, &model.name, &model.version) {
        Ok(routed) => work.follow(routed),
        Err(error) => {
            app.cpu
                .run(body.len(), move || json::check_predict(&body))
                .await??;
            return Err(error);
        }
    };
    // While the body came others did too; and now a split has decided.
    work.admit(&handle)?;
    // Numbers take about as much in memory as in text; what they take in truth is counted afterwards.
    let mut reserved = work.reservation.sibling();
    reserved.grow(body.len())?;
    let pool = (body.len() > OFFLOAD_BYTES).then(|| app.cpu.clone());
    let (handle, parsed) = app
        .cpu
        .run(body.len(), move || parse(handle, &body, pool.as_ref()))
        .await?;
    let parsed = parsed?;
    reserved.settle(parsed.inputs.iter().map(Tensor::num_bytes).sum());
    work.reservation = reserved;
    let name = parsed.signature_name.as_deref().unwrap_or_default();
    let signature = handle.signatures().get(name).cloned();
    let signature = signature.ok_or_else(|| ServeError::UnknownSignature(name.to_owned()))?;
    work.resolved = Some(Arc::clone(handle.metrics(&signature.name)));
    infer::check_method_name(app, &signature)?;
    let requested = infer::requested(&signature, &[])?;
    let decode = decode_started.elapsed();
    let job = Job {
        api: Api::Predict,
        handle,
        signature,
        inputs: parsed.inputs,
        requested,
        decode,
    };
    let answer = infer::run(work, job, &[]).await?;
    encode(app, answer, parsed.format).await
}

type Parsed = Result<json::PredictBody, JsonError>;

fn parse(
    handle: Handle<LoadedModel>,
    body: &Bytes,
    pool: Option<&CpuPool>,
) -> (Handle<LoadedModel>, Parsed) {
    let lookup = |name: &str| {
        handle
            .signatures()
            .get(name)
            .map(|signature| signature.inputs.as_slice())
    };
    let parsed = match pool {
        Some(pool) => json::parse_predict_by_two(body, lookup, &|work| pool.lend(work)),
        None => json::parse_predict(body, lookup),
    };
    (handle, parsed)
}

async fn encode(app: &App, answer: infer::Answer, format: Format) -> Result<Vec<u8>, ServeError> {
    let encode_started = Instant::now();
    let num_bytes = answer.outputs.num_bytes();
    let work = move || {
        let mut encoded = Vec::new();
        let result = json::encode_predict(format, &answer.outputs.named(), &mut encoded);
        (answer, result.map(|()| encoded))
    };
    let (answer, encoded) = app.cpu.run(num_bytes, work).await?;
    answer.encoded(encode_started.elapsed());
    Ok(encoded?)
}
