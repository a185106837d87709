//! Reads any bytes as an ONNX file: what it declares, how long it is to be, and the same file with other names in it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use salver_backend::onnx::{self, OnnxError};

fuzz_target!(|bytes: &[u8]| {
    match onnx::parse(bytes, "model.onnx") {
        Ok(header) => {
            let _signature = onnx::signature(&header);
            let same = onnx::rename_external_files(bytes, &|_| None)
                .expect("what parses can be rewritten");
            assert_eq!(onnx::parse(&same[..], "model.onnx"), Ok(header));
        }
        Err(OnnxError::Incomplete {
            expected_bytes,
            actual_bytes,
            ..
        }) => {
            assert_eq!(actual_bytes, bytes.len() as u64);
            assert!(expected_bytes > actual_bytes);
        }
        Err(OnnxError::Malformed { .. }) => {}
        Err(OnnxError::Unreadable { .. }) => unreachable!("no file is read"),
    }
});
