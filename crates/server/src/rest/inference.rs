//! `POST …:classify` and `POST …:regress`.

use salver_protocol::json;
use tokio::time::Instant;

use super::route::Model;
use crate::app::Call;
use crate::inference::{self, InferenceMethod, Inquiry, Question};
use crate::split;
use crate::status::ServeError;
use crate::work::Work;

pub(super) async fn answer(
    work: &mut Work<'_>,
    call: &mut Call,
    model: &Model,
    method: InferenceMethod,
) -> Result<Vec<u8>, ServeError> {
    let app = work.app;
    let body = super::receive(work, call).await?;
    let decode_started = Instant::now();
    // Values take about as much in protobuf as in JSON; what the tensor takes is reserved before it is made.
    let mut reserved = work.reservation.sibling();
    reserved.grow(body.len())?;
    let num_bytes = body.len();
    let parse = move || json::parse_examples(&body);
    let parsed = app.cpu.run(num_bytes, parse).await??;
    work.reservation = reserved;
    let routed = split::route(app, &call.headers, &model.name, &model.version)?;
    let handle = work.follow(routed);
    let name = parsed.signature_name.unwrap_or_default();
    let checks = app.config.checks_method_names;
    let inquiry = Inquiry {
        api: method.api(),
        questions: vec![Question::new(checks, &handle, method, &name)?],
        examples: parsed.examples,
        decode_started,
    };
    let answered = inference::run(work, handle, inquiry).await?;
    let num_bytes = answered.answer.outputs.num_bytes();
    let encode = move || {
        let encode_started = Instant::now();
        let results = answered.questions[0].results(&answered.answer.outputs, answered.num_rows)?;
        let mut encoded = Vec::new();
        json::encode_results(&results, &mut encoded);
        answered.answer.encoded(encode_started.elapsed());
        Ok(encoded)
    };
    app.cpu.run(num_bytes, encode).await?
}
