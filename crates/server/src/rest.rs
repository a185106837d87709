//! TensorFlow Serving's REST API, `/v1/models/…`.
//!
//! The request's content type is not looked at: `curl -d` and the usual load testers send none or the wrong one. Every
//! answer is JSON, errors too.

mod cors;
mod inference;
mod predict;
mod route;

use std::pin::pin;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use salver_protocol::{json, metadata as wire};

use crate::admission::Reservation;
use crate::app::{App, Call, Speaks};
use crate::body;
use crate::context;
use crate::infer;
use crate::response::ResponseBody;
use crate::rest::route::{Model, Route};
use crate::split::{self, ARM};
use crate::status::ServeError;
use crate::work::{Work, until};

const JSON_TYPE: HeaderValue = HeaderValue::from_static("application/json");
/// What a client that was refused for lack of room is told to wait, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Answers one request.
pub(crate) async fn answer(app: &App, call: &mut Call) -> Response<ResponseBody> {
    let deadline = Some(call.context.started + app.config.rest_timeout);
    call.body.await_until(deadline);
    let mut work = Work::begin(app, "rest", call.context.clone(), deadline);
    let result = {
        let step = pin!(respond(&mut work, call));
        until(deadline, step).await
    };
    if work.resolved.is_none() {
        work.asked = route::parse(&call.method, target(call))
            .ok()
            .and_then(Route::into_model_name);
    }
    let arm = work.arm_name();
    let reservation = work.end(result.as_ref().err());
    let mut response = match result {
        Ok(answer) => success(answer, reservation),
        Err(error) => error_response(&error),
    };
    if let Some(arm) = arm {
        response.headers_mut().insert(ARM, arm);
    }
    if app.config.has_cors {
        cors::allow(response.headers_mut());
    }
    response
}

/// Answers a request to a port that does not speak REST.
pub(crate) fn refuse(method: &Method, path: &str, speaks: Speaks) -> Response<ResponseBody> {
    let hint = match (speaks.grpc, speaks.admin) {
        (true, false) => "this port speaks gRPC only; REST has a port of its own, 8501 by default",
        _ => "this port has /metrics, /healthz and /readyz only",
    };
    error_response(&ServeError::NoSuchPage(format!("{method} {path}: {hint}")))
}

/// An answer's body and its content type.
struct Answer {
    body: Bytes,
    status: StatusCode,
}

impl Answer {
    fn json(body: Vec<u8>) -> Self {
        Self {
            body: body.into(),
            status: StatusCode::OK,
        }
    }
}

async fn respond(work: &mut Work<'_>, call: &mut Call) -> Result<Answer, ServeError> {
    let route = route::parse(&call.method, target(call));
    work.call = match &route {
        Ok(route) => Some(route.counted_as()),
        Err(ServeError::NoSuchPage(_)) => None,
        Err(_) => Some(salver_telemetry::Call::RestOther),
    };
    let route = route?;
    work.priority = context::priority(&call.headers)?;
    match route {
        Route::Options => cors::preflight(&call.headers).map(|()| Answer::json(Vec::new())),
        Route::Status(model) => status(work.app, &model),
        Route::Metadata(model) => metadata(work.app, &model),
        Route::Predict(model) => {
            admit(work, call, &model)?;
            predict::answer(work, call, &model).await.map(Answer::json)
        }
        Route::Infer(model, method) => {
            admit(work, call, &model)?;
            // What is rare is kept out of every other request's future.
            let answer = Box::pin(inference::answer(work, call, &model, method)).await;
            answer.map(Answer::json)
        }
    }
}

/// Refuses a request before its body is received, if that is long and its model would turn it away whatever it says.
///
/// The version is not held while the body comes, however slowly. Where a split decides who answers, nobody is asked yet.
fn admit(work: &mut Work<'_>, call: &Call, model: &Model) -> Result<(), ServeError> {
    if call.body.is_short() {
        return Ok(());
    }
    match split::unsplit(work.app, &model.name, &model.version) {
        Some(handle) => work.admit(&handle),
        None => Ok(()),
    }
}

/// Returns a request's path with its query.
fn target(call: &Call) -> &str {
    let target = call.uri.path_and_query();
    target.map_or("/", |target| target.as_str())
}

fn status(app: &App, model: &Model) -> Result<Answer, ServeError> {
    let states = infer::states(app, &model.name, &model.version)?;
    Ok(Answer::json(wire::status_json(&states).into_bytes()))
}

fn metadata(app: &App, model: &Model) -> Result<Answer, ServeError> {
    let handle = infer::lookup(app, &model.name, &model.version)?;
    let views = infer::views(handle.signatures());
    Ok(Answer::json(
        wire::metadata_json(&handle.id().name, handle.id().version, &views).into_bytes(),
    ))
}

fn success(answer: Answer, reservation: Reservation) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::counted(answer.body, None, reservation));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(CONTENT_TYPE, JSON_TYPE);
    response
}

fn error_response(error: &ServeError) -> Response<ResponseBody> {
    let mut body = Vec::new();
    json::encode_error(&error.to_string(), &mut body);
    let mut response = Response::new(ResponseBody::full(body));
    let status = error.http();
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON_TYPE);
    if matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    ) {
        response
            .headers_mut()
            .insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

/// Receives a body, inflated if it is compressed.
async fn receive(work: &mut Work<'_>, call: &mut Call) -> Result<Bytes, ServeError> {
    let is_gzip = is_gzip(&call.headers);
    let body = call.body.join(&mut work.reservation).await?;
    if !is_gzip {
        return Ok(body);
    }
    Box::pin(body::inflate(work, body)).await
}

fn is_gzip(headers: &HeaderMap) -> bool {
    let encodings = headers.get_all(CONTENT_ENCODING);
    encodings.iter().any(|encoding| {
        encoding
            .as_bytes()
            .windows(4)
            .any(|word| word.eq_ignore_ascii_case(b"gzip"))
    })
}
