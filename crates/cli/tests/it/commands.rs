//! The commands that end by themselves, and their exit codes.

use std::path::Path;
use std::time::Duration;

use salver_client::{GrpcClient, ModelRef, RestClient};

use crate::server::{Models, Server, address, run, salver, stderr, stdout};

#[test]
fn the_exit_code_tells_who_is_at_fault() {
    let models = Models::half_plus_two();
    let dir = models.text();
    let rows: &[(&[&str], i32)] = &[
        (&["--help"], 0),
        (&["--version"], 0),
        (&["serve", "--help"], 0),
        (&[], 64),
        (&["serv"], 64),
        (&["serve"], 64),
        (&["serve", dir, "--prot=1"], 64),
        (&["serve", dir, "--port=http"], 64),
        (&["serve", dir, "--log-level=loud=er"], 64),
        (&["serve", dir, "--engine=other"], 78),
        (&["serve", dir, "--engine=onnxruntime"], 78),
        (&["serve", "/nonexistent"], 78),
        (&["serve", "--model_base_path=/nonexistent"], 255),
        (
            &["serve", "--model_base_path=/nonexistent", "--prot=1"],
            255,
        ),
        (
            &["serve", "--model_base_path=/nonexistent", "--port=http"],
            255,
        ),
        (&["check", dir], 0),
        (&["check", "/nonexistent"], 78),
        (&["inspect", dir], 0),
        (&["inspect", "/nonexistent"], 1),
        (&["engine", "list"], 0),
        (&["engine", "install", "other"], 64),
        (&["predict", "m"], 64),
        (&["predict", "m:x", "--instances=[1]"], 64),
        (&["predict", "m", "--instances=[1]", "--url=grpc://h"], 64),
        (&["predict", "/nonexistent/m", "--instances=[1]"], 1),
    ];
    for (args, code) in rows {
        let output = run(args);
        assert_eq!(
            output.status.code(),
            Some(*code),
            "{args:?}: {}{}",
            stdout(&output),
            stderr(&output)
        );
    }
}

#[test]
fn a_variable_at_fault_is_a_mistake_of_configuration() {
    let models = Models::half_plus_two();
    let output = salver()
        .args(["serve", models.text()])
        .env("SALVER_PORT", "http")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(
        stderr(&output).contains("SALVER_PORT: expected a port"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn every_mistake_of_a_command_line_is_told_at_once() {
    let output = run(&[
        "serve",
        "--port=http",
        "--header-timeout=soon",
        "--host=nowhere",
    ]);
    let text = stderr(&output);
    for setting in ["--port: ", "--header-timeout: ", "--host: ", "DIR: "] {
        assert!(text.contains(setting), "{setting}: {text}");
    }
}

#[test]
fn every_mistake_in_a_folder_is_told_at_once() {
    let models = Models::half_plus_two();
    models.write(
        "typo/1/model.onnx",
        &salver_testkit::models::half_plus_two(),
    );
    models.write("typo/model.toml", b"instances = 2\nenginee = \"rten\"\n");
    models.write("broken/1/model.onnx", b"this is no model");
    models.write("empty/1/README", b"no model here");
    let output = run(&["check", models.text()]);
    assert_eq!(output.status.code(), Some(78));
    let text = stdout(&output);
    for wanted in ["typo/model.toml:2: ", "broken/1", "empty/1"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

#[test]
fn a_model_is_shown_with_what_it_takes_and_gives() {
    let models = Models::half_plus_two();
    let path = models.join("half_plus_two");
    let path = path.to_str().unwrap();
    let text = stdout(&run(&["inspect", path]));
    for wanted in [
        "half_plus_two version 1",
        "ONNX, opset ",
        "rten (",
        "signature serving_default",
        "f32[",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&run(&["inspect", path, "--json"]))).unwrap();
    assert_eq!(json[0]["name"], "half_plus_two");
    assert_eq!(json[0]["engine"], "rten");
    assert_eq!(
        json[0]["signatures"]["serving_default"]["inputs"][0]["dtype"],
        "f32"
    );
}

#[test]
fn a_model_is_shown_with_what_its_runs_cost() {
    let models = Models::new();
    models.write("mlp/1/model.onnx", &salver_testkit::models::mlp());
    models.write(
        "mlp/model.toml",
        b"instances = 3\nthreads = 1\nbatching = { max_batch_size = 8 }\n",
    );
    let path = models.join("mlp");
    let path = path.to_str().unwrap();
    let text = stdout(&run(&["inspect", path, "--cost"]));
    let layout = "runs      3 instances of 1 thread; requests of up to 8 rows run together";
    assert!(text.contains(layout), "{text}");
    assert!(
        text.contains("1 row ") && text.contains(" ms a row"),
        "{text}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&run(&["inspect", path, "--cost", "--json"]))).unwrap();
    let cost = &json[0]["cost"];
    assert_eq!(
        (&cost["instances"], &cost["threads"]),
        (&3.into(), &1.into())
    );
    assert_eq!(cost["runs"][0]["rows"], 1);
    assert!(cost["runs"][0]["seconds"].as_f64().unwrap() > 0.0, "{cost}");
    // Without the flag nothing is loaded.
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&run(&["inspect", path, "--json"]))).unwrap();
    assert!(json[0]["cost"].is_null(), "{json}");
}

#[test]
fn engines_are_listed() {
    let text = stdout(&run(&["engine", "list"]));
    assert!(
        text.contains("rten") && text.contains("onnxruntime"),
        "{text}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&run(&["engine", "list", "--json"]))).unwrap();
    assert_eq!(json.as_array().map(Vec::len), Some(3), "{json}");
}

#[test]
fn predictions_are_the_same_with_and_without_a_server() {
    let models = Models::half_plus_two();
    let path = models.join("half_plus_two");
    let mut server = Server::start(&[models.text()]);
    let serving = server.wait_for_message("serving");
    let url = format!("--url=http://{}", address(&serving, "rest"));
    let grpc = format!("--grpc={}", address(&serving, "grpc"));
    let instances = "--instances=[1.0, 2.0, 5.0]";
    let rows = [
        vec!["predict", path.to_str().unwrap(), instances],
        vec!["predict", &url, "half_plus_two", instances],
        vec!["predict", &url, "half_plus_two:1", instances],
        vec!["predict", &grpc, "half_plus_two", instances],
    ];
    for args in rows {
        let output = run(&args);
        let answer: serde_json::Value = serde_json::from_str(&stdout(&output))
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", stderr(&output)));
        assert_eq!(
            answer["predictions"],
            serde_json::json!([2.5, 3.0, 4.5]),
            "{args:?}"
        );
    }
}

#[test]
fn digits_are_recognised_over_every_way() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits");
    let models = example.join("models");
    let models = models.to_str().unwrap();
    let pictures: Vec<String> = (0..10)
        .map(|digit| {
            example
                .join(format!("digits/{digit}.png"))
                .display()
                .to_string()
        })
        .collect();
    let mut server = Server::start(&[models]);
    let serving = server.wait_for_message("serving");
    let url = format!("--url=http://{}", address(&serving, "rest"));
    let grpc = format!("--grpc={}", address(&serving, "grpc"));
    for way in [vec![models], vec![&url, "digits"], vec![&grpc, "digits"]] {
        let output = salver()
            .arg("predict")
            .args(&way)
            .args(&pictures)
            .output()
            .unwrap();
        let text = stdout(&output);
        assert_eq!(text.lines().count(), 10, "{way:?}: {}", stderr(&output));
        for (digit, line) in text.lines().enumerate() {
            assert!(line.contains(&format!("/{digit}.png: {digit} (")), "{line}");
        }
    }
}

#[test]
fn classes_have_names_and_answers_a_raw_form() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits");
    let (models, picture) = (example.join("models"), example.join("digits/3.png"));
    let folder = Models::new();
    folder.write("names.txt", b"zero\none\ntwo\nthree\n");
    let predict = |args: &[&str]| {
        let output = salver()
            .arg("predict")
            .arg(&models)
            .arg(&picture)
            .args(args)
            .output()
            .unwrap();
        stdout(&output)
    };
    let names = format!("--labels={}", folder.join("names.txt").display());
    assert!(predict(&[&names]).contains("3.png: three ("));
    let raw: serde_json::Value = serde_json::from_str(&predict(&["--raw"])).unwrap();
    assert_eq!(
        raw["outputs"][0].as_array().map(Vec::len),
        Some(10),
        "{raw}"
    );
}

#[test]
fn pictures_that_cannot_be_read_do_not_stop_the_others() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits");
    let folder = Models::new();
    folder.write("text.png", b"this is no picture");
    let output = salver()
        .arg("predict")
        .arg(example.join("models"))
        .args([
            folder.join("text.png"),
            example.join("digits/3.png"),
            folder.join("missing.png"),
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).contains("3.png: 3 ("),
        "{}",
        stdout(&output)
    );
    let text = stderr(&output);
    assert!(
        text.contains("text.png: ") && text.contains("missing.png: "),
        "{text}"
    );
}

#[test]
fn clients_read_states_and_metadata() {
    let models = Models::half_plus_two();
    let mut server = Server::start(&[models.text()]);
    let serving = server.wait_for_message("serving");
    let (rest, grpc) = (
        address(&serving, "rest").to_string(),
        address(&serving, "grpc").to_string(),
    );
    let timeout = Duration::from_secs(10);
    let model = ModelRef::latest("half_plus_two");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let rest = RestClient::new(&rest, timeout).unwrap();
        let grpc = GrpcClient::connect(&grpc, timeout).await.unwrap();
        let states = rest.status("half_plus_two").await.unwrap();
        assert_eq!(states, grpc.status("half_plus_two").await.unwrap());
        assert_eq!(
            (states[0].version, states[0].state.as_str()),
            (1, "AVAILABLE")
        );
        let metadata = rest.metadata(&model).await.unwrap();
        assert_eq!(metadata, grpc.metadata(&model).await.unwrap());
        assert_eq!(&*metadata.signature("").unwrap().inputs[0].name, "x");
    });
}

#[test]
fn a_refusal_is_told_in_the_server_s_words() {
    let models = Models::half_plus_two();
    let mut server = Server::start(&[models.text()]);
    let serving = server.wait_for_message("serving");
    let url = format!("--url=http://{}", address(&serving, "rest"));
    let output = run(&["predict", &url, "other", "--instances=[1.0]"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("the server answered 404 Not Found: "),
        "{}",
        stderr(&output)
    );
}
