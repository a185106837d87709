//! Cases in which the model's arithmetic is nearly everything.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{Bench, CPU, FAST, P50, P99, RATE, SALVER, SHARE, at, who};
use crate::load::{Sample, Until, closed};
use crate::model::Model;
use crate::models;
use crate::report::Is;
use crate::runs;
use crate::servers::{Api, Kind, Server};

/// The same network without batching, with it, and as it is measured to be best, all on one server and with one instance.
fn variants(widths: &[usize]) -> [Model; 3] {
    let bytes = models::layers(widths);
    let model = |name, batching: &str| {
        let settings = format!("instances = 1\n{batching}\n");
        Model::new(name, bytes.clone(), &[1, widths[0]]).with(&settings)
    };
    [
        model("alone", "batching = false"),
        model("batched", "[batching]\nmax_batch_size = 64"),
        model("measured", "batching = \"auto\""),
    ]
}

/// How a case's models are asked in turns.
#[derive(Clone, Copy, Debug)]
struct Turns {
    num_connections: usize,
    /// A model's share of a round.
    until: Until,
    /// How many parts of it take turns with those of the others, so that a moment in which the machine is slower hits all
    /// of them. Where requests are many at once, a part's begin and end are unlike the rest of it.
    num_parts: usize,
}

impl Turns {
    fn part(&self) -> Until {
        match self.until {
            Until::Elapsed(time) => Until::Elapsed(time / self.num_parts as u32),
            Until::Count(count) => Until::Count(count / self.num_parts),
        }
    }
}

fn alternate(bench: &mut Bench, case: &str, models: &[Model], turns: Turns) -> Result<()> {
    let servers = bench.start(&[SALVER], &models.iter().collect::<Vec<_>>())?;
    let server = &servers[0];
    for round in 0..=bench.scale.rounds {
        let mut sums = vec![(Sample::default(), Duration::ZERO); models.len()];
        for part in 0..turns.num_parts {
            let mut order: Vec<usize> = (0..models.len()).collect();
            if (round + part) % 2 == 1 {
                order.reverse();
            }
            for idx in order {
                let target = server
                    .target(Api::Grpc, &models[idx])
                    .context("Salver speaks gRPC")?;
                let before = server.process.cpu()?;
                let sample = closed(&target, turns.num_connections, turns.part())?;
                let (whole, cpu) = &mut sums[idx];
                *cpu += server.process.cpu()? - before;
                whole.append(sample.check(models[idx].name)?);
            }
        }
        // The first round warms up.
        for (model, (sample, cpu)) in models.iter().zip(sums).filter(|_| round > 0) {
            bench.add(case, model.name, &sample, Some(cpu));
        }
    }
    Ok(())
}

/// A network that is bound by the reading of its weights.
pub(super) fn batching(bench: &mut Bench) -> Result<()> {
    let models = variants(&[2048, 4096, 4096, 1000]);
    let until = Until::Elapsed(bench.scale.turn);
    for (num_connections, num_parts) in [(1, 4), (64, 1)] {
        let turns = Turns {
            num_connections,
            until,
            num_parts,
        };
        alternate(bench, &at("batching", num_connections), &models, turns)?;
    }
    for who in ["batched", "measured"] {
        let whose = [who, "alone"];
        bench
            .report
            .ratio(&at("batching", 64), whose, RATE, Is::AtLeast, 5.0);
        bench
            .report
            .ratio(&at("batching", 1), whose, P50, Is::AtMost, 1.05);
    }
    Ok(())
}

/// A network that is not worth batching.
pub(super) fn cheap_batching(bench: &mut Bench) -> Result<()> {
    let models = variants(&[784, 128, 10]);
    for num_connections in [1, 4, 16, 64] {
        let case = at("cheap batching", num_connections);
        let turns = Turns {
            num_connections,
            until: Until::Count(bench.scale.requests),
            num_parts: 4,
        };
        alternate(bench, &case, &models, turns)?;
        for who in ["batched", "measured"] {
            bench
                .report
                .ratio(&case, [who, "alone"], CPU, Is::AtMost, 1.03);
        }
    }
    Ok(())
}

/// A picture through a large network: what is left of the engine's speed.
pub(super) fn picture(bench: &mut Bench) -> Result<()> {
    let model = Model::new("resnet101", models::resnet101(), &[1, 224, 224, 3]);
    let servers = bench.start(&[SALVER, FAST, Kind::FastApi, Kind::Triton], &[&model])?;
    let until = Until::Elapsed(bench.scale.turn.max(Duration::from_secs(5)));
    // By JSON the rest is to be at most 8 % of what the engine takes: 1 / 1.08.
    for (api, least) in [(Api::Grpc, 0.97), (Api::Rest, 0.926)] {
        bench.rounds("picture", &servers, &model, (&[api], 1, until))?;
        for server in &servers {
            let us = who(server.kind, api);
            if let Some(share) = bench.report.median("picture", &us, SHARE) {
                let text = format!("picture: {SHARE}, {us}");
                bench.report.goal(text, share, Is::AtLeast, least);
            }
        }
    }
    drop(servers);
    picture_rows(bench)
}

/// The same picture as JSON rows for a model that costs next to nothing: what is left is the serving layer's own time.
fn picture_rows(bench: &mut Bench) -> Result<()> {
    let case = "picture as rows, next to no model";
    let model = Model::new("mean", models::picture_mean(), &[1, 224, 224, 3]);
    let servers = bench.start(&[SALVER, FAST, Kind::FastApi, Kind::Triton], &[&model])?;
    let apis = [Api::Rest, Api::RestAsync];
    let until = Until::Elapsed(bench.scale.turn);
    bench.rounds(case, &servers, &model, (&apis, 1, until))?;
    for us in [SALVER, FAST] {
        for (other, times) in [(Kind::FastApi, 5.0), (Kind::Triton, 3.0)] {
            let whose = [&*who(other, Api::Rest), &*who(us, Api::Rest)];
            bench.report.ratio(case, whose, P50, Is::AtLeast, times);
        }
    }
    Ok(())
}

/// A network that peers spend half of a request on: the rate of a server, of that of its engine called in a loop.
///
/// The engine has one thread, so that the other core is the server's and the client's. Its own rate is told by its runs
/// at one connection, which nothing disturbs; that of the peers is ONNX Runtime's inside Salver.
pub(super) fn half_millisecond(bench: &mut Bench) -> Result<()> {
    const OF_ENGINE: &str = "of the engine's own rate";
    const RUN: &str = "engine's run, us";
    let name = "half a millisecond";
    let model = Model::new("small", models::small_convolutions(), &[1, 32, 32, 3]).on_one_thread();
    let servers = bench.start(&[SALVER, FAST, Kind::FastApi, Kind::Triton], &[&model])?;
    let apis = [Api::Grpc, Api::Rest, Api::RestAsync];
    let until = Until::Elapsed(bench.scale.turn);
    let before = runs::totals(&servers)?;
    bench.rounds(&at(name, 1), &servers, &model, (&apis, 1, until))?;
    let mut seconds = BTreeMap::new();
    for (server, before) in before {
        let run = runs::total(server)?.mean_since(before);
        bench
            .report
            .add(&at(name, 1), &server.kind.name(), RUN, run * 1e6);
        seconds.insert(server.kind, run);
    }
    bench.rounds(&at(name, 4), &servers, &model, (&apis, 4, until))?;
    for case in [at(name, 1), at(name, 4)] {
        for (server, api) in servers
            .iter()
            .flat_map(|server| apis.map(|api| (server, api)))
        {
            let engine = if server.kind == SALVER { SALVER } else { FAST };
            let us = who(server.kind, api);
            let rate = bench.report.median(&case, &us, RATE);
            let (Some(rate), Some(run)) = (rate, seconds.get(&engine)) else {
                continue;
            };
            bench.report.add(&case, &us, OF_ENGINE, rate * run);
            if api == Api::Grpc && [SALVER, FAST].contains(&server.kind) && case == at(name, 4) {
                let text = format!("{case}: {OF_ENGINE}, {us}");
                bench.report.goal(text, rate * run, Is::AtLeast, 0.85);
            }
        }
    }
    Ok(())
}

/// A tiny model beside a busy one, and beside a process that is as busy at idle priority.
pub(super) fn neighbours(bench: &mut Bench) -> Result<()> {
    let tiny = Model::new("half", models::half_plus_two(), &[3]);
    let slow = Model::new("resnet101", models::resnet101(), &[1, 224, 224, 3]);
    let both = bench.start(&[SALVER], &[&tiny, &slow])?;
    let other = Server::start_idle(SALVER, &bench.programs, &[&slow])?;
    let until = Until::Elapsed(bench.scale.turn);
    for round in 0..=bench.scale.rounds {
        for (name, busy) in [
            ("beside ResNet101", &both[0]),
            ("beside an idle process", &other),
        ] {
            let target = both[0]
                .target(Api::Grpc, &tiny)
                .context("Salver speaks gRPC")?;
            let sample = beside(busy, &slow, || closed(&target, 1, until))?.check(name)?;
            if round > 0 {
                bench.add("neighbours", name, &sample, None);
            }
        }
    }
    let whose = ["beside ResNet101", "beside an idle process"];
    bench
        .report
        .ratio("neighbours", whose, P99, Is::AtMost, 3.0);
    Ok(())
}

/// Does something while one request after the other keeps a server busy.
fn beside<T>(server: &Server, model: &Model, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let target = server
        .target(Api::Grpc, model)
        .context("Salver speaks gRPC")?;
    let is_over = AtomicBool::new(false);
    let is_over = &is_over;
    thread::scope(|scope| {
        let busy = scope.spawn(move || -> Result<()> {
            while !is_over.load(Ordering::Relaxed) {
                closed(&target, 1, Until::Count(1))?.check("the neighbour")?;
            }
            Ok(())
        });
        let result = work();
        is_over.store(true, Ordering::Relaxed);
        busy.join().expect("the neighbour does not panic")?;
        result
    })
}
