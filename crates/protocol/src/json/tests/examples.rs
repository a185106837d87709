//! Rows of `tensorflow.Example` in, results out.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use salver_proto::tensorflow::feature::Kind;
use salver_proto::tensorflow::{BytesList, Example, Feature, FloatList, Int64List};
use serde_json::{Value, json};

use super::*;
use crate::inference::{Classifications, Regressions, Results};
use crate::json::examples::{parse_carefully, parse_optimistically};

/// Parses a body that must be right; returns what the model would parse, row by row.
#[track_caller]
fn rows(body: &str) -> Vec<Example> {
    let parsed = parse_examples(body.as_bytes()).expect("a right body");
    let num_bytes = parsed.examples.tensor_bytes();
    let tensor = parsed.examples.into_tensor();
    assert_eq!(tensor.num_bytes(), num_bytes);
    let strings = tensor.as_strings().expect("strings");
    let parse = |row: &Bytes| Example::decode(row.clone()).expect("an example");
    strings.iter().map(parse).collect()
}

/// Parses one feature `x` of one row.
#[track_caller]
fn feature(value: &str) -> Option<Kind> {
    let mut rows = rows(&format!("{{\"examples\": [{{\"x\": {value}}}]}}"));
    let mut features = rows.remove(0).features.expect("features").feature;
    features.remove("x").expect("the feature").kind
}

fn floats(value: &[f32]) -> Option<Kind> {
    let value = value.to_vec();
    Some(Kind::FloatList(FloatList { value }))
}

fn longs(value: &[i64]) -> Option<Kind> {
    let value = value.to_vec();
    Some(Kind::Int64List(Int64List { value }))
}

fn bytes(value: &[&[u8]]) -> Option<Kind> {
    let value = value
        .iter()
        .map(|bytes| Bytes::copy_from_slice(bytes))
        .collect();
    Some(Kind::BytesList(BytesList { value }))
}

#[test]
fn the_first_value_tells_the_kind() {
    let rows = [
        ("2.0", floats(&[2.0])),
        ("[1.5, -2e3]", floats(&[1.5, -2000.0])),
        ("[NaN]", floats(&[f32::NAN])),
        (
            "[-Infinity, 1e99]",
            floats(&[f32::NEG_INFINITY, f32::INFINITY]),
        ),
        (
            "18446744073709551616",
            floats(&[18_446_744_073_709_551_616.0]),
        ),
        ("-9223372036854775809", floats(&[-9.223_372e18])),
        ("2", longs(&[2])),
        (
            "[9223372036854775807, -9223372036854775808, -0]",
            longs(&[i64::MAX, i64::MIN, 0]),
        ),
        ("[true, false, 7]", longs(&[1, 0, 7])),
        (r#""a""#, bytes(&[b"a"])),
        (
            r#"["", "\u00e9\n", {"b64": "AP8="}]"#,
            bytes(&[b"", "é\n".as_bytes(), b"\x00\xff"]),
        ),
        (r#"{"b64": "AP8"}"#, bytes(&[b"\x00\xff"])),
        ("[]", None),
    ];
    for (value, expected) in rows {
        // A NaN is like no other, so what is compared is what is written.
        assert_eq!(
            format!("{:?}", feature(value)),
            format!("{expected:?}"),
            "{value}"
        );
    }
}

#[test]
fn rows_have_their_features_and_those_in_common() {
    let features = |example: &Example| {
        let features = example.features.clone().unwrap_or_default().feature;
        features
            .into_iter()
            .map(|(name, feature)| (name, feature.kind))
            .collect::<Vec<_>>()
    };
    let plain = rows(r#"{"examples": [{"x": 1.0, "y": [2]}, {}, {"x": [3.0], "x": 4}]} trailing"#);
    assert_eq!(
        features(&plain[0]),
        [
            ("x".to_owned(), floats(&[1.0])),
            ("y".to_owned(), longs(&[2]))
        ]
    );
    assert_eq!(features(&plain[1]), []);
    assert_eq!(features(&plain[2]), [("x".to_owned(), longs(&[4]))]);
    for body in [
        r#"{"context": {"c": "all"}, "examples": [{"x": 1.0}, {"c": "one"}]}"#,
        r#"{"examples": [{"x": 1.0}, {"c": "one"}], "other": [{}], "context": {"c": "all"}, "context": 1}"#,
    ] {
        let rows = rows(body);
        assert_eq!(
            features(&rows[0]),
            [
                ("c".to_owned(), bytes(&[b"all"])),
                ("x".to_owned(), floats(&[1.0]))
            ],
            "{body}"
        );
        assert_eq!(
            features(&rows[1]),
            [("c".to_owned(), bytes(&[b"one"]))],
            "{body}"
        );
    }
}

#[test]
fn the_signature_may_be_named() {
    let name = |body: &str| {
        parse_examples(body.as_bytes())
            .expect("right")
            .signature_name
    };
    assert_eq!(name(r#"{"examples": [{}]}"#), None);
    assert_eq!(
        name(r#"{"examples": [{}], "signature_name": "s", "signature_name": 1}"#),
        Some("s".to_owned())
    );
}

/// Bodies that are refused, and in which words.
const REFUSALS: &[(&str, &str)] = &[
    ("", "JSON Parse error: The document is empty"),
    ("[]", "JSON Value: [] Is not object"),
    (
        r#"{"examples": 1, "signature_name": 1, "context": 1}"#,
        "JSON Value: {\n    \"examples\": 1,\n    \"signature_name\": 1,\n    \"context\": 1\n} not formatted \
             correctly. 'signature_name' key must be a string value.",
    ),
    (
        r#"{"context": [], "examples": 1}"#,
        "Example must be JSON object but got JSON Array",
    ),
    (
        r#"{"instances": [1]}"#,
        "JSON Value: {\n    \"instances\": [1]\n} When method is classify, key 'examples' is expected and was not \
             found",
    ),
    (
        r#"{"examples": {}}"#,
        "JSON Value: {\n    \"examples\": {}\n} Expecting 'examples' value to be an list/array",
    ),
    (
        r#"{"examples": []}"#,
        "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array",
    ),
    (
        r#"{"examples": [{}, 1.5]}"#,
        "Example must be JSON object but got JSON Number",
    ),
    (
        r#"{"examples": [{}, "x"]}"#,
        "Example must be JSON object but got JSON String",
    ),
    (
        r#"{"examples": [{"x": null}]}"#,
        "Feature: x has element with unexpected JSON type: Null",
    ),
    (
        r#"{"examples": [{"x": [[1]]}]}"#,
        "Feature: x has element with unexpected JSON type: Array",
    ),
    (
        r#"{"examples": [{"x": {"b64": "AA==", "y": 1}}]}"#,
        "Feature: x has element with unexpected JSON type: Object",
    ),
    (
        r#"{"examples": [{"x": {"b64": "A"}}]}"#,
        "Unable to base64 decode",
    ),
    (
        r#"{"examples": [{"x": [1.5, 1]}]}"#,
        "Unexpected element type in feature: x expecting type: float",
    ),
    (
        r#"{"examples": [{"x": [1, 1.5]}]}"#,
        "Unexpected element type in feature: x expecting type: int64",
    ),
    (
        r#"{"examples": [{"x": ["a", true]}]}"#,
        "Unexpected element type in feature: x expecting type: bytes",
    ),
    (
        r#"{"examples": [{"x": [1, {"b64": "AA=="}]}]}"#,
        "Unexpected element type in feature: x expecting type: int64",
    ),
    (
        r#"{"examples": [{"x": 9223372036854775808}]}"#,
        "Feature: x has uint64_t element. Only int64_t is supported.",
    ),
    (
        r#"{"examples": [{"x": null}], "later": [1,]}"#,
        "JSON Parse error: Invalid value. at offset: 40",
    ),
];

#[test]
fn what_is_no_example_is_refused() {
    for &(body, expected) in REFUSALS {
        let error = parse_examples(body.as_bytes()).expect_err(body);
        assert_eq!(
            error,
            JsonError::InvalidArgument(expected.to_owned()),
            "{body}"
        );
    }
}

#[test]
fn results_are_laid_out_as_clients_know_them() {
    let check = |results: &Results<'_>, expected: &str| {
        let mut out = b"before".to_vec();
        encode_results(results, &mut out);
        assert_eq!(
            String::from_utf8(out).expect("UTF-8"),
            format!("before{expected}")
        );
    };
    let scores = Tensor::from_vec([2, 2], vec![3.0_f32, 0.25, 9e6, f32::NAN]).expect("four");
    let labels = [&b"a"[..], b"b\"", b"", b"d"]
        .map(Bytes::from_static)
        .to_vec();
    let labels = Tensor::from_strings([2, 2], labels).expect("four");
    let classify = |classes, scores| {
        Results::Classifications(Classifications::new(classes, scores, 2).expect("of the form"))
    };
    check(
        &classify(None, Some(&scores)),
        "{\n    \"results\": [[[\"\", 3.0], [\"\", 0.25]], [[\"\", 9e+06], [\"\", NaN]]\n    ]\n}",
    );
    check(
        &classify(Some(&labels), Some(&scores)),
        "{\n    \"results\": [[[\"a\", 3.0], [\"b\\\"\", 0.25]], [[\"\", 9e+06], [\"d\", NaN]]\n    ]\n}",
    );
    check(
        &classify(Some(&labels), None),
        "{\n    \"results\": [[[\"a\", 0.0], [\"b\\\"\", 0.0]], [[\"\", 0.0], [\"d\", 0.0]]\n    ]\n}",
    );
    let values = Tensor::from_vec([2], vec![3.0_f32, 3.5]).expect("two");
    let values = Regressions::new(&values, 2).expect("of the form");
    check(
        &Results::Regressions(values),
        "{\n    \"results\": [3.0, 3.5]\n}",
    );
}

/// Values of one kind, and how JSON writes them.
fn kinds() -> impl Strategy<Value = (Kind, Value)> {
    let longs = prop::collection::vec(any::<i64>(), 1..5).prop_map(|value| {
        let json = json!(value);
        (Kind::Int64List(Int64List { value }), json)
    });
    // A float without a fraction would be written as an integer.
    let halves = (-1_000_000..1_000_000_i32).prop_map(|whole| whole as f32 + 0.5);
    let floats = prop::collection::vec(halves, 1..5).prop_map(|value| {
        let json = json!(value);
        (Kind::FloatList(FloatList { value }), json)
    });
    let text = prop::collection::vec(any::<String>(), 1..5).prop_map(|texts| {
        let json = json!(texts);
        let value = texts.into_iter().map(Bytes::from).collect();
        (Kind::BytesList(BytesList { value }), json)
    });
    let bytes = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 1..5);
    let bytes = bytes.prop_map(|values| {
        let objects: Vec<Value> = values
            .iter()
            .map(|bytes| json!({ "b64": STANDARD.encode(bytes) }))
            .collect();
        let value = values.into_iter().map(Bytes::from).collect();
        (Kind::BytesList(BytesList { value }), json!(objects))
    });
    prop_oneof![longs, floats, text, bytes]
}

/// A row, and how JSON writes it; a single value may do without its list.
fn written_rows() -> impl Strategy<Value = (Example, Value)> {
    let feature = (kinds(), any::<bool>());
    prop::collection::btree_map("[a-zé\"]{0,6}", feature, 0..5).prop_map(|features| {
        let mut example = Example::default();
        let mut json = serde_json::Map::new();
        for (name, ((kind, values), is_bare)) in features {
            let value = match values.as_array().map(Vec::as_slice) {
                Some([only]) if is_bare => only.clone(),
                _ => values,
            };
            json.insert(name.clone(), value);
            let features = example.features.get_or_insert_default();
            features.feature.insert(name, Feature { kind: Some(kind) });
        }
        (example, Value::Object(json))
    })
}

proptest! {
    #[test]
    fn what_json_writes_generated_code_reads(
        written in prop::collection::vec(written_rows(), 1..6),
        context in prop::option::of(written_rows()),
    ) {
        let mut body = json!({ "examples": written.iter().map(|(_, json)| json.clone()).collect::<Vec<_>>() });
        if let Some((_, json)) = &context {
            body["context"] = json.clone();
        }
        let expected: Vec<Example> = written
            .into_iter()
            .map(|(row, _)| {
                let mut merged = context.clone().map(|(context, _)| context).unwrap_or_default();
                merged.merge(&row.encode_to_vec()[..]).expect("encoded just now");
                merged
            })
            .collect();
        prop_assert_eq!(rows(&body.to_string()), expected);
    }

    #[test]
    fn both_ways_of_reading_agree(
        key in "examples|context|x",
        values in prop::collection::vec(
            "null|true|-?[0-9]{1,20}|[0-9]\\.[0-9]|\"[a-z]{0,3}\"|\\{\"b64\": \"(AA==|A)\"\\}|\\[\\]|\\{\\}",
            0..4,
        ),
        cut in 0_usize..80,
    ) {
        let body = format!(
            "{{\"{key}\": {{\"c\": 1}}, \"examples\": [{{\"x\": [{}]}}, {{\"y\": 1.5}}]}}",
            values.join(", ")
        );
        for body in [&body[..], body.get(..cut).unwrap_or_default()] {
            let carefully = parse_carefully(body.as_bytes());
            let optimistically = parse_optimistically(body.as_bytes());
            prop_assert_eq!(optimistically.is_some(), carefully.is_ok());
            if let (Some(a), Ok(b)) = (optimistically, carefully) {
                prop_assert!(a.examples.into_tensor() == b.examples.into_tensor());
            }
        }
    }
}
