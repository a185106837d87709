//! A server that is measured: a process that this harness starts, looks at and ends.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::load::http::HttpConnection;
use crate::load::{Answer, on_one_thread};

/// How long a server may take to answer for the first time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process and those that it started.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    /// From the start until the first request was answered.
    pub(crate) start: Duration,
}

impl Process {
    /// Starts a command and waits until a path on its port answers with 200.
    pub(crate) fn start(
        name: &str,
        mut command: Command,
        log: &Path,
        port: u16,
        ready: &str,
    ) -> Result<Self> {
        let file = File::create(log)?;
        let begin = Instant::now();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        let mut process = Self {
            child,
            name: name.to_owned(),
            start: Duration::ZERO,
        };
        let request = format!("GET {ready} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let is_ready = || {
            let sent = on_one_thread(|| async {
                HttpConnection::open(port)
                    .await?
                    .send(request.as_bytes())
                    .await
            });
            matches!(sent, Ok(Answer::Good))
        };
        while !is_ready() {
            if let Some(status) = process.child.try_wait()? {
                bail!("{name} ended with {status}; its log is {}", log.display());
            }
            if begin.elapsed() > PATIENCE {
                bail!(
                    "{name} did not answer for {PATIENCE:?}; its log is {}",
                    log.display()
                );
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        process.start = begin.elapsed();
        Ok(process)
    }

    /// Returns the CPU time that the process and its children have used, from clocks that count nanoseconds: `/proc` says
    /// it in hundredths of a second, which are as much as a thousand small requests use.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut used = Duration::ZERO;
        for pid in self.tree()? {
            let clock = clock_getcpuclockid(pid)
                .with_context(|| format!("the CPU time of {} cannot be read", self.name))?;
            used += Duration::from(clock_gettime(clock)?);
        }
        Ok(used)
    }

    /// Returns the resident memory of the process and its children, shared pages in parts, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        let mut bytes = 0;
        for pid in self.tree()? {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            let kib = line.and_then(|line| line.split_whitespace().next());
            bytes += kib.context("no Pss in smaps_rollup")?.parse::<u64>()? << 10;
        }
        Ok(bytes)
    }

    fn tree(&self) -> Result<Vec<Pid>> {
        let mut pids = vec![Pid::from_raw(i32::try_from(self.child.id())?)];
        let mut next = 0;
        while let Some(pid) = pids.get(next) {
            for task in fs::read_dir(format!("/proc/{pid}/task"))
                .with_context(|| format!("{} has ended", self.name))?
            {
                let children =
                    fs::read_to_string(task?.path().join("children")).unwrap_or_default();
                pids.extend(
                    children
                        .split_whitespace()
                        .filter_map(|pid| pid.parse().ok())
                        .map(Pid::from_raw),
                );
            }
            next += 1;
        }
        Ok(pids)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for pid in self.tree().unwrap_or_default() {
            // It may have ended by itself.
            let _ended = kill(pid, Signal::SIGKILL);
        }
        drop(self.child.wait());
    }
}
