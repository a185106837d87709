//! Sends each request to the API it speaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use salver_repository::LoadedModel;
use salver_servable::Manager;
use salver_telemetry::Metrics;
use tokio::sync::Semaphore;

use crate::admission::ByteBudget;
use crate::body::Receiver;
use crate::config::ServerConfig;
use crate::context::{RequestContext, RequestIds};
use crate::grpc::Standard;
use crate::listen::Peer;
use crate::reload::Reload;
use crate::request_log::RequestLogs;
use crate::response::ResponseBody;
use crate::split::{Shadows, Splits};
use crate::tasks::CpuPool;
use crate::trace::Tracer;
use crate::{access_log, admin, grpc, prometheus, rest};

/// What a port answers to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaks {
    pub(crate) grpc: bool,
    pub(crate) rest: bool,
    pub(crate) admin: bool,
}

impl Speaks {
    pub(crate) const GRPC: Self = Self {
        grpc: true,
        rest: false,
        admin: false,
    };
    pub(crate) const REST: Self = Self {
        grpc: false,
        rest: true,
        admin: false,
    };
    pub(crate) const BOTH: Self = Self {
        grpc: true,
        rest: true,
        admin: false,
    };
    pub(crate) const ADMIN: Self = Self {
        grpc: false,
        rest: false,
        admin: true,
    };

    pub(crate) fn and_admin(self, admin: bool) -> Self {
        Self { admin, ..self }
    }
}

/// What every request needs.
pub(crate) struct App {
    pub(crate) config: ServerConfig,
    pub(crate) manager: Manager<LoadedModel>,
    pub(crate) metrics: Metrics,
    pub(crate) reload: Option<Arc<dyn Reload>>,
    /// Lists of models are taken one at a time, so that calls that wait for loads hold one thread at most.
    pub(crate) reload_turn: Arc<Semaphore>,
    pub(crate) budget: Arc<ByteBudget>,
    pub(crate) cpu: CpuPool,
    pub(crate) ids: RequestIds,
    pub(crate) standard: Standard,
    pub(crate) tracer: Tracer,
    pub(crate) request_logs: RequestLogs,
    pub(crate) splits: Splits,
    pub(crate) shadows: Shadows,
    pub(crate) is_ready: AtomicBool,
}

/// A request whose body has not been read.
pub(crate) struct Call {
    pub(crate) method: http::Method,
    pub(crate) uri: http::Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Receiver,
    pub(crate) context: RequestContext,
}

impl App {
    pub(crate) fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    pub(crate) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        speaks: Speaks,
        peer: Peer,
    ) -> Response<ResponseBody> {
        let context = RequestContext::new(request.headers(), peer, &self.ids);
        let _inflight = self.metrics.request_started();
        let line = self
            .config
            .access_log
            .then(|| access_log::Line::begin(&request));
        let is_grpc = is_grpc(request.headers());
        let is_standard = is_grpc && speaks.grpc && self.standard.takes(request.uri().path());
        let mut response = if is_standard {
            Box::pin(self.standard.answer(request)).await
        } else {
            let is_http1 = request.version() < Version::HTTP_2;
            let mut call = self.call(request, &context);
            match is_grpc {
                true if speaks.grpc => grpc::answer(&self, &mut call).await,
                true => grpc::refuse(
                    "this port does not speak gRPC; the server's start-up log names the one that does",
                ),
                false => self.answer_http(&mut call, speaks, is_http1).await,
            }
        };
        context.mark(response.headers_mut());
        if let Some(line) = line {
            line.end(&response, &context);
        }
        response
    }

    async fn answer_http(
        self: &Arc<Self>,
        call: &mut Call,
        speaks: Speaks,
        is_http1: bool,
    ) -> Response<ResponseBody> {
        let prometheus = || prometheus::answer(self, &call.uri).filter(|_| speaks.rest);
        let admin = || admin::answer(self, &call.method, call.uri.path()).filter(|_| speaks.admin);
        let page = prometheus().or_else(admin);
        let mut response = match page {
            Some(page) => page,
            None if speaks.admin && admin::models::takes(call.uri.path()) => {
                Box::pin(admin::models::answer(self, call)).await
            }
            None if speaks.rest => rest::answer(self, call).await,
            None => rest::refuse(&call.method, call.uri.path(), speaks),
        };
        // Left in the socket, the rest of the body would be read as the next request.
        if is_http1 && !call.body.discard().await {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn call(&self, request: Request<Incoming>, context: &RequestContext) -> Call {
        let (parts, body) = request.into_parts();
        Call {
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            body: Receiver::new(body, self.config.body_timeout),
            context: context.clone(),
        }
    }
}

/// Tells by the content type whether a request is gRPC.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}
