//! One connection: HTTP/1.1 or HTTP/2, whichever the client begins with.

mod lifetime;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Version};
use hyper::body::Incoming as Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::app::{App, Speaks};
use crate::config::ServerConfig;
use crate::connection::lifetime::{Busy, LAST_REQUEST_TIMEOUT, Ledger, Lifetime, Limits, Step};
use crate::listen::{Incoming, Listener, Stream};
use crate::tasks::{StreamExecutor, Tasks};

/// How much one HTTP/2 stream may send ahead of being read: pictures in one go.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// The same for a connection's streams together.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// The largest HTTP/2 frame. A peer makes the codec reserve a whole frame by its nine-byte header, so this is also what
/// a hostile connection costs.
const MAX_FRAME_BYTES: u32 = 256 << 10;
/// The buffer of an HTTP/1.1 connection: holds a request's headers, and is the largest piece of a body.
const HTTP1_BUFFER_BYTES: usize = 512 << 10;
/// How long an HTTP/1.1 connection may rest between two requests: longer than load balancers and connection pools do, so
/// that the side that reuses connections is also the one that closes them.
const IDLE_TIMEOUT: Duration = Duration::from_secs(650);
/// After a failed accept (no file descriptors, say) nothing is gained by trying again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Tells connections when to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Serve.
    Open,
    /// Finish what is in flight, until the deadline.
    Draining(Instant),
}

/// Accepts connections until draining begins, then sees them off; returns how many had to be cut.
pub(crate) async fn accept(
    listener: Listener,
    app: Arc<App>,
    mut phase: watch::Receiver<Phase>,
) -> usize {
    let mut connections = Tasks::default();
    while *phase.borrow() == Phase::Open {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < app.config.max_connections => match accepted {
                Ok(incoming) => connections.spawn(serve(incoming, Arc::clone(&app), phase.clone())),
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            () = connections.ended() => {}
            _ = phase.changed() => {}
        }
    }
    // Clients whose connections the kernel has completed count on an answer.
    while let Ok(Ok(incoming)) = tokio::time::timeout(Duration::ZERO, listener.accept()).await {
        connections.spawn(serve(incoming, Arc::clone(&app), phase.clone()));
    }
    drop(listener);
    let Phase::Draining(deadline) = *phase.borrow() else {
        return 0;
    };
    if tokio::time::timeout_at(deadline, connections.join_all())
        .await
        .is_ok()
    {
        return 0;
    }
    let num_cut = connections.len();
    connections.abort_all().await;
    num_cut
}

async fn serve(incoming: Incoming, app: Arc<App>, mut phase: watch::Receiver<Phase>) {
    let begin = Instant::now();
    let Incoming { peer, speaks, .. } = incoming;
    let Some(stream) = secure(incoming, begin + app.config.header_timeout, &mut phase).await else {
        return;
    };
    let mut lifetime = Lifetime::new(&limits(&app, speaks), begin);
    let ledger = Arc::new(Ledger::since(begin));
    if *phase.borrow() != Phase::Open {
        lifetime.drain(begin, ledger.read());
    }
    let service = service_fn({
        let (app, ledger) = (Arc::clone(&app), Arc::clone(&ledger));
        move |request: Request<Body>| {
            let busy = Busy::begin(&ledger, request.version() < Version::HTTP_2);
            let app = Arc::clone(&app);
            async move {
                let response = app.handle(request, speaks, peer).await;
                drop(busy);
                Ok::<_, Infallible>(response)
            }
        }
    });
    let builder = builder(&app.config);
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(peer.speaking(stream)), service));
    loop {
        let step = lifetime.step(Instant::now(), ledger.read());
        let until = match step {
            Step::Wait(until) => until,
            Step::Close => {
                connection.as_mut().graceful_shutdown();
                continue;
            }
            Step::Cut(reason) => {
                debug!(%peer, reason, "connection closed");
                return;
            }
        };
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    debug!(%peer, %error, "connection closed with an error");
                }
                return;
            }
            _ = phase.changed(), if !lifetime.is_draining() => {
                lifetime.drain(Instant::now(), ledger.read());
            }
            () = sleep_until_or_ever(until) => {}
        }
    }
}

/// Secures a connection if its port is, by a deadline, or by one closer at hand once the server drains.
async fn secure(
    incoming: Incoming,
    mut deadline: Instant,
    phase: &mut watch::Receiver<Phase>,
) -> Option<Box<dyn Stream>> {
    let Incoming {
        stream, peer, tls, ..
    } = incoming;
    let Some(tls) = tls else { return Some(stream) };
    let mut handshake = pin!(tls.secure(stream));
    let mut is_draining = false;
    loop {
        if !is_draining && *phase.borrow() != Phase::Open {
            is_draining = true;
            deadline = deadline.min(Instant::now() + LAST_REQUEST_TIMEOUT);
        }
        tokio::select! {
            secured = &mut handshake => match secured {
                Ok(secured) => return Some(secured),
                Err(error) if error.is_refusal() => {
                    info!(%peer, %error, "TLS handshake failed");
                    return None;
                }
                Err(error) => {
                    debug!(%peer, %error, "TLS handshake given up");
                    return None;
                }
            },
            _ = phase.changed(), if !is_draining => {}
            () = tokio::time::sleep_until(deadline) => {
                debug!(%peer, "connection closed: no TLS handshake in time");
                return None;
            }
        }
    }
}

fn limits(app: &App, speaks: Speaks) -> Limits {
    let channel = &app.config.channel;
    let for_grpc = |duration: Option<Duration>| duration.filter(|_| speaks.grpc);
    Limits {
        first_request: app.config.header_timeout,
        max_age: for_grpc(app.config.max_connection_age)
            .map(|age| lifetime::scattered(age, app.ids.next())),
        age_grace: channel.max_connection_age_grace,
        max_idle: for_grpc(channel.max_connection_idle),
        max_rest: app.config.header_timeout.max(IDLE_TIMEOUT),
    }
}

fn builder(config: &ServerConfig) -> auto::Builder<StreamExecutor> {
    let channel = &config.channel;
    let mut builder = auto::Builder::new(StreamExecutor);
    builder
        .http1()
        // The connection's lifetime bounds it, with one timer for all requests.
        .header_read_timeout(None)
        .half_close(true)
        .max_buf_size(HTTP1_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_concurrent_streams(channel.max_concurrent_streams)
        .max_header_list_size(channel.max_header_bytes)
        .keep_alive_interval(channel.keepalive_interval)
        .keep_alive_timeout(channel.keepalive_timeout);
    builder
}

async fn sleep_until_or_ever(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}
