//! `tensorflow.ProfilerService`: what requests did during some time, in the form that TensorFlow's profiler draws.
//!
//! ```text
//! plane /host:CPU ─► one line for each request at a time ─► Predict half_plus_two
//!                                                            ├ decode ├ queue ├ run ├ encode
//! ```
//!
//! The trace is sent back and never written here: a client names a folder that it wants it in, and a server that wrote
//! where strangers tell it to would be a hole.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use prost::Message as _;
use salver_proto::tensorflow::profiler::{
    XEvent, XEventMetadata, XLine, XPlane, XSpace, XStat, XStatMetadata, x_event, x_stat,
};
use salver_proto::tensorflow::{
    ProfileRequest, ProfileResponse, ProfileToolData, TerminateRequest, TerminateResponse,
};
use tokio::time::Instant;

use super::{Message, message_buffer};
use crate::app::App;
use crate::status::ServeError;
use crate::trace::{MAX_REQUESTS, RequestSpan, RunSpan, Trace};
use crate::work::Work;

/// A request and its four phases.
const EVENTS_PER_REQUEST: u64 = 5;
/// What a request takes in a trace, roughly.
const ENCODED_BYTES: usize = 256;
/// The plane that TensorFlow's tools take for what the processor did.
const PLANE: &str = "/host:CPU";
/// The name under which its clients keep an `XSpace`.
const TOOL: &str = "xplane.pb";

/// Numbers of what is known of an event.
#[derive(Clone, Copy)]
enum Stat {
    Api = 1,
    Model,
    Version,
    Signature,
    RequestId,
    Status,
}

impl Stat {
    const ALL: [(Self, &str); 6] = [
        (Self::Api, "api"),
        (Self::Model, "model"),
        (Self::Version, "version"),
        (Self::Signature, "signature"),
        (Self::RequestId, "request_id"),
        (Self::Status, "status"),
    ];
}

/// Records for as long as the request says, then answers with what was recorded.
pub(super) async fn profile(work: &mut Work<'_>, message: Message) -> Result<BytesMut, ServeError> {
    let request = ProfileRequest::decode(message).map_err(|error| ServeError::Protobuf {
        message: "tensorflow.ProfileRequest",
        reason: error.to_string(),
    })?;
    let options = request.opts.unwrap_or_default();
    let duration_millis = match options.duration_ms {
        0 => request.duration_ms,
        millis => millis,
    };
    let max_requests = match request.max_events {
        0 => MAX_REQUESTS,
        events => usize::try_from(events / EVENTS_PER_REQUEST).unwrap_or(MAX_REQUESTS),
    };
    let recording = work.app.tracer.start(request.session_id, max_requests);
    let recording = recording.ok_or(ServeError::TraceRunning)?;
    recording.wait(Duration::from_millis(duration_millis)).await;
    let trace = recording.finish();
    let num_requests = trace.requests.len();
    let answer = move || {
        let mut encoded = message_buffer();
        response(&trace, &request.host_name, request.emit_xspace)
            .encode(&mut encoded)
            .map(|()| encoded)
    };
    let encoded = work
        .app
        .cpu
        .run(num_requests * ENCODED_BYTES, answer)
        .await?;
    encoded.map_err(|error| ServeError::Internal(error.to_string()))
}

/// Ends a trace before its time.
pub(super) fn terminate(app: &App, message: Message) -> Result<BytesMut, ServeError> {
    let request = TerminateRequest::decode(message).map_err(|error| ServeError::Protobuf {
        message: "tensorflow.TerminateRequest",
        reason: error.to_string(),
    })?;
    app.tracer.end(Some(&request.session_id));
    let mut encoded = message_buffer();
    let encoding = TerminateResponse::default().encode(&mut encoded);
    encoding.map_err(|error| ServeError::Internal(error.to_string()))?;
    Ok(encoded)
}

fn response(trace: &Trace, host: &str, emits_xspace: bool) -> ProfileResponse {
    let empty_trace = trace.requests.is_empty();
    let space = space(trace, host);
    let (xspace, tool_data) = match (emits_xspace, empty_trace) {
        (true, _) => (Some(space), Vec::new()),
        (false, true) => (None, Vec::new()),
        (false, false) => {
            let tool_data = ProfileToolData {
                name: TOOL.to_owned(),
                data: space.encode_to_vec().into(),
            };
            (None, vec![tool_data])
        }
    };
    ProfileResponse {
        tool_data,
        empty_trace,
        xspace,
    }
}

fn space(trace: &Trace, host: &str) -> XSpace {
    let started_nanos = nanos(trace.started_unix);
    let mut names = Names::default();
    let lines = lanes(&trace.requests).into_iter().zip(1..);
    let lines = lines.map(|(requests, id)| XLine {
        id,
        name: format!("requests {id}"),
        timestamp_ns: started_nanos,
        events: requests
            .into_iter()
            .flat_map(|request| events(request, trace.started, &mut names))
            .collect(),
        ..XLine::default()
    });
    let lines = lines.collect();
    let stat_metadata = Stat::ALL.map(|(stat, name)| {
        let metadata = XStatMetadata {
            id: stat as i64,
            name: name.to_owned(),
            ..XStatMetadata::default()
        };
        (stat as i64, metadata)
    });
    let plane = XPlane {
        id: 1,
        name: PLANE.to_owned(),
        lines,
        event_metadata: names.into_metadata(),
        stat_metadata: stat_metadata.into(),
        ..XPlane::default()
    };
    let dropped = (trace.num_dropped > 0).then(|| {
        let count = trace.num_dropped;
        format!("{count} requests more than there was room for; trace for a shorter time")
    });
    XSpace {
        planes: vec![plane],
        warnings: dropped.into_iter().collect(),
        hostnames: vec![host.to_owned()],
        ..XSpace::default()
    }
}

/// Puts requests that overlap in time on different lines.
fn lanes(requests: &[RequestSpan]) -> Vec<Vec<&RequestSpan>> {
    let mut by_start: Vec<&RequestSpan> = requests.iter().collect();
    by_start.sort_by_key(|request| request.started);
    let mut lanes: Vec<Vec<&RequestSpan>> = Vec::new();
    for request in by_start {
        let is_free = |lane: &&mut Vec<&RequestSpan>| {
            lane.last().is_none_or(|last| last.ended <= request.started)
        };
        match lanes.iter_mut().find(is_free) {
            Some(lane) => lane.push(request),
            None => lanes.push(vec![request]),
        }
    }
    lanes
}

/// Returns a request and its phases.
fn events(request: &RequestSpan, origin: Instant, names: &mut Names) -> Vec<XEvent> {
    let name = match &request.run {
        Some(run) => format!("{} {}", run.api.name(), run.model.name),
        None => request.entrypoint.to_owned(),
    };
    let whole = (
        request.started,
        request.ended.saturating_duration_since(request.started),
    );
    let mut events = vec![XEvent {
        stats: stats(request),
        ..event(names.id(name), whole, origin)
    }];
    if let Some(run) = &request.run {
        let encode = request.ended.saturating_duration_since(run.encode_started);
        for (name, span) in [
            ("decode", run.decode),
            ("queue", run.queue),
            ("run", run.run),
            ("encode", (run.encode_started, encode)),
        ] {
            events.push(event(names.id(name.to_owned()), span, origin));
        }
    }
    events
}

/// Returns an event; one that began before the recording has a negative offset.
fn event(metadata_id: i64, (started, duration): (Instant, Duration), origin: Instant) -> XEvent {
    let after = picos(started.saturating_duration_since(origin));
    let before = picos(origin.saturating_duration_since(started));
    XEvent {
        metadata_id,
        data: Some(x_event::Data::OffsetPs(after - before)),
        duration_ps: picos(duration),
        ..XEvent::default()
    }
}

fn stats(request: &RequestSpan) -> Vec<XStat> {
    let text = |stat, text: &str| stat_of(stat, x_stat::Value::StrValue(text.to_owned()));
    let mut stats = vec![
        text(Stat::Api, request.entrypoint),
        text(Stat::RequestId, &request.id.to_string()),
        text(Stat::Status, request.code.name()),
    ];
    if let Some(RunSpan {
        model, signature, ..
    }) = &request.run
    {
        stats.push(text(Stat::Model, &model.name));
        stats.push(stat_of(
            Stat::Version,
            x_stat::Value::Int64Value(model.version),
        ));
        stats.push(text(Stat::Signature, &signature.name));
    }
    stats
}

fn stat_of(stat: Stat, value: x_stat::Value) -> XStat {
    XStat {
        metadata_id: stat as i64,
        value: Some(value),
    }
}

/// Numbers of the names of events.
#[derive(Default)]
struct Names(BTreeMap<String, i64>);

impl Names {
    fn id(&mut self, name: String) -> i64 {
        let next = self.0.len() as i64 + 1;
        *self.0.entry(name).or_insert(next)
    }

    fn into_metadata(self) -> BTreeMap<i64, XEventMetadata> {
        let metadata = self.0.into_iter().map(|(name, id)| {
            let metadata = XEventMetadata {
                id,
                name,
                ..XEventMetadata::default()
            };
            (id, metadata)
        });
        metadata.collect()
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Returns picoseconds, which is how traces count.
fn picos(duration: Duration) -> i64 {
    nanos(duration).saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use salver_backend::Signature;
    use salver_servable::ServableId;
    use salver_telemetry::Api;

    use super::*;
    use crate::context::RequestId;
    use crate::status::Code;

    fn signature() -> Arc<Signature> {
        Arc::new(Signature {
            name: "s".into(),
            method_name: "".into(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            defaults: BTreeMap::new(),
            changes_state: false,
        })
    }

    /// A request from one millisecond to another after `origin`, its phases of 1 ms each.
    fn span(origin: Instant, start: u64, end: u64) -> RequestSpan {
        let at = |millis| origin + Duration::from_millis(millis);
        let phase = |idx| (at(start + idx), Duration::from_millis(1));
        RequestSpan {
            entrypoint: "rest",
            id: RequestId::Made(7),
            started: at(start),
            ended: at(end),
            code: Code::Ok,
            run: Some(RunSpan {
                api: Api::Predict,
                model: ServableId {
                    name: "m".into(),
                    version: 3,
                },
                signature: signature(),
                decode: phase(0),
                queue: phase(1),
                run: phase(2),
                encode_started: at(start + 3),
            }),
        }
    }

    fn trace(requests: Vec<RequestSpan>, started: Instant) -> Trace {
        Trace {
            started,
            started_unix: Duration::from_secs(1_700_000_000),
            requests,
            num_dropped: 0,
        }
    }

    /// Returns name, offset and duration in milliseconds of each event, line by line.
    fn drawn(space: &XSpace) -> Vec<Vec<(String, i64, i64)>> {
        let plane = &space.planes[0];
        let event = |event: &XEvent| {
            let Some(x_event::Data::OffsetPs(offset)) = event.data else {
                panic!("an event without offset");
            };
            let name = plane.event_metadata[&event.metadata_id].name.clone();
            (
                name,
                offset / 1_000_000_000,
                event.duration_ps / 1_000_000_000,
            )
        };
        let line = |line: &XLine| line.events.iter().map(event).collect();
        plane.lines.iter().map(line).collect()
    }

    #[test]
    fn requests_that_overlap_are_on_different_lines() {
        let origin = Instant::now();
        let requests = [(20, 30), (0, 10), (5, 9), (10, 14)];
        let requests = requests
            .map(|(start, end)| span(origin, start, end))
            .to_vec();
        let lines = drawn(&space(&trace(requests, origin), "host"));
        let starts = |line: &Vec<(String, i64, i64)>| {
            let whole = line.iter().filter(|(name, ..)| name == "Predict m");
            whole.map(|(_, offset, _)| *offset).collect::<Vec<_>>()
        };
        assert_eq!(
            lines.iter().map(starts).collect::<Vec<_>>(),
            [vec![0, 10, 20], vec![5]]
        );
    }

    #[test]
    fn a_request_is_drawn_with_its_phases() {
        let origin = Instant::now();
        let space = space(&trace(vec![span(origin, 2, 8)], origin), "host");
        let expected = [
            ("Predict m", 2, 6),
            ("decode", 2, 1),
            ("queue", 3, 1),
            ("run", 4, 1),
            ("encode", 5, 3),
        ];
        let expected = expected.map(|(name, offset, millis)| (name.to_owned(), offset, millis));
        assert_eq!(drawn(&space), [expected.to_vec()]);
        assert_eq!(space.planes[0].name, PLANE);
        let stats = &space.planes[0].lines[0].events[0].stats;
        let known = |stat: &XStat| {
            let name = space.planes[0].stat_metadata[&stat.metadata_id]
                .name
                .clone();
            let value = match stat.value.clone().expect("a value") {
                x_stat::Value::StrValue(text) => text,
                x_stat::Value::Int64Value(number) => number.to_string(),
                other => panic!("{other:?}"),
            };
            (name, value)
        };
        let known: BTreeMap<_, _> = stats.iter().map(known).collect();
        let expected = [
            ("api", "rest"),
            ("model", "m"),
            ("request_id", "0000000000000007"),
            ("signature", "s"),
            ("status", "OK"),
            ("version", "3"),
        ];
        assert_eq!(
            known,
            expected
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        );
    }

    #[test]
    fn the_form_of_the_answer_is_the_clients_choice() {
        let origin = Instant::now();
        let full = || trace(vec![span(origin, 0, 5)], origin);
        let as_tool = response(&full(), "host", false);
        assert_eq!(as_tool.tool_data[0].name, "xplane.pb");
        let decoded = XSpace::decode(as_tool.tool_data[0].data.clone()).expect("an XSpace");
        assert_eq!(decoded.hostnames, ["host"]);
        assert!(!as_tool.empty_trace && as_tool.xspace.is_none());

        let emitted = response(&full(), "host", true);
        assert!(emitted.tool_data.is_empty() && emitted.xspace.is_some());

        let empty = response(&trace(Vec::new(), origin), "host", false);
        assert!(empty.empty_trace && empty.tool_data.is_empty() && empty.xspace.is_none());
    }
}
