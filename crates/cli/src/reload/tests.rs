use std::path::Path;
use std::time::{Duration, Instant};

use salver_backend::Registry;
use salver_backend_rten::Rten;
use salver_repository::{FileSystemSource, ModelLoaderFactory, SourceConfig};
use salver_servable::{
    AvailabilityPreserving, Event, ManagerConfig, ServableRequest, Source, SourceTask,
    VersionChoice,
};
use salver_store::Options;
use salver_telemetry::Metrics;
use salver_testkit::models::half_plus_two;
use tempfile::TempDir;

use super::*;
use crate::stores::StoresConfig;

/// Returns stores that nothing is mirrored from.
fn no_stores() -> Stores {
    let config = StoresConfig {
        cache_dir: None,
        poll_interval: None,
        options: Options::default(),
    };
    Stores::new(config, Metrics::new("test"), Arc::default())
}

struct Fixture {
    dir: TempDir,
    manager: Manager<LoadedModel>,
    list: ModelList,
    _source: SourceTask,
}

impl Fixture {
    /// Serves `a` out of a folder that holds `a` and `b`, which are whole, and `broken`.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [
            ("a", half_plus_two()),
            ("b", half_plus_two()),
            ("broken", b"no model".to_vec()),
        ] {
            let version_dir = dir.path().join(name).join("1");
            std::fs::create_dir_all(&version_dir).unwrap();
            std::fs::write(version_dir.join("model.onnx"), bytes).unwrap();
        }
        let config = ManagerConfig {
            num_load_threads: NonZeroUsize::MIN,
            num_unload_threads: NonZeroUsize::MIN,
            max_num_load_retries: 0,
            load_retry_interval: Duration::ZERO,
            memory_limit_bytes: None,
            policy: Box::new(AvailabilityPreserving),
        };
        let labels = Labels::default();
        let listener = {
            let labels = labels.clone();
            Box::new(move |event: &Event| labels.on_change(&event.id.name))
        };
        let (manager, aspired) = Manager::start(config, listener);
        labels.attach(&manager);
        let stores = Arc::new(no_stores());
        let roots = vec![root(&model("a", dir.path()), &stores)];
        let source = SourceConfig {
            roots,
            poll_interval: Some(Duration::from_millis(20)),
            on_labels: None,
            on_request_log: None,
            on_split: None,
        };
        let factory = ModelLoaderFactory {
            registry: Registry::new(vec![Arc::new(Rten)]),
            metrics: Metrics::new("test"),
            defaults: ModelSettings::default(),
            measures: true,
            warmup: None,
            batching: None,
        };
        let source = FileSystemSource::new(source, factory);
        let config = ListConfig {
            allows_unavailable_labels: false,
            platforms: BTreeSet::from(["tensorflow".to_owned()]),
            is_read_again: false,
        };
        let served = Served::of(vec![model("a", dir.path())]);
        let list = ModelList::new(
            source.roots_handle(),
            manager.clone(),
            labels,
            stores,
            config,
            served,
        );
        let source = source.watch(aspired);
        manager.wait_first_load(&["a".into()], None);
        Self {
            dir,
            manager,
            list,
            _source: source,
        }
    }

    fn model(&self, name: &str) -> ModelConfig {
        model(name, self.dir.path())
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let stragglers = self
            .manager
            .shutdown(Instant::now() + Duration::from_secs(10));
        assert!(stragglers.is_empty(), "{stragglers:?}");
    }
}

fn model(name: &str, dir: &Path) -> ModelConfig {
    ModelConfig {
        name: name.to_owned(),
        base_path: dir.join(name).display().to_string(),
        platform: "tensorflow".to_owned(),
        ..ModelConfig::default()
    }
}

#[test]
fn new_models_can_be_asked_when_the_list_is_taken() {
    let fixture = Fixture::new();
    fixture
        .list
        .reload(vec![fixture.model("a"), fixture.model("b")])
        .unwrap();
    assert!(fixture.list.is_available("a", Some(1)) && fixture.list.is_available("b", Some(1)));
}

#[test]
fn a_label_may_point_to_what_is_served() {
    let fixture = Fixture::new();
    let labels = BTreeMap::from([("stable".to_owned(), 1)]);
    fixture
        .list
        .reload(vec![ModelConfig {
            labels,
            ..fixture.model("a")
        }])
        .unwrap();
    let version = salver_servable::VersionChoice::Label("stable".to_owned());
    let request = salver_servable::ServableRequest { name: "a", version };
    assert_eq!(fixture.manager.handle(&request).unwrap().id.version, 1);
}

#[test]
fn wrong_lists_are_refused_and_the_old_one_stays() {
    let fixture = Fixture::new();
    let relative = ModelConfig {
        base_path: "b".into(),
        ..fixture.model("b")
    };
    let labels = BTreeMap::from([("stable".to_owned(), 2)]);
    let unlabelled = ModelConfig {
        labels,
        ..fixture.model("a")
    };
    let platform = |model: ModelConfig| ModelConfig {
        platform: "p".to_owned(),
        ..model
    };
    let rows = [
        (
            vec![platform(fixture.model("b"))],
            ReloadError::UnsupportedPlatform {
                name: "b".to_owned(),
                platform: "p".to_owned(),
            },
        ),
        (
            vec![platform(fixture.model("a"))],
            ReloadError::PlatformChanged {
                name: "a".to_owned(),
                before: "tensorflow".to_owned(),
                platform: "p".to_owned(),
            },
        ),
        (
            vec![fixture.model("b"), fixture.model("b")],
            ReloadError::Duplicate("b".to_owned()),
        ),
        (
            vec![relative],
            ReloadError::RelativePath {
                name: "b".to_owned(),
                base_path: "b".to_owned(),
            },
        ),
        (
            vec![unlabelled],
            ReloadError::LabelUnavailable {
                name: "a".to_owned(),
                version: 2,
            },
        ),
    ];
    for (models, expected) in rows {
        assert_eq!(fixture.list.reload(models), Err(expected));
        assert!(fixture.list.is_available("a", Some(1)));
    }
}

#[test]
fn models_that_do_not_load_are_named_with_the_reason() {
    let fixture = Fixture::new();
    let error = fixture
        .list
        .reload(vec![fixture.model("a"), fixture.model("broken")])
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with(
            "1 model(s) did not become available: {{{name: broken version: 1} due to error: INVALID_ARGUMENT: "
        ),
        "{text}"
    );
    assert!(fixture.list.is_available("a", Some(1)));
}

#[test]
fn a_model_that_comes_back_is_waited_for() {
    let fixture = Fixture::new();
    for name in ["b", "a", "b", "a"] {
        fixture.list.reload(vec![fixture.model(name)]).unwrap();
        assert!(fixture.list.is_available(name, Some(1)), "{name}");
    }
}

#[test]
fn a_model_without_a_place_is_named_and_found_when_it_appears() {
    let fixture = Fixture::new();
    let models = vec![fixture.model("a"), fixture.model("later")];
    let error = fixture.list.reload(models.clone()).unwrap_err();
    let expected = "1 model(s) did not become available: {{{name: later} due to error: NOT_FOUND: its base path does \
                    not exist}, }";
    assert_eq!(error.to_string(), expected);
    assert!(fixture.list.is_in_force(&models));
    let version_dir = fixture.dir.path().join("later/1");
    std::fs::create_dir_all(&version_dir).unwrap();
    let mark = fixture.manager.list_mark();
    std::fs::write(version_dir.join("model.onnx"), half_plus_two()).unwrap();
    let names = ["later".into()];
    fixture.manager.wait_load_after(
        mark,
        &names,
        Patience::LastTry,
        Some(Duration::from_secs(20)),
    );
    assert!(fixture.list.is_available("later", Some(1)));
    assert_eq!(fixture.manager.complaint("later"), None);
}

#[test]
fn unused_labels_may_wait_for_their_version_if_that_is_allowed() {
    let mut fixture = Fixture::new();
    let labelled = |label: &str, version| ModelConfig {
        labels: BTreeMap::from([(label.to_owned(), version)]),
        ..fixture.model("a")
    };
    let (stable, moved, canary) = (
        labelled("stable", 1),
        labelled("stable", 2),
        labelled("canary", 2),
    );
    fixture.list.reload(vec![stable.clone()]).unwrap();
    let refused = Err(ReloadError::LabelUnavailable {
        name: "a".to_owned(),
        version: 2,
    });
    assert_eq!(fixture.list.reload(vec![canary.clone()]), refused);
    fixture.list.config.allows_unavailable_labels = true;
    assert_eq!(fixture.list.reload(vec![moved]), refused, "it is in use");
    fixture.list.reload(vec![canary]).unwrap();
    assert_eq!(
        fixture.list.labels.in_force("a"),
        BTreeMap::from([("canary".to_owned(), 2)])
    );
}

#[test]
fn a_label_that_is_to_move_stays_until_its_version_answers() {
    let fixture = Fixture::new();
    let labelled = |version| ModelConfig {
        labels: BTreeMap::from([("stable".to_owned(), version)]),
        versions: VersionPolicy::All,
        ..fixture.model("a")
    };
    fixture
        .list
        .replace(vec![labelled(1)], LabelRule::Any)
        .unwrap();
    fixture
        .list
        .replace(vec![labelled(2)], LabelRule::Any)
        .unwrap();
    let answers = |manager: &Manager<LoadedModel>| {
        let version = VersionChoice::Label("stable".to_owned());
        let handle = manager.handle(&ServableRequest { name: "a", version });
        handle.map(|handle| handle.id.version)
    };
    assert_eq!(answers(&fixture.manager), Ok(1));
    let mark = fixture.manager.list_mark();
    let version_dir = fixture.dir.path().join("a/2");
    std::fs::create_dir_all(&version_dir).unwrap();
    std::fs::write(version_dir.join("model.onnx"), half_plus_two()).unwrap();
    let give_up = Instant::now() + Duration::from_secs(20);
    fixture.manager.wait_load_after(
        mark,
        &["a".into()],
        Patience::LastTry,
        Some(Duration::from_secs(20)),
    );
    while answers(&fixture.manager) != Ok(2) && Instant::now() < give_up {
        std::thread::yield_now();
    }
    assert_eq!(answers(&fixture.manager), Ok(2));
}

#[test]
fn addresses_in_a_list_are_mirrored_each_with_its_versions() {
    let of = |base_path: &str, versions| ModelConfig {
        name: base_path.to_owned(),
        base_path: base_path.to_owned(),
        versions,
        ..ModelConfig::default()
    };
    let served = Served {
        folder: Some(PathBuf::from("gs://bucket/models")),
        ..Served::of(vec![
            of("/models/a", VersionPolicy::Default),
            of("s3://bucket/a", VersionPolicy::All),
        ])
    };
    let shown: Vec<String> = bases(&served)
        .unwrap()
        .iter()
        .map(|base| format!("{} {:?} {:?}", base.uri, base.kind, base.versions))
        .collect();
    assert_eq!(
        shown,
        [
            "s3://bucket/a Model All",
            "gs://bucket/models Discover Latest(1)"
        ]
    );
    let wrong = Served::of(vec![of("s3://", VersionPolicy::Default)]);
    let error = bases(&wrong).unwrap_err().to_string();
    assert!(error.contains("names no bucket"), "{error}");
}
