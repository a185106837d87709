//! Binds ports.

use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::config::Listen;

/// Connections that the kernel holds before they are accepted.
const BACKLOG: i32 = 1024;

/// A port could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {api}: {source}; choose another port or stop what uses it")]
pub struct BindError {
    /// What was to be served there.
    pub api: &'static str,
    /// Where.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub source: std::io::Error,
}

/// Binds a port if it is asked for.
pub(crate) fn bind(
    api: &'static str,
    host: IpAddr,
    listen: Listen,
) -> Result<Option<TcpListener>, BindError> {
    let Some(port) = listen.port() else {
        return Ok(None);
    };
    let address = SocketAddr::new(host, port);
    open(address).map(Some).map_err(|source| BindError {
        api,
        address,
        source,
    })
}

fn open(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restarted server must not wait for the old one's connections to time out.
    socket.set_reuse_address(true)?;
    if address.ip() == IpAddr::from([0; 16]) {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
