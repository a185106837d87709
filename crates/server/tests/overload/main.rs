//! What a server does when more is asked of it than it can do: models that stand still, and requests that pile up.

mod http1;
#[path = "../support/http2.rs"]
mod http2;
#[path = "../support/in_process.rs"]
mod in_process;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::BytesMut;
use salver_batching::{ExecuteError, Priority};
use salver_protocol::predict::encode_request;
use salver_protocol::tensor_proto::TensorStyle;
use salver_protocol::{ModelSpec, VersionChoice as Wanted};
use salver_repository::LoadedModel;
use salver_servable::{Manager, ServableRequest, VersionChoice};
use salver_testkit::{FakeBackend, FakeBehaviour, Gate};

use crate::http1::{Answer, Client, post};
use crate::in_process::Server;

const BODY: &[u8] = br#"{"instances": [1.0]}"#;
const LOOK: Duration = Duration::from_millis(2);
const NUM_LOOKS: u32 = 10_000;

/// Models that stand still at a gate, which opens in the end.
struct Held {
    server: Server,
    manager: Manager<LoadedModel>,
    gate: Gate,
    backend: FakeBackend,
}

impl Held {
    fn start(models: &[(&str, &str)]) -> Self {
        Self::start_within(64 << 20, models)
    }

    fn start_within(max_inflight_bytes: u64, models: &[(&str, &str)]) -> Self {
        let backend = FakeBackend::new();
        let (server, manager) =
            Server::start(Arc::new(backend.clone()), models, max_inflight_bytes);
        let gate = Gate::closed();
        backend.set(FakeBehaviour {
            run_gate: Some(gate.clone()),
            ..FakeBehaviour::default()
        });
        Self {
            server,
            manager,
            gate,
            backend,
        }
    }

    fn client(&self) -> Client {
        Client::connect(self.server.addresses.rest.expect("REST is on"))
    }

    /// Asks a model from a thread of its own.
    fn ask(&self, model: &str, headers: &str, body: &[u8]) -> JoinHandle<Answer> {
        let request = post(&format!("/v1/models/{model}:predict"), headers, body);
        let mut client = self.client();
        thread::spawn(move || client.call(&request))
    }

    /// Returns what a model would say at once to a request.
    fn refusal(&self, name: &str, priority: Priority) -> Option<ExecuteError> {
        let version = VersionChoice::Latest;
        let handle = self.manager.handle(&ServableRequest { name, version });
        let handle = handle.expect("it is loaded");
        handle.executor().refusal(None, priority)
    }

    /// Fills a model whose queue has so many places, with one request that runs.
    fn fill(&self, model: &str, num_places: usize, headers: &str) -> Vec<JoinHandle<Answer>> {
        let mut asked = vec![self.ask(model, headers, BODY)];
        self.gate.wait_for(1);
        asked.extend((0..num_places).map(|_| self.ask(model, headers, BODY)));
        until(|| self.refusal(model, Priority::Low).is_some());
        asked
    }

    fn page(&self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.client().call(request.as_bytes()).body
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gate.open();
    }
}

/// Looks again and again until something has come about.
fn until(mut has_come: impl FnMut() -> bool) {
    for _ in 0..NUM_LOOKS {
        if has_come() {
            return;
        }
        thread::park_timeout(LOOK);
    }
    panic!("it did not come about");
}

fn answer(asked: JoinHandle<Answer>) -> Answer {
    asked.join().expect("an answer")
}

#[test]
fn an_urgent_request_takes_the_place_of_one_that_is_not() {
    let held = Held::start(&[("m", "queue_capacity = 3\n")]);
    let mut asked = held.fill("m", 3, "x-salver-priority: low\r\n");
    let refused = answer(held.ask("m", "x-salver-priority: low\r\n", BODY));
    assert_eq!(refused.status, 503, "{refused:?}");
    let urgent = held.ask("m", "x-salver-priority: high\r\n", BODY);
    until(|| asked.iter().any(JoinHandle::is_finished));
    let displaced_idx = asked.iter().position(JoinHandle::is_finished);
    let displaced = answer(asked.remove(displaced_idx.expect("one has finished")));
    assert_eq!(displaced.status, 503, "{displaced:?}");
    assert!(displaced.head.contains("retry-after: 1"), "{displaced:?}");
    assert_eq!(displaced.body, refused.body);
    held.gate.open();
    for answered in asked.into_iter().chain([urgent]) {
        assert_eq!(answer(answered).status, 200);
    }
}

#[test]
fn an_unknown_priority_is_refused_by_name() {
    let held = Held::start(&[("m", "")]);
    let refused = answer(held.ask("m", "x-salver-priority: urgent\r\n", BODY));
    assert_eq!(refused.status, 400, "{refused:?}");
    let message = "x-salver-priority: expected high, normal or low, got `urgent`";
    assert!(refused.body.contains(message), "{refused:?}");
}

/// Returns a request of so many numbers, which take four bytes each once they are read.
fn numbers(num: usize) -> Vec<u8> {
    let numbers = vec!["1"; num].join(",");
    format!("{{\"inputs\": [{numbers}]}}").into_bytes()
}

#[test]
fn a_model_whose_requests_pile_up_leaves_room_for_others() {
    let held = Held::start_within(1 << 20, &[("slow", ""), ("other", "")]);
    // Of the 16 that the budget has room for, half are let in: then the model holds what is left for others.
    let num_bytes = 1 << 16;
    let body = numbers(num_bytes / 4);
    let mut asked: Vec<JoinHandle<Answer>> = Vec::new();
    let held_bytes = || {
        let metrics = held.page("/metrics");
        let mut lines = metrics.lines();
        let bytes = lines.find_map(|line| line.strip_prefix("salver_inflight_bytes "));
        bytes
            .and_then(|bytes| bytes.parse().ok())
            .unwrap_or(0_usize)
    };
    while !asked.iter().any(JoinHandle::is_finished) {
        asked.push(held.ask("slow", "", &body));
        // It waits, which takes nothing but its numbers, or it was refused.
        let waiting = asked.len() * num_bytes;
        until(|| held_bytes() == waiting || asked.iter().any(JoinHandle::is_finished));
    }
    let refused = asked.iter().position(JoinHandle::is_finished);
    assert_eq!((refused, asked.len()), (Some(8), 9));
    let refused = answer(asked.remove(8));
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.head.contains("retry-after: 1"), "{refused:?}");
    assert!(refused.body.contains("its requests hold"), "{refused:?}");

    held.backend.set(FakeBehaviour::default());
    let other = answer(held.ask("other", "", &body));
    assert_eq!(other.status, 200);
    let refused = answer(held.ask("slow", "", &body));
    assert_eq!(refused.status, 503, "{refused:?}");
    held.gate.open();
    for asked in asked {
        assert_eq!(answer(asked).status, 200);
    }
    assert_eq!(answer(held.ask("slow", "", &body)).status, 200);
}

#[test]
fn a_full_queue_refuses_before_a_body_is_looked_at() {
    let held = Held::start(&[("m", "queue_capacity = 1\n")]);
    let asked = held.fill("m", 1, "");
    // No JSON, and not even gzip: whoever looked at it would say so.
    let huge = vec![b'x'; 4 << 20];
    let mut client = held.client();
    for headers in ["", "content-encoding: gzip\r\n"] {
        for verb in ["predict", "classify"] {
            let request = post(&format!("/v1/models/m:{verb}"), headers, &huge);
            let refused = client.call(&request);
            assert_eq!(refused.status, 503, "{refused:?}");
            assert!(refused.head.contains("retry-after: 1"), "{refused:?}");
            assert!(
                refused.body.contains("queue is full (1 requests"),
                "{refused:?}"
            );
            assert!(!refused.head.contains("connection: close"), "{refused:?}");
        }
    }
    let metrics = held.page("/metrics");
    let by_reason = r#"salver_refused_requests_total{reason="queue_full"} 4"#;
    assert!(metrics.contains(by_reason), "{metrics}");
    let by_code = metrics
        .lines()
        .find(|line| line.starts_with("salver_requests_total{") && line.contains("UNAVAILABLE"));
    let by_code = by_code.expect("they are counted by code");
    assert!(
        by_code.contains(r#"model="m""#) && by_code.ends_with(" 4"),
        "{by_code}"
    );
    held.gate.open();
    for asked in asked {
        assert_eq!(answer(asked).status, 200);
    }
    assert_eq!(held.backend.num_runs(), 2 + 1, "and one to warm up");
    let bad = client.call(&post("/v1/models/m:predict", "", &huge));
    assert_eq!(bad.status, 400, "{}", bad.body);
}

#[test]
fn a_full_queue_refuses_a_long_call_before_its_tensors_are_looked_at() {
    let held = Held::start(&[("m", "queue_capacity = 1\n")]);
    let asked = held.fill("m", 1, "");
    let model = ModelSpec {
        name: "m".to_owned(),
        version: Wanted::Latest,
        signature_name: String::new(),
    };
    let mut message = BytesMut::new();
    encode_request(&model, &[], &[], TensorStyle::Fields, &mut message);
    // An input of 32 KB that is no message: whoever looked at it would say so.
    message.extend_from_slice(&[0x12, 0x80, 0x80, 0x02]);
    message.extend_from_slice(&[0xff; 0x8000]);
    let (mut client, mut buffer) = (
        http2::Client::connect(held.server.addresses.grpc.expect("gRPC is on")),
        vec![0; 64 * 1024],
    );
    let num_calls = 4;
    for call_idx in 0..num_calls {
        let method = ["Predict", "Classify", "Regress", "Predict"][call_idx as usize];
        let path = format!("/tensorflow.serving.PredictionService/{method}");
        if call_idx + 1 == num_calls {
            held.gate.open();
            until(|| asked.iter().all(JoinHandle::is_finished));
        }
        let call = http2::grpc_call(call_idx, &path, &message, 16 * 1024);
        assert_eq!(client.call(&call, &mut buffer), 0, "{method}: an answer");
    }
    let metrics = held.page("/metrics");
    for line in [
        r#"salver_refused_requests_total{reason="queue_full"} 3"#,
        r#"salver_failed_requests_total{api="grpc",code="INVALID_ARGUMENT"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}
