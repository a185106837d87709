//! Binds ports and the UNIX socket, and accepts from either.

mod authority;
mod unix;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tracing::debug;

use crate::app::Speaks;
use crate::config::Listen;
use crate::tls::{Tls, TlsError};

use authority::AnyAuthority;
pub use unix::SocketError;
use unix::UnixSocket;

/// Connections that the kernel holds before they are accepted.
const BACKLOG: i32 = 1024;

/// The server cannot listen as it was told to.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A port.
    #[error(
        "cannot listen on {address} for {api}: {source}; choose another port or stop what uses it"
    )]
    Port {
        /// What was to be served there.
        api: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The UNIX socket.
    #[error("cannot listen on the socket {} for gRPC: {source}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: SocketError,
    },
    /// The certificates cannot be used.
    #[error("connections cannot be secured: {0}")]
    Tls(#[from] TlsError),
    /// REST is to be secured, and there is nothing to do it with.
    #[error("REST cannot be secured: there is no certificate and key")]
    NoCertificates,
}

/// Bytes both ways, whatever carries them.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A port or socket that is listened on, what it answers to, and what secures it.
pub(crate) struct Listener {
    pub(crate) speaks: Speaks,
    pub(crate) tls: Option<Arc<Tls>>,
    socket: Bound,
}

enum Bound {
    Tcp(TcpListener),
    Unix(UnixSocket),
}

impl Listener {
    pub(crate) fn tcp(socket: TcpListener, speaks: Speaks) -> Self {
        Self {
            speaks,
            tls: None,
            socket: Bound::Tcp(socket),
        }
    }

    /// Listens on a UNIX socket, taking its path over from whoever listens there.
    pub(crate) fn unix(path: &Path, speaks: Speaks) -> Result<Self, BindError> {
        let socket = UnixSocket::bind(path).map_err(|source| BindError::Socket {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            speaks,
            tls: None,
            socket: Bound::Unix(socket),
        })
    }

    pub(crate) fn secured(self, tls: Option<&Arc<Tls>>) -> Self {
        Self {
            tls: tls.map(Arc::clone),
            ..self
        }
    }

    /// Waits for a connection.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn accept(&self) -> std::io::Result<Incoming> {
        let (stream, peer) = self.accept_plain().await?;
        Ok(Incoming {
            stream,
            peer,
            speaks: self.speaks,
            tls: self.tls.clone(),
        })
    }

    async fn accept_plain(&self) -> std::io::Result<(Box<dyn Stream>, Peer)> {
        match &self.socket {
            Bound::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(peer = %address, %error, "TCP_NODELAY could not be set");
                }
                Ok((Box::new(stream), Peer::Tcp(address)))
            }
            Bound::Unix(socket) => {
                let stream = socket.accept().await?;
                let peer = Peer::Unix(stream.peer_cred().ok());
                Ok((Box::new(stream), peer))
            }
        }
    }
}

/// A connection that has just been accepted; nothing has been read from it.
pub(crate) struct Incoming {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) peer: Peer,
    pub(crate) speaks: Speaks,
    pub(crate) tls: Option<Arc<Tls>>,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer {
    Tcp(SocketAddr),
    /// A process of this machine, as far as the system tells which.
    Unix(Option<tokio::net::unix::UCred>),
}

impl Peer {
    /// Returns the stream of HTTP that the peer speaks, free of what only gRPC's own libraries understand.
    pub(crate) fn speaking(self, stream: Box<dyn Stream>) -> Box<dyn Stream> {
        match self {
            Self::Tcp(_) => stream,
            Self::Unix(_) => Box::new(AnyAuthority::new(stream)),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(credentials) => {
                f.write_str("unix:")?;
                let Some(credentials) = credentials else {
                    return Ok(());
                };
                write!(f, "uid={}", credentials.uid())?;
                credentials
                    .pid()
                    .map_or(Ok(()), |pid| write!(f, ",pid={pid}"))
            }
        }
    }
}

/// What is to be bound, for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port {
    pub(crate) api: &'static str,
    pub(crate) host: IpAddr,
    pub(crate) listen: Listen,
    /// Whether other processes may listen there too.
    pub(crate) is_shared: bool,
}

impl Port {
    /// Binds the port if it is asked for.
    pub(crate) fn bind(self) -> Result<Option<TcpListener>, BindError> {
        let Some(port) = self.listen.port() else {
            return Ok(None);
        };
        let address = SocketAddr::new(self.host, port);
        open(address, self.is_shared)
            .map(Some)
            .map_err(|source| BindError::Port {
                api: self.api,
                address,
                source,
            })
    }
}

fn open(address: SocketAddr, is_shared: bool) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restarted server must not wait for the old one's connections to time out.
    socket.set_reuse_address(true)?;
    if is_shared {
        socket.set_reuse_port(true)?;
    }
    if address.ip() == IpAddr::from([0; 16]) {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
