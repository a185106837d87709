//! The binary in the place of TensorFlow's server: names, rules, lines that scripts wait for.

use std::process::Output;

use crate::server::{Models, Server, address, post, salver_as, stderr, stdout};

const NAME: &str = "tensorflow_model_server";

fn run(args: &[&str]) -> Output {
    let models = Models::new();
    let mut command = salver_as(NAME, &models.join(""));
    command.args(args).output().expect("the binary runs")
}

#[track_caller]
fn predicts(server: &mut Server, model: &str) {
    let serving = server.wait_for_message("serving");
    let path = format!("/v1/models/{model}:predict");
    let (status, answer) = post(address(&serving, "rest"), &path, r#"{"instances": [1.0]}"#);
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("2.5"), "{answer}");
}

/// Writes a list of one model.
fn list(models: &Models, model: &str) -> String {
    let base_path = models.join("half_plus_two").display().to_string();
    let list = format!(
        "model_config_list {{ config {{ name: '{model}', base_path: \"{base_path}\"; model_platform: 'tensorflow' }} }}"
    );
    models.write("models.config", list.as_bytes());
    models.join("models.config").display().to_string()
}

#[test]
fn its_name_is_enough() {
    let models = Models::half_plus_two();
    let base_path = models.join("half_plus_two").display().to_string();
    let mut server = Server::spawn(
        salver_as(NAME, &models.join("")),
        &[
            &format!("--model_base_path={base_path}"),
            "--nonsense=1",
            "--grpc_max_threads=7",
            "--model_name=first",
            "--model_name=last",
        ],
    );
    predicts(&mut server, "last");
    let seen = server.seen();
    for wanted in [
        "unknown argument: --nonsense=1",
        "--grpc_max_threads has no effect here: ",
        "Running gRPC ModelServer at 127.0.0.1:",
        "Exporting HTTP/REST API at:localhost:",
    ] {
        assert_eq!(seen.matches(wanted).count(), 1, "{wanted}: {seen}");
    }
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_list_of_models_is_served() {
    let models = Models::half_plus_two();
    let file = list(&models, "listed");
    let mut server = Server::start(&[&format!("--model_config_file={file}")]);
    predicts(&mut server, "listed");
}

#[test]
fn the_entry_point_of_the_image_serves_the_model_that_is_named() {
    let models = Models::half_plus_two();
    let mut command = salver_as("tf_serving_entrypoint.sh", &models.join(""));
    command.env("MODEL_NAME", "half_plus_two");
    command.env("MODEL_BASE_PATH", models.text());
    let mut server = Server::spawn(command, &[]);
    predicts(&mut server, "half_plus_two");
}

#[test]
fn an_empty_list_is_served_until_another_comes() {
    let models = Models::new();
    models.write("models.config", b"");
    let file = models.join("models.config").display().to_string();
    let mut server = Server::start(&[&format!("--model_config_file={file}")]);
    server.wait_for_message("serving");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn versions_are_printed_on_two_lines() {
    let output = run(&["--version"]);
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("TensorFlow ModelServer: "), "{text}");
    assert!(lines[1].starts_with("TensorFlow Library: "), "{text}");
    assert_eq!((lines.len(), output.status.code()), (2, Some(0)));
}

#[test]
fn wrong_command_lines_exit_255_and_show_the_flags() {
    for args in [&["--help"][..], &["--port=many", "--model_base_path=/m"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(255), "{args:?}");
        assert!(stdout(&output).contains("--model_base_path"), "{args:?}");
    }
}

#[test]
fn failed_starts_say_so_in_one_line_and_exit_255() {
    let models = Models::half_plus_two();
    models.write(
        "bad.config",
        b"model_config_list {\n  config { nam: 'x' }\n}\n",
    );
    let bad = models.join("bad.config").display().to_string();
    models.write(
        "relative.config",
        b"model_config_list { config { name: 'm' base_path: 'm' } }",
    );
    let relative = models.join("relative.config").display().to_string();
    let rows = [
        (
            vec![],
            "INVALID_ARGUMENT: --model_base_path: Both server_options.model_base_path and \
             server_options.model_config_file are empty!\n"
                .to_owned(),
        ),
        (
            vec![format!("--model_config_file={bad}")],
            format!("INVALID_ARGUMENT: Invalid protobuf file: '{bad}'\n"),
        ),
        (
            vec![format!("--model_config_file={relative}")],
            "INVALID_ARGUMENT: Expected model m to have an absolute path or URI; got base_path()=m\n"
                .to_owned(),
        ),
        (
            vec![format!("--model_config_file={bad}.gone")],
            format!("NOT_FOUND: {bad}.gone; No such file or directory (os error 2)\n"),
        ),
    ];
    for (args, status) in rows {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = run(&args);
        assert_eq!(output.status.code(), Some(255), "{args:?}");
        let line = format!("Failed to start server. Error: {status}");
        assert!(
            stdout(&output).ends_with(&line),
            "{args:?}: {}",
            stdout(&output)
        );
    }
    let output = run(&[&format!("--model_config_file={bad}")]);
    let wanted = "Error parsing text-format tensorflow.serving.ModelServerConfig: 2:12: field 'nam' not found";
    assert!(stderr(&output).contains(wanted), "{}", stderr(&output));
}

#[test]
fn parameters_of_batches_are_checked_before_anything_is_loaded() {
    let models = Models::half_plus_two();
    models.write(
        "batching",
        b"max_batch_size { value: 32 } allowed_batch_sizes: [1, 16]",
    );
    let file = models.join("batching").display().to_string();
    let output = run(&[
        "--model_base_path=/m",
        "--enable_batching",
        &format!("--batching_parameters_file={file}"),
    ]);
    let line = "Failed to start server. Error: INVALID_ARGUMENT: Last entry in allowed_batch_sizes must match \
                max_batch_size; last entry was 16; expected 32\n";
    assert_eq!(
        (stdout(&output).as_str(), output.status.code()),
        (line, Some(255))
    );
}
