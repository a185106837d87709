//! The one body type of every answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::admission::Reservation;

/// The body of an answer: bytes, bytes and gRPC trailers, or a stream of a tonic service.
#[derive(Debug)]
pub(crate) struct ResponseBody(Kind);

#[derive(Debug)]
enum Kind {
    Buffered {
        data: Option<Bytes>,
        trailers: Option<HeaderMap>,
    },
    Stream(tonic::body::Body),
}

impl ResponseBody {
    pub(crate) fn empty() -> Self {
        Self(Kind::Buffered {
            data: None,
            trailers: None,
        })
    }

    pub(crate) fn full(data: impl Into<Bytes>) -> Self {
        Self(Kind::Buffered {
            data: Some(data.into()),
            trailers: None,
        })
    }

    /// Returns a body whose bytes stay counted in the budget until it is sent.
    pub(crate) fn counted(
        data: Bytes,
        trailers: Option<HeaderMap>,
        mut reservation: Reservation,
    ) -> Self {
        reservation.hold(data.len());
        let data = Bytes::from_owner(Counted {
            data,
            _reservation: reservation,
        });
        Self(Kind::Buffered {
            data: Some(data),
            trailers,
        })
    }

    pub(crate) fn stream(body: tonic::body::Body) -> Self {
        Self(Kind::Stream(body))
    }

    /// Returns the bytes it holds, for the access log; 0 for a stream.
    pub(crate) fn num_bytes(&self) -> usize {
        match &self.0 {
            Kind::Buffered { data, .. } => data.as_ref().map_or(0, Bytes::len),
            Kind::Stream(_) => 0,
        }
    }
}

/// Bytes that are counted for as long as anyone holds them: the connection buffers what a slow client does not read.
struct Counted {
    data: Bytes,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        match &mut self.0 {
            Kind::Buffered { data, trailers, .. } => {
                let data = data.take().filter(|data| !data.is_empty()).map(Frame::data);
                Poll::Ready(
                    data.or_else(|| trailers.take().map(Frame::trailers))
                        .map(Ok),
                )
            }
            Kind::Stream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Buffered { data, trailers, .. } => {
                data.as_ref().is_none_or(Bytes::is_empty) && trailers.is_none()
            }
            Kind::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Buffered { data, .. } => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
            Kind::Stream(body) => body.size_hint(),
        }
    }
}
