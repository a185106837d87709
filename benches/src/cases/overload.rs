//! More than can be answered, at random times.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, SALVER, who};
use crate::load::{Target, Until, closed, open, quantile_millis};
use crate::model::Model;
use crate::models;
use crate::report::Is;
use crate::servers::{Api, Kind, Server};

/// Connections of the closed loop that finds the capacity.
const NUM_CONNECTIONS: usize = 4;
/// The load that a server is usually under, of its capacity.
const USUAL: f64 = 0.8;
/// Times the capacity, and the share of it that has to be answered.
const OVERLOADS: [(f64, f64); 3] = [(2.0, 0.95), (5.0, 0.90), (10.0, 0.85)];
/// What the tail of the accepted may be, of that under the usual load.
const MOST_TAIL: f64 = 2.0;
/// How long an answer is of use to whoever asked: later ones are work done in vain.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a server has to recover.
const RECOVERY: Duration = Duration::from_secs(1);

/// Every server under the usual load, two, five and ten times its capacity, and the usual load again.
///
/// A peer that lets everyone wait is busy with that long after, so each of its overloads has a server of its own.
pub(super) fn overload(bench: &mut Bench) -> Result<()> {
    let model = Model::new(
        "network",
        models::layers(&[512, 6144, 6144, 4096, 10]),
        &[1, 512],
    )
    .with("max_wait_micros = 60000\nbatching = false\n");
    for kind in [SALVER, Kind::FastApi, Kind::Triton] {
        let num_together = if kind == SALVER { OVERLOADS.len() } else { 1 };
        for overloads in OVERLOADS.chunks(num_together) {
            for api in [Api::Rest, Api::Grpc] {
                for server in bench.start(&[kind], &[&model])? {
                    if let Some(target) = server.target(api, &model) {
                        play(bench, &server, &who(kind, api), &target, overloads)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn play(
    bench: &mut Bench,
    server: &Server,
    name: &str,
    target: &Target,
    overloads: &[(f64, f64)],
) -> Result<()> {
    let is_ours = server.kind == SALVER;
    let usual_length = bench.scale.turn * 4;
    let length = bench.scale.overload.unwrap_or(usual_length);
    closed(target, NUM_CONNECTIONS, Until::Count(100))?.check(name)?;
    let mut capacity = capacity_of(bench, target, name, length)?;
    let usual_rate = USUAL * capacity;
    let tail = open(target, usual_rate, usual_length)?.millis(0.99);
    bench.tell(&format!(
        "{name}: capacity {capacity:.1}/s; at {USUAL} of it p99 is {tail:.1} ms"
    ));
    let memory = server.process.memory()? as f64;
    for &(factor, share) in overloads {
        let sample = open(target, factor * capacity, length)?;
        // What else the machine does changes from minute to minute: the capacity is that before and after. A peer is busy
        // long after with what it did not refuse: only what it could do before says something.
        let mut usual = capacity;
        if is_ours {
            let after = capacity_of(bench, target, name, length)?;
            usual = f64::midpoint(capacity, after);
            capacity = after;
        }
        let goodput = sample.rate_within(PATIENCE) / usual;
        let p99 = sample.millis(0.99);
        let refusal = quantile_millis(&sample.refusals, 0.99);
        let case = format!("overload, {factor} times");
        bench
            .report
            .add(&case, name, "goodput of capacity", goodput);
        bench
            .report
            .add(&case, name, "p99 of that at 0.8", p99 / tail);
        bench
            .report
            .add(&case, name, "p99 of refusals, ms", refusal);
        bench.report.add(
            &case,
            name,
            "neither answered nor refused",
            sample.bad as f64,
        );
        bench.tell(&format!(
            "{name}: {factor} times: {:.0} % of the capacity answered, p99 {p99:.1} ms; {} refused, p99 {refusal:.1} ms; {} bad",
            goodput * 100.0,
            sample.refusals.len(),
            sample.bad
        ));
        if is_ours {
            let text = format!("{case}: goodput of capacity, {name}");
            bench.report.goal(text, goodput, Is::AtLeast, share);
            let text = format!("{case}: p99 of that at {USUAL}, {name}");
            bench.report.goal(text, p99 / tail, Is::AtMost, MOST_TAIL);
        }
    }
    std::thread::sleep(RECOVERY);
    let after = open(target, usual_rate, usual_length)?.millis(0.99);
    let grown = server.process.memory()? as f64 / memory;
    bench.tell(&format!(
        "{name}: afterwards p99 {after:.1} ms, memory {grown:.3} times"
    ));
    if is_ours {
        let text = format!("overload: p99 a second after the end of that before, {name}");
        bench.report.goal(text, after / tail, Is::AtMost, MOST_TAIL);
        let text = format!("overload: memory after of that before, {name}");
        bench.report.goal(text, grown, Is::AtMost, 1.1);
    }
    Ok(())
}

/// Measures what a server answers to clients that wait, a second, for a part of the length of an overload.
fn capacity_of(bench: &mut Bench, target: &Target, name: &str, overload: Duration) -> Result<f64> {
    let until = Until::Elapsed((bench.scale.turn * 2).max(overload / 4));
    let capacity = closed(target, NUM_CONNECTIONS, until)?.check(name)?.rate();
    bench
        .report
        .add("overload", name, "capacity, answers/s", capacity);
    Ok(capacity)
}
