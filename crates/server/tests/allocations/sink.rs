//! A server in this process whose one model looks at its input and answers with a single number.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use salver_backend::{
    Backend, BackendError, EngineStatus, Inputs, Instance, Model, ModelConfig, ModelFiles,
    ModelFormat, Outputs, Registry, Requested, Signature, Signatures,
};
use salver_repository::{
    FileSystemSource, LoadedModel, ModelLoaderFactory, ModelSettings, Root, SourceConfig,
};
use salver_servable::{AvailabilityPreserving, Manager, ManagerConfig, Source, SourceTask};
use salver_server::{ChannelConfig, Listen, ServerConfig, Services};
use salver_telemetry::Metrics;
use salver_tensor::{DType, Dim, Tensor, TensorSpec};
use tokio::runtime::Runtime;

pub(crate) const MODEL: &str = "sink";
pub(crate) const INPUT: &str = "image";
const OUTPUT: &str = "sum";

/// A running server; ends with its runtime.
pub(crate) struct Server {
    pub(crate) grpc: SocketAddr,
    pub(crate) rest: SocketAddr,
    _runtime: Runtime,
    _source: SourceTask,
    _models: tempfile::TempDir,
}

impl Server {
    pub(crate) fn start() -> Self {
        let models = tempfile::tempdir().expect("a temporary folder");
        let version = models.path().join(MODEL).join("1");
        fs::create_dir_all(&version).expect("a temporary folder");
        fs::write(
            version.join("model.onnx"),
            salver_testkit::models::half_plus_two(),
        )
        .expect("a temporary file");

        let metrics = Metrics::new("test");
        let (manager, aspired) = Manager::<LoadedModel>::start(manager_config(), Box::new(|_| {}));
        let factory = ModelLoaderFactory {
            registry: Registry::new(vec![Arc::new(Sink)]),
            metrics: metrics.clone(),
            defaults: ModelSettings::default(),
            measures: true,
            warmup: None,
            batching: None,
        };
        let config = SourceConfig {
            roots: vec![Root::Discover(models.path().to_path_buf())],
            poll_interval: Some(Duration::from_millis(50)),
            on_labels: None,
            on_request_log: None,
            on_split: None,
        };
        let source = FileSystemSource::new(config, factory).watch(aspired);
        assert!(
            manager.wait_first_load(&[MODEL.into()], Some(Duration::from_secs(20))),
            "the sink loads"
        );

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let _context = runtime.enter();
        let services = Services {
            manager,
            splits: salver_server::Splits::new(metrics.clone()),
            request_logs: salver_server::RequestLogs::new(metrics.clone()),
            metrics,
            reload: None,
        };
        let server = salver_server::Server::bind(server_config(), services).expect("a free port");
        let grpc = server.addresses().grpc.expect("gRPC is on");
        let rest = server.addresses().rest.expect("REST is on");
        runtime.spawn(server.run(std::future::pending()));
        drop(_context);
        Self {
            grpc,
            rest,
            _runtime: runtime,
            _source: source,
            _models: models,
        }
    }
}

fn manager_config() -> ManagerConfig {
    ManagerConfig {
        num_load_threads: NonZeroUsize::MIN,
        num_unload_threads: NonZeroUsize::MIN,
        max_num_load_retries: 0,
        load_retry_interval: Duration::ZERO,
        memory_limit_bytes: None,
        policy: Box::new(AvailabilityPreserving),
    }
}

fn server_config() -> ServerConfig {
    ServerConfig {
        host: IpAddr::V4(Ipv4Addr::LOCALHOST),
        grpc: Listen::Auto,
        grpc_socket: None,
        rest: Listen::Auto,
        single: Listen::Off,
        admin: Listen::Off,
        tls: None,
        has_rest_tls: false,
        channel: ChannelConfig::default(),
        has_model_changes: false,
        prometheus_path: None,
        has_profiler: true,
        has_cors: false,
        max_inflight_bytes: 64 << 20,
        max_inflated_bytes: 64 << 20,
        header_timeout: Duration::from_secs(20),
        body_timeout: Duration::from_secs(20),
        rest_timeout: Duration::from_secs(20),
        max_connection_age: None,
        max_connections: 16,
        is_tensor_content: false,
        checks_method_names: false,
        access_log: false,
        drain_delay: Duration::ZERO,
        drain_timeout: Duration::ZERO,
    }
}

/// The engine of this test.
struct Sink;

impl Backend for Sink {
    fn platform(&self) -> &'static str {
        "sink"
    }

    fn formats(&self) -> &'static [ModelFormat] {
        &[ModelFormat::Onnx]
    }

    fn status(&self) -> EngineStatus {
        EngineStatus {
            version: Some("1".to_owned()),
            library: None,
            note: String::new(),
        }
    }

    fn supports(&self, _files: &ModelFiles) -> Result<(), BackendError> {
        Ok(())
    }

    fn load(
        &self,
        _files: &ModelFiles,
        _config: &ModelConfig,
    ) -> Result<Box<dyn Model>, BackendError> {
        let dims = vec![
            Dim::Dynamic(None),
            Dim::Fixed(224),
            Dim::Fixed(224),
            Dim::Fixed(3),
        ];
        let inputs = vec![TensorSpec::new(INPUT, DType::F32, Some(dims))];
        let outputs = vec![TensorSpec::new(
            OUTPUT,
            DType::F32,
            Some(vec![Dim::Fixed(1)]),
        )];
        let signatures = [Signature::serving_default(inputs, outputs)]
            .into_iter()
            .collect();
        Ok(Box::new(SinkModel { signatures }))
    }
}

struct SinkModel {
    signatures: Signatures,
}

impl Model for SinkModel {
    fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    fn instance(&self) -> Result<Box<dyn Instance>, BackendError> {
        Ok(Box::new(SinkInstance))
    }
}

struct SinkInstance;

impl Instance for SinkInstance {
    fn run(
        &mut self,
        inputs: &Inputs<'_>,
        _outputs: &Requested<'_>,
    ) -> Result<Outputs, BackendError> {
        let elements = inputs.tensors[0]
            .as_slice::<f32>()
            .expect("the server checks dtypes");
        let sum: f32 = elements.iter().sum();
        Ok(vec![Tensor::from_vec([1], vec![sum]).expect("one element")])
    }
}
