//! Bodies that are wrong as such: which error wins, and its words.

use super::*;

#[test]
fn bad_syntax_says_what_and_where() {
    check_refusals(
        X,
        &[
            ("", "JSON Parse error: The document is empty"),
            (
                "  ",
                "JSON Parse error: The document is empty. at offset: 2",
            ),
            ("x", "JSON Parse error: Invalid value. at offset: 0"),
            (
                "{",
                "JSON Parse error: Missing a name for object member. at offset: 1",
            ),
            (
                r#"{"a" 1}"#,
                "JSON Parse error: Missing a colon after a name of object member. at offset: 5",
            ),
            (
                r#"{"a": 1,}"#,
                "JSON Parse error: Missing a name for object member. at offset: 8",
            ),
            (
                r#"{"a": 1 "b"}"#,
                "JSON Parse error: Missing a comma or '}' after an object member. at offset: 8",
            ),
            (
                r#"{"a": }"#,
                "JSON Parse error: Invalid value. at offset: 6",
            ),
            (
                r#"{"a": [1 2]}"#,
                "JSON Parse error: Missing a comma or ']' after an array element. at offset: 9",
            ),
            (
                r#"{"a": [1,]}"#,
                "JSON Parse error: Invalid value. at offset: 9",
            ),
            (
                r#"{"a": [1"#,
                "JSON Parse error: Missing a comma or ']' after an array element. at offset: 8",
            ),
            (
                r#"{"a": truE}"#,
                "JSON Parse error: Invalid value. at offset: 9",
            ),
            (
                r#"{"a": "b"#,
                "JSON Parse error: Missing a closing quotation mark in string. at offset: 8",
            ),
            (
                "{\"a\": \"\n\"}",
                "JSON Parse error: Invalid escape character in string. at offset: 7",
            ),
            (
                r#"{"a": "\x"}"#,
                "JSON Parse error: Invalid escape character in string. at offset: 7",
            ),
            (
                r#"{"a": "\u12g4"}"#,
                "JSON Parse error: Incorrect hex digit after \\u escape in string. at offset: 7",
            ),
            (
                r#"{"a": "\ud800x"}"#,
                "JSON Parse error: The surrogate pair in string is invalid. at offset: 7",
            ),
            (
                r#"{"a": "\ud800\u0041"}"#,
                "JSON Parse error: The surrogate pair in string is invalid. at offset: 7",
            ),
            (
                r#"{"a": 1.}"#,
                "JSON Parse error: Miss fraction part in number. at offset: 8",
            ),
            (
                r#"{"a": 1e+}"#,
                "JSON Parse error: Miss exponent in number. at offset: 9",
            ),
            (
                r#"{"a": 1.5E}"#,
                "JSON Parse error: Miss exponent in number. at offset: 10",
            ),
            (
                r#"{"a": -}"#,
                "JSON Parse error: Invalid value. at offset: 7",
            ),
            (
                r#"{"a": .5}"#,
                "JSON Parse error: Invalid value. at offset: 6",
            ),
            (
                r#"{"a": +1}"#,
                "JSON Parse error: Invalid value. at offset: 6",
            ),
            (
                r#"{"a": [01]}"#,
                "JSON Parse error: Missing a comma or ']' after an array element. at offset: 8",
            ),
            (
                r#"{"a": nan}"#,
                "JSON Parse error: Invalid value. at offset: 7",
            ),
            (
                r#"{"a": [Infinite]}"#,
                "JSON Parse error: Missing a comma or ']' after an array element. at offset: 10",
            ),
        ],
    );
}

#[test]
fn syntax_wins_over_every_other_error() {
    let expected = "JSON Parse error: Invalid value. at offset: ";
    for body in [
        r#"{"instances": ["not a number"], "x": !}"#,
        r#"{"signature_name": 5, "instances": [1], "x": !}"#,
        r#"{"signature_name": "unknown", "instances": [1], "x": !}"#,
        r#"{"instances": [1], "inputs": [1], "x": !}"#,
        r#"{"instances": [[1], [1, 2], !]}"#,
    ] {
        assert!(refusal(X, body).starts_with(expected), "{body}");
    }
}

#[test]
fn the_name_of_the_signature_comes_next() {
    check_refusals(
        X,
        &[
            (
                r#"{"signature_name": 5, "instances": ["bad"]}"#,
                "JSON Value: {\n    \"signature_name\": 5,\n    \"instances\": [\"bad\"]\n} not formatted correctly. \
                 'signature_name' key must be a string value.",
            ),
            (
                r#"{"instances": ["bad"], "signature_name": "serving-default"}"#,
                "Serving signature name: \"serving-default\" not found in signature def",
            ),
            (
                r#"{"signature_name": "nope"}"#,
                "Serving signature name: \"nope\" not found in signature def",
            ),
        ],
    );
    let without_default = parse_predict(br#"{"instances": [1]}"#, |_| None);
    assert_eq!(
        without_default.unwrap_err().to_string(),
        "Serving signature name: \"serving_default\" not found in signature def"
    );
    check_refusals(
        &[],
        &[
            (
                r#"{"inputs": {}}"#,
                "Failed to get input map for signature: DEFAULT",
            ),
            (
                r#"{"signature_name": "serving_default", "inputs": {}}"#,
                "Failed to get input map for signature: serving_default",
            ),
        ],
    );
}

#[test]
fn before_a_model_is_known_only_syntax_and_the_name_are_checked() {
    assert_eq!(check_predict(br#"{"instances": "anything"}"#), Ok(()));
    assert_eq!(check_predict(br#"{"signature_name": "x"}"#), Ok(()));
    assert!(
        check_predict(b"{")
            .unwrap_err()
            .to_string()
            .starts_with("JSON Parse error: ")
    );
    let error = check_predict(br#"{"signature_name": null}"#)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("'signature_name' key must be a string value."),
        "{error}"
    );
    assert_eq!(
        check_predict(b"[1]").unwrap_err().to_string(),
        "JSON Value: [1] Is not object"
    );
}

#[test]
fn the_object_must_have_one_of_the_two_keys() {
    check_refusals(
        X,
        &[
            ("5", "JSON Value: 5 Is not object"),
            (r#"{"a": 1}"#, "Missing 'inputs' or 'instances' key"),
            (
                r#"{"inputs": 1, "instances": [1]}"#,
                "JSON Value: {\n    \"inputs\": 1,\n    \"instances\": [1]\n} Not formatted correctly expecting only one \
                 of 'inputs' or 'instances' keys to exist ",
            ),
            (
                r#"{"instances": 1}"#,
                "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array",
            ),
            (
                r#"{"instances": []}"#,
                "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array",
            ),
        ],
    );
}

#[test]
fn values_of_another_type_are_named() {
    check_refusals(
        X,
        &[
            (
                r#"{"inputs": "x"}"#,
                r#"JSON Value: "x" Type: String is not of expected type: float"#,
            ),
            (
                r#"{"inputs": [null]}"#,
                "JSON Value: null Type: Null is not of expected type: float",
            ),
            (
                r#"{"inputs": [1, true]}"#,
                "JSON Value: true Type: True is not of expected type: float",
            ),
            (
                r#"{"inputs": [{"b64": "aa"}]}"#,
                "JSON Value: {\n    \"b64\": \"aa\"\n} Type: Object is not of expected type: float",
            ),
            (
                r#"{"instances": [1, false]}"#,
                "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: false Type: \
                 False is not of expected type: float",
            ),
            (
                r#"{"instances": [{"x": 1}, {"x": "a"}]}"#,
                "Failed to process element: 1 key: x of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: \"a\" \
                 Type: String is not of expected type: float",
            ),
        ],
    );
    for (dtype, word) in [
        (DType::I32, "int32"),
        (DType::I16, "int16"),
        (DType::I8, "int8"),
        (DType::U8, "uint8"),
        (DType::I64, "int64"),
        (DType::U32, "uint32"),
        (DType::U64, "uint64"),
        (DType::Bool, "bool"),
        (DType::String, "string"),
    ] {
        let expected = format!("JSON Value: 1.0 Type: Number is not of expected type: {word}");
        assert_eq!(refusal(&[("x", dtype)], r#"{"inputs": [1.0]}"#), expected);
    }
}

#[test]
fn shown_values_are_cut_at_256_bytes() {
    let long = format!("{{\"inputs\": \"{}ä\"}}", "y".repeat(254));
    let shown = format!("\"{}", "y".repeat(254));
    assert_eq!(
        refusal(X, long),
        format!("JSON Value: {shown} Type: String is not of expected type: float")
    );
    let list = format!("{{\"a\": [{}1]}}", "[1,2],".repeat(1000));
    assert_eq!(refusal(X, &list), "Missing 'inputs' or 'instances' key");
    let document = format!("{{\"instances\": {{\"a\": [{}1]}}}}", "[1,2],".repeat(1000));
    let text = refusal(X, document);
    assert!(
        text.starts_with("JSON Value: {\n    \"instances\": {\n        \"a\": [[1, 2], [1, 2], "),
        "{text}"
    );
    assert!(
        text.ends_with(" Expecting 'instances' to be an list/array"),
        "{text}"
    );
    assert!(text.len() < 330, "{}", text.len());
}
