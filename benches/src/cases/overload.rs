//! More than can be answered, at random times.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Bench, MEGABYTE, MEMORY, SALVER, who};
use crate::load::{Target, Until, closed, open, quantile_millis};
use crate::model::Model;
use crate::models::{self, FIRST_LAYERS};
use crate::report::Is;
use crate::runs;
use crate::servers::{Api, Kind, Server};

/// The name of the case.
const OVERLOAD: &str = "overload";
/// Connections of the closed loop that finds the capacity.
const NUM_CONNECTIONS: usize = 4;
/// How long a run of the model takes: its goals are those of a model of ten to twenty milliseconds.
const RUN: Duration = Duration::from_millis(15);
/// The most layers that it has: what a machine of ten times the speed needs.
const MOST_LAYERS: f64 = 50.0;
/// How it is asked.
const APIS: [Api; 2] = [Api::Rest, Api::Grpc];
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

/// What a round measures, and its goals.
const GOODPUT: &str = "goodput of capacity";
const TAIL: &str = "p99 of that at 0.8";
const TAIL_AFTER: &str = "p99 a second after the end of that before";

/// How long after the last answer of a round it is that memory is looked at: what a server keeps at hand between bursts is
/// told beside it.
const IDLE: Duration = Duration::from_secs(10);
/// What is told beside it.
const BUSY_MEMORY: &str = "resident memory at the end of ten times, MB";
/// What a server may hold after the last round, of that after the first: how many connections and requests there were at
/// once differs.
const MOST_MEMORY: f64 = 1.1;

/// Every server under the usual load, two, five and ten times its capacity, and the usual load again.
///
/// The model is bound by arithmetic: what one that is bound by memory can do on a shared machine changes from one minute to
/// the next. Salver has one server for all rounds. A peer has one round, as it is far from any goal, and a server of its own
/// for each overload, as it is busy with one long after.
pub(super) fn overload(bench: &mut Bench) -> Result<()> {
    let model = model_of(RUN, bench)?;
    let servers = bench.start(&[SALVER], &[&model])?;
    for _ in 0..bench.scale.rounds {
        for api in APIS {
            play(bench, &servers, &model, api, &OVERLOADS)?;
        }
    }
    drop(servers);
    // FastAPI has no gRPC.
    for (kind, apis) in [(Kind::FastApi, &APIS[..1]), (Kind::Triton, &APIS)] {
        for overload in OVERLOADS {
            for &api in apis {
                let servers = bench.start(&[kind], &[&model])?;
                play(bench, &servers, &model, api, &[overload])?;
            }
        }
    }
    for api in APIS {
        compare(bench, &who(SALVER, api));
    }
    Ok(())
}

/// Makes a model of which a run takes so long on this machine.
fn model_of(wanted: Duration, bench: &Bench) -> Result<Model> {
    const NUM_RUNS: usize = 200;
    let of_layers = |num_layers| {
        let bytes = models::middling_convolutions(num_layers);
        let model = Model::new("network", bytes, &[1, 16, 16, 3]);
        model.with("max_wait_micros = 60000\nbatching = false\n")
    };
    let num_layers = 4;
    let model = of_layers(num_layers);
    let servers = bench.start(&[SALVER], &[&model])?;
    let target = servers[0]
        .target(Api::Grpc, &model)
        .context("Salver speaks gRPC")?;
    let before = runs::total(&servers[0])?;
    closed(&target, 1, Until::Count(NUM_RUNS))?.check("the model")?;
    let run = runs::total(&servers[0])?.mean_since(before);
    let layers = (num_layers as f64 + FIRST_LAYERS) * wanted.as_secs_f64() / run - FIRST_LAYERS;
    let num_wanted = layers.round().clamp(1.0, MOST_LAYERS) as usize;
    bench.tell(&format!(
        "a run of {num_layers} layers takes {:.1} ms: {num_wanted} are asked",
        run * 1e3
    ));
    Ok(of_layers(num_wanted))
}

/// Compares what the rounds measured with the goals.
fn compare(bench: &mut Bench, name: &str) {
    let goals = OVERLOADS.iter().flat_map(|&(factor, share)| {
        let case = case(factor);
        [
            (case.clone(), GOODPUT, Is::AtLeast, share),
            (case, TAIL, Is::AtMost, MOST_TAIL),
        ]
    });
    let afterwards = (OVERLOAD.to_owned(), TAIL_AFTER, Is::AtMost, MOST_TAIL);
    for (case, what, is, goal) in goals.chain([afterwards]) {
        if let Some(measured) = bench.report.median(&case, name, what) {
            let text = format!("{case}: {what}, {name}");
            bench.report.goal(text, measured, is, goal);
        }
    }
    if let Some(growth) = bench.report.growth(OVERLOAD, name, MEMORY) {
        let text = format!("{OVERLOAD}: {MEMORY}, {name}, after the last round to after the first");
        bench.report.goal(text, growth, Is::AtMost, MOST_MEMORY);
    }
}

/// Returns the name of an overload of so many times the capacity.
fn case(factor: f64) -> String {
    format!("{OVERLOAD}, {factor} times")
}

/// Plays some overloads on the one server that there is, if it speaks the API.
fn play(
    bench: &mut Bench,
    servers: &[Server],
    model: &Model,
    api: Api,
    overloads: &[(f64, f64)],
) -> Result<()> {
    let Some((server, target)) = servers
        .iter()
        .find_map(|server| Some((server, server.target(api, model)?)))
    else {
        return Ok(());
    };
    let name = &who(server.kind, api);
    let target = &target;
    let length = bench.scale.overload.unwrap_or(bench.scale.turn * 4);
    let usual_length = (bench.scale.turn * 4).max(length / 3);
    closed(target, NUM_CONNECTIONS, Until::Count(100))?.check(name)?;
    let mut capacity = capacity_of(bench, target, name, length)?;
    let usual_rate = USUAL * capacity;
    let tail = open(target, usual_rate, usual_length)?.millis(0.99);
    // That of before the usual load is as old as the first overload is long.
    if server.kind == SALVER {
        capacity = capacity_of(bench, target, name, length)?;
    }
    bench.tell(&format!(
        "{name}: capacity {capacity:.1}/s; at {USUAL} of it p99 is {tail:.1} ms"
    ));
    for &(factor, _) in overloads {
        let sample = open(target, factor * capacity, length)?;
        // What else the machine does changes from minute to minute: the capacity is that before and after. A peer is busy
        // long after with what it did not refuse: only what it could do before says something.
        let mut usual = capacity;
        if server.kind == SALVER {
            let after = capacity_of(bench, target, name, length)?;
            usual = f64::midpoint(capacity, after);
            capacity = after;
        }
        let goodput = sample.rate_within(PATIENCE) / usual;
        let p99 = sample.millis(0.99);
        let refusal = quantile_millis(&sample.refusals, 0.99);
        let case = case(factor);
        for (what, value) in [
            (GOODPUT, goodput),
            (TAIL, p99 / tail),
            ("p99 of refusals, ms", refusal),
            ("neither answered nor refused", sample.bad as f64),
        ] {
            bench.report.add(&case, name, what, value);
        }
        bench.tell(&format!(
            "{name}: {factor} times: {:.0} % of the capacity answered, p99 {p99:.1} ms; {} refused, p99 {refusal:.1} ms; {} bad",
            goodput * 100.0,
            sample.refusals.len(),
            sample.bad
        ));
    }
    // A peer is far from any goal, and busy for long.
    if server.kind != SALVER {
        return Ok(());
    }
    let memory_of = |server: &Server| anyhow::Ok(server.process.memory()? as f64 / MEGABYTE);
    let busy_memory = memory_of(server)?;
    std::thread::sleep(RECOVERY);
    let after = open(target, usual_rate, usual_length)?.millis(0.99);
    std::thread::sleep(IDLE);
    let memory = memory_of(server)?;
    for (what, value) in [
        (TAIL_AFTER, after / tail),
        (BUSY_MEMORY, busy_memory),
        (MEMORY, memory),
    ] {
        bench.report.add(OVERLOAD, name, what, value);
    }
    bench.tell(&format!(
        "{name}: afterwards p99 {after:.1} ms; {busy_memory:.1} MB, at rest {memory:.1} MB"
    ));
    Ok(())
}

/// Measures what a server answers to clients that wait, a second, for half of the length of an overload: before and after
/// it that is as long as it, and so as sure.
fn capacity_of(bench: &mut Bench, target: &Target, name: &str, overload: Duration) -> Result<f64> {
    let until = Until::Elapsed((bench.scale.turn * 2).max(overload / 2));
    let capacity = closed(target, NUM_CONNECTIONS, until)?.check(name)?.rate();
    bench
        .report
        .add(OVERLOAD, name, "capacity, answers/s", capacity);
    Ok(capacity)
}
