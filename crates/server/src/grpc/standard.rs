//! Health checks and reflection, by tonic.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::server::Builder;
use tower_service::Service;

use crate::response::ResponseBody;

/// Messages of these services are names; anything larger is an attack on the decoder's buffer.
const MAX_REQUEST_BYTES: usize = 16 * 1024;
/// The names that health checks of TensorFlow Serving know, beside the full names of the services.
const HEALTH_NAMES: [&str; 5] = [
    "",
    "ModelService",
    "PredictionService",
    "tensorflow.serving.ModelService",
    "tensorflow.serving.PredictionService",
];

/// Health checks and reflection.
#[derive(Clone)]
pub(crate) struct Standard {
    reporter: HealthReporter,
    health: Erased,
    reflection_v1: Erased,
    reflection_v1alpha: Erased,
}

impl Standard {
    pub(crate) fn new() -> Self {
        let reporter = HealthReporter::new();
        let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()))
            .max_decoding_message_size(MAX_REQUEST_BYTES);
        let (reflection_v1, reflection_v1alpha) =
            reflection().expect("the descriptors are this program's own");
        Self {
            reporter,
            health: Erased::new(health),
            reflection_v1,
            reflection_v1alpha,
        }
    }

    /// Answers health checks with SERVING or NOT_SERVING from now on.
    pub(crate) async fn set_serving(&self, is_serving: bool) {
        let status = if is_serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for name in HEALTH_NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }

    /// Ends the streams of those who watch, which would hold up the end of the server; they have been told by then.
    pub(crate) async fn end_watches(&self) {
        let mut reporter = self.reporter.clone();
        for name in HEALTH_NAMES {
            reporter.clear_service_status(name).await;
        }
    }

    /// Tells whether a path is one of these services'.
    pub(crate) fn takes(&self, path: &str) -> bool {
        path.starts_with("/grpc.health.v1.Health/") || path.starts_with("/grpc.reflection.v1")
    }

    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let path = request.uri().path();
        let service = if path.starts_with("/grpc.health.") {
            &self.health
        } else if path.starts_with("/grpc.reflection.v1.") {
            &self.reflection_v1
        } else {
            &self.reflection_v1alpha
        };
        (service.0)(request).await.map(ResponseBody::stream)
    }
}

type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// A tonic service of a type that cannot be named.
#[derive(Clone)]
struct Erased(Arc<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>);

impl Erased {
    fn new<S>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
    {
        Self(Arc::new(move |request| {
            let mut service = service.clone();
            Box::pin(async move {
                match service.call(request).await {
                    Ok(response) => response,
                    Err(impossible) => match impossible {},
                }
            })
        }))
    }
}

/// Reflection in both versions that clients ask for.
fn reflection() -> Result<(Erased, Erased), tonic_reflection::server::Error> {
    let builder = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(salver_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = builder()
        .build_v1()?
        .max_decoding_message_size(MAX_REQUEST_BYTES);
    let v1alpha = builder()
        .build_v1alpha()?
        .max_decoding_message_size(MAX_REQUEST_BYTES);
    Ok((Erased::new(v1), Erased::new(v1alpha)))
}
