//! A new version of a large model while requests for it and for a tiny one go on.
//!
//! ```text
//! both loads ──────────────────────────────────────────────────────────►
//!              │ published  │ seen                  │ new AVAILABLE, old gone
//!              │            ├──── the reload ───────┤
//!         ├─ as long, before ─┤
//! ```
//!
//! The tail of the tiny model during the reload is compared with that before. Its load is open, so that a request that
//! has to wait does not keep others from being sent; on two cores the loading is in the client's way too. Requests of
//! moments in which a virtual machine stood still are left out, before the reload as during it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{Bench, FAST, P50, P99, SALVER, half};
use crate::load::http::HttpConnection;
use crate::load::{Sample, Sent, Target, on_one_thread, open_while};
use crate::model::Model;
use crate::models;
use crate::report::Is;
use crate::servers::{Api, Server};
use crate::stalls::Stalls;

/// Requests a second for the tiny model, and for the one that is reloaded: some of what each could answer.
const TINY_RATE: f64 = 500.0;
const LARGE_RATE: f64 = 1.0;
/// What the tail of the tiny model may be, of that before.
const MOST_TAIL: f64 = 2.0;
/// How often the states of the versions are asked for, before the reload as during it.
const LOOK: Duration = Duration::from_millis(10);
/// How long the loads go on before a version is published: longer than a reload takes.
const LEAST_BEFORE: Duration = Duration::from_secs(10);
/// How long a reload may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The requests that a tail is of.
const COUNTED: &str = "requests counted";

/// Several reloads of ResNet101, one after the other, with each engine.
pub(super) fn reload(bench: &mut Bench) -> Result<()> {
    let tiny = half();
    let large = Model::new("resnet101", models::resnet101(), &[1, 224, 224, 3]);
    for server in bench.start(&[SALVER, FAST], &[&tiny, &large])? {
        let name = server.kind.name();
        let [usual, during] = ["usually", "during a reload"].map(|when| format!("{name}, {when}"));
        let mut num_failed = 0;
        for round in 0..bench.scale.rounds {
            let version = 2 + u32::try_from(round)?;
            server.prepare(&large, version)?;
            let before = bench.scale.turn.max(LEAST_BEFORE);
            let run = observe(&server, [&tiny, &large], version, before)?;
            for (who, sample) in [(&usual, run.before()), (&during, run.during())] {
                bench.report.add("reload", who, P50, sample.millis(0.5));
                bench.report.add("reload", who, P99, sample.millis(0.99));
                let num_counted = sample.latencies.len() as f64;
                bench.report.add("reload", who, COUNTED, num_counted);
            }
            let length = run.end.duration_since(run.begin).as_secs_f64();
            bench.report.add("reload", &name, "reload, s", length);
            let failed = run.num_failed();
            bench
                .report
                .add("reload", &name, "failed requests", failed as f64);
            num_failed += failed;
        }
        bench
            .report
            .ratio("reload", [&during, &usual], P99, Is::AtMost, MOST_TAIL);
        let text = format!("reload: failed requests of both models, {name}");
        bench.report.goal(text, num_failed as f64, Is::AtMost, 0.0);
    }
    Ok(())
}

/// What happened around one reload.
struct Run {
    tiny: Vec<Sent>,
    large: Vec<Sent>,
    /// When the new version was seen, and when it was AVAILABLE and the old one gone.
    begin: Instant,
    end: Instant,
    stalls: Stalls,
}

impl Run {
    fn between(&self, from: Instant, to: Instant) -> Sample {
        Sample::of(self.tiny.iter().filter(|sent| {
            let answered = sent.due + sent.latency;
            (from..to).contains(&sent.due) && !self.stalls.has_any(sent.due, answered)
        }))
    }

    fn during(&self) -> Sample {
        self.between(self.begin, self.end)
    }

    fn before(&self) -> Sample {
        self.between(self.begin - (self.end - self.begin), self.begin)
    }

    /// Counts requests of both models, at any time, that got anything but their answer.
    fn num_failed(&self) -> usize {
        [&self.tiny, &self.large]
            .into_iter()
            .map(Sample::of)
            .map(|sample| sample.bad + sample.refusals.len())
            .sum()
    }
}

/// Puts both models under load, publishes a version, and waits until it has replaced the one before.
fn observe(
    server: &Server,
    [tiny, large]: [&Model; 2],
    version: u32,
    before: Duration,
) -> Result<Run> {
    let target = |model| {
        server
            .target(Api::Grpc, model)
            .context("Salver speaks gRPC")
    };
    let (tiny_target, large_target) = (target(tiny)?, target(large)?);
    let is_over = AtomicBool::new(false);
    let is_over = &is_over;
    let load = |target: Target, rate| {
        move || open_while(&target, rate, |_| !is_over.load(Ordering::Relaxed))
    };
    thread::scope(|scope| {
        let tiny_load = scope.spawn(load(tiny_target, TINY_RATE));
        let large_load = scope.spawn(load(large_target, LARGE_RATE));
        let mut stalls = Stalls::default();
        let reloaded = replace(server, large, version, before, &mut stalls);
        is_over.store(true, Ordering::Relaxed);
        let sent = [tiny_load, large_load].map(|load| load.join().expect("a load does not panic"));
        let [tiny, large] = sent;
        let (begin, end) = reloaded?;
        Ok(Run {
            tiny: tiny?,
            large: large?,
            begin,
            end,
            stalls,
        })
    })
}

/// Publishes a version after a while; returns when it was seen and when it had replaced the one before.
fn replace(
    server: &Server,
    model: &Model,
    version: u32,
    before: Duration,
    stalls: &mut Stalls,
) -> Result<(Instant, Instant)> {
    let start = Instant::now();
    wait_until(server, model, stalls, |_| start.elapsed() >= before)?;
    server.publish(model, version)?;
    let is_seen = |states: &Value| state(states, version).is_some();
    let begin = wait_until(server, model, stalls, is_seen)?;
    let end = wait_until(server, model, stalls, |states| {
        let is_gone = matches!(state(states, version - 1), None | Some("END"));
        is_gone && state(states, version) == Some("AVAILABLE")
    })?;
    Ok((begin, end))
}

/// Asks for the states of a model's versions until they are as wanted, and looks for stalls meanwhile; returns when that
/// was.
fn wait_until(
    server: &Server,
    model: &Model,
    stalls: &mut Stalls,
    is_wanted: impl Fn(&Value) -> bool + Sync,
) -> Result<Instant> {
    let request = format!(
        "GET /v1/models/{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        model.name
    );
    let start = Instant::now();
    on_one_thread(|| async {
        let mut connection = HttpConnection::open(server.http_port()).await?;
        while start.elapsed() < PATIENCE {
            stalls.look();
            let (_, body) = connection.body(request.as_bytes()).await?;
            let states = serde_json::from_slice(&body).context("the states of versions")?;
            if is_wanted(&states) {
                return Ok(Instant::now());
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("{} was not reloaded within {PATIENCE:?}", model.name)
    })
}

/// Returns the state of a version in the answer about a model.
fn state(states: &Value, version: u32) -> Option<&str> {
    let version = version.to_string();
    states["model_version_status"]
        .as_array()?
        .iter()
        .find(|status| status["version"] == version.as_str())?["state"]
        .as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Answer;

    #[test]
    fn states_are_found_by_version() {
        let states = serde_json::json!({"model_version_status": [
            {"version": "2", "state": "LOADING"}, {"version": "1", "state": "AVAILABLE"},
        ]});
        assert_eq!(state(&states, 2), Some("LOADING"));
        assert_eq!(state(&states, 1), Some("AVAILABLE"));
        assert_eq!(state(&states, 3), None);
    }

    #[test]
    fn a_reload_is_compared_with_as_long_before_and_failures_count_at_any_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let sent = |seconds, answer, millis| Sent {
            due: at(seconds),
            answer,
            latency: Duration::from_millis(millis),
        };
        let run = Run {
            tiny: vec![
                sent(7, Answer::Good, 100),
                sent(8, Answer::Good, 1),
                sent(10, Answer::Good, 3),
                sent(12, Answer::Bad, 100),
            ],
            large: vec![sent(9, Answer::Refused, 1), sent(11, Answer::Good, 1)],
            begin: at(10),
            end: at(12),
            stalls: Stalls::default(),
        };
        assert_eq!(run.before().millis(0.99), 1.0);
        assert_eq!(run.during().millis(0.99), 3.0);
        assert_eq!(run.num_failed(), 2);
        let stalls = Stalls::between(at(9), at(11));
        let run = Run { stalls, ..run };
        assert_eq!(run.before().latencies.len(), 1, "it came before the stall");
        assert!(run.during().latencies.is_empty(), "it came in the stall");
    }
}
