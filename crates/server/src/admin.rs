//! Health, readiness and metrics; never behind admission, so that they answer under any load.

mod form;
pub(crate) mod models;
mod split;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};

use crate::app::App;
use crate::response::ResponseBody;

/// The exposition format that the metrics come in.
const METRICS_TYPE: HeaderValue = HeaderValue::from_static(salver_telemetry::CONTENT_TYPE);
const TEXT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Answers an admin page, or returns `None` for any other.
pub(crate) fn answer(app: &App, method: &Method, path: &str) -> Option<Response<ResponseBody>> {
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    let (status, content_type, body) = match path {
        "/healthz" => (StatusCode::OK, TEXT_TYPE, "ok\n".to_owned()),
        "/readyz" if app.is_ready() => (StatusCode::OK, TEXT_TYPE, "ready\n".to_owned()),
        "/readyz" => (
            StatusCode::SERVICE_UNAVAILABLE,
            TEXT_TYPE,
            "draining\n".to_owned(),
        ),
        "/metrics" => (StatusCode::OK, METRICS_TYPE, metrics(app)),
        _ => return None,
    };
    let mut response = Response::new(ResponseBody::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    Some(response)
}

fn metrics(app: &App) -> String {
    app.metrics
        .set_inflight_bytes(app.budget.inflight_bytes(), app.budget.limit_bytes());
    app.metrics
        .set_model_availability(&app.manager.availability());
    app.metrics.encode()
}
