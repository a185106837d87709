//! What is known of a request before its body: its id, its trace, its deadline.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use salver_batching::Priority;
use tokio::time::Instant;

use crate::listen::Peer;
use crate::status::ServeError;

/// The header that carries a request's id, both ways.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The W3C header that carries a trace, both ways.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header, and gRPC's metadata, that says how urgent a request is.
pub(crate) const PRIORITY: HeaderName = HeaderName::from_static("x-salver-priority");
/// Longer ids are not taken up: they would go into every log line.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// What is known of a request before its body.
#[derive(Clone, Debug)]
pub(crate) struct RequestContext {
    pub(crate) id: RequestId,
    pub(crate) trace: Option<TraceParent>,
    pub(crate) peer: Peer,
    pub(crate) started: Instant,
}

impl RequestContext {
    pub(crate) fn new(headers: &HeaderMap, peer: Peer, ids: &RequestIds) -> Self {
        let trace = headers
            .get(TRACEPARENT)
            .and_then(|value| TraceParent::parse(value.to_str().ok()?));
        let trace = trace.map(|trace| trace.child(ids.next()));
        Self {
            id: ids.of(headers),
            trace,
            peer,
            started: Instant::now(),
        }
    }

    /// Adds the id and the trace to an answer's headers.
    pub(crate) fn mark(&self, headers: &mut HeaderMap) {
        let id = match &self.id {
            RequestId::Given(id) => Ok(id.clone()),
            RequestId::Made(id) => HeaderValue::from_bytes(&hex(*id)),
        };
        if let Ok(id) = id {
            headers.insert(REQUEST_ID, id);
        }
        if let Some(Ok(trace)) = self
            .trace
            .map(|trace| HeaderValue::from_str(&trace.to_string()))
        {
            headers.insert(TRACEPARENT, trace);
        }
    }
}

/// Names one request in logs and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestId {
    /// The client chose it.
    Given(HeaderValue),
    /// The server did.
    Made(u64),
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(id) => f.write_str(id.to_str().unwrap_or_default()),
            Self::Made(id) => write!(f, "{id:016x}"),
        }
    }
}

/// Writes a made id's sixteen digits.
fn hex(id: u64) -> [u8; 16] {
    let digit = |idx: usize| b"0123456789abcdef"[(id >> (60 - 4 * idx)) as usize & 0xf];
    std::array::from_fn(digit)
}

/// Makes ids that do not repeat within a process and hardly between processes.
#[derive(Debug)]
pub(crate) struct RequestIds {
    next: AtomicU64,
}

impl RequestIds {
    /// Starts at `seed`, which should differ from process to process.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            next: AtomicU64::new(seed),
        }
    }

    /// Returns a number that was not returned before, well spread.
    pub(crate) fn next(&self) -> u64 {
        let step = 0x9E37_79B9_7F4A_7C15;
        mix(self.next.fetch_add(step, Ordering::Relaxed)).max(1)
    }

    fn of(&self, headers: &HeaderMap) -> RequestId {
        let given = headers.get(REQUEST_ID).filter(|id| {
            (1..=MAX_REQUEST_ID_BYTES).contains(&id.len())
                && id.as_bytes().iter().all(u8::is_ascii_graphic)
        });
        given.map_or_else(
            || RequestId::Made(self.next()),
            |id| RequestId::Given(id.clone()),
        )
    }
}

/// Spreads a number over all 64 bits (the finaliser of splitmix64); different numbers stay different.
pub(crate) const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// A W3C trace context, level 1: version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
}

impl TraceParent {
    /// Reads `00-<32 hex>-<16 hex>-<2 hex>`; a later version may have more fields behind.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let mut parts = value.split('-');
        let (version, trace_id, parent_id, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version = lower_hex(version, 2)?;
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let trace_id = lower_hex(trace_id, 32).filter(|&id| id != 0)?;
        let parent_id = u64::try_from(lower_hex(parent_id, 16)?)
            .ok()
            .filter(|&id| id != 0)?;
        let flags = u8::try_from(lower_hex(flags, 2)?).ok()?;
        Some(Self {
            trace_id,
            parent_id,
            flags,
        })
    }

    /// Returns the same trace with this server as the parent.
    fn child(self, parent_id: u64) -> Self {
        Self { parent_id, ..self }
    }

    pub(crate) fn trace_id(&self) -> u128 {
        self.trace_id
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id, self.parent_id, self.flags
        )
    }
}

fn lower_hex(digits: &str, len: usize) -> Option<u128> {
    let is_lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.len() != len || !digits.bytes().all(is_lower_hex) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok()
}

/// Reads how urgent a request is; like most, if it does not say.
pub(crate) fn priority(headers: &HeaderMap) -> Result<Priority, ServeError> {
    let Some(value) = headers.get(PRIORITY) else {
        return Ok(Priority::default());
    };
    let priority = value.to_str().ok().and_then(Priority::of_name);
    priority.ok_or_else(|| {
        ServeError::UnknownPriority(String::from_utf8_lossy(value.as_bytes()).into_owned())
    })
}

/// Reads gRPC's `grpc-timeout`: up to eight digits and a unit.
pub(crate) fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_on_under_a_new_parent() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = TraceParent::parse(given).expect("valid");
        assert_eq!(trace.to_string(), given);
        let child = trace.child(0xabc);
        assert_eq!(
            child.to_string(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000abc-01"
        );
    }

    #[test]
    fn malformed_traces_are_not_taken_up() {
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_priority_is_one_of_three_words() {
        let read = |value: &'static [u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(PRIORITY, HeaderValue::from_bytes(value).expect("a value"));
            priority(&headers).map_err(|error| error.to_string())
        };
        assert_eq!(
            priority(&HeaderMap::new()).expect("none is fine"),
            Priority::Normal
        );
        for priority in Priority::ALL {
            assert_eq!(read(priority.name().as_bytes()), Ok(priority));
        }
        for bad in [b"".as_slice(), b"High", b"urgent", b"1", b"\xff"] {
            let message = read(bad).expect_err("no such priority");
            assert!(message.contains("high, normal or low"), "{message}");
        }
    }

    #[test]
    fn reads_every_unit_of_a_grpc_timeout() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_str(value).expect("ASCII"));
            grpc_timeout(&headers)
        };
        assert_eq!(read("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(read("3M"), Some(Duration::from_secs(180)));
        assert_eq!(read("20S"), Some(Duration::from_secs(20)));
        assert_eq!(read("99999999m"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(read("5u"), Some(Duration::from_micros(5)));
        assert_eq!(read("7n"), Some(Duration::from_nanos(7)));
        for bad in ["", "S", "5", "123456789S", "-1S", "1.5S", "1s"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn answers_carry_the_id_that_logs_print() {
        for id in [1, 0x0123_4567_89ab_cdef, u64::MAX] {
            assert_eq!(hex(id), RequestId::Made(id).to_string().as_bytes());
        }
    }

    #[test]
    fn ids_of_clients_are_taken_up_if_sensible() {
        let ids = RequestIds::new(1);
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(value).expect("ASCII"));
            ids.of(&headers)
        };
        assert_eq!(of("abc-1").to_string(), "abc-1");
        assert!(matches!(of("with space"), RequestId::Made(_)));
        assert!(matches!(of(&"x".repeat(129)), RequestId::Made(_)));
    }
}
