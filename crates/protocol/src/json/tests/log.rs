//! Log lines: one line each, and text whatever the strings hold.

use bytes::Bytes;
use prost::Message as _;
use salver_proto::tensorflow::feature::Kind;
use salver_proto::tensorflow::{BytesList, Example, Feature, Features, FloatList, Int64List};

use super::*;
use crate::json::log;

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("a line is text, whatever it holds")
}

#[test]
fn tensors_are_members_of_an_object_on_one_line() {
    let x = Tensor::from_vec([2, 1], vec![1.5_f32, f32::NAN]).expect("fits");
    let scalar = Tensor::from_vec([], vec![7_i64]).expect("fits");
    let words = [&b"a\nb"[..], b""].map(Bytes::from_static).to_vec();
    let words = Tensor::from_strings([2], words).expect("fits");
    let picture = vec![Bytes::from_static(b"\xff\xd8"), Bytes::from_static(b"ok")];
    let picture = Tensor::from_strings([2], picture).expect("fits");
    let half = Tensor::from_vec([1], vec![half::f16::ONE]).expect("fits");
    let tensors = [
        ("x", &x),
        ("n", &scalar),
        ("w", &words),
        ("p", &picture),
        ("h", &half),
    ];
    assert_eq!(
        text(|out| log::write_tensors(&tensors, out)),
        r#"{"x":[[1.5], [NaN]],"n":7,"w":["a\nb", ""],"p":[{"b64": "/9g="}, {"b64": "b2s="}],"h":null}"#
    );
}

#[test]
fn examples_are_objects_of_features() {
    let feature = |kind| Feature { kind: Some(kind) };
    let bytes = Kind::BytesList(BytesList {
        value: vec![Bytes::from_static(b"a"), Bytes::from_static(b"\xff")],
    });
    let features = [
        ("b", feature(bytes)),
        (
            "f",
            feature(Kind::FloatList(FloatList {
                value: vec![0.5, 2.0],
            })),
        ),
        ("i", feature(Kind::Int64List(Int64List { value: vec![-3] }))),
        ("n", Feature { kind: None }),
    ];
    let example = Example {
        features: Some(Features {
            feature: features
                .map(|(name, feature)| (name.to_owned(), feature))
                .into(),
        }),
    };
    let rows = [
        example.encode_to_vec().into(),
        Bytes::from_static(b"\x0a\xff"),
    ];
    assert_eq!(
        text(|out| log::write_examples(&rows, out)),
        r#"[{"b":["a",{"b64": "/w=="}],"f":[0.5,2.0],"i":[-3],"n":[]},{"b64": "Cv8="}]"#
    );
}

#[test]
fn texts_are_escaped() {
    assert_eq!(
        text(|out| log::write_text("a\"\u{1}é", out)),
        "\"a\\\"\\u0001é\""
    );
}
