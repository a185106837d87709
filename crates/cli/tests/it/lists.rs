//! Lists of models in a file that changes while the server runs, and bad models beside good ones.

use crate::server::{Models, Server, address, get, post};

/// Writes a list of models by name and folder, with what else is to be said of each.
fn write_list(models: &Models, listed: &[(&str, &str, &str)]) {
    let mut text = "model_config_list {\n".to_owned();
    for (name, folder, more) in listed {
        let base_path = models.join(folder).display().to_string();
        text += &format!("config {{ name: '{name}' base_path: '{base_path}' {more} }}\n");
    }
    text += "}\n";
    // A reader never sees half of it.
    models.write("next.config", text.as_bytes());
    std::fs::rename(models.join("next.config"), models.join("models.config")).expect("a list");
}

fn start(models: &Models, poll_seconds: &str) -> Server {
    let file = models.join("models.config").display().to_string();
    Server::start(&[
        &format!("--model_config_file={file}"),
        &format!("--model_config_file_poll_wait_seconds={poll_seconds}"),
    ])
}

/// Asks for a prediction until the answer has this status.
#[track_caller]
fn answers(rest: std::net::SocketAddr, model: &str, status: u16) {
    let path = format!("/v1/models/{model}:predict");
    let body = r#"{"instances": [1.0]}"#;
    assert!(
        Server::until(|| post(rest, &path, body).0 == status),
        "{model}: {:?}",
        post(rest, &path, body)
    );
}

#[test]
fn a_list_that_changes_is_served_and_one_that_is_broken_or_gone_changes_nothing() {
    let models = Models::half_plus_two();
    write_list(&models, &[("first", "half_plus_two", "")]);
    let mut server = start(&models, "0.05");
    let serving = server.wait_for_message("serving");
    let rest = address(&serving, "rest");
    answers(rest, "first", 200);

    models.write("models.config", b"model_config_list { config {");
    server.wait_for_line(|line| line.contains("Error parsing text-format"));
    std::fs::remove_file(models.join("models.config")).expect("it was there");
    server.wait_for_line(|line| line.contains("cannot be read: No such file"));
    answers(rest, "first", 200);

    write_list(&models, &[("second", "half_plus_two", "")]);
    answers(rest, "second", 200);
    answers(rest, "first", 404);
    server.signal("TERM");
    server.wait();
    let said = server.rest_of_log();
    assert_eq!(
        said.matches("cannot be read: No such file").count(),
        0,
        "once is enough: {said}"
    );
}

#[test]
fn a_list_that_is_read_once_is_not_read_again() {
    let models = Models::half_plus_two();
    write_list(&models, &[("first", "half_plus_two", "")]);
    let mut server = start(&models, "0");
    let serving = server.wait_for_message("serving");
    write_list(&models, &[("second", "half_plus_two", "")]);
    let rest = address(&serving, "rest");
    // A new version is found by looks at the folder, of which several pass meanwhile.
    models.write(
        "half_plus_two/2/model.onnx",
        &salver_testkit::models::half_plus_two(),
    );
    server.wait_for_line(|line| line.contains("\"loaded\"") && line.contains("\"version\":2"));
    answers(rest, "first", 200);
    answers(rest, "second", 404);
}

#[test]
fn labels_are_in_force_from_the_start_and_move_when_their_version_is_there() {
    let models = Models::half_plus_two();
    let policy = "model_version_policy { all {} } version_labels { key: 'stable' value:";
    write_list(
        &models,
        &[("m", "half_plus_two", &format!("{policy} 1 }}"))],
    );
    let mut server = start(&models, "0.05");
    let serving = server.wait_for_message("serving");
    let rest = address(&serving, "rest");
    answers(rest, "m/labels/stable", 200);
    answers(rest, "m/labels/canary", 400);

    write_list(
        &models,
        &[("m", "half_plus_two", &format!("{policy} 2 }}"))],
    );
    server.wait_for_line(|line| line.contains("taking a new list of models"));
    answers(rest, "m/labels/stable", 200);
    models.write(
        "half_plus_two/2/model.onnx",
        &salver_testkit::models::half_plus_two(),
    );
    assert!(Server::until(|| {
        let (_, metadata) = get(rest, "/v1/models/m/labels/stable/metadata");
        metadata.contains(r#""version":"2""#) || metadata.contains(r#""version": "2""#)
    }));
}

#[test]
fn of_fifty_models_one_corrupt_and_one_missing_keep_nobody_from_being_served() {
    let models = Models::new();
    let names: Vec<String> = (0..50).map(|number| format!("m{number}")).collect();
    for name in &names {
        let bytes = match name.as_str() {
            "m7" => b"this is no model".to_vec(),
            "m13" => continue,
            _ => salver_testkit::models::half_plus_two(),
        };
        models.write(&format!("{name}/1/model.onnx"), &bytes);
    }
    let listed: Vec<(&str, &str, &str)> = names
        .iter()
        .map(|name| (name.as_str(), name.as_str(), ""))
        .collect();
    write_list(&models, &listed);
    let mut server = start(&models, "0");
    let serving = server.wait_for_message("serving");
    let rest = address(&serving, "rest");
    for name in names
        .iter()
        .filter(|name| !["m7", "m13"].contains(&name.as_str()))
    {
        answers(rest, name, 200);
    }
    let seen = server.seen();
    let (_, corrupt) = get(rest, "/v1/models/m7");
    assert!(
        corrupt.contains("INVALID_ARGUMENT") && corrupt.contains("not a valid ONNX model"),
        "{corrupt}"
    );
    let (status, missing) = get(rest, "/v1/models/m13");
    let reason = "Could not find any versions of model m13: its base path does not exist";
    assert!(status == 404 && missing.contains(reason), "{missing}");
    assert!(
        seen.contains("not a valid ONNX model") && seen.contains("\"m7\""),
        "{seen}"
    );
    assert!(
        seen.contains("m13") && seen.contains("No such file"),
        "{seen}"
    );
    let (_, metrics) = get(rest, "/metrics");
    for (name, value) in [("m7", 0), ("m13", 0), ("m8", 1)] {
        let line = format!("salver_model_available{{model=\"{name}\"}} {value}");
        assert!(metrics.lines().any(|found| found == line), "{line}");
    }

    models.write("m13/1/model.onnx", &salver_testkit::models::half_plus_two());
    answers(rest, "m13", 200);
    let (_, metrics) = get(rest, "/metrics");
    assert!(
        metrics.contains("salver_model_available{model=\"m13\"} 1"),
        "{metrics}"
    );
}

#[test]
fn a_start_without_any_model_is_possible_if_that_is_wanted() {
    let models = Models::new();
    write_list(&models, &[("later", "later", "")]);
    let file = models.join("models.config").display().to_string();
    let mut server = Server::start(&[
        &format!("--model_config_file={file}"),
        "--allow_start_without_models",
    ]);
    let serving = server.wait_for_message("serving");
    models.write(
        "later/1/model.onnx",
        &salver_testkit::models::half_plus_two(),
    );
    answers(address(&serving, "rest"), "later", 200);
}

#[test]
fn labels_are_not_there_yet_before_the_first_list() {
    let models = Models::new();
    models.write("models.config", b"");
    let mut server = start(&models, "0.05");
    let serving = server.wait_for_message("serving");
    let rest = address(&serving, "rest");
    let (status, answer) = post(
        rest,
        "/v1/models/m/labels/stable:predict",
        r#"{"instances": [1.0]}"#,
    );
    assert_eq!(status, 503);
    assert!(
        answer.contains("Model labels does not init yet.stable"),
        "{answer}"
    );
    models.write("m/1/model.onnx", &salver_testkit::models::half_plus_two());
    write_list(
        &models,
        &[("m", "m", "version_labels { key: 'stable' value: 1 }")],
    );
    answers(rest, "m/labels/stable", 200);
}
