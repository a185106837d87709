//! Reads a message as a request with rows, in frames of a size that its first byte tells, and makes the rows' tensor.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use salver_protocol::inference::{decode_multi, decode_request};
use salver_protocol::predict::model_of;
use salver_protocol::rope::Rope;

fuzz_target!(|bytes: &[u8]| {
    let Some((&frame, message)) = bytes.split_first() else {
        return;
    };
    let rope: Rope = message
        .chunks(usize::from(frame).max(1))
        .map(Bytes::copy_from_slice)
        .collect();
    let whole = Rope::from(Bytes::copy_from_slice(message));
    let request = decode_request(rope.clone());
    assert_eq!(
        request.is_ok(),
        decode_request(whole.clone()).is_ok(),
        "frames do not matter"
    );
    if let Ok(request) = request {
        let model = model_of(message).expect("its fields can be read");
        assert!(model.is_none() || model == request.model);
        let (len, num_bytes) = (request.examples.len(), request.examples.tensor_bytes());
        // What a request stands for is more than it is; a server reserves that first.
        if num_bytes < 64 << 20 {
            let rows = request.examples.into_tensor();
            assert_eq!((rows.num_elements(), rows.num_bytes()), (len, num_bytes));
            let again = decode_request(whole).expect("as before");
            assert!(again.examples.into_tensor() == rows);
        }
    }
    drop(decode_multi(rope));
});
