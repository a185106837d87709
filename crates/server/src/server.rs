//! The whole life of the server: bind, serve, drain.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use salver_repository::LoadedModel;
use salver_servable::Manager;
use salver_telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::admission::ByteBudget;
use crate::app::{App, Speaks};
use crate::config::{Listen, ServerConfig};
use crate::connection::{self, Phase};
use crate::context::RequestIds;
use crate::grpc::Standard;
use crate::listen::{BindError, Listener, Port};
use crate::reload::Reload;
use crate::request_log::RequestLogs;
use crate::split::{Shadows, Splits};
use crate::tasks::{CpuPool, Tasks};
use crate::tls::{Tls, TlsHandle};
use crate::trace::Tracer;

/// Handshakes under way at once: each costs some 10 kB and a millisecond of one core.
const MAX_HANDSHAKES: usize = 1024;

/// What the server is a front to.
#[derive(Clone)]
pub struct Services {
    /// The models.
    pub manager: Manager<LoadedModel>,
    /// Where requests are counted.
    pub metrics: Metrics,
    /// Takes new lists of models; `None` if they cannot be changed from outside.
    pub reload: Option<Arc<dyn Reload>>,
    /// Where requests are logged, if any model's are.
    pub request_logs: RequestLogs,
    /// How requests are shared out among versions.
    pub splits: Splits,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

/// Where the server listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// gRPC.
    pub grpc: Option<SocketAddr>,
    /// gRPC over a UNIX socket.
    pub grpc_socket: Option<PathBuf>,
    /// REST.
    pub rest: Option<SocketAddr>,
    /// Metrics, health and readiness.
    pub admin: Option<SocketAddr>,
    /// Whether gRPC is secured, on its port and its socket.
    pub is_grpc_secure: bool,
    /// Whether REST is.
    pub is_rest_secure: bool,
    /// Whether the admin pages are: they may be on a port that is.
    pub is_admin_secure: bool,
}

/// A server whose ports are bound.
pub struct Server {
    app: Arc<App>,
    listeners: Vec<Listener>,
    addresses: Addresses,
    tls: Option<Arc<Tls>>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Binds every port that the configuration asks for; call it once the models are loaded, because an open port is
    /// what readiness probes look for.
    ///
    /// # Errors
    /// [`BindError`] names the port that is taken, or says why the socket or the certificates cannot be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn bind(config: ServerConfig, services: Services) -> Result<Self, BindError> {
        let Bound {
            listeners,
            addresses,
            tls,
        } = bind_all(&config)?;
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let app = App {
            budget: ByteBudget::new(config.max_inflight_bytes),
            cpu: CpuPool::new(cores),
            ids: RequestIds::new(RandomState::new().hash_one(std::process::id())),
            standard: Standard::new(),
            tracer: Tracer::default(),
            request_logs: services.request_logs,
            splits: services.splits,
            shadows: Shadows::default(),
            is_ready: AtomicBool::new(false),
            manager: services.manager,
            metrics: services.metrics,
            reload: services.reload,
            reload_turn: Arc::new(Semaphore::new(1)),
            config,
        };
        Ok(Self {
            app: Arc::new(app),
            listeners,
            addresses,
            tls,
        })
    }

    /// Returns where the server listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Returns what replaces the certificates of the running server; `None` if it has none.
    #[must_use]
    pub fn tls_handle(&self) -> Option<TlsHandle> {
        self.tls.clone().map(TlsHandle::new)
    }

    /// Serves until `shutdown` completes, then drains: not ready, a pause, no new connections, requests in flight
    /// finish, what is left at the deadline is cut. Returns how many connections had to be cut.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> usize {
        let Self {
            app,
            listeners,
            addresses,
            ..
        } = self;
        let (phase, watched) = watch::channel(Phase::Open);
        // One message for each listener: how many connections it had to cut.
        let (cut, mut cuts) = mpsc::channel(listeners.len().max(1));
        let mut accepting = Tasks::default();
        for listener in listeners {
            let (app, watched, cut) = (Arc::clone(&app), watched.clone(), cut.clone());
            accepting.spawn(async move {
                let num_cut = connection::accept(listener, app, watched).await;
                if cut.send(num_cut).await.is_err() {
                    warn!("the server ended before its listener");
                }
            });
        }
        drop((watched, cut));
        announce(&addresses);
        app.is_ready.store(true, Ordering::Release);
        app.standard.set_serving(true).await;

        shutdown.await;
        info!("draining");
        app.is_ready.store(false, Ordering::Release);
        app.standard.set_serving(false).await;
        tokio::time::sleep(app.config.drain_delay).await;
        phase.send_replace(Phase::Draining(Instant::now() + app.config.drain_timeout));
        app.standard.end_watches().await;
        app.tracer.end(None);
        accepting.join_all().await;
        app.shadows.stop().await;
        app.request_logs.stop().await;
        let mut num_cut = 0;
        while let Ok(cut) = cuts.try_recv() {
            num_cut += cut;
        }
        num_cut
    }
}

/// Everything that is listened on.
#[derive(Default)]
struct Bound {
    listeners: Vec<Listener>,
    addresses: Addresses,
    tls: Option<Arc<Tls>>,
}

impl Bound {
    fn add(&mut self, socket: Option<TcpListener>, speaks: Speaks, tls: Option<&Arc<Tls>>) {
        let Some(socket) = socket else { return };
        let address = socket.local_addr().ok();
        let addresses = &mut self.addresses;
        addresses.grpc = addresses.grpc.or(address.filter(|_| speaks.grpc));
        addresses.rest = addresses.rest.or(address.filter(|_| speaks.rest));
        addresses.admin = addresses.admin.or(address.filter(|_| speaks.admin));
        addresses.is_grpc_secure |= speaks.grpc && tls.is_some();
        addresses.is_rest_secure |= speaks.rest && tls.is_some();
        addresses.is_admin_secure |= speaks.admin && tls.is_some();
        self.listeners
            .push(Listener::tcp(socket, speaks).secured(tls));
    }
}

fn bind_all(config: &ServerConfig) -> Result<Bound, BindError> {
    let port = |api, listen| Port {
        api,
        host: config.host,
        listen,
        is_shared: false,
    };
    let tls = tls(config)?;
    let rest_tls = tls.as_ref().filter(|_| config.has_rest_tls);
    let mut bound = Bound::default();
    let admin = port("admin", config.admin).bind()?;
    let admin_elsewhere = admin.is_some();
    bound.add(admin, Speaks::ADMIN, None);
    let (grpc, rest, single) = if config.single == Listen::Off {
        let grpc = Port {
            is_shared: config.channel.is_port_shared,
            ..port("gRPC", config.grpc)
        };
        (grpc.bind()?, port("REST", config.rest).bind()?, None)
    } else {
        (None, None, port("gRPC and REST", config.single).bind()?)
    };
    // Somewhere there must be metrics: with REST off they are where gRPC is.
    let admin_on_grpc = rest.is_none() && single.is_none() && !admin_elsewhere;
    let on_grpc = Speaks::GRPC.and_admin(admin_on_grpc);
    let on_rest = Speaks::REST.and_admin(!admin_elsewhere);
    let on_single = Speaks::BOTH.and_admin(!admin_elsewhere);
    bound.add(grpc, on_grpc, tls.as_ref());
    bound.add(rest, on_rest, rest_tls);
    bound.add(single, on_single, tls.as_ref());
    if let Some(path) = &config.grpc_socket {
        let socket = Listener::unix(path, on_grpc)?.secured(tls.as_ref());
        bound.listeners.push(socket);
        bound.addresses.grpc_socket = Some(path.clone());
        bound.addresses.is_grpc_secure = tls.is_some();
    }
    bound.tls = tls;
    Ok(bound)
}

fn tls(config: &ServerConfig) -> Result<Option<Arc<Tls>>, BindError> {
    let Some(certificates) = &config.tls else {
        return match config.has_rest_tls {
            true => Err(BindError::NoCertificates),
            false => Ok(None),
        };
    };
    // However slow handshakes are, half of all connections are left for those who are through.
    let max_handshakes = (config.max_connections / 2).min(MAX_HANDSHAKES);
    Ok(Some(Tls::new(certificates, max_handshakes)?))
}

fn announce(addresses: &Addresses) {
    let text = |address: Option<SocketAddr>| address.map(|address| address.to_string());
    let grpc_socket = addresses.grpc_socket.as_ref();
    info!(
        grpc = text(addresses.grpc),
        grpc_socket = grpc_socket.map(|path| path.display().to_string()),
        rest = text(addresses.rest),
        admin = text(addresses.admin),
        "serving"
    );
}
