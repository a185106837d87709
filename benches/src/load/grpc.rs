//! One HTTP/2 connection of the load client, with one call at a time.

use anyhow::{Context as _, Result};
use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;

use super::Answer;

/// As large as a server's, so that a picture goes through at once.
const WINDOW_BYTES: u32 = 8 << 20;

/// gRPC's codes.
const RESOURCE_EXHAUSTED: &[u8] = b"8";
const UNAVAILABLE: &[u8] = b"14";

/// A connection that is kept alive.
pub(crate) struct GrpcConnection {
    client: SendRequest<Bytes>,
}

impl GrpcConnection {
    /// Connects to a port of this machine.
    pub(crate) async fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (client, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(stream)
            .await?;
        tokio::task::spawn_local(async move {
            // Its error is the error of the call that was under way.
            drop(connection.await);
        });
        Ok(Self { client })
    }

    /// Sends a message, its prefix before it, and reads the answer to the end.
    pub(crate) async fn send(&mut self, path: &'static str, framed: Bytes) -> Result<Answer> {
        Ok(self.call(path, framed).await?.0)
    }

    /// Sends a message, its prefix before it, and returns what the answer's body holds.
    pub(crate) async fn call(
        &mut self,
        path: &'static str,
        framed: Bytes,
    ) -> Result<(Answer, Bytes)> {
        let mut client = self.client.clone().ready().await?;
        let request = Request::post(format!("http://localhost{path}"))
            .header("te", "trailers")
            .header("content-type", "application/grpc")
            .body(())?;
        let (response, mut stream) = client.send_request(request, false)?;
        stream.send_data(framed, true)?;
        let (head, mut body) = response.await?.into_parts();
        let mut received = BytesMut::new();
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            received.extend_from_slice(&data);
        }
        let trailers = body.trailers().await?;
        let status = trailers
            .as_ref()
            .and_then(|trailers| trailers.get("grpc-status"))
            .or_else(|| head.headers.get("grpc-status"))
            .context("an answer without grpc-status")?;
        let answer = match status.as_bytes() {
            b"0" => Answer::Good,
            RESOURCE_EXHAUSTED | UNAVAILABLE => Answer::Refused,
            _ => Answer::Bad,
        };
        Ok((answer, received.freeze()))
    }
}
