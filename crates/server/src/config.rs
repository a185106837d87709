//! Settings of the server process.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::channel::ChannelConfig;
use crate::tls::TlsConfig;

/// Where to listen for one API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Not at all.
    Off,
    /// On a port that the system chooses.
    Auto,
    /// On this port.
    Port(u16),
}

impl Listen {
    /// Returns the port to bind, 0 for one that the system chooses, or `None` if there is nothing to bind.
    #[must_use]
    pub const fn port(self) -> Option<u16> {
        match self {
            Self::Off => None,
            Self::Auto => Some(0),
            Self::Port(port) => Some(port),
        }
    }
}

/// Settings of the server process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The address that every port is bound to.
    pub host: IpAddr,
    /// gRPC.
    pub grpc: Listen,
    /// A UNIX socket for gRPC, beside its port or without it; the path is taken over from a server that has it.
    pub grpc_socket: Option<PathBuf>,
    /// REST.
    pub rest: Listen,
    /// gRPC and REST together; the other two are off then.
    pub single: Listen,
    /// Metrics, health, readiness and models; on the REST port if off.
    pub admin: Listen,
    /// Whether models may be changed on the admin pages.
    pub has_model_changes: bool,
    /// What secures gRPC, on its port and on its socket, and the single port; `None` for plain text.
    pub tls: Option<TlsConfig>,
    /// Whether `tls` secures the REST port too. A separate admin port is never secured.
    pub has_rest_tls: bool,
    /// What one connection that speaks gRPC may do.
    pub channel: ChannelConfig,
    /// Where on the REST port the metrics are under TensorFlow Serving's names, such as
    /// `/monitoring/prometheus/metrics`; `None` for nowhere.
    pub prometheus_path: Option<String>,
    /// Whether the gRPC port has TensorFlow's `ProfilerService`, which tells what requests did.
    pub has_profiler: bool,
    /// Whether REST answers let scripts from other sites read them.
    pub has_cors: bool,
    /// Request bytes that may be in memory at once, over all connections.
    pub max_inflight_bytes: u64,
    /// The largest size of one compressed body once it is inflated.
    pub max_inflated_bytes: u64,
    /// Time for a connection to send its first request's headers, and for each later request's once begun.
    pub header_timeout: Duration,
    /// The longest silence within a body.
    pub body_timeout: Duration,
    /// How long a REST request may take in all.
    pub rest_timeout: Duration,
    /// The age, give or take a tenth, at which a connection that speaks gRPC is asked to close after its requests in
    /// flight; `None` for never.
    pub max_connection_age: Option<Duration>,
    /// Connections open at once; further ones wait to be accepted.
    pub max_connections: usize,
    /// Whether Predict over gRPC answers with `tensor_content` rather than with the list of each dtype.
    pub is_tensor_content: bool,
    /// Whether a signature only takes the calls that its method name says it is for.
    pub checks_method_names: bool,
    /// Whether one log line is written for each request.
    pub access_log: bool,
    /// Between "not ready" and the closing of the ports, for load balancers to notice.
    pub drain_delay: Duration,
    /// How long requests in flight may take to finish after the ports have closed.
    pub drain_timeout: Duration,
}

impl ServerConfig {
    /// Tells whether the admin pages are out of reach for clients of predictions: on a port of their own, or on this
    /// machine alone.
    #[must_use]
    pub fn is_admin_private(&self) -> bool {
        self.admin != Listen::Off || self.host.is_loopback()
    }
}
