//! The cases: what is served, how it is asked, and what the numbers have to be.
//!
//! The servers of a case run side by side and are asked in turns, round after round, so that what else the machine does
//! hits all of them. Where two are compared, a goal is the median over the rounds of a ratio within a round.

mod heavy;
mod json;
mod light;
mod overload;
mod reload;

use std::time::Duration;

use anyhow::Result;

use crate::cores;
use crate::load::{Sample, Target, Until, closed};
use crate::model::Model;
use crate::models;
use crate::report::Report;
use crate::runs;
use crate::servers::{Api, Kind, Programs, Server};

/// What numbers are called.
pub(crate) const RATE: &str = "answers/s";
pub(crate) const P50: &str = "p50, ms";
pub(crate) const P99: &str = "p99, ms";
pub(crate) const CPU: &str = "server CPU, us/request";
pub(crate) const MEMORY: &str = "resident memory, MB";
pub(crate) const SHARE: &str = "engine's share of the time";

/// What the machine itself did, beside the servers.
const MACHINE: (&str, &str) = ("two cores", "a value there and back, ns");

/// The bytes of what memory and sizes are told in.
pub(crate) const MEGABYTE: f64 = 1e6;

/// The engine that every machine has.
pub(crate) const SALVER: Kind = Kind::Salver("rten");

/// The engine of the peers.
pub(crate) const FAST: Kind = Kind::Salver("onnxruntime");

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// How often each server has its turn.
    pub(crate) rounds: usize,
    /// How long a turn is.
    pub(crate) turn: Duration,
    /// Requests of a turn in which CPU time is measured.
    pub(crate) requests: usize,
    /// How long each overload is, if not four turns.
    pub(crate) overload: Option<Duration>,
}

impl Scale {
    /// Returns the same in so many times the rounds, each as much shorter: what slows the machine down for seconds then
    /// hits few of many rounds, and in most of those all servers.
    pub(crate) fn in_parts(self, num_parts: u32) -> Self {
        Self {
            rounds: self.rounds * num_parts as usize,
            turn: self.turn / num_parts,
            requests: self.requests.div_ceil(num_parts as usize),
            ..self
        }
    }
}

impl Default for Scale {
    fn default() -> Self {
        Self {
            rounds: 5,
            turn: Duration::from_secs(3),
            requests: 20_000,
            overload: None,
        }
    }
}

/// What a case works with.
#[derive(Debug)]
pub(crate) struct Bench {
    /// What is compared.
    pub(crate) programs: Programs,
    /// How much is measured.
    pub(crate) scale: Scale,
    /// What was measured.
    pub(crate) report: Report,
}

/// A case: its name, what it shows, and what runs it.
pub(crate) type Case = (&'static str, &'static str, fn(&mut Bench) -> Result<()>);

/// All cases, in the order in which they run.
pub(crate) const CASES: &[Case] = &[
    ("tiny", "y = 0.5 x + 2 at 1 and 16 connections", light::tiny),
    (
        "cpu",
        "server CPU time for each tiny request and each picture",
        light::cpu,
    ),
    (
        "json",
        "the parsing of a picture's numbers, in process",
        json::json,
    ),
    (
        "start",
        "start to first answer, memory, installed size",
        light::start,
    ),
    ("large", "ten megabytes by gRPC", light::large),
    (
        "batching",
        "a memory-bound network, batched and not",
        heavy::batching,
    ),
    (
        "cheap-batching",
        "what batching costs a cheap network",
        heavy::cheap_batching,
    ),
    (
        "picture",
        "ResNet101 by gRPC and by JSON rows",
        heavy::picture,
    ),
    (
        "half-millisecond",
        "a network of half a millisecond beside its engine alone",
        heavy::half_millisecond,
    ),
    (
        "neighbours",
        "a tiny model beside ResNet101",
        heavy::neighbours,
    ),
    (
        "reload",
        "a new version of ResNet101 beside a tiny model",
        reload::reload,
    ),
    (
        "overload",
        "two, five and ten times the capacity",
        overload::overload,
    ),
    ("million", "memory over a million requests", light::million),
];

impl Bench {
    /// Says what is going on.
    pub(crate) fn tell(&self, what: &str) {
        eprintln!("  {what}");
    }

    /// Starts a server of each kind on the same models; those only that are installed.
    pub(crate) fn start(&self, kinds: &[Kind], models: &[&Model]) -> Result<Vec<Server>> {
        let is_wanted = |kind: &&Kind| match kind {
            Kind::FastApi | Kind::Triton => self.programs.peers.is_some(),
            Kind::Salver(engine) => *engine == "rten" || self.programs.engines.is_some(),
            Kind::Bare | Kind::BareDefault => true,
        };
        kinds
            .iter()
            .filter(is_wanted)
            .map(|kind| Server::start(*kind, &self.programs, models))
            .collect()
    }

    /// Lets every server have its turn, round after round, over the APIs that it speaks.
    pub(crate) fn rounds(
        &mut self,
        case: &str,
        servers: &[Server],
        model: &Model,
        (apis, num_connections, until): (&[Api], usize, Until),
    ) -> Result<()> {
        let mut turns: Vec<(&Server, String, Target)> = Vec::new();
        for server in servers {
            for api in apis {
                if let Some(target) = server.target(*api, model) {
                    turns.push((server, who(server.kind, *api), target));
                }
            }
        }
        for (_, name, target) in &turns {
            closed(target, num_connections, Until::Count(50 * num_connections))?.check(name)?;
        }
        for round in 0..self.scale.rounds {
            if let Some(took) = cores::round_trip() {
                let (machine, what) = MACHINE;
                self.report.add(case, machine, what, took.as_nanos() as f64);
            }
            // Every other round backwards, so that nobody is always after the same neighbour.
            let order: Vec<usize> = match round % 2 {
                0 => (0..turns.len()).collect(),
                _ => (0..turns.len()).rev().collect(),
            };
            for (server, name, target) in order.into_iter().map(|idx| &turns[idx]) {
                let runs = runs::of(server)?;
                let before = server.process.cpu()?;
                let sample = closed(target, num_connections, until)?.check(name)?;
                let cpu = server.process.cpu()? - before;
                self.add(case, name, &sample, Some(cpu));
                // With more connections runs overlap.
                if let (Some(before), Some(after), 1) = (runs, runs::of(server)?, num_connections) {
                    let share = after.seconds_since(before) / sample.elapsed.as_secs_f64();
                    self.report.add(case, name, SHARE, share);
                }
            }
        }
        Ok(())
    }

    /// Adds what a turn measured, and the server's CPU time where it was nobody else's.
    pub(crate) fn add(&mut self, case: &str, who: &str, sample: &Sample, cpu: Option<Duration>) {
        self.report.add(case, who, RATE, sample.rate());
        self.report.add(case, who, P50, sample.millis(0.5));
        self.report.add(case, who, P99, sample.millis(0.99));
        if let Some(cpu) = cpu {
            let each = cpu.as_secs_f64() * 1e6 / sample.latencies.len() as f64;
            self.report.add(case, who, CPU, each);
        }
    }
}

/// Returns the smallest model.
pub(crate) fn half() -> Model {
    let mut model = Model::new("half", models::half_plus_two(), &[3]);
    model.values = vec![1.0, 2.0, 5.0];
    model
}

/// Returns the name of a case at so many connections.
pub(crate) fn at(case: &str, num_connections: usize) -> String {
    let plural = if num_connections == 1 { "" } else { "s" };
    format!("{case}, {num_connections} connection{plural}")
}

/// Returns the name of a server and an API in tables.
pub(crate) fn who(kind: Kind, api: Api) -> String {
    format!("{}, {}", kind.name(), api.name())
}
