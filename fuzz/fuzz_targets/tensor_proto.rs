//! Decodes a `PredictRequest` from random bytes in random frames, and what was decoded again after encoding it.
//!
//! The first byte of the input chooses how the rest is cut into frames and in which style it is encoded again.

#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use salver_protocol::predict::{self, PredictRequest};
use salver_protocol::rope::Rope;
use salver_protocol::tensor_proto::TensorStyle;
use salver_tensor::Tensor;

/// How much the tensors of one request may take, in bytes: well under the fuzzer's own limit on memory.
const ROOM_BYTES: usize = 16 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, message)) = input.split_first() else {
        return;
    };
    let frame_len = usize::from(choice >> 1) + 1;
    let style = if choice & 1 == 0 {
        TensorStyle::Fields
    } else {
        TensorStyle::Content
    };

    let whole = predict::decode_request(message, ROOM_BYTES);
    let framed: Rope = message
        .chunks(frame_len)
        .map(Bytes::copy_from_slice)
        .collect();
    assert_eq!(
        predict::decode_request(framed, ROOM_BYTES),
        whole,
        "frames do not matter"
    );

    let Ok(request) = whole else { return };
    let model = predict::model_of(message).expect("its fields can be read");
    assert!(model.is_none() || model == request.model);
    let first = without_faulty_tensors(request);
    let encoded = encode(&first, style);
    let second =
        predict::decode_request(&encoded[..], ROOM_BYTES).expect("what was encoded can be decoded");
    assert_eq!(second, first);
});

/// Faulty tensors cannot be encoded again.
fn without_faulty_tensors(mut request: PredictRequest) -> PredictRequest {
    request.inputs.retain(|(_, tensor)| tensor.is_ok());
    request.model.get_or_insert_default();
    request
}

fn encode(request: &PredictRequest, style: TensorStyle) -> BytesMut {
    let inputs: Vec<(&str, &Tensor)> = request
        .inputs
        .iter()
        .filter_map(|(name, tensor)| Some((name.as_str(), tensor.as_ref().ok()?)))
        .collect();
    let filter: Vec<&str> = request.output_filter.iter().map(String::as_str).collect();
    let model = request.model.as_ref().expect("set by the caller");
    let mut encoded = BytesMut::new();
    predict::encode_request(model, &inputs, &filter, style, &mut encoded);
    encoded
}
