use salver_proto::tensorflow::serving::ModelServerConfig;

use super::*;

const MESSAGE: &str = "tensorflow.serving.ModelServerConfig";

#[track_caller]
fn check(text: &str, expected: Option<(usize, usize, &str)>) {
    let failure = parse::<ModelServerConfig>(MESSAGE, text).err();
    let found = failure.as_ref().map(|error| (error.line, error.column));
    assert_eq!(
        found,
        expected.map(|(line, column, _)| (line, column)),
        "{text}: {failure:?}"
    );
    if let (Some(error), Some((_, _, reason))) = (failure, expected) {
        assert!(error.reason.contains(reason), "{text}: {error}");
    }
}

#[test]
fn every_way_to_write_it_is_read() {
    let rows = [
        "",
        "# nothing but a comment",
        "model_config_list {}",
        "model_config_list: {}",
        "model_config_list < >",
        "model_config_list { config { name: 'a' } }",
        "model_config_list { config { name: \"a\" base_path: \"/m\" } } # the end",
        "model_config_list: { config: { name: 'a', base_path: \"/m\"; }, };",
        "model_config_list { config: [{ name: 'a' }, { name: 'b' }] }",
        "model_config_list { config { name: 'a' 'b' \"c\" } }",
        "model_config_list { config { model_version_policy { specific { versions: [1, 2] versions: 3 } } } }",
        "model_config_list { config { version_labels { key: 'stable', value: 1 } } }",
    ];
    for text in rows {
        check(text, None);
    }
}

#[test]
fn mistakes_are_pointed_at() {
    let rows = [
        (
            "model_config_list",
            1,
            18,
            "expected ':' or a message value",
        ),
        (
            "model_config_list {\n  config {\n    nam: 'a'\n",
            3,
            5,
            "field 'nam' not found",
        ),
        (
            "model_config_list {\n  config { name: 3 }\n}",
            2,
            18,
            "expected a string",
        ),
        (
            "model_config_list {\n  config { name: 'é' base_path: 7 }\n}",
            2,
            33,
            "expected a string",
        ),
        (
            "model_config_list { config { name: 'a' name: 'b' } }",
            1,
            46,
            "already set",
        ),
        (
            "model_config_list { config {",
            1,
            29,
            "reached end of input",
        ),
        ("}", 1, 1, "expected"),
        ("improper file", 1, 10, "expected"),
    ];
    for (text, line, column, reason) in rows {
        check(text, Some((line, column, reason)));
    }
}

#[test]
fn nesting_ends_before_the_stack_does() {
    let any = "model_config_list { config { logging_config { custom_logging_config { ".to_owned()
        + &"[type.googleapis.com/google.protobuf.Any] { ".repeat(10_000);
    let error = parse::<ModelServerConfig>(MESSAGE, &any).expect_err("too deep");
    assert!(error.reason.contains("nested more than"), "{error}");
    let text = format!(
        "# {}\nmodel_config_list {{ config {{ name: '{}' }} }}",
        "{".repeat(100),
        "<".repeat(100)
    );
    check(&text, None);
}

#[test]
fn errors_read_like_protobuf_s_own() {
    let error = parse::<ModelServerConfig>(MESSAGE, "x: 1").expect_err("no such field");
    let text = error.to_string();
    let head = "Error parsing text-format tensorflow.serving.ModelServerConfig: 1:1: ";
    assert!(text.starts_with(head), "{text}");
}
