//! What Salver's own metrics say of its engine's runs: an overhead is what a server used without them.

use anyhow::{Context as _, Result};

use crate::load::http::HttpConnection;
use crate::load::on_one_thread;
use crate::servers::{Kind, Server};

const FAMILY: &str = "salver_request_phase_duration_seconds_";

/// How many runs there were, and how long they took together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Runs {
    seconds: f64,
    count: f64,
}

impl Runs {
    /// Returns how long the runs took together, in seconds.
    pub(crate) fn seconds_since(self, before: Self) -> f64 {
        self.seconds - before.seconds
    }

    /// Returns the mean of one run in seconds.
    pub(crate) fn mean_since(self, before: Self) -> f64 {
        (self.seconds - before.seconds) / (self.count - before.count)
    }
}

/// Reads what the runs of all models took until now.
pub(crate) fn total(server: &Server) -> Result<Runs> {
    let body = on_one_thread(|| async {
        let mut connection = HttpConnection::open(server.http_port()).await?;
        connection
            .body(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
    })?;
    parse(&String::from_utf8(body.1)?)
}

/// Reads those of a server if it is one of this project, which others do not tell.
pub(crate) fn of(server: &Server) -> Result<Option<Runs>> {
    match server.kind {
        Kind::Salver(_) => total(server).map(Some),
        _ => Ok(None),
    }
}

/// Reads those of every server of this project.
pub(crate) fn totals(servers: &[Server]) -> Result<Vec<(&Server, Runs)>> {
    let mut totals = Vec::new();
    for server in servers {
        totals.extend(of(server)?.map(|runs| (server, runs)));
    }
    Ok(totals)
}

fn parse(text: &str) -> Result<Runs> {
    let mut runs = Runs::default();
    for line in text.lines().filter_map(|line| line.strip_prefix(FAMILY)) {
        if !line.contains("phase=\"run\"") {
            continue;
        }
        let (labels, value) = line.rsplit_once(' ').context("a metric has a value")?;
        match labels.split_once('{') {
            Some(("sum", _)) => runs.seconds += value.parse::<f64>()?,
            Some(("count", _)) => runs.count += value.parse::<f64>()?,
            _ => {}
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_all_models_are_added() {
        let text = "salver_request_phase_duration_seconds_sum{model=\"a\",phase=\"run\"} 1.5\n\
                    salver_request_phase_duration_seconds_count{model=\"a\",phase=\"run\"} 3\n\
                    salver_request_phase_duration_seconds_sum{model=\"b\",phase=\"run\"} 0.5\n\
                    salver_request_phase_duration_seconds_count{model=\"b\",phase=\"run\"} 1\n\
                    salver_request_phase_duration_seconds_sum{model=\"a\",phase=\"queue\"} 9\n";
        assert_eq!(parse(text).unwrap().mean_since(Runs::default()), 0.5);
    }
}
