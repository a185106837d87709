//! Parses a body as rows of `tensorflow.Example`; what becomes of them must be that message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use salver_proto::tensorflow::Example;
use salver_protocol::json::parse_examples;

fuzz_target!(|body: &[u8]| {
    let Ok(parsed) = parse_examples(body) else {
        return;
    };
    let (len, num_bytes) = (parsed.examples.len(), parsed.examples.tensor_bytes());
    if num_bytes > 64 << 20 {
        return;
    }
    let rows = parsed.examples.into_tensor();
    assert_eq!((rows.num_elements(), rows.num_bytes()), (len, num_bytes));
    // Names of features need not be UTF-8 here, which generated code insists on.
    let is_plain = body.iter().all(|&byte| byte.is_ascii() && byte != b'\\');
    for row in rows.as_strings().expect("rows are strings") {
        assert!(Example::decode(row.clone()).is_ok() || !is_plain);
    }
});
