//! What requests did and when, recorded while somebody asks for it.
//!
//! At rest a request looks at one flag, once before its model runs and once at its end. One recording goes on at a
//! time and holds a bounded number of requests; the form in which they are sent is `grpc::profiler`'s matter.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use salver_backend::Signature;
use salver_servable::ServableId;
use salver_telemetry::Api;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::context::RequestId;
use crate::status::Code;

/// The most requests in one recording: some 20 MB of them in memory and on the wire.
pub(crate) const MAX_REQUESTS: usize = 65_536;

/// Records requests while it is on.
#[derive(Debug, Default)]
pub(crate) struct Tracer {
    is_on: AtomicBool,
    recording: Mutex<Option<Recording>>,
    ended: Notify,
}

/// What is being recorded.
#[derive(Debug)]
struct Recording {
    /// Who asked for it may name it.
    session: String,
    max_requests: usize,
    trace: Trace,
}

/// What was recorded.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) started: Instant,
    /// The same moment, since 1970.
    pub(crate) started_unix: Duration,
    pub(crate) requests: Vec<RequestSpan>,
    /// Those that there was no room for.
    pub(crate) num_dropped: u64,
}

/// One request, from its headers to its answer.
#[derive(Clone, Debug)]
pub(crate) struct RequestSpan {
    /// `grpc` or `rest`.
    pub(crate) entrypoint: &'static str,
    pub(crate) id: RequestId,
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
    pub(crate) code: Code,
    /// `None` if it ran no model.
    pub(crate) run: Option<RunSpan>,
}

/// The run of a model for a request, and its phases.
#[derive(Clone, Debug)]
pub(crate) struct RunSpan {
    pub(crate) api: Api,
    pub(crate) model: ServableId,
    pub(crate) signature: Arc<Signature>,
    pub(crate) decode: (Instant, Duration),
    pub(crate) queue: (Instant, Duration),
    pub(crate) run: (Instant, Duration),
    /// When the outputs were there; encoding goes on to the end of the request.
    pub(crate) encode_started: Instant,
}

impl Tracer {
    /// Tells whether requests are being recorded.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Begins to record; `None` if a recording is going on.
    pub(crate) fn start(&self, session: String, max_requests: usize) -> Option<Session<'_>> {
        let mut recording = self.lock();
        if recording.is_some() {
            return None;
        }
        *recording = Some(Recording {
            session,
            max_requests: max_requests.min(MAX_REQUESTS),
            trace: Trace {
                started: Instant::now(),
                started_unix: salver_telemetry::unix_time(),
                requests: Vec::new(),
                num_dropped: 0,
            },
        });
        self.is_on.store(true, Ordering::Relaxed);
        Some(Session(self))
    }

    /// Ends the recording of this name before its time, or of any name if none is given; tells whether there was one.
    pub(crate) fn end(&self, session: Option<&str>) -> bool {
        let recording = self.lock();
        let is_meant = |recording: &Recording| session.is_none_or(|name| recording.session == name);
        let is_there = recording.as_ref().is_some_and(is_meant);
        if is_there {
            self.ended.notify_waiters();
        }
        is_there
    }

    /// Records a request that has ended.
    pub(crate) fn record(&self, request: RequestSpan) {
        let mut recording = self.lock();
        let Some(recording) = recording.as_mut() else {
            return;
        };
        if recording.trace.requests.len() < recording.max_requests {
            recording.trace.requests.push(request);
        } else {
            recording.trace.num_dropped += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Recording>> {
        self.recording
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A recording that goes on until this is dropped.
#[must_use = "it records until it is dropped"]
pub(crate) struct Session<'a>(&'a Tracer);

impl Session<'_> {
    /// Waits so long, or until somebody ends the recording.
    pub(crate) async fn wait(&self, duration: Duration) {
        tokio::select! {
            () = tokio::time::sleep(duration) => {}
            () = self.0.ended.notified() => {}
        }
    }

    /// Ends the recording and returns it.
    pub(crate) fn finish(self) -> Trace {
        let recording = self.0.lock().take();
        let recording = recording.expect("it goes on until the session is dropped");
        recording.trace
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.0.is_on.store(false, Ordering::Relaxed);
        self.0.lock().take();
    }
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span() -> RequestSpan {
        RequestSpan {
            entrypoint: "grpc",
            id: RequestId::Made(1),
            started: Instant::now(),
            ended: Instant::now(),
            code: Code::Ok,
            run: None,
        }
    }

    #[tokio::test]
    async fn records_while_it_is_on_and_no_more_than_there_is_room_for() {
        let tracer = Tracer::default();
        tracer.record(span());
        let session = tracer.start(String::new(), 2).expect("nobody else records");
        assert!(tracer.is_on());
        for _ in 0..3 {
            tracer.record(span());
        }
        session.wait(Duration::ZERO).await;
        let trace = session.finish();
        assert_eq!((trace.requests.len(), trace.num_dropped), (2, 1));
        assert!(!tracer.is_on());
        assert!(tracer.start(String::new(), 1).is_some(), "it is free again");
    }

    #[tokio::test]
    async fn one_recording_goes_on_at_a_time_and_can_be_ended_by_its_name() {
        let tracer = Tracer::default();
        let session = tracer
            .start("a".to_owned(), 2)
            .expect("nobody else records");
        assert!(tracer.start("b".to_owned(), 2).is_none());
        assert!(!tracer.end(Some("b")));
        let wait = session.wait(Duration::MAX);
        let end = async {
            assert!(tracer.end(Some("a")));
        };
        // The waiter is polled first, so that it is there to be told.
        tokio::join!(biased; wait, end);
        drop(session);
        assert!(!tracer.end(None));
    }
}
