//! The page of metrics under TensorFlow Serving's names, at the path that its configuration gives.
//!
//! Never behind admission, and for any method, as in TensorFlow Serving.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode, Uri};

use crate::app::App;
use crate::response::ResponseBody;

const PAGE_TYPE: HeaderValue = HeaderValue::from_static(salver_telemetry::TENSORFLOW_CONTENT_TYPE);

/// Answers a request for the page, or returns `None` for any other.
pub(crate) fn answer(app: &App, uri: &Uri) -> Option<Response<ResponseBody>> {
    let path = app.config.prometheus_path.as_deref()?;
    if uri.path() != path {
        return None;
    }
    let (status, body) = match uri.query() {
        None => (StatusCode::OK, app.metrics.encode_tensorflow()),
        Some(query) => (
            StatusCode::BAD_REQUEST,
            format!("Unexpected path: {path}?{query}. Should be {path}"),
        ),
    };
    let mut response = Response::new(ResponseBody::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, PAGE_TYPE);
    Some(response)
}
