//! The binary as a child process, and what is needed to talk to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before a test fails.
const DEADLINE: Duration = Duration::from_secs(30);

/// More log lines than any test makes a server write.
const MAX_LINES: usize = 10_000;

/// How long to wait between two looks at a process that is about to end.
const LOOK: Duration = Duration::from_millis(5);

/// Returns the binary without the variables of whoever runs the tests, and without engines that may be installed.
pub(crate) fn salver() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_salver"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SALVER_") {
            command.env_remove(name);
        }
    }
    command.env("SALVER_CACHE_DIR", "/nonexistent");
    command
}

/// Returns the binary under another name, which lies in `dir`.
pub(crate) fn salver_as(name: &str, dir: &Path) -> Command {
    let link = dir.join(name);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_salver"), &link).expect("a link");
    let mut command = Command::new(link);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("SALVER_") || name.starts_with("MODEL_") {
            command.env_remove(name);
        }
    }
    command.env("SALVER_CACHE_DIR", "/nonexistent");
    command
}

/// Runs a command to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    salver().args(args).output().expect("the binary runs")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder of models that goes away with the test.
pub(crate) struct Models(TempDir);

impl Models {
    /// Makes an empty folder.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for the test"))
    }

    /// Makes a folder that holds half_plus_two.
    pub(crate) fn half_plus_two() -> Self {
        let models = Self::new();
        models.write(
            "half_plus_two/1/model.onnx",
            &salver_testkit::models::half_plus_two(),
        );
        models
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a path in the folder")).expect("a folder");
        std::fs::write(path, bytes).expect("a file");
    }

    pub(crate) fn join(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub(crate) fn text(&self) -> &str {
        self.0.path().to_str().expect("a path in UTF-8")
    }
}

/// A running server; killed if the test ends before it does.
pub(crate) struct Server {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Server {
    /// Starts a server; its log is whatever `args` say.
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut command = salver();
        command.arg("serve");
        Self::spawn(command, args)
    }

    /// Starts `command` as a server, on ports that the system chooses.
    pub(crate) fn spawn(mut command: Command, args: &[&str]) -> Self {
        let mut child = command
            .args(["--host=127.0.0.1", "--port=auto", "--rest_api_port=auto"])
            .args(["--file_system_poll_wait_seconds=0.05"])
            .args(args)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let stderr = child.stderr.take().expect("standard error is piped");
        let (sender, lines) = mpsc::sync_channel(MAX_LINES);
        thread::spawn(move || {
            let lines = BufReader::new(stderr).lines().map_while(Result::ok);
            // An error is a test that has ended already.
            lines
                .take_while(|line| sender.send(line.clone()).is_ok())
                .for_each(drop);
        });
        Self {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Waits for a log line with a message, and returns it.
    pub(crate) fn wait_for_message(&mut self, message: &str) -> Value {
        let line = self.wait_for_line(|line| {
            serde_json::from_str::<Value>(line).is_ok_and(|line| line["message"] == message)
        });
        serde_json::from_str(&line).expect("it was one a moment ago")
    }

    pub(crate) fn wait_for_line(&mut self, is_wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if is_wanted(&line) {
                        return line;
                    }
                }
                Err(error) => panic!("{error}; the server said:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// Returns the lines that were waited through.
    pub(crate) fn seen(&self) -> String {
        self.seen.join("\n")
    }

    /// Returns the lines that nobody waited for; the process has ended.
    pub(crate) fn rest_of_log(&self) -> String {
        let left: Vec<String> = self.lines.iter().collect();
        left.join("\n")
    }

    /// Looks again and again until something has come about; `false` if it does not.
    pub(crate) fn until(mut has_come: impl FnMut() -> bool) -> bool {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            if has_come() {
                return true;
            }
            thread::park_timeout(LOOK);
        }
        false
    }

    /// Returns the physical memory that the process holds.
    #[cfg(target_os = "linux")]
    pub(crate) fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        kib.expect("a line of numbers").parse().expect("a number")
    }

    /// Returns the name of every thread of the process, and the number of the policy by which it is scheduled.
    #[cfg(target_os = "linux")]
    pub(crate) fn policies(&self) -> Vec<(String, u32)> {
        /// Where it stands among the fields after the name, from zero.
        const POLICY: usize = 38;
        let tasks = format!("/proc/{}/task", self.child.id());
        let tasks = std::fs::read_dir(tasks).expect("the process has threads");
        // One that ends meanwhile has nothing to say.
        let stats =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
        stats
            .map(|stat| {
                let (name, fields) = stat.rsplit_once(") ").expect("a name in brackets");
                let (_, name) = name.split_once('(').expect("a name in brackets");
                let policy = fields.split_whitespace().nth(POLICY).expect("a policy");
                (name.to_owned(), policy.parse().expect("a number"))
            })
            .collect()
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh")
            .args(["-c", &kill])
            .status()
            .expect("sh runs");
        assert!(status.success(), "{kill}");
    }

    /// Waits for the end of the process.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be asked") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the server does not end; it said:\n{}",
                self.seen.join("\n")
            );
            thread::park_timeout(LOOK);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already, which is what the tests wait for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns an address that a `serving` line tells of.
pub(crate) fn address(serving: &Value, api: &str) -> SocketAddr {
    serving[api]
        .as_str()
        .expect(api)
        .parse()
        .expect("an address")
}

/// Posts a body and returns the status and the answer.
pub(crate) fn post(address: SocketAddr, path: &str, body: &str) -> (u16, String) {
    send(address, "POST", path, body)
}

/// Gets a page and returns the status and the answer.
pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    send(address, "GET", path, "")
}

/// Sends a request and returns the status and the answer.
pub(crate) fn send(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE).expect("the port is open");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a time-out is set");
    stream
        .write_all(format!("{head}{body}").as_bytes())
        .expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("a status");
    (status, body.to_owned())
}
