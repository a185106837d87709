//! Cases in which the model costs next to nothing: what is measured is the server.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;

use super::{Bench, CPU, FAST, MEGABYTE, MEMORY, P99, RATE, SALVER, at, half, who};
use crate::installed;
use crate::load::{Until, closed};
use crate::model::Model;
use crate::models;
use crate::report::{Is, median};
use crate::runs;
use crate::servers::{Api, Kind, Server};

const ALL: [Kind; 5] = [SALVER, FAST, Kind::Bare, Kind::FastApi, Kind::Triton];

/// In how many parts a round is measured: a host moves a virtual machine's cores apart for some seconds, which is as long as a
/// few turns, and many short rounds have fewer of them on the border.
const NUM_PARTS: u32 = 4;

/// The layer's own cost.
const LAYER: &str = "server CPU less runs, us/request";

/// Throughput and tail of the smallest model.
pub(super) fn tiny(bench: &mut Bench) -> Result<()> {
    let model = half();
    let servers = bench.start(&ALL, &[&model])?;
    let apis = [Api::Rest, Api::RestAsync, Api::Grpc];
    let parts = bench.scale.in_parts(NUM_PARTS);
    let whole = std::mem::replace(&mut bench.scale, parts);
    for num_connections in [1, 16] {
        let case = at("tiny", num_connections);
        let until = Until::Elapsed(bench.scale.turn);
        bench.rounds(&case, &servers, &model, (&apis, num_connections, until))?;
    }
    bench.scale = whole;
    for kind in [SALVER, FAST] {
        for (other, api, goal) in [
            (Kind::FastApi, Api::Rest, 10.0),
            (Kind::Triton, Api::Rest, 4.0),
            (Kind::Bare, Api::Rest, 0.6),
            (Kind::Triton, Api::Grpc, 3.0),
            (Kind::Bare, Api::Grpc, 0.6),
        ] {
            let whose = [&*who(kind, api), &*who(other, api)];
            bench
                .report
                .ratio(&at("tiny", 16), whose, RATE, Is::AtLeast, goal);
        }
        for (other, api) in [
            (Kind::FastApi, Api::Rest),
            (Kind::Triton, Api::Rest),
            (Kind::Triton, Api::Grpc),
        ] {
            let whose = [&*who(kind, api), &*who(other, api)];
            bench
                .report
                .ratio(&at("tiny", 1), whose, P99, Is::AtMost, 1.0);
        }
    }
    Ok(())
}

/// The CPU time of the layer: what the server used, without what its engine ran.
pub(super) fn cpu(bench: &mut Bench) -> Result<()> {
    let picture = Model::new("picture", models::picture_mean(), &[1, 224, 224, 3]);
    let half = half();
    for (model, apis, kinds, most) in [
        (&half, &[Api::Rest, Api::Grpc][..], &ALL[..], 1.5),
        (
            &picture,
            &[Api::Grpc][..],
            &[SALVER, FAST, Kind::Bare, Kind::Triton][..],
            1.3,
        ),
    ] {
        let case = format!("CPU, {}", model.name);
        // A picture takes some thirty times as long.
        let num_requests = bench.scale.in_parts(NUM_PARTS).requests;
        let num_requests = num_requests / if model.values.len() > 3 { 10 } else { 1 };
        let until = Until::Count(num_requests);
        let servers = bench.start(kinds, &[model])?;
        for api in apis {
            less_runs(bench, &case, (&servers, model, *api), until, most)?;
        }
    }
    Ok(())
}

/// Measures CPU time over one API, less what the engine's runs cost, and compares it with all of the bare handler's.
///
/// A run among many others is interrupted: its time says nothing of its cost. So it is measured alone, right before the
/// others in every round, as the machine may be slower a minute later.
fn less_runs(
    bench: &mut Bench,
    case: &str,
    (servers, model, api): (&[Server], &Model, Api),
    until: Until,
    most: f64,
) -> Result<()> {
    let num_rounds = bench.scale.in_parts(NUM_PARTS).rounds;
    let rounds = std::mem::replace(&mut bench.scale.rounds, 1);
    let mut ratios: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let bare = who(Kind::Bare, api);
    for _ in 0..num_rounds {
        let before = runs::totals(servers)?;
        let alone = format!("{case}, alone");
        bench.rounds(&alone, servers, model, (&[api], 1, until))?;
        let after = runs::totals(servers)?;
        bench.rounds(case, servers, model, (&[api], 16, until))?;
        let other = bench.report.last(case, &bare, CPU).unwrap_or(f64::NAN);
        for ((server, before), (_, after)) in before.into_iter().zip(after) {
            let us = who(server.kind, api);
            let run = after.mean_since(before) * 1e6;
            let own = bench.report.last(case, &us, CPU).unwrap_or(f64::NAN);
            bench.report.add(case, &us, "engine's run, us", run);
            bench.report.add(case, &us, LAYER, own - run);
            ratios.entry(us).or_default().push((own - run) / other);
        }
    }
    bench.scale.rounds = rounds;
    for (us, ratios) in ratios {
        let text = format!("{case}: {LAYER}, {us} to all of {bare}");
        bench.report.goal(text, median(&ratios), Is::AtMost, most);
    }
    Ok(())
}

/// How long a server takes to answer for the first time, what it holds then, and how large it is on a disk.
pub(super) fn start(bench: &mut Bench) -> Result<()> {
    const START: &str = "start to first answer, ms";
    const INSTALLED: &str = "installed size, MB";
    let model = half();
    for round in 0..bench.scale.rounds {
        for kind in ALL {
            for server in bench.start(&[kind], &[&model])? {
                let name = kind.name();
                let begin = Instant::now();
                if let Some(target) = server.target(Api::Rest, &model) {
                    closed(&target, 1, Until::Count(1))?.check(&name)?;
                }
                let first = server.process.start + begin.elapsed();
                let memory = server.process.memory()? as f64;
                let report = &mut bench.report;
                report.add("start", &name, START, first.as_secs_f64() * 1e3);
                report.add("start", &name, MEMORY, memory / MEGABYTE);
                if round == 0 {
                    let bytes = installed::size(kind, &bench.programs)? as f64;
                    report.add("start", &name, INSTALLED, bytes / MEGABYTE);
                }
            }
        }
    }
    Ok(())
}

/// Ten megabytes by gRPC, of which the model takes four bytes. JSON of so many numbers would measure their parsing.
pub(super) fn large(bench: &mut Bench) -> Result<()> {
    const SPEED: &str = "MB/s";
    const NUM_VALUES: usize = 2_500_000;
    let model = Model::new("large", models::first_of(NUM_VALUES), &[1, NUM_VALUES]);
    let megabytes = (NUM_VALUES * size_of::<f32>()) as f64 / MEGABYTE;
    let kinds = [SALVER, FAST, Kind::Bare, Kind::BareDefault, Kind::Triton];
    let servers = bench.start(&kinds, &[&model])?;
    let until = Until::Elapsed(bench.scale.turn);
    for num_connections in [1, 4] {
        let case = at("large", num_connections);
        bench.rounds(
            &case,
            &servers,
            &model,
            (&[Api::Grpc], num_connections, until),
        )?;
        for (name, rate) in bench.report.medians(&case, RATE) {
            bench.report.add(&case, &name, SPEED, rate * megabytes);
        }
        for kind in [SALVER, FAST] {
            let whose = [&*who(kind, Api::Grpc), &*who(Kind::Bare, Api::Grpc)];
            bench.report.ratio(&case, whose, RATE, Is::AtLeast, 0.8);
        }
    }
    Ok(())
}

/// Whether memory stays flat.
pub(super) fn million(bench: &mut Bench) -> Result<()> {
    const NUM_RENEWALS: usize = 100;
    let model = half();
    let servers = bench.start(&[SALVER], &[&model])?;
    // With the default, a million over each API.
    let tenth = bench.scale.requests * 5;
    for api in [Api::Rest, Api::Grpc] {
        let name = who(SALVER, api);
        let Some(target) = servers[0].target(api, &model) else {
            continue;
        };
        for turn in 1..=10 {
            // On new connections again and again: what one leaves behind would be seen, and where connections have their
            // memory is settled within the first tenth.
            for _ in 0..NUM_RENEWALS {
                closed(&target, 16, Until::Count(tenth / NUM_RENEWALS))?.check(&name)?;
            }
            let memory = servers[0].process.memory()? as f64 / MEGABYTE;
            bench.report.add("million", &name, MEMORY, memory);
            bench.tell(&format!(
                "{name}: {} requests, {memory:.1} MB",
                turn * tenth
            ));
        }
        if let Some(growth) = bench.report.growth("million", &name, MEMORY) {
            let text = format!("million: {MEMORY}, {name}, at the end to after the first tenth");
            bench.report.goal(text, growth, Is::AtMost, 1.02);
        }
    }
    Ok(())
}
