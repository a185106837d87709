//! Bodies whose values do not fit the signature or one another.

use super::*;

const AB: &[(&str, DType)] = &[("b", DType::F32), ("a", DType::I32)];

#[test]
fn lists_must_be_regular() {
    check_refusals(
        X,
        &[
            (
                r#"{"inputs": [[1, 2], [3]]}"#,
                "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
            ),
            (
                r#"{"inputs": [[[1]], []]}"#,
                "Encountered list at unexpected size: 0 at level: 1 expected size: 1",
            ),
            (
                r#"{"inputs": [1, [2]]}"#,
                "Encountered list at unexpected level: 1 expected < 1",
            ),
            (
                r#"{"inputs": [[], [[1]]]}"#,
                "Encountered list at unexpected level: 2 expected < 2",
            ),
            (
                r#"{"inputs": [[1], 2]}"#,
                "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2",
            ),
            (
                r#"{"inputs": [[[1]], [2]]}"#,
                "JSON Value: 2 found at incorrect level: 3 in the JSON DOM. Expected at level: 3",
            ),
        ],
    );
}

#[test]
fn instances_must_all_have_one_shape() {
    let prefix = "Failed to process element: ";
    let middle = " of 'instances' list. Error: INVALID_ARGUMENT: ";
    for (body, place, text) in [
        (
            r#"{"instances": [[1,2],[3,4],[5,6,7]]}"#,
            "2",
            "Expecting tensor size: 2 but got: 3",
        ),
        (
            r#"{"instances": [[1,2],[3,4],[[5,6]]]}"#,
            "2",
            "Expecting shape [2] but got: [1,2]",
        ),
        (
            r#"{"instances": [1, [1]]}"#,
            "1",
            "Expecting shape [] but got: [1]",
        ),
        (
            r#"{"instances": [[1], 1]}"#,
            "1",
            "Expecting shape [1] but got: []",
        ),
        (
            r#"{"instances": [{"x": [1]}, {"x": [1, 2]}]}"#,
            "1 key: x",
            "Expecting tensor size: 1 but got: 2",
        ),
        (
            r#"{"instances": [1, [[1], [2, 3]]]}"#,
            "1",
            "Encountered list at unexpected size: 2 at level: 1 expected size: 1",
        ),
    ] {
        assert_eq!(
            refusal(X, body),
            format!("{prefix}{place}{middle}{text}"),
            "{body}"
        );
    }
}

#[test]
fn instances_are_all_objects_or_all_values() {
    check_refusals(
        X,
        &[
            (
                r#"{"instances": [{"x": 1}, 2]}"#,
                "Expecting object but got list at item 1 of input list",
            ),
            (
                r#"{"instances": [{"x": 1}, {"b64": ""}]}"#,
                "Expecting object but got list at item 1 of input list",
            ),
            (
                r#"{"instances": [1, {"x": 1}]}"#,
                "Expecting value/list but got object at item 1 of input list",
            ),
            (
                r#"{"instances": [[1], {"x": 1}]}"#,
                "Expecting value/list but got object at item 1 of input list",
            ),
        ],
    );
    let strings = [("x", DType::String)];
    let body = r#"{"instances": ["a", {"b64": ""}, {"x": "b"}]}"#;
    assert_eq!(
        refusal(&strings, body),
        "Expecting value/list but got object at item 2 of input list"
    );
}

#[test]
fn instances_have_exactly_the_keys_of_the_signature() {
    check_refusals(
        AB,
        &[
            (
                r#"{"instances": [1, 2]}"#,
                "instances is a plain list, but expecting list of objects as multiple input tensors required as per \
                 tensorinfo_map",
            ),
            (
                r#"{"instances": [{"a": 1, "b": 2}, {"a": 3}]}"#,
                "Failed to process element: 1 of 'instances' list. JSON object: {\n    \"a\": 3\n} keys must be equal \
                 to: a,b",
            ),
            (
                r#"{"instances": [{}]}"#,
                "Failed to process element: 0 of 'instances' list. JSON object: {} keys must be equal to: a,b",
            ),
            (
                r#"{"instances": [{"a": 1, "b": 2, "c": 3}]}"#,
                "Failed to process element: 0 key: c of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not \
                 have named input: c",
            ),
        ],
    );
}

#[test]
fn columnar_inputs_must_all_be_there() {
    check_refusals(
        AB,
        &[
            (
                r#"{"inputs": {"a": 1}}"#,
                "Missing named input: b in 'inputs' object.",
            ),
            (
                r#"{"inputs": [1]}"#,
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per \
                 tensorinfo_map",
            ),
        ],
    );
    check_refusals(
        X,
        &[(
            r#"{"inputs": {}}"#,
            "Missing named input: x in 'inputs' object.",
        )],
    );
}

#[test]
fn bytes_must_be_base64() {
    check_refusals(
        &[("x", DType::String)],
        &[
            (r#"{"inputs": {"b64": "a"}}"#, "Unable to base64 decode"),
            (r#"{"inputs": {"b64": "a*=="}}"#, "Unable to base64 decode"),
            (
                r#"{"inputs": [{"b64": 5}]}"#,
                "JSON Value: {\n    \"b64\": 5\n} not formatted correctly for base64 data",
            ),
            (
                r#"{"inputs": [{"b64": "", "more": 1}]}"#,
                "JSON Value: {\n    \"b64\": \"\",\n    \"more\": 1\n} not formatted correctly for base64 data",
            ),
            (
                r#"{"inputs": {"x": {}}}"#,
                "JSON Value: {} not formatted correctly for base64 data",
            ),
            (
                r#"{"instances": [{"b64": "!"}]}"#,
                "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: Unable to base64 decode",
            ),
        ],
    );
}

#[test]
fn dtypes_that_json_has_no_form_for_are_unimplemented() {
    for (dtype, word) in [
        (DType::F16, "half"),
        (DType::BF16, "bfloat16"),
        (DType::U16, "uint16"),
        (DType::Complex64, "complex64"),
        (DType::Complex128, "complex128"),
    ] {
        let columnar = parse(&[("x", dtype)], r#"{"inputs": [1]}"#).unwrap_err();
        assert_eq!(
            columnar,
            JsonError::Unimplemented(format!("Conversion of JSON Value: 1 to type: {word}"))
        );
        let row = parse(&[("x", dtype)], r#"{"instances": [[1]]}"#).unwrap_err();
        assert_eq!(
            row,
            JsonError::InvalidArgument(format!(
                "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: Conversion of JSON Value: 1 to \
                 type: {word}"
            ))
        );
    }
}
