//! The handshake of one connection, and which ones give way when too many are under way.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::server::Acceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio_rustls::LazyConfigAcceptor;

use super::Tls;
use crate::listen::Stream;

/// The first byte of a client that speaks TLS.
const HANDSHAKE_RECORD: u8 = 22;
/// What anybody else is told, in the language that most of them speak.
const PLAIN_TEXT_ANSWER: &str = "HTTP/1.1 400 Bad Request\r\n\
     Content-Type: application/json\r\nContent-Length: 78\r\nConnection: close\r\n\r\n\
     {\"error\": \"this port speaks TLS: ask https, or gRPC with secure credentials\"}\n";
/// How long what such a client goes on to send is read, and how much: with bytes unread the system would take the
/// answer back.
const PLAIN_TEXT_TIMEOUT: Duration = Duration::from_secs(1);
const PLAIN_TEXT_BYTES: u64 = 1 << 20;

/// Why there is no secure connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The client does not speak TLS.
    #[error("the client does not speak TLS")]
    PlainText,
    /// Newer handshakes needed its place.
    #[error("too many handshakes are under way, and this was the slowest")]
    GaveWay,
    /// The client, or the way to it.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl HandshakeError {
    /// Tells whether the client is to blame and would want to know why, not just gone.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::PlainText => true,
            Self::GaveWay => false,
            Self::Io(error) => error.kind() == io::ErrorKind::InvalidData,
        }
    }
}

impl Tls {
    /// Secures a connection with the certificates of this moment.
    pub(crate) async fn secure(
        &self,
        stream: Box<dyn Stream>,
    ) -> Result<Box<dyn Stream>, HandshakeError> {
        let mut turn = Handshakes::begin(&self.handshakes);
        let mut handshake = pin!(self.shake_hands(stream));
        tokio::select! {
            secured = &mut handshake => secured,
            () = turn.lost() => Err(HandshakeError::GaveWay),
        }
    }

    async fn shake_hands(
        &self,
        mut stream: Box<dyn Stream>,
    ) -> Result<Box<dyn Stream>, HandshakeError> {
        let first = stream.read_u8().await?;
        if first != HANDSHAKE_RECORD {
            refuse_plain_text(stream).await;
            return Err(HandshakeError::PlainText);
        }
        let mut acceptor = Acceptor::default();
        acceptor.read_tls(&mut [first].as_slice())?;
        let hello = LazyConfigAcceptor::new(acceptor, stream).await?;
        let secured = hello.into_stream(self.current.load_full()).await?;
        Ok(Box::new(secured))
    }
}

/// Tells a client that does not speak TLS so; that it does not hear it is its own loss.
async fn refuse_plain_text(mut stream: Box<dyn Stream>) {
    let refusing = async {
        stream.write_all(PLAIN_TEXT_ANSWER.as_bytes()).await?;
        stream.shutdown().await?;
        let mut rest = stream.take(PLAIN_TEXT_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    drop(tokio::time::timeout(PLAIN_TEXT_TIMEOUT, refusing).await);
}

/// The handshakes under way: no more than so many, because the oldest makes room for the newest.
///
/// A client that means it is done within a few round trips, so it is those who hold a handshake open that lose it.
#[derive(Debug)]
pub(crate) struct Handshakes {
    max: usize,
    under_way: Mutex<UnderWay>,
}

#[derive(Debug, Default)]
struct UnderWay {
    next_id: u64,
    /// Oldest first; a place that is dropped is lost.
    places: VecDeque<(u64, oneshot::Sender<()>)>,
}

impl Handshakes {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max: max.max(1),
            under_way: Mutex::default(),
        }
    }

    fn begin(this: &Arc<Self>) -> Turn {
        let (place, lost) = oneshot::channel();
        let mut under_way = this.lock();
        let id = under_way.next_id;
        under_way.next_id += 1;
        if under_way.places.len() >= this.max {
            under_way.places.pop_front();
        }
        under_way.places.push_back((id, place));
        drop(under_way);
        Turn {
            id,
            lost,
            handshakes: Arc::clone(this),
        }
    }

    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handshake's place, until it is dropped.
struct Turn {
    id: u64,
    lost: oneshot::Receiver<()>,
    handshakes: Arc<Handshakes>,
}

impl Turn {
    /// Waits until a newer handshake needs the place.
    async fn lost(&mut self) {
        // Nobody ever sends: the other end is dropped.
        drop((&mut self.lost).await);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut under_way = self.handshakes.lock();
        under_way.places.retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_handshake_gives_way() {
        let handshakes = Arc::new(Handshakes::new(2));
        let mut first = Handshakes::begin(&handshakes);
        let second = Handshakes::begin(&handshakes);
        drop(second);
        let third = Handshakes::begin(&handshakes);
        assert!(first.lost.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        let fourth = Handshakes::begin(&handshakes);
        first.lost().await;
        drop((first, third, fourth));
        assert!(handshakes.lock().places.is_empty());
    }

    #[test]
    fn the_answer_to_plain_text_has_the_length_that_it_says() {
        let (head, body) = PLAIN_TEXT_ANSWER.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    }
}
