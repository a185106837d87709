use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use prost::Message;
use salver_proto::tensorflow::serving as proto;
use salver_wire::Writer;

use super::*;
use crate::VersionChoice;
use crate::rope::Rope;
use crate::tensor_proto::TensorStyle;
use crate::tensor_proto::tests::{any_lens, any_style, any_tensor, frames};

/// Enough for every message of these tests.
const ROOM: usize = 1 << 24;

fn any_model() -> impl Strategy<Value = ModelSpec> {
    let version = prop_oneof![
        Just(VersionChoice::Latest),
        any::<i64>().prop_map(VersionChoice::Version),
        Just(VersionChoice::Version(0)),
        ".{0,5}".prop_map(VersionChoice::Label),
    ];
    (".{0,5}", version, ".{0,5}").prop_map(|(name, version, signature_name)| ModelSpec {
        name,
        version,
        signature_name,
    })
}

/// Names are not empty: those, protobuf's own implementations write in two ways.
fn any_tensors() -> impl Strategy<Value = BTreeMap<String, Tensor>> {
    prop::collection::btree_map(".{1,4}", any_tensor(), 0..4)
}

fn borrowed(tensors: &BTreeMap<String, Tensor>) -> Vec<(&str, &Tensor)> {
    tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor))
        .collect()
}

proptest! {
    #[test]
    fn requests_come_back(
        model in any_model(),
        inputs in any_tensors(),
        filter in prop::collection::vec(".{0,4}", 0..3),
        style in any_style(),
        lens in any_lens(),
    ) {
        let filter_view: Vec<&str> = filter.iter().map(String::as_str).collect();
        let mut bytes = BytesMut::new();
        encode_request(&model, &borrowed(&inputs), &filter_view, style, &mut bytes);
        prop_assert_eq!(model_of(frames(&bytes, &lens)), Ok(Some(model.clone())));
        let decoded = decode_request(frames(&bytes, &lens), ROOM).expect("valid");
        let inputs = inputs.into_iter().map(|(name, tensor)| (name, Ok(tensor))).collect();
        prop_assert_eq!(decoded, PredictRequest { model: Some(model), inputs, output_filter: filter });
        let generated = proto::PredictRequest::decode(&bytes[..]).expect("legal");
        prop_assert_eq!(generated.encoded_len(), bytes.len());
    }

    #[test]
    fn responses_come_back(model in any_model(), version in any::<i64>(), outputs in any_tensors(), style in any_style()) {
        let echo = ModelSpecEcho { name: &model.name, version, signature_name: &model.signature_name };
        let mut bytes = BytesMut::from("before");
        encode_response(&echo, &borrowed(&outputs), style, &mut bytes);
        let bytes = &bytes["before".len()..];
        let decoded = decode_response(bytes, ROOM).expect("valid");
        let model = ModelSpec { version: VersionChoice::Version(version), ..model };
        let outputs = outputs.into_iter().map(|(name, tensor)| (name, Ok(tensor))).collect();
        prop_assert_eq!(decoded, PredictResponse { model: Some(model), outputs });
        let generated = proto::PredictResponse::decode(bytes).expect("legal");
        prop_assert_eq!(generated.encode_to_vec(), bytes, "the very bytes that generated code writes");
    }

    #[test]
    fn random_bytes_do_not_panic_and_frames_do_not_matter(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..0x20], 0..150),
        lens in any_lens(),
    ) {
        let request = decode_request(&bytes[..], ROOM);
        prop_assert_eq!(&request, &decode_request(frames(&bytes, &lens), ROOM));
        let model = model_of(frames(&bytes, &lens));
        if let Ok(request) = request {
            prop_assert_eq!(model, Ok(request.model));
        }
        prop_assert_eq!(decode_response(&bytes[..], ROOM), decode_response(frames(&bytes, &lens), ROOM));
    }
}

/// Writes an entry of a request's inputs: a name and a tensor of one float.
fn input(writer: &mut Writer<Vec<u8>>, name: &str, value: f32) {
    writer.nested(field::REQUEST_INPUTS, |entry| {
        entry.bytes_field(field::KEY, name.as_bytes());
        entry.nested(field::VALUE, |tensor| {
            tensor.varint_field(1, 1);
            tensor.fixed32_field(5, value.to_bits());
        });
    });
}

fn decoded(write: impl FnOnce(&mut Writer<Vec<u8>>)) -> Result<PredictRequest, DecodeError> {
    let mut writer = Writer::new(Vec::new());
    write(&mut writer);
    let message = Rope::from(Bytes::from(writer.into_inner()));
    let request = decode_request(message.clone(), ROOM);
    if let Ok(request) = &request {
        assert_eq!(model_of(message).as_ref(), Ok(&request.model));
    }
    request
}

#[test]
fn the_last_of_equal_names_wins() {
    let request = decoded(|writer| {
        input(writer, "x", 1.0);
        input(writer, "y", 2.0);
        input(writer, "x", 3.0);
    });
    let inputs = request.expect("valid").inputs;
    let names: Vec<&str> = inputs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["y", "x"]);
    assert_eq!(
        inputs[1]
            .1
            .as_ref()
            .expect("valid")
            .as_slice::<f32>()
            .expect("floats"),
        [3.0]
    );
}

#[test]
fn a_model_spec_is_merged_and_the_last_choice_of_version_wins() {
    let request = decoded(|writer| {
        writer.nested(field::REQUEST_MODEL_SPEC, |spec| {
            spec.bytes_field(1, b"m");
            spec.bytes_field(4, b"stable");
        });
        writer.nested(field::REQUEST_MODEL_SPEC, |spec| {
            spec.nested(2, |version| version.varint_field(1, 5));
            spec.nested(2, |_| {});
            spec.bytes_field(3, b"s");
        });
    });
    let expected = ModelSpec {
        name: "m".into(),
        version: VersionChoice::Version(5),
        signature_name: "s".into(),
    };
    assert_eq!(request.expect("valid").model, Some(expected));
}

#[test]
fn unknown_fields_and_a_missing_model_are_no_errors() {
    let request = decoded(|writer| {
        writer.bytes_field(5, b"streaming options");
        writer.fixed64_field(99, 1);
        input(writer, "x", 1.0);
    });
    let request = request.expect("valid");
    assert_eq!(request.model, None);
    assert_eq!(request.inputs.len(), 1);
}

#[test]
fn a_model_is_not_looked_for_among_endless_fields() {
    for (num_fields, is_found) in [(10, true), (4094, true), (4096, false), (1 << 20, false)] {
        let mut writer = Writer::new(Vec::new());
        writer.nested(field::REQUEST_MODEL_SPEC, |spec| spec.bytes_field(1, b"m"));
        for _ in 0..num_fields {
            writer.varint_field(99, 1);
        }
        let found = model_of(&writer.into_inner()[..]).expect("legal");
        assert_eq!(found.is_some(), is_found, "{num_fields}");
    }
}

#[test]
fn names_must_be_utf8() {
    let invalid = DecodeError::Wire(WireError::InvalidUtf8);
    for write in [
        |writer: &mut Writer<Vec<u8>>| writer.bytes_field(field::REQUEST_OUTPUT_FILTER, &[0xff]),
        |writer: &mut Writer<Vec<u8>>| {
            writer.nested(field::REQUEST_MODEL_SPEC, |spec| {
                spec.bytes_field(1, &[0xff])
            })
        },
        |writer: &mut Writer<Vec<u8>>| {
            writer.nested(field::REQUEST_INPUTS, |entry| entry.bytes_field(1, &[0xc0]))
        },
    ] {
        assert_eq!(decoded(write), Err(invalid.clone()));
    }
}

#[test]
fn a_faulty_tensor_does_not_spoil_its_request() {
    let request = decoded(|writer| {
        writer.nested(field::REQUEST_INPUTS, |entry| {
            entry.bytes_field(field::KEY, b"empty")
        });
        input(writer, "x", 1.0);
    });
    let inputs = request.expect("valid").inputs;
    assert_eq!(
        inputs[0],
        (
            "empty".into(),
            Err(TensorProtoError::UnsupportedDType { data_type: 0 })
        )
    );
    assert!(inputs[1].1.is_ok());
}

#[test]
fn all_tensors_share_the_room() {
    let mut writer = Writer::new(Vec::new());
    input(&mut writer, "x", 1.0);
    input(&mut writer, "y", 2.0);
    let bytes = writer.into_inner();
    let inputs = decode_request(&bytes[..], 7).expect("valid").inputs;
    assert!(inputs[0].1.is_ok());
    assert_eq!(
        inputs[1].1,
        Err(TensorProtoError::TooLarge { max_bytes: 3 })
    );
}

#[test]
fn many_empty_entries_are_refused() {
    for entry in [[0x12, 0], [0x1a, 0]] {
        let fits = entry.repeat(MAX_ENTRIES);
        assert!(decode_request(&fits[..], ROOM).is_ok());
        let surplus = entry.repeat(MAX_ENTRIES + 1);
        let refused = DecodeError::TooManyEntries { max: MAX_ENTRIES };
        assert_eq!(decode_request(&surplus[..], ROOM), Err(refused));
    }
}

#[test]
fn golden_response() {
    let tensor = Tensor::from_vec([1], vec![2.5_f32]).expect("fits");
    let echo = ModelSpecEcho {
        name: "half_plus_two",
        version: 123,
        signature_name: "serving_default",
    };
    let mut bytes = BytesMut::new();
    encode_response(&echo, &[("y", &tensor)], TensorStyle::Fields, &mut bytes);
    let expected =
        b"\x0a\x13\x0a\x01y\x12\x0e\x08\x01\x12\x04\x12\x02\x08\x01\x2a\x04\x00\x00\x20\x40\
        \x12\x24\x0a\x0dhalf_plus_two\x12\x02\x08\x7b\x1a\x0fserving_default";
    assert_eq!(&bytes[..], expected);
}
