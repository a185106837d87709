//! How long a connection lasts: a plain state machine that is told the time.
//!
//! ```text
//! open ─► (greatest age | idle | draining) ─► closing: requests in flight finish ─► ended
//!   └─► cut: no request in time              └─► cut: they took longer than the grace
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a connection that was accepted just before the end has for its request.
pub(super) const LAST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// What bounds a connection's life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From its begin to its first request.
    pub(super) first_request: Duration,
    pub(super) max_age: Option<Duration>,
    /// What requests in flight have after the greatest age.
    pub(super) age_grace: Option<Duration>,
    pub(super) max_idle: Option<Duration>,
    /// From one HTTP/1.1 request's answer to the next one's headers; a client that does not read the answer has no longer.
    pub(super) max_rest: Duration,
}

/// What a connection's requests have done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Activity {
    pub(super) has_asked: bool,
    pub(super) is_http1: bool,
    pub(super) num_inflight: usize,
    /// The end of the last request, or the connection's begin.
    pub(super) last: Instant,
}

impl Activity {
    pub(super) fn none_since(now: Instant) -> Self {
        Self {
            has_asked: false,
            is_http1: false,
            num_inflight: 0,
            last: now,
        }
    }
}

/// What a connection's requests have done, told by each of them.
#[derive(Debug)]
pub(super) struct Ledger(Mutex<Activity>);

impl Ledger {
    pub(super) fn since(now: Instant) -> Self {
        Self(Mutex::new(Activity::none_since(now)))
    }

    pub(super) fn read(&self) -> Activity {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Activity> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request in flight, until it is dropped.
pub(super) struct Busy(Arc<Ledger>);

impl Busy {
    pub(super) fn begin(ledger: &Arc<Ledger>, is_http1: bool) -> Self {
        let mut activity = ledger.lock();
        activity.has_asked = true;
        activity.is_http1 = is_http1;
        activity.num_inflight += 1;
        drop(activity);
        Self(Arc::clone(ledger))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut activity = self.0.lock();
        activity.num_inflight -= 1;
        activity.last = now;
    }
}

/// What is to be done with a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, until then.
    Wait(Option<Instant>),
    /// Ask the peer to send no more, and finish what is in flight.
    Close,
    /// End it.
    Cut(&'static str),
}

/// The life of one connection.
#[derive(Debug)]
pub(super) struct Lifetime {
    first_request_by: Instant,
    retire_at: Option<Instant>,
    age_grace: Option<Duration>,
    max_idle: Option<Duration>,
    max_rest: Duration,
    drained_at: Option<Instant>,
    is_closing: bool,
    cut_at: Option<Instant>,
}

impl Lifetime {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            first_request_by: now + limits.first_request,
            retire_at: limits.max_age.map(|age| now + age),
            age_grace: limits.age_grace,
            max_idle: limits.max_idle,
            max_rest: limits.max_rest,
            drained_at: None,
            is_closing: false,
            cut_at: None,
        }
    }

    /// Tells that the server is about to end.
    pub(super) fn drain(&mut self, now: Instant, activity: Activity) {
        let mut drained_at = now;
        if !activity.has_asked {
            // Its request may be on its way: closing now would lose it.
            drained_at = now + LAST_REQUEST_TIMEOUT;
            self.first_request_by = drained_at;
        }
        self.drained_at = Some(drained_at);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.drained_at.is_some()
    }

    /// Returns what is to be done; [`Step::Close`] once at most.
    pub(super) fn step(&mut self, now: Instant, activity: Activity) -> Step {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let first_request_by = Some(self.first_request_by).filter(|_| !activity.has_asked);
        if is_due(first_request_by) {
            return Step::Cut("no request in time");
        }
        if is_due(self.cut_at) {
            return Step::Cut("requests in flight outlived the grace after the greatest age");
        }
        let after = |rest: Duration| match activity.num_inflight {
            0 => activity.last + rest,
            _ => now + rest,
        };
        let is_at_rest = activity.has_asked && activity.is_http1;
        let next_request_by = is_at_rest.then(|| after(self.max_rest));
        if is_due(next_request_by) {
            return Step::Cut("no further request in time");
        }
        if self.is_closing {
            return Step::Wait(earliest([first_request_by, next_request_by, self.cut_at]));
        }
        let idle_at = self.max_idle.map(after);
        if is_due(self.retire_at) {
            self.cut_at = self.age_grace.map(|grace| now + grace);
        }
        if is_due(earliest([self.retire_at, self.drained_at, idle_at])) {
            self.is_closing = true;
            return Step::Close;
        }
        Step::Wait(earliest([
            first_request_by,
            next_request_by,
            self.retire_at,
            self.drained_at,
            idle_at,
        ]))
    }
}

/// Returns an age up to a tenth shorter or longer, so that clients who came together do not come back together.
pub(super) fn scattered(age: Duration, random: u64) -> Duration {
    age.mul_f64(0.9 + 0.2 * (random as f64 / u64::MAX as f64))
}

fn earliest<const N: usize>(moments: [Option<Instant>; N]) -> Option<Instant> {
    moments.into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What happens at a second, and what is to be done then.
    enum Event {
        Nothing,
        Asks,
        Answered,
        Drains,
    }

    use Event::{Answered, Asks, Drains, Nothing};

    const LIMITS: Limits = Limits {
        first_request: Duration::from_secs(10),
        max_age: None,
        age_grace: None,
        max_idle: None,
        max_rest: Duration::from_secs(100),
    };

    fn check(name: &str, limits: Limits, events: &[(u32, Event, Expected)]) {
        let start = Instant::now();
        let mut lifetime = Lifetime::new(&limits, start);
        let mut activity = Activity::none_since(start);
        for (second, event, expected) in events {
            let now = start + SECOND * *second;
            match event {
                Nothing => {}
                Asks => {
                    activity.has_asked = true;
                    activity.num_inflight += 1;
                }
                Answered => {
                    activity.num_inflight -= 1;
                    activity.last = now;
                }
                Drains => lifetime.drain(now, activity),
            }
            let step = lifetime.step(now, activity);
            let got = match step {
                Step::Wait(None) => Expected::Rest,
                Step::Wait(Some(until)) => {
                    Expected::Until(u32::try_from((until - start).as_secs()).expect("short"))
                }
                Step::Close => Expected::Close,
                Step::Cut(_) => Expected::Cut,
            };
            assert_eq!(got, *expected, "{name}: second {second}");
        }
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Expected {
        Rest,
        Until(u32),
        Close,
        Cut,
    }

    use Expected::{Close, Cut, Rest, Until};

    #[test]
    fn a_connection_without_a_request_is_cut() {
        let silent = [(0, Nothing, Until(10)), (10, Nothing, Cut)];
        check("silent", LIMITS, &silent);
        let asking = [
            (9, Asks, Rest),
            (10, Nothing, Rest),
            (1000, Answered, Rest),
            (5000, Nothing, Rest),
        ];
        check("asking", LIMITS, &asking);
    }

    #[test]
    fn an_http1_connection_at_rest_is_cut_and_a_busy_one_is_not() {
        let start = Instant::now();
        let at = |second: u32| start + SECOND * second;
        let mut lifetime = Lifetime::new(&LIMITS, start);
        let mut activity = Activity {
            has_asked: true,
            is_http1: true,
            num_inflight: 1,
            last: start,
        };
        let busy = lifetime.step(at(500), activity);
        assert_eq!(busy, Step::Wait(Some(at(600))));
        activity.num_inflight = 0;
        activity.last = at(550);
        let resting = lifetime.step(at(600), activity);
        assert_eq!(resting, Step::Wait(Some(at(650))));
        lifetime.drain(at(610), activity);
        assert_eq!(lifetime.step(at(610), activity), Step::Close);
        // Half of a request's headers came, and no more.
        assert_eq!(lifetime.step(at(620), activity), Step::Wait(Some(at(650))));
        let cut = lifetime.step(at(650), activity);
        assert!(matches!(cut, Step::Cut(_)), "{cut:?}");
    }

    #[test]
    fn an_old_connection_closes_and_its_requests_have_the_grace() {
        let aged = Limits {
            max_age: Some(SECOND * 20),
            ..LIMITS
        };
        let events = [
            (1, Asks, Until(20)),
            (20, Nothing, Close),
            (21, Nothing, Rest),
            (900, Answered, Rest),
        ];
        check("no grace", aged, &events);
        let graced = Limits {
            age_grace: Some(SECOND * 5),
            ..aged
        };
        let events = [
            (1, Asks, Until(20)),
            (20, Nothing, Close),
            (21, Nothing, Until(25)),
            (25, Nothing, Cut),
        ];
        check("grace", graced, &events);
    }

    #[test]
    fn an_idle_connection_closes_and_a_busy_one_does_not() {
        let idle = Limits {
            max_idle: Some(SECOND * 3),
            ..LIMITS
        };
        let events = [
            (1, Asks, Until(4)),
            (4, Nothing, Until(7)),
            (6, Answered, Until(9)),
            (7, Nothing, Until(9)),
            (8, Asks, Until(11)),
            (8, Answered, Until(11)),
            (11, Nothing, Close),
            (12, Nothing, Rest),
        ];
        check("idle", idle, &events);
        check("never asked", idle, &[(3, Nothing, Close)]);
    }

    #[test]
    fn draining_waits_a_moment_for_a_first_request() {
        check("asked", LIMITS, &[(1, Asks, Rest), (2, Drains, Close)]);
        let late = [
            (2, Drains, Until(3)),
            (2, Asks, Until(3)),
            (3, Answered, Close),
        ];
        check("asks in time", LIMITS, &late);
        check(
            "does not ask",
            LIMITS,
            &[(9, Drains, Until(10)), (10, Nothing, Cut)],
        );
    }

    #[test]
    fn ages_are_scattered_by_a_tenth() {
        let rows = [(0, 9000), (u64::MAX / 2, 10_000), (u64::MAX, 11_000)];
        for (random, millis) in rows {
            let age = scattered(SECOND * 10, random).as_secs_f64() * 1000.0;
            assert_eq!(age.round() as u64, millis);
        }
    }
}
