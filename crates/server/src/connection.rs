//! One connection: HTTP/1.1 or HTTP/2, whichever the client begins with.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::app::{App, Speaks};
use crate::config::ServerConfig;
use crate::tasks::{StreamExecutor, Tasks};

/// How much one HTTP/2 stream may send ahead of being read: pictures in one go.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
/// The same for a connection's streams together.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// The largest HTTP/2 frame. A peer makes the codec reserve a whole frame by its nine-byte header, so this is also what
/// a hostile connection costs.
const MAX_FRAME_BYTES: u32 = 256 << 10;
/// Streams of one connection at once.
const MAX_STREAMS: u32 = 256;
/// All headers of one request together.
const MAX_HEADER_BYTES: u32 = 64 << 10;
/// The buffer of an HTTP/1.1 connection: holds a request's headers, and is the largest piece of a body.
const HTTP1_BUFFER_BYTES: usize = 512 << 10;
/// How long an HTTP/1.1 connection may rest between two requests: longer than load balancers and connection pools do, so
/// that the side that reuses connections is also the one that closes them.
const IDLE_TIMEOUT: Duration = Duration::from_secs(650);
/// How long a connection that was accepted just before the end has for its request.
const LAST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// Silence after which an HTTP/2 peer is asked whether it is there, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
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
    listener: TcpListener,
    speaks: Speaks,
    app: Arc<App>,
    mut phase: watch::Receiver<Phase>,
) -> usize {
    let mut connections = Tasks::default();
    while *phase.borrow() == Phase::Open {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < app.config.max_connections => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve(stream, peer, speaks, Arc::clone(&app), phase.clone()));
                }
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
    while let Ok(Ok((stream, peer))) = tokio::time::timeout(Duration::ZERO, listener.accept()).await
    {
        connections.spawn(serve(stream, peer, speaks, Arc::clone(&app), phase.clone()));
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

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    speaks: Speaks,
    app: Arc<App>,
    mut phase: watch::Receiver<Phase>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "TCP_NODELAY could not be set");
    }
    let has_asked = Arc::new(AtomicBool::new(false));
    let service = service_fn({
        let (app, has_asked) = (Arc::clone(&app), Arc::clone(&has_asked));
        move |request| {
            has_asked.store(true, Ordering::Relaxed);
            let app = Arc::clone(&app);
            async move { Ok::<_, Infallible>(app.handle(request, speaks, peer).await) }
        }
    });
    let builder = builder(&app.config);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut first_request = pin!(tokio::time::sleep(app.config.header_timeout));
    let mut age = pin!(sleep_or_never(app.config.max_connection_age));
    let (mut is_closing, mut is_first_due) = (false, true);
    let mut is_draining = *phase.borrow() != Phase::Open;
    if is_draining {
        first_request
            .as_mut()
            .reset(Instant::now() + LAST_REQUEST_TIMEOUT);
    }
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    debug!(%peer, %error, "connection closed with an error");
                }
                return;
            }
            _ = phase.changed(), if !is_draining => {
                is_draining = true;
                if !has_asked.load(Ordering::Relaxed) {
                    // Its request may be on its way: closing now would lose it.
                    first_request.as_mut().reset(Instant::now() + LAST_REQUEST_TIMEOUT);
                    is_first_due = true;
                    continue;
                }
                is_closing = true;
            }
            () = &mut age, if !is_closing => is_closing = true,
            () = &mut first_request, if is_first_due => {
                is_first_due = false;
                if !has_asked.load(Ordering::Relaxed) {
                    debug!(%peer, "connection closed: no request in time");
                    return;
                }
                if !is_draining || is_closing {
                    continue;
                }
                is_closing = true;
            }
        }
        connection.as_mut().graceful_shutdown();
    }
}

fn builder(config: &ServerConfig) -> auto::Builder<StreamExecutor> {
    let mut builder = auto::Builder::new(StreamExecutor);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout.max(IDLE_TIMEOUT))
        .half_close(true)
        .max_buf_size(HTTP1_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

async fn sleep_or_never(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}
