//! Takes in a request's body: within the budget, within time, inflated if need be.

use std::future::poll_fn;
use std::io::Read;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::admission::Reservation;
use crate::status::ServeError;
use crate::tasks::OFFLOAD_BYTES;
use crate::work::Work;

/// How much is inflated between two looks at the budget.
const INFLATE_STEP_BYTES: usize = 64 * 1024;

/// The longest body that is read only to be thrown away, and the time that may take: a picture in JSON, so that whoever is
/// refused before that was read hears why and keeps the connection.
const MAX_DISCARDED_BYTES: usize = 8 << 20;
const MAX_DISCARD_TIME: Duration = Duration::from_secs(1);
/// How much memory is made ready for what a body announces: more is taken as it comes.
const MAX_AHEAD_BYTES: usize = 16 << 20;
/// What a piece of a body costs beside its bytes, so that a flood of tiny ones is counted too.
const FRAME_OVERHEAD_BYTES: usize = 64;
/// How exactly timers end: what is due within that is due.
const TIMER_GRAIN: Duration = Duration::from_millis(1);
/// The pace below which a body is a way of holding on to a connection: slower than any modem.
const MIN_BYTES_PER_SECOND: u64 = 1024;

/// A body that is being received.
#[derive(Debug)]
pub(crate) struct Receiver {
    body: Incoming,
    pace: Pace,
    is_at_end: bool,
}

/// How slow a body may be: no silence longer than the time-out, and no slower overall than the least pace.
#[derive(Clone, Copy, Debug)]
struct Pace {
    started: Instant,
    silence: Duration,
    num_bytes: u64,
    /// When whoever waits for the body gives up without being told.
    awaited_until: Option<Instant>,
}

impl Pace {
    /// Returns when the next bytes are due.
    fn due(&self, now: Instant) -> Instant {
        let earned =
            Duration::from_millis(self.num_bytes.saturating_mul(1000) / MIN_BYTES_PER_SECOND);
        (now + self.silence).min(self.started + self.silence + earned)
    }
}

impl Receiver {
    pub(crate) fn new(body: Incoming, silence: Duration) -> Self {
        let is_at_end = body.is_end_stream();
        Self {
            body,
            pace: Pace {
                started: Instant::now(),
                silence,
                num_bytes: 0,
                awaited_until: None,
            },
            is_at_end,
        }
    }

    /// Says when whoever waits for the body gives up by itself.
    pub(crate) fn await_until(&mut self, deadline: Option<Instant>) {
        self.pace.awaited_until = deadline;
    }

    /// Tells whether it is announced to be short: it is here soon, and no work to look at.
    pub(crate) fn is_short(&self) -> bool {
        let most = self.body.size_hint().upper();
        most.is_some_and(|most| most <= OFFLOAD_BYTES as u64)
    }

    /// Returns the next bytes, reserved already, or `None` at the end.
    pub(crate) async fn next(
        &mut self,
        reservation: &mut Reservation,
    ) -> Result<Option<Bytes>, ServeError> {
        while !self.is_at_end {
            let frame = self.frame().await?;
            self.is_at_end = frame.is_none() || self.body.is_end_stream();
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| ServeError::BodyBroken(error.to_string()))?;
            if let Ok(bytes) = frame.into_data() {
                reservation.grow(bytes.len() + FRAME_OVERHEAD_BYTES)?;
                self.pace.num_bytes += bytes.len() as u64;
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Waits for a frame while the sender keeps pace. What is here already needs no clock, and whoever gives up earlier
    /// than the frame is due needs no second timer.
    async fn frame(&mut self) -> Result<Option<Result<Frame<Bytes>, hyper::Error>>, ServeError> {
        let (body, pace) = (&mut self.body, self.pace);
        let mut due = None;
        let mut timer = None;
        poll_fn(|context| {
            if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) {
                return Poll::Ready(Ok(frame));
            }
            let now = Instant::now();
            let due = *due.get_or_insert_with(|| pace.due(now));
            if due <= now + TIMER_GRAIN {
                return Poll::Ready(Err(ServeError::BodyTimeout));
            }
            if pace.awaited_until.is_some_and(|until| until <= due) {
                return Poll::Pending;
            }
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            let elapsed = timer.as_mut().poll(context);
            elapsed.map(|()| Err(ServeError::BodyTimeout))
        })
        .await
    }

    /// Returns the whole body in one piece, joined as its frames come: while the rest is on its way, and what is copied is in
    /// the caches still. One that is a single frame is not copied.
    pub(crate) async fn join(
        &mut self,
        reservation: &mut Reservation,
    ) -> Result<Bytes, ServeError> {
        let Some(first) = self.next(reservation).await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.next(reservation).await? else {
            return Ok(first);
        };
        let hint = self.body.size_hint();
        let announced = usize::try_from(hint.upper().unwrap_or_default()).unwrap_or(usize::MAX);
        let here = first.len() + second.len();
        let mut joined = BytesMut::with_capacity(here + announced.min(MAX_AHEAD_BYTES));
        joined.extend_from_slice(&first);
        joined.extend_from_slice(&second);
        // Whoever reads from the socket finds the frames' memory free again.
        drop((first, second));
        while let Some(bytes) = self.next(reservation).await? {
            joined.extend_from_slice(&bytes);
        }
        Ok(joined.freeze())
    }

    /// Throws away a body that the answer did not need, so that the connection can be used again; returns whether that
    /// succeeded. A body that is long or slow is not worth it: closing the connection is cheaper.
    pub(crate) async fn discard(&mut self) -> bool {
        if self.is_at_end {
            return true;
        }
        let discarding = async {
            let mut left = MAX_DISCARDED_BYTES;
            while !self.is_at_end {
                match self.body.frame().await {
                    Some(Ok(frame)) => {
                        left = left.checked_sub(frame.data_ref().map_or(0, Bytes::len))?
                    }
                    Some(Err(_)) => return None,
                    None => self.is_at_end = true,
                }
            }
            Some(())
        };
        matches!(
            tokio::time::timeout(MAX_DISCARD_TIME, discarding).await,
            Ok(Some(()))
        )
    }
}

/// Inflates a gzip body on the pool, whatever its size: a small one can hold a large one.
///
/// # Errors
/// [`ServeError::BadCompression`] for anything that is not gzip or grows beyond the limit.
pub(crate) async fn inflate(work: &mut Work<'_>, compressed: Bytes) -> Result<Bytes, ServeError> {
    let max_bytes = work.app.config.max_inflated_bytes;
    let mut reserved = work.reservation.sibling();
    let inflate =
        move || inflate_here(&compressed, max_bytes, &mut reserved).map(|bytes| (bytes, reserved));
    let (bytes, reserved) = work.app.cpu.run(usize::MAX, inflate).await??;
    work.reservation.absorb(reserved);
    Ok(bytes)
}

/// Inflates step by step; every byte that comes out is reserved.
fn inflate_here(
    compressed: &[u8],
    max_bytes: u64,
    reservation: &mut Reservation,
) -> Result<Bytes, ServeError> {
    let mut decoder = MultiGzDecoder::new(compressed);
    let mut inflated = Vec::new();
    loop {
        let len = inflated.len();
        reservation.grow(INFLATE_STEP_BYTES)?;
        let read = (&mut decoder)
            .take(INFLATE_STEP_BYTES as u64)
            .read_to_end(&mut inflated);
        read.map_err(|error| ServeError::BadCompression(error.to_string()))?;
        if inflated.len() as u64 > max_bytes {
            let reason = format!("it is larger than the limit of {max_bytes} bytes");
            return Err(ServeError::BadCompression(reason));
        }
        if inflated.len() == len {
            return Ok(inflated.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_silence_nor_a_trickle_holds_a_connection() {
        let started = Instant::now();
        let at = |seconds| started + Duration::from_secs(seconds);
        let pace = |num_bytes| Pace {
            started,
            silence: Duration::from_secs(30),
            num_bytes,
            awaited_until: None,
        };
        assert_eq!(pace(0).due(started), at(30));
        assert_eq!(pace(1 << 20).due(at(5)), at(35), "fast so far, silent now");
        assert_eq!(
            pace(60).due(at(60)),
            started + Duration::from_millis(30_058),
            "one byte a second"
        );
        assert_eq!(pace(100 * 1024).due(at(90)), at(120), "slow but honest");
    }
}
