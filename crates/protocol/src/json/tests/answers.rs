//! Answers: layout, strings, what cannot be written.

use bytes::Bytes;

use super::*;

#[track_caller]
fn check(format: Format, outputs: &[(&str, &Tensor)], expected: &str) {
    let mut out = b"before".to_vec();
    encode_predict(format, outputs, &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), format!("before{expected}"));
}

#[track_caller]
fn check_refusal(format: Format, outputs: &[(&str, &Tensor)], expected: &str) {
    let mut out = b"before".to_vec();
    let error = encode_predict(format, outputs, &mut out).unwrap_err();
    assert_eq!(error, JsonError::InvalidArgument(expected.to_owned()));
    assert_eq!(out, b"before");
}

fn floats<const N: usize>(shape: [usize; N], elements: &[f32]) -> Tensor {
    Tensor::from_vec(shape, elements.to_vec()).unwrap()
}

fn strings<const N: usize>(shape: [usize; N], elements: &[&'static [u8]]) -> Tensor {
    Tensor::from_strings(
        shape,
        elements
            .iter()
            .map(|text| Bytes::from_static(text))
            .collect(),
    )
    .unwrap()
}

#[test]
fn one_output_is_bare() {
    let y = floats([3], &[2.5, 3.0, 4.5]);
    check(
        Format::Row,
        &[("y", &y)],
        "{\n    \"predictions\": [2.5, 3.0, 4.5\n    ]\n}",
    );
    check(
        Format::Columnar,
        &[("y", &y)],
        "{\n    \"outputs\": [\n        2.5,\n        3.0,\n        4.5\n    ]\n}",
    );
    let column = floats([3, 1], &[2.5, 3.0, 4.5]);
    check(
        Format::Row,
        &[("y", &column)],
        "{\n    \"predictions\": [[2.5], [3.0], [4.5]\n    ]\n}",
    );
    let cube = floats([1, 2, 2], &[1.0, 2.0, 3.0, 4.0]);
    check(
        Format::Row,
        &[("y", &cube)],
        "{\n    \"predictions\": [[[1.0, 2.0], [3.0, 4.0]]\n    ]\n}",
    );
    check(
        Format::Columnar,
        &[("y", &floats([2, 1], &[1.0, 2.0]))],
        r#"{
    "outputs": [
        [
            1.0
        ],
        [
            2.0
        ]
    ]
}"#,
    );
    check(
        Format::Columnar,
        &[("y", &floats([2, 0], &[]))],
        "{\n    \"outputs\": [\n        [],\n        []\n    ]\n}",
    );
    check(
        Format::Columnar,
        &[("y", &floats([], &[1.0]))],
        "{\n    \"outputs\": 1.0\n}",
    );
    check(
        Format::Row,
        &[("y", &floats([0, 2], &[]))],
        "{\n    \"predictions\": []\n}",
    );
    check(
        Format::Row,
        &[("y", &floats([2, 0], &[]))],
        "{\n    \"predictions\": [[], []\n    ]\n}",
    );
}

#[test]
fn several_outputs_are_objects() {
    let (a, b) = (floats([2], &[8.0, 9.0]), strings([2, 1], &[b"foo", b"bar"]));
    check(
        Format::Row,
        &[("a", &a), ("b", &b)],
        r#"{
    "predictions": [
        {
            "a": 8.0,
            "b": ["foo"]
        },
        {
            "a": 9.0,
            "b": ["bar"]
        }
    ]
}"#,
    );
    check(
        Format::Columnar,
        &[("a", &a), ("b", &b)],
        r#"{
    "outputs": {
        "a": [
            8.0,
            9.0
        ],
        "b": [
            [
                "foo"
            ],
            [
                "bar"
            ]
        ]
    }
}"#,
    );
    let none = floats([0], &[]);
    check(
        Format::Row,
        &[("a", &none), ("b", &none)],
        "{\n    \"predictions\": []\n}",
    );
}

#[test]
fn strings_are_text_unless_the_alias_says_bytes() {
    let y = strings([2], &[b"hello", b"\x00\xff\""]);
    let mut out = Vec::new();
    encode_predict(Format::Row, &[("y", &y)], &mut out).unwrap();
    assert_eq!(
        out,
        b"{\n    \"predictions\": [\"hello\", \"\\u0000\xff\\\"\"\n    ]\n}"
    );
    check(
        Format::Row,
        &[("y_bytes", &y)],
        r#"{
    "predictions": [{
            "b64": "aGVsbG8="
        }, {
            "b64": "AP8i"
        }
    ]
}"#,
    );
    check(
        Format::Columnar,
        &[("_bytes", &strings([], &[b""]))],
        "{\n    \"outputs\": {\n        \"b64\": \"\"\n    }\n}",
    );
    check(
        Format::Row,
        &[
            ("y_bytes", &strings([1, 1], &[b"\x00"])),
            ("z", &strings([1], &[b"z"])),
        ],
        r#"{
    "predictions": [
        {
            "y_bytes": [{
                    "b64": "AA=="
                }],
            "z": "z"
        }
    ]
}"#,
    );
}

#[test]
fn what_has_no_form_is_refused() {
    let half = Tensor::from_vec([1], vec![half::f16::ONE]).unwrap();
    let complex = Tensor::from_vec([1], vec![[1.0_f32, 2.0]]).unwrap();
    let u16 = Tensor::from_vec([1], vec![1_u16]).unwrap();
    for (tensor, word) in [(&half, "half"), (&complex, "complex64"), (&u16, "uint16")] {
        let expected = format!("Failed to write JSON value for tensor type: {word}");
        check_refusal(Format::Row, &[("y", tensor)], &expected);
        check_refusal(Format::Columnar, &[("y", tensor)], &expected);
    }
    check_refusal(Format::Row, &[], "Cannot convert empty tensor map to JSON");
}

#[test]
fn rows_need_a_batch_axis_of_one_size() {
    let (scalar, one, two) = (
        floats([], &[1.0]),
        floats([1], &[1.0]),
        floats([2], &[1.0, 2.0]),
    );
    check_refusal(
        Format::Row,
        &[("y", &scalar)],
        "Tensor name: y has no shape information ",
    );
    check_refusal(
        Format::Row,
        &[("a", &two), ("b", &one)],
        "Tensor name: b has inconsistent batch size: 1 expecting: 2",
    );
    check_refusal(
        Format::Row,
        &[("a", &two), ("b", &scalar)],
        "Tensor name: b has no shape information ",
    );
}

#[test]
fn errors_are_escaped() {
    let mut out = Vec::new();
    encode_error(
        "Could not find \"a\\b\"\n\t\u{8}\u{c}\r\u{1}\u{1f}\u{7f}ä",
        &mut out,
    );
    let expected = r#"{
    "error": "Could not find \"a\\b\"\n\t\b\f\r\u0001\u001F"#;
    assert_eq!(
        String::from_utf8(out).unwrap(),
        format!("{expected}\u{7f}ä\"\n}}")
    );
}
