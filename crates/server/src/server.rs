//! The whole life of the server: bind, serve, drain.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
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
use crate::listen::{self, BindError};
use crate::reload::Reload;
use crate::tasks::{CpuPool, Tasks};

/// What the server is a front to.
#[derive(Clone)]
pub struct Services {
    /// The models.
    pub manager: Manager<LoadedModel>,
    /// Where requests are counted.
    pub metrics: Metrics,
    /// Takes new lists of models; `None` if they cannot be changed from outside.
    pub reload: Option<Arc<dyn Reload>>,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

/// Where the server listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// gRPC.
    pub grpc: Option<SocketAddr>,
    /// REST.
    pub rest: Option<SocketAddr>,
    /// Metrics, health and readiness.
    pub admin: Option<SocketAddr>,
}

/// A server whose ports are bound.
pub struct Server {
    app: Arc<App>,
    listeners: Vec<(TcpListener, Speaks)>,
    addresses: Addresses,
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
    /// [`BindError`] names the port that is taken.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn bind(config: ServerConfig, services: Services) -> Result<Self, BindError> {
        let (listeners, addresses) = bind_all(&config)?;
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let app = App {
            budget: ByteBudget::new(config.max_inflight_bytes),
            cpu: CpuPool::new(cores),
            ids: RequestIds::new(RandomState::new().hash_one(std::process::id())),
            standard: Standard::new(),
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
        })
    }

    /// Returns where the server listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Serves until `shutdown` completes, then drains: not ready, a pause, no new connections, requests in flight
    /// finish, what is left at the deadline is cut. Returns how many connections had to be cut.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> usize {
        let Self {
            app,
            listeners,
            addresses,
        } = self;
        let (phase, watched) = watch::channel(Phase::Open);
        // One message for each listener: how many connections it had to cut.
        let (cut, mut cuts) = mpsc::channel(listeners.len().max(1));
        let mut accepting = Tasks::default();
        for (listener, speaks) in listeners {
            let (app, watched, cut) = (Arc::clone(&app), watched.clone(), cut.clone());
            accepting.spawn(async move {
                let num_cut = connection::accept(listener, speaks, app, watched).await;
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
        accepting.join_all().await;
        let mut num_cut = 0;
        while let Ok(cut) = cuts.try_recv() {
            num_cut += cut;
        }
        num_cut
    }
}

fn bind_all(config: &ServerConfig) -> Result<(Vec<(TcpListener, Speaks)>, Addresses), BindError> {
    let mut listeners = Vec::new();
    let mut addresses = Addresses::default();
    let is_single = config.single != Listen::Off;
    let admin = listen::bind("admin", config.host, config.admin)?;
    let admin_elsewhere = admin.is_some();
    let mut add = |listener: Option<TcpListener>, speaks: Speaks| {
        let address = listener
            .as_ref()
            .and_then(|listener| listener.local_addr().ok());
        if let Some(listener) = listener {
            addresses.grpc = addresses.grpc.or(address.filter(|_| speaks.grpc));
            addresses.rest = addresses.rest.or(address.filter(|_| speaks.rest));
            addresses.admin = addresses.admin.or(address.filter(|_| speaks.admin));
            listeners.push((listener, speaks));
        }
    };
    add(
        admin,
        Speaks {
            grpc: false,
            rest: false,
            admin: true,
        },
    );
    if is_single {
        let single = listen::bind("gRPC and REST", config.host, config.single)?;
        add(
            single,
            Speaks {
                grpc: true,
                rest: true,
                admin: !admin_elsewhere,
            },
        );
    } else {
        let grpc = listen::bind("gRPC", config.host, config.grpc)?;
        let rest = listen::bind("REST", config.host, config.rest)?;
        // Somewhere there must be metrics: with REST off they are on the gRPC port.
        let admin_on_grpc = rest.is_none() && !admin_elsewhere;
        add(
            grpc,
            Speaks {
                grpc: true,
                rest: false,
                admin: admin_on_grpc,
            },
        );
        add(
            rest,
            Speaks {
                grpc: false,
                rest: true,
                admin: !admin_elsewhere,
            },
        );
    }
    Ok((listeners, addresses))
}

fn announce(addresses: &Addresses) {
    let text = |address: Option<SocketAddr>| address.map(|address| address.to_string());
    info!(
        grpc = text(addresses.grpc),
        rest = text(addresses.rest),
        admin = text(addresses.admin),
        "serving"
    );
}
