//! A server in this process, for tests that have to hold its models back or count what it does.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use salver_backend::{Backend, Registry};
use salver_repository::{
    FileSystemSource, LoadedModel, ModelLoaderFactory, ModelSettings, Root, SourceConfig,
};
use salver_servable::{AvailabilityPreserving, Manager, ManagerConfig, Source, SourceTask};
use salver_server::{Addresses, ChannelConfig, Listen, ServerConfig, Services};
use salver_telemetry::Metrics;
use tokio::runtime::Runtime;

/// A running server; ends with its runtime.
pub(crate) struct Server {
    pub(crate) addresses: Addresses,
    _runtime: Runtime,
    _source: SourceTask,
    _models: tempfile::TempDir,
}

impl Server {
    /// Serves models of one engine, each with its settings, within a budget of bytes. Returns the server and what manages them.
    pub(crate) fn start(
        backend: Arc<dyn Backend>,
        models: &[(&str, &str)],
        max_inflight_bytes: u64,
    ) -> (Self, Manager<LoadedModel>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, settings) in models {
            let model = folder.path().join(name);
            let version = model.join("1");
            fs::create_dir_all(&version).expect("a temporary folder");
            fs::write(model.join("model.toml"), settings).expect("a temporary file");
            let bytes = salver_testkit::models::half_plus_two();
            fs::write(version.join("model.onnx"), bytes).expect("a temporary file");
        }
        let metrics = Metrics::new("test");
        let (manager, aspired) = Manager::<LoadedModel>::start(manager_config(), Box::new(|_| {}));
        let factory = ModelLoaderFactory {
            registry: Registry::new(vec![backend]),
            metrics: metrics.clone(),
            defaults: ModelSettings::default(),
            measures: false,
            warmup: None,
            batching: None,
        };
        let config = SourceConfig {
            roots: vec![Root::Discover(folder.path().to_path_buf())],
            poll_interval: Some(Duration::from_millis(50)),
            on_labels: None,
            on_request_log: None,
            on_split: None,
        };
        let source = FileSystemSource::new(config, factory).watch(aspired);
        let names: Vec<_> = models.iter().map(|(name, _)| (*name).into()).collect();
        assert!(
            manager.wait_first_load(&names, Some(Duration::from_secs(20))),
            "the models load"
        );

        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let _context = runtime.enter();
        let services = Services {
            manager: manager.clone(),
            splits: salver_server::Splits::new(metrics.clone()),
            request_logs: salver_server::RequestLogs::new(metrics.clone()),
            metrics,
            reload: None,
        };
        let server = salver_server::Server::bind(server_config(max_inflight_bytes), services)
            .expect("a free port");
        let addresses = server.addresses().clone();
        runtime.spawn(server.run(std::future::pending()));
        drop(_context);
        let server = Self {
            addresses,
            _runtime: runtime,
            _source: source,
            _models: folder,
        };
        (server, manager)
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

fn server_config(max_inflight_bytes: u64) -> ServerConfig {
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
        max_inflight_bytes,
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
