//! One line for each request, for those who turn it on.

use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use tracing::info;

use crate::context::RequestContext;
use crate::response::ResponseBody;

/// What of a request goes into its line and would be gone by the time of the answer.
#[derive(Debug)]
pub(crate) struct Line {
    method: Method,
    path: String,
    request_bytes: Option<u64>,
}

impl Line {
    pub(crate) fn begin(request: &Request<Incoming>) -> Self {
        let length = request.headers().get(CONTENT_LENGTH);
        Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            request_bytes: length.and_then(|length| length.to_str().ok()?.parse().ok()),
        }
    }

    /// Writes the line.
    ///
    /// # Units
    /// Durations in microseconds, from the request's headers to the answer's.
    pub(crate) fn end(self, response: &Response<ResponseBody>, context: &RequestContext) {
        let grpc_status = response
            .headers()
            .get("grpc-status")
            .and_then(|status| status.to_str().ok());
        info!(
            target: "salver::access",
            request_id = %context.id,
            trace_id = context.trace.map(|trace| format!("{:032x}", trace.trace_id())),
            peer = %context.peer,
            method = %self.method,
            path = self.path,
            status = response.status().as_u16(),
            grpc_status,
            request_bytes = self.request_bytes,
            response_bytes = response.body().num_bytes(),
            duration_micros = u64::try_from(context.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            "request"
        );
    }
}
