//! Bodies made to hurt: deep, wide, cut short.

use super::*;

const DEPTH: usize = 500_000;

fn nested(depth: usize, core: &str) -> String {
    format!("{}{core}{}", "[".repeat(depth), "]".repeat(depth))
}

#[test]
fn unknown_keys_may_nest_500_000_deep() {
    let lists = nested(DEPTH, "");
    let objects = format!("{}1{}", "{\"a\":".repeat(DEPTH), "}".repeat(DEPTH));
    for body in [
        format!("{{\"instances\": [1], \"nested\": {lists}}}"),
        format!("{{\"nested\": {lists}, \"instances\": [1]}}"),
        format!("{{\"nested\": {objects}, \"inputs\": {{\"y\": {lists}, \"x\": [1]}}}}"),
        format!("{{\"nested\": [{objects},{lists}], \"inputs\": [1]}}"),
    ] {
        assert_eq!(parse_one(DType::I32, body).as_slice::<i32>().unwrap(), [1]);
    }
}

#[test]
fn a_signature_name_may_nest_deep_and_is_still_no_string() {
    let error = refusal(
        &[("x", DType::I32)],
        format!("{{\"signature_name\":{}}}", nested(DEPTH, "")),
    );
    assert!(error.contains("key must be a string value"), "{error}");
}

#[test]
fn tensors_nest_to_the_highest_rank_and_no_deeper() {
    let x = [("x", DType::F32)];
    let tensor = parse_one(
        DType::F32,
        format!("{{\"inputs\": {}}}", nested(MAX_RANK, "1")),
    );
    assert_eq!(tensor.shape().len(), MAX_RANK);
    let tensor = parse_one(
        DType::F32,
        format!("{{\"instances\": {}}}", nested(MAX_RANK, "1")),
    );
    assert_eq!(tensor.shape().len(), MAX_RANK);
    let columnar = "Lists nested deeper than 254 levels cannot be a tensor";
    let row = "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: Lists nested deeper than 253 \
               levels cannot be a tensor";
    for depth in [MAX_RANK + 1, DEPTH] {
        assert_eq!(
            refusal(&x, format!("{{\"inputs\": {}}}", nested(depth, "1"))),
            columnar
        );
        assert_eq!(
            refusal(&x, format!("{{\"instances\": {}}}", nested(depth, "1"))),
            row
        );
    }
}

#[test]
fn deep_values_that_never_end_are_bad_syntax() {
    for text in ["[", "{\"x\":", "{\"inputs\":", "[{\"x\":"] {
        let body = format!("{{\"instances\":{}", text.repeat(DEPTH));
        let error = refusal(&[("x", DType::F32)], body);
        assert!(
            error.starts_with("JSON Parse error: Invalid value."),
            "{error}"
        );
    }
    let body = format!("{{\"inputs\":{}", "[{},".repeat(DEPTH));
    let error = refusal(&[("x", DType::String)], body);
    assert!(error.starts_with("JSON Parse error: "), "{error}");
}

#[test]
fn values_of_another_type_may_be_deep_too() {
    let objects = format!("{}1{}", "{\"a\":".repeat(DEPTH), "}".repeat(DEPTH));
    let error = refusal(&[("x", DType::F32)], format!("{{\"inputs\": [{objects}]}}"));
    assert!(
        error.starts_with("JSON Value: {\n    \"a\": {\n        \"a\""),
        "{error}"
    );
    assert!(
        error.ends_with(" Type: Object is not of expected type: float"),
        "{error}"
    );
    assert!(error.len() < 400, "{}", error.len());
}

#[test]
fn every_beginning_of_a_body_is_refused() {
    let body = r#"{"signature_name": "serving_default", "instances": [{"x": [-1.5e3, NaN, "\u00e4\ud83d\ude00",
        {"b64": "aGVsbG8="}, true, null, 12345678901234567890]}], "more": {"a": [{}, [], Infinity]}}"#;
    for dtype in DType::ALL {
        for len in 0..body.len() {
            let error = refusal(&[("x", dtype)], &body.as_bytes()[..len]);
            assert!(error.starts_with("JSON Parse error: "), "{len}: {error}");
        }
    }
    assert_eq!(check_predict(body.as_bytes()), Ok(()));
}

#[test]
fn many_tiny_instances_are_taken() {
    let rows = vec!["[1]"; 100_000].join(",");
    let tensor = parse_one(DType::U8, format!("{{\"instances\": [{rows}]}}"));
    assert_eq!(&**tensor.shape(), [100_000, 1]);
    let objects = vec![r#"{"x":1}"#; 100_000].join(",");
    let tensor = parse_one(DType::F64, format!("{{\"instances\": [{objects}]}}"));
    assert_eq!(&**tensor.shape(), [100_000]);
}
