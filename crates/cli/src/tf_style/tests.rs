use super::*;

fn read(line: &str, env: &[(&str, &str)]) -> CommandLine {
    let words = line.split(' ').map(OsString::from).collect();
    let env = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    CommandLine::read(words, &env)
}

#[track_caller]
fn check(typed: &str, style: Style, words: &str, unknown: &[&str]) {
    let line = read(typed, &[]);
    let expected: Vec<OsString> = words.split(' ').map(OsString::from).collect();
    assert_eq!(line.words, expected, "{typed}");
    assert_eq!(line.style, style, "{typed}");
    assert_eq!(line.unknown, unknown, "{typed}");
}

#[test]
fn the_name_of_tensorflow_s_server_means_serve() {
    check(
        "/usr/bin/tensorflow_model_server --port=1",
        Style::TensorFlowName,
        "/usr/bin/tensorflow_model_server serve --port=1",
        &[],
    );
    check(
        "salver check models",
        Style::Own,
        "salver check models",
        &[],
    );
    check(
        "salver serve models --port=1",
        Style::Own,
        "salver serve models --port=1",
        &[],
    );
}

#[test]
fn flags_that_say_where_models_are_bring_its_rules_along() {
    for flag in [
        "--model_base_path=/m",
        "--model-base-path=/m",
        "--model_config_file=/m",
    ] {
        let line = format!("salver serve {flag}");
        check(&line, Style::TensorFlowFlags, &line, &[]);
    }
    check(
        "salver serve models --model_config_file /m --nonsense",
        Style::TensorFlowFlags,
        "salver serve models --model_config_file /m",
        &["--nonsense"],
    );
    let other = "salver inspect --model_base_path=/m";
    check(other, Style::Own, other, &[]);
}

#[test]
fn what_it_does_not_know_is_left_out() {
    check(
        "tensorflow_model_server --port=1 --nonsense --more=2 models --enable_batching --host 127.0.0.1",
        Style::TensorFlowName,
        "tensorflow_model_server serve --port=1 --enable_batching --host 127.0.0.1",
        &["--nonsense", "--more=2", "models"],
    );
}

#[test]
fn versions_and_usage_are_asked_for_under_its_rules_only() {
    let rows = [
        ("tensorflow_model_server --version", true, false),
        (
            "tensorflow_model_server --port=1 --version=true",
            true,
            false,
        ),
        ("tensorflow_model_server --help", false, true),
        ("salver serve --model_base_path=/m --version", true, false),
        ("salver serve --model_base_path=/m --help", false, false),
        ("salver --version", false, false),
    ];
    for (typed, version, usage) in rows {
        let line = read(typed, &[]);
        assert_eq!(
            (line.asks_for_version(), line.asks_for_usage()),
            (version, usage),
            "{typed}"
        );
    }
    assert!(versions(Some("2.21.0")).ends_with("\nTensorFlow Library: 2.21.0"));
}

#[test]
fn the_entry_point_of_the_image_takes_two_variables() {
    let typed = "/usr/bin/tf_serving_entrypoint.sh --enable_batching";
    type Variables = [(&'static str, &'static str)];
    let rows: [(&Variables, &str, &str); 3] = [
        (&[], "model", "/models/model"),
        (&[("MODEL_NAME", "half")], "half", "/models/half"),
        (
            &[("MODEL_NAME", "half"), ("MODEL_BASE_PATH", "/m")],
            "half",
            "/m/half",
        ),
    ];
    for (env, name, base_path) in rows {
        let words: Vec<String> = read(typed, env)
            .words
            .into_iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let expected = [
            "tensorflow_model_server",
            "serve",
            "--port=8500",
            "--rest_api_port=8501",
            &format!("--model_name={name}"),
            &format!("--model_base_path={base_path}"),
            "--enable_batching",
        ];
        assert_eq!(words, expected, "{env:?}");
    }
}
