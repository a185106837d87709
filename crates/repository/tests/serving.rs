//! From a folder to answers: source, manager and loader together, with an engine that does as it is told.

#![allow(
    clippy::unwrap_used,
    reason = "tests may panic, and so may what they share"
)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime};

use salver_backend::Registry;
use salver_batching::{Batch, ExecuteError, Priority};
use salver_repository::{
    FileSystemSource, LoadedModel, ModelBase, ModelEntry, ModelLoaderFactory, ModelSettings, Root,
    RootsHandle, SourceConfig,
};
use salver_servable::{
    AvailabilityPreserving, Event, LookupError, Manager, ManagerConfig, ServableRequest, Source,
    SourceTask, State, VersionChoice,
};
use salver_telemetry::Metrics;
use salver_tensor::Tensor;
use salver_testkit::{FakeBackend, models};
use tempfile::TempDir;

/// Long enough for the slowest machine; nothing here waits so long unless it fails.
const PATIENCE: Duration = Duration::from_secs(30);

struct Server {
    dir: TempDir,
    backend: FakeBackend,
    metrics: Metrics,
    manager: Manager<LoadedModel>,
    events: mpsc::Receiver<Event>,
    roots: RootsHandle,
    task: SourceTask,
}

impl Server {
    fn start(files: &[&str], poll_interval: Option<Duration>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            add_model(dir.path(), file);
        }
        let backend = FakeBackend::new();
        let metrics = Metrics::new("0");
        let (sender, events) = mpsc::sync_channel(1000);
        let config = ManagerConfig {
            num_load_threads: NonZeroUsize::MIN,
            num_unload_threads: NonZeroUsize::MIN,
            max_num_load_retries: 0,
            load_retry_interval: Duration::ZERO,
            memory_limit_bytes: None,
            policy: Box::new(AvailabilityPreserving),
        };
        let listener = Box::new(move |event: &Event| drop(sender.send(event.clone())));
        let (manager, aspired) = Manager::start(config, listener);
        let labelled = manager.clone();
        let config = SourceConfig {
            roots: vec![Root::Discover(dir.path().to_path_buf())],
            poll_interval,
            on_request_log: None,
            on_split: None,
            on_labels: Some(Arc::new(
                move |name: &str, labels: &BTreeMap<String, i64>| {
                    labelled.set_labels(name, labels.clone());
                },
            )),
        };
        let factory = ModelLoaderFactory {
            registry: Registry::new(vec![Arc::new(backend.clone())]),
            metrics: metrics.clone(),
            defaults: ModelSettings::default(),
            measures: true,
            warmup: None,
            batching: None,
        };
        let source = FileSystemSource::new(config, factory);
        let roots = source.roots_handle();
        let task = source.watch(aspired);
        Self {
            dir,
            backend,
            metrics,
            manager,
            events,
            roots,
            task,
        }
    }

    fn polled(files: &[&str]) -> Self {
        Self::start(files, Some(Duration::from_millis(20)))
    }

    fn add(&self, file: &str) {
        add_model(self.dir.path(), file);
    }

    /// Waits until a version is in a state, with an error or without.
    fn wait(&self, name: &str, version: i64, state: State, has_error: bool) -> Event {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left).unwrap_or_else(|_| {
                panic!(
                    "{name} {version} never {state:?}: {:?}",
                    self.manager.statuses()
                )
            });
            let is_wanted = &*event.id.name == name && event.id.version == version;
            if is_wanted && event.state == state && event.error.is_some() == has_error {
                return event;
            }
        }
    }

    /// Asks for half of `x` plus two; returns the version that answered.
    fn ask(&self, name: &str, version: VersionChoice) -> Result<i64, LookupError> {
        let handle = self.manager.handle(&ServableRequest { name, version })?;
        let signature = Arc::clone(handle.signatures().get("").unwrap());
        let inputs = vec![Tensor::from_vec([2], vec![1.0_f32, 5.0]).unwrap()];
        let batch = Batch {
            signature,
            inputs,
            requested: vec![0],
            deadline: None,
            priority: Priority::default(),
            hold: None,
        };
        let executed: Result<_, ExecuteError> = block_on(handle.executor().execute(batch));
        assert_eq!(
            executed.unwrap().outputs[0].as_slice::<f32>().unwrap(),
            [2.5, 4.5]
        );
        handle.metrics("serving_default").request_ended("OK");
        Ok(handle.id().version)
    }

    fn latest(&self, name: &str) -> i64 {
        self.ask(name, VersionChoice::Latest).unwrap()
    }

    fn stop(self) {
        self.task.stop();
        assert_eq!(self.manager.shutdown(Instant::now() + PATIENCE), []);
        assert_eq!(self.backend.num_models(), 0, "memory is given back");
        assert!(
            !self.metrics.encode().contains("model=\""),
            "{}",
            self.metrics.encode()
        );
    }
}

fn add_model(root: &Path, file: &str) {
    write(root, file, &models::half_plus_two());
}

/// Writes a file whose time says that it has been there for long.
fn write(root: &Path, file: &str, bytes: &[u8]) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
}

/// Waits for what is told by no event.
fn until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it never came to be");
        std::thread::yield_now();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn versions_come_and_go_and_the_model_answers_all_the_while() {
    let server = Server::polled(&["m/1/model.onnx"]);
    assert!(
        server
            .manager
            .wait_first_load(&["m".into()], Some(PATIENCE))
    );
    assert_eq!(server.latest("m"), 1);

    server.add("m/2/model.onnx");
    server.wait("m", 1, State::End, false);
    assert_eq!(server.latest("m"), 2);
    assert_eq!(server.backend.num_models(), 1);

    let whole = models::half_plus_two();
    write(
        server.dir.path(),
        "m/3/model.onnx",
        &whole[..whole.len() - 1],
    );
    let report = server.wait("m", 3, State::Start, true).error.unwrap();
    assert!(
        report.message.starts_with("model.onnx is incomplete: "),
        "{report}"
    );
    assert_eq!(server.latest("m"), 2);
    write(server.dir.path(), "m/3/model.onnx", &whole);
    server.wait("m", 3, State::Available, false);
    server.wait("m", 2, State::End, false);

    fs::remove_dir_all(server.dir.path().join("m/3")).unwrap();
    server.wait("m", 2, State::Available, false);
    server.stop();
}

#[test]
fn models_come_and_go() {
    let server = Server::polled(&["a/1/model.onnx"]);
    server.wait("a", 1, State::Available, false);
    server.add("b.onnx");
    server.wait("b", 1, State::Available, false);
    fs::remove_dir_all(server.dir.path().join("a")).unwrap();
    server.wait("a", 1, State::End, false);
    server.ask("a", VersionChoice::Latest).unwrap_err();
    assert_eq!(server.latest("b"), 1);
    server.stop();
}

#[test]
fn one_bad_model_does_not_hold_the_others() {
    let server = Server::polled(&[
        "good/1/model.onnx",
        "bad/1/model.onnx",
        "worse/1/readme.txt",
    ]);
    write(server.dir.path(), "bad/1/model.onnx", b"\x08");
    let names = ["good".into(), "bad".into(), "worse".into()];
    assert!(server.manager.wait_first_load(&names, Some(PATIENCE)));
    assert_eq!(server.latest("good"), 1);
    server.stop();
}

#[test]
fn labels_of_the_settings_name_versions() {
    let server = Server::polled(&["m/1/model.onnx", "m/2/model.onnx"]);
    write(
        server.dir.path(),
        "m/model.toml",
        b"versions = \"all\"\nlabels = { stable = 1 }\n",
    );
    server.wait("m", 1, State::Available, false);
    let stable = || server.ask("m", VersionChoice::Label("stable".to_owned()));
    until(|| stable().is_ok());
    assert_eq!(stable().unwrap(), 1);
    server.stop();
}

#[test]
fn without_polling_what_is_there_is_served_and_new_roots_are_taken() {
    let server = Server::start(&["r/m/1/model.onnx"], None);
    let root = server.dir.path().join("r");
    server.roots.set(vec![Root::Discover(root.clone())]);
    server.wait("m", 1, State::Available, false);
    let base = ModelBase::VersionDirs(root.join("m"));
    let entry = ModelEntry {
        name: "n".into(),
        base,
        settings: ModelSettings::default(),
    };
    server.roots.set(vec![Root::Model(Box::new(entry))]);
    until(|| server.ask("n", VersionChoice::Latest).is_ok());
    until(|| server.manager.status("m").unwrap()[0].state == State::End);
    assert_eq!(server.latest("n"), 1);
    server.stop();
}

#[test]
fn what_has_rested_is_served_at_once_under_the_longest_polling_interval() {
    let server = Server::start(&["m/1/model.onnx"], Some(Duration::MAX));
    server.wait("m", 1, State::Available, false);
    server.stop();
}
