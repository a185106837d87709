//! Bodies that are right.

use std::cell::RefCell;

use super::*;

/// Checks shape and elements of the only input.
#[track_caller]
fn check<T: salver_tensor::Element + PartialEq + std::fmt::Debug>(
    body: &str,
    shape: &[usize],
    elements: &[T],
) {
    let tensor = parse_one(T::DTYPE, body);
    assert_eq!(&**tensor.shape(), shape, "{body}");
    assert_eq!(tensor.as_slice::<T>().unwrap(), elements, "{body}");
}

#[track_caller]
fn check_strings(body: &str, shape: &[usize], elements: &[&[u8]]) {
    let tensor = parse_one(DType::String, body);
    assert_eq!(&**tensor.shape(), shape, "{body}");
    assert_eq!(tensor.as_strings().unwrap(), elements, "{body}");
}

#[test]
fn row_form_puts_the_batch_axis_in_front() {
    check(
        r#"{"instances": [1.0, 2.0, 5.0]}"#,
        &[3],
        &[1.0_f32, 2.0, 5.0],
    );
    check(
        r#"{"instances": [[1, 2], [3, 4], [5, 6]]}"#,
        &[3, 2],
        &[1_i32, 2, 3, 4, 5, 6],
    );
    check(r#"{"instances": [[[1],[2]]]}"#, &[1, 2, 1], &[1_i64, 2]);
    check(r#"{"instances": [[],[]]}"#, &[2, 0], &[0_f32; 0]);
    check(r#"{"instances": [{"x": 1}, {"x": 2}]}"#, &[2], &[1_u8, 2]);
    check(r#"{"instances": [{"x": [1, 2]}]}"#, &[1, 2], &[1_f64, 2.0]);
}

#[test]
fn columnar_form_takes_the_value_as_it_is() {
    check(r#"{"inputs": [1.0, 2.0, 5.0]}"#, &[3], &[1.0_f32, 2.0, 5.0]);
    check(r#"{"inputs": 7}"#, &[], &[7_i32]);
    check(r#"{"inputs": {"x": 7}}"#, &[], &[7_i32]);
    check(r#"{"inputs": {"x": [[1], [2]]}}"#, &[2, 1], &[1_u32, 2]);
    check(r#"{"inputs": []}"#, &[0], &[0_f32; 0]);
    check(r#"{"inputs": [[[]], [[]]]}"#, &[2, 1, 0], &[0_f32; 0]);
}

#[test]
fn space_is_allowed_between_all_tokens() {
    let spaced = " \n{ \"instances\" \t:\r[ [ 1 , 2.5e0 ] ,\n [ 3 , -4 ] ] , \"more\" : { } } ";
    check(spaced, &[2, 2], &[1.0_f32, 2.5, 3.0, -4.0]);
    check(
        "{\"instances\":[[1,2.5],[3,-4]]}",
        &[2, 2],
        &[1.0_f32, 2.5, 3.0, -4.0],
    );
    check(
        "{\"inputs\": [1 ,2, 3,\t4,  5 , 6]}",
        &[6],
        &[1_u8, 2, 3, 4, 5, 6],
    );
    check("\u{feff}{\"inputs\": 1}", &[], &[1_u8]);
}

#[test]
fn bytes_behind_the_object_do_not_matter() {
    check(r#"{"inputs": 1} and more"#, &[], &[1_u8]);
    check(r#"{"inputs": 1}}]"#, &[], &[1_u8]);
    assert_eq!(check_predict(b"{}\0\xff"), Ok(()));
}

#[test]
fn the_first_of_duplicate_keys_wins() {
    check(
        r#"{"inputs": 1, "inputs": "x", "inputs": [2]}"#,
        &[],
        &[1_u8],
    );
    check(r#"{"inputs": {"x": 1, "x": "bad"}}"#, &[], &[1_u8]);
    check(
        r#"{"instances": [{"x": 1, "x": [2]}, {"x": 3}]}"#,
        &[2],
        &[1_u8, 3],
    );
    check(
        r#"{"signature_name": "", "signature_name": 5, "inputs": 1}"#,
        &[],
        &[1_u8],
    );
    check(r#"{"inputs": 1, "in\u0070uts": 2}"#, &[], &[1_u8]);
}

#[test]
fn unknown_keys_are_skipped_wherever_they_are() {
    check(
        r#"{"a": {"inputs": [1, {"b": null}]}, "inputs": 1, "z": [[{}], "]"]}"#,
        &[],
        &[1_u8],
    );
    check(
        r#"{"inputs": {"y": [1, "}"], "x": 2, "z": {"x": 3}}}"#,
        &[],
        &[2_u8],
    );
}

#[test]
fn several_inputs_in_row_form_interleave_into_one_tensor_each() {
    let inputs = [("a", DType::I32), ("b", DType::String)];
    let body = r#"{"instances": [
        {"a": [1, 2], "b": "one"},
        {"b": {"b64": "dHdv"}, "a": [3, 4]},
        {"a": [5, 6], "b": "three"}
    ]}"#;
    let parsed = parse(&inputs, body).unwrap();
    assert_eq!(parsed.format, Format::Row);
    assert_eq!(parsed.signature_name, None);
    assert_eq!(&**parsed.inputs[0].shape(), [3, 2]);
    assert_eq!(
        parsed.inputs[0].as_slice::<i32>().unwrap(),
        [1, 2, 3, 4, 5, 6]
    );
    assert_eq!(&**parsed.inputs[1].shape(), [3]);
    assert_eq!(
        parsed.inputs[1].as_strings().unwrap(),
        ["one", "two", "three"]
    );
}

#[test]
fn several_inputs_in_columnar_form_come_in_the_order_of_the_signature() {
    let inputs = [("a", DType::F32), ("b", DType::Bool)];
    let parsed = parse(&inputs, r#"{"inputs": {"b": [true, false], "a": 0.5}}"#).unwrap();
    assert_eq!(parsed.format, Format::Columnar);
    assert_eq!(parsed.inputs[0].as_slice::<f32>().unwrap(), [0.5]);
    assert_eq!(parsed.inputs[1].as_bytes().unwrap().as_ref(), [1, 0]);
    assert_eq!(parsed.inputs[1].dtype(), DType::Bool);
}

#[test]
fn strings_are_bytes() {
    check_strings(
        r#"{"instances": ["a", "", "\u00e4\n\"\\\/"]}"#,
        &[3],
        &[b"a", b"", "ä\n\"\\/".as_bytes()],
    );
    check_strings(
        r#"{"inputs": "\ud83d\ude00\u0000"}"#,
        &[],
        &["😀\0".as_bytes()],
    );
    check_strings(r#"{"inputs": "\udc00"}"#, &[], &[b"\xed\xb0\x80"]);
    let raw = [br#"{"inputs": ""#.as_slice(), b"\xff\xfe", br#""}"#].concat();
    assert_eq!(
        parse_one(DType::String, raw).as_strings().unwrap(),
        [&b"\xff\xfe"[..]]
    );
}

#[test]
fn base64_objects_are_values() {
    check_strings(r#"{"instances": [{"b64": "aGVsbG8="}]}"#, &[1], &[b"hello"]);
    check_strings(
        r#"{"instances": [{"b64": "aGVsbG8"}, {"b64": "/+=="}]}"#,
        &[2],
        &[b"hello", b"\xff"],
    );
    check_strings(
        r#"{"instances": [[{"b64": "aGVsbG8="}, "plain"]]}"#,
        &[1, 2],
        &[b"hello", b"plain"],
    );
    check_strings(
        r#"{"instances": [{"x": {"b64": "aGVs\nbG8="}}]}"#,
        &[1],
        &[b"hello"],
    );
    check_strings(r#"{"inputs": { "b64" : "aGVs bG8=" } }"#, &[], &[b"hello"]);
    check_strings(
        r#"{"inputs": {"x": [{"b\u0036\u0034": ""}]}}"#,
        &[1],
        &[b""],
    );
    check_strings(
        r#"{"instances": ["a", {"b64": "Yg=="}, "c"]}"#,
        &[3],
        &[b"a", b"b", b"c"],
    );
}

#[test]
fn an_input_may_be_called_b64() {
    let parsed = parse(
        &[("b64", DType::F32)],
        r#"{"instances": [{"b64": [1]}, {"b64": [2]}]}"#,
    )
    .unwrap();
    assert_eq!(parsed.inputs[0].as_slice::<f32>().unwrap(), [1.0, 2.0]);
}

#[test]
fn booleans_are_only_true_and_false() {
    let tensor = parse_one(
        DType::Bool,
        r#"{"instances": [[true, false], [false, true]]}"#,
    );
    assert_eq!(tensor.as_bytes().unwrap().as_ref(), [1, 0, 0, 1]);
}

#[test]
fn the_signature_may_be_named_before_or_after_the_values() {
    let (default, other) = (specs(&[("x", DType::F32)]), specs(&[("s", DType::String)]));
    let asked = RefCell::new(Vec::new());
    let lookup = |name: &str| {
        asked.borrow_mut().push(name.to_owned());
        match name {
            "" | "serving_default" => Some(default.as_slice()),
            "other" => Some(other.as_slice()),
            _ => None,
        }
    };
    for body in [
        r#"{"signature_name": "other", "instances": ["a"]}"#,
        r#"{"instances": ["a"], "signature_name": "other"}"#,
        r#"{"instances": [{"s": "a"}], "signature_name": "oth\u0065r"}"#,
    ] {
        let parsed = parse_predict(body.as_bytes(), lookup).unwrap();
        assert_eq!(parsed.signature_name.as_deref(), Some("other"));
        assert_eq!(parsed.inputs[0].as_strings().unwrap(), ["a"], "{body}");
    }
    // What fits the default signature too must not be taken for it.
    let number = parse_predict(br#"{"instances": [1], "signature_name": "other"}"#, lookup);
    assert!(number.is_err());
    let parsed = parse_predict(
        br#"{"instances": [1], "signature_name": "serving_default"}"#,
        lookup,
    )
    .unwrap();
    assert_eq!(parsed.inputs[0].dtype(), DType::F32);
    assert!(asked.borrow().iter().any(String::is_empty));
}

#[test]
fn dtypes_without_a_form_in_json_can_still_be_empty() {
    let tensor = parse_one(DType::F16, r#"{"inputs": [[]]}"#);
    assert_eq!(
        (tensor.dtype(), &**tensor.shape()),
        (DType::F16, &[1, 0][..])
    );
}

#[test]
fn buffers_start_at_64_bytes() {
    let numbers = vec!["1.5"; 10_000].join(",");
    let tensor = parse_one(DType::F32, format!("{{\"instances\": [{numbers}]}}"));
    assert_eq!(tensor.as_slice::<f32>().unwrap().as_ptr().addr() % 64, 0);
}
