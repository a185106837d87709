//! Reads random bytes as a file of warm-up requests: records, the envelope in each, the request in that.
//!
//! What is read is written again, and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use salver_protocol::predict::{self, ModelSpecEcho};
use salver_protocol::prediction_log::{self, LogMetadata, LogType};
use salver_protocol::tfrecord::{self, Reader};

/// The longest record, and how much the tensors of one request may take, in bytes.
const ROOM_BYTES: usize = 1 << 20;

const METADATA: LogMetadata<'_> = LogMetadata {
    model: ModelSpecEcho {
        name: "m",
        version: 1,
        signature_name: "s",
    },
    sampling_rate: 0.5,
    timestamp_seconds: 1,
};

fuzz_target!(|input: &[u8]| {
    // Checksums keep a fuzzer out: the input as a record is the way in.
    check_record(input);
    let mut reader = Reader::new(input, ROOM_BYTES);
    let mut written = Vec::new();
    while let Ok(Some(record)) = reader.next_record() {
        check_record(&record);
        tfrecord::write_record(&record, &mut written);
    }
    assert_eq!(written, input[..written.len()]);
    assert_eq!(reader.offset(), written.len() as u64);
});

fn check_record(record: &[u8]) {
    let record = bytes::Bytes::copy_from_slice(record);
    let Ok(Some(logged)) = prediction_log::decode(record) else {
        return;
    };
    if logged.log_type == LogType::Predict {
        drop(predict::decode_request(&logged.request[..], ROOM_BYTES));
    }
    let mut encoded = Vec::new();
    let request = [logged.request.clone()];
    prediction_log::encode(logged.log_type, &METADATA, &request, &[], &mut encoded);
    assert_eq!(prediction_log::decode(encoded.into()), Ok(Some(logged)));
}
