use std::num::NonZeroUsize;
use std::thread;

use salver_backend::ErrorCode;
use salver_batching::{Batch, Priority};
use salver_tensor::Tensor;
use salver_testkit::{FakeBackend, FakeBehaviour, Gate};

use super::*;
use crate::testing::{Tree, onnx};

mod warmup;

/// A version on disk, an engine that does as it is told, and the loader between them.
struct Fixture {
    tree: Tree,
    backend: FakeBackend,
    factory: ModelLoaderFactory,
}

impl Fixture {
    fn new() -> Self {
        let backend = FakeBackend::new();
        let factory = ModelLoaderFactory {
            registry: Registry::new(vec![Arc::new(backend.clone())]),
            metrics: Metrics::new("0"),
            defaults: ModelSettings::default(),
            measures: false,
            warmup: None,
            batching: None,
        };
        Self {
            tree: Tree::with(&["m/1/model.onnx"]),
            backend,
            factory,
        }
    }

    fn loader(&self) -> ModelLoader {
        self.loader_with(&ModelSettings::default())
    }

    fn loader_with(&self, settings: &ModelSettings) -> ModelLoader {
        let place = Place::Dir(self.tree.path("m/1"));
        let scan = whole::scan(&place).unwrap();
        let offer = Offer {
            version: 1,
            revision: 0,
            fingerprint: scan.fingerprint,
            num_bytes: scan.num_bytes,
            files: place.files().unwrap(),
            place,
        };
        self.factory.loader(&"m".into(), settings, offer)
    }

    fn page(&self) -> String {
        self.factory.metrics.encode()
    }
}

fn load(loader: &ModelLoader) -> Result<LoadedModel, LoadError> {
    loader.load(&CancelToken::new())
}

fn load_error_of(loader: &ModelLoader) -> (LoadErrorKind, String) {
    let error = load(loader).unwrap_err();
    (error.kind, error.message)
}

fn ask(model: &LoadedModel, x: f32) -> f32 {
    let signature = Arc::clone(model.signatures().get("").unwrap());
    let inputs = vec![Tensor::from_vec([1], vec![x]).unwrap()];
    let batch = Batch {
        signature,
        inputs,
        requested: vec![0],
        deadline: None,
        priority: Priority::default(),
        hold: None,
    };
    let executed = model.executor.execute_blocking(batch).unwrap();
    executed.outputs[0].as_slice::<f32>().unwrap()[0]
}

#[test]
fn a_loaded_model_answers_and_says_what_runs_it() {
    let fixture = Fixture::new();
    let model = load(&fixture.loader()).unwrap();
    assert_eq!(ask(&model, 2.0), 3.0);
    assert_eq!(
        (model.platform, model.reason.as_str()),
        ("fake", "fastest engine")
    );
    assert_eq!(model.id.to_string(), "{name: m version: 1}");
    model.metrics("serving_default").request_ended("OK");
    let line =
        r#"salver_requests_total{model="m",version="1",signature="serving_default",code="OK"} 1"#;
    assert!(fixture.page().contains(line), "{}", fixture.page());
    assert!(
        fixture
            .page()
            .contains(r#"salver_model_loads_total{result="loaded"} 1"#)
    );
}

#[test]
fn a_dropped_model_leaves_neither_memory_nor_metrics() {
    let fixture = Fixture::new();
    let model = load(&fixture.loader()).unwrap();
    let line = format!(
        r#"salver_model_memory_bytes{{model="m",version="1"}} {}"#,
        model.memory_bytes
    );
    assert!(fixture.page().contains(&line), "{}", fixture.page());
    assert_eq!(fixture.backend.num_models(), 1);
    drop(model);
    assert_eq!(fixture.backend.num_models(), 0);
    assert!(
        !fixture.page().contains(r#"model="m""#),
        "{}",
        fixture.page()
    );
}

#[test]
fn memory_is_reckoned_from_the_size_of_the_files() {
    let fixture = Fixture::new();
    fixture.tree.write("m/1/model.onnx", &onnx(10_000));
    let num_bytes = onnx(10_000).len() as u64;
    let estimate = fixture.loader().estimate().memory_bytes;
    assert!(
        (num_bytes..num_bytes * 13 / 10).contains(&estimate),
        "{estimate} for {num_bytes}"
    );
}

#[test]
fn the_first_run_happens_before_the_first_request() {
    let fixture = Fixture::new();
    let settings = ModelSettings {
        instances: NonZeroUsize::new(3),
        ..ModelSettings::default()
    };
    let _model = load(&fixture.loader_with(&settings)).unwrap();
    assert_eq!(
        (fixture.backend.num_runs(), fixture.backend.num_instances()),
        (1, 3)
    );
}

#[test]
fn what_runs_cost_is_on_the_page_while_a_version_is_loaded() {
    let mut fixture = Fixture::new();
    fixture.factory.measures = true;
    let auto = ModelSettings {
        batching: Some(BatchingSettings::Auto),
        ..ModelSettings::default()
    };
    let model = load(&fixture.loader_with(&auto)).unwrap();
    let cost = r#"salver_run_cost_seconds{model="m",version="1",rows="1"} "#;
    assert!(fixture.page().contains(cost), "{}", fixture.page());
    // The runs of the measurement count for nothing; the warm-up does.
    let runs = r#"salver_run_rows_count{model="m",version="1"} 1"#;
    assert!(fixture.page().contains(runs), "{}", fixture.page());
    assert_eq!(ask(&model, 2.0), 3.0);
    drop(model);
    assert!(!fixture.page().contains("salver_run_cost_seconds{"));
}

#[test]
fn a_model_that_refuses_made_up_inputs_is_loaded_all_the_same() {
    let message = "zeros are not pictures".to_owned();
    let errors = [
        BackendError::InvalidInput {
            message: message.clone(),
        },
        BackendError::Model {
            code: ErrorCode::NotFound,
            message,
        },
    ];
    for error in errors {
        let fixture = Fixture::new();
        fixture.backend.set(FakeBehaviour {
            run_error: Some(error),
            ..FakeBehaviour::default()
        });
        let model = load(&fixture.loader()).unwrap();
        fixture.backend.set(FakeBehaviour::default());
        assert_eq!(ask(&model, 4.0), 4.0);
    }
}

#[test]
fn a_model_on_which_the_engine_fails_is_not_put_into_service() {
    let broken = BackendError::Engine {
        platform: "fake",
        message: "an output is not what it was declared as".to_owned(),
    };
    let behaviours = [
        FakeBehaviour {
            run_error: Some(broken),
            ..FakeBehaviour::default()
        },
        FakeBehaviour {
            run_panics: true,
            ..FakeBehaviour::default()
        },
    ];
    for behaviour in behaviours {
        let fixture = Fixture::new();
        fixture.backend.set(behaviour);
        let error = load(&fixture.loader()).unwrap_err();
        assert_eq!(error.kind, LoadErrorKind::Failed);
        assert!(error.message.contains("warm-up"), "{error}");
    }
}

#[test]
fn errors_of_engines_say_whether_trying_again_may_help() {
    let text = || "x".to_owned();
    let rows = [
        (
            BackendError::InvalidModel {
                file: text(),
                reason: text(),
            },
            LoadErrorKind::Invalid,
        ),
        (
            BackendError::Unsupported {
                platform: "fake",
                reason: text(),
                remedy: text(),
            },
            LoadErrorKind::Unsupported,
        ),
        (
            BackendError::Unavailable {
                platform: "fake",
                reason: text(),
                remedy: text(),
            },
            LoadErrorKind::Unsupported,
        ),
        (
            BackendError::Engine {
                platform: "fake",
                message: text(),
            },
            LoadErrorKind::Failed,
        ),
        (
            BackendError::Model {
                code: ErrorCode::NotFound,
                message: text(),
            },
            LoadErrorKind::Failed,
        ),
        (
            BackendError::Panicked { platform: "fake" },
            LoadErrorKind::Failed,
        ),
    ];
    for (error, kind) in rows {
        let fixture = Fixture::new();
        let load_error = Some(error.clone());
        fixture.backend.set(FakeBehaviour {
            load_error,
            ..FakeBehaviour::default()
        });
        assert_eq!(load_error_of(&fixture.loader()), (kind, error.to_string()));
        assert!(
            fixture
                .page()
                .contains(r#"salver_model_loads_total{result="failed"} 1"#)
        );
    }
}

#[test]
fn an_engine_that_is_not_known_is_an_error_that_names_those_that_are() {
    let fixture = Fixture::new();
    let settings = ModelSettings {
        engine: Some("tpu".to_owned()),
        ..ModelSettings::default()
    };
    let (kind, message) = load_error_of(&fixture.loader_with(&settings));
    assert_eq!(kind, LoadErrorKind::Unsupported);
    assert!(
        message.contains("`tpu`") && message.contains("fake"),
        "{message}"
    );
}

#[test]
fn files_that_changed_since_they_were_found_are_not_loaded() {
    let fixture = Fixture::new();
    let loader = fixture.loader();
    fixture.tree.write("m/1/model.onnx", &onnx(400));
    let expected = (
        LoadErrorKind::Failed,
        "its files changed while it was loaded".to_owned(),
    );
    assert_eq!(load_error_of(&loader), expected);
    assert_eq!(fixture.backend.num_loads(), 0);
    fixture.tree.remove("m/1");
    let expected = (LoadErrorKind::NotFound, "its files are gone".to_owned());
    assert_eq!(load_error_of(&loader), expected);
}

/// Changes the files while the engine reads them, which ends as `load_error` says.
fn load_while_files_change(load_error: Option<BackendError>) -> (LoadErrorKind, String) {
    let fixture = Fixture::new();
    let gate = Gate::closed();
    let load_gate = Some(gate.clone());
    fixture.backend.set(FakeBehaviour {
        load_gate,
        load_error,
        ..FakeBehaviour::default()
    });
    let loader = fixture.loader();
    thread::scope(|scope| {
        let load = scope.spawn(|| load_error_of(&loader));
        gate.wait_for(1);
        fixture.tree.write("m/1/model.onnx", &onnx(400));
        gate.open();
        load.join().unwrap()
    })
}

#[test]
fn files_that_change_while_they_are_loaded_fail_the_load_for_now_whatever_the_engine_says() {
    let expected = (
        LoadErrorKind::Failed,
        "its files changed while it was loaded".to_owned(),
    );
    assert_eq!(load_while_files_change(None), expected);
    let reason = "it is damaged".to_owned();
    let damaged = BackendError::InvalidModel {
        file: "model.onnx".to_owned(),
        reason,
    };
    assert_eq!(load_while_files_change(Some(damaged)), expected);
}

#[test]
fn a_cancelled_load_gives_up() {
    let fixture = Fixture::new();
    let cancel = CancelToken::new();
    cancel.cancel();
    let error = fixture.loader().load(&cancel).unwrap_err();
    assert_eq!(error.kind, LoadErrorKind::Cancelled);
    assert_eq!(fixture.backend.num_loads(), 0);
    assert!(
        fixture
            .page()
            .contains(r#"salver_model_loads_total{result="cancelled"} 1"#)
    );
}
