//! Reads any bytes as a SavedModel: what it declares, and how long it is to be.

#![no_main]

use libfuzzer_sys::fuzz_target;
use salver_savedmodel::SavedModelError;

fuzz_target!(|bytes: &[u8]| {
    match salver_savedmodel::parse(bytes, "saved_model.pb") {
        Ok(model) => assert!(!model.meta_graphs.is_empty()),
        Err(SavedModelError::Incomplete {
            expected_bytes,
            actual_bytes,
            ..
        }) => {
            assert_eq!(actual_bytes, bytes.len() as u64);
            assert!(expected_bytes > actual_bytes);
        }
        Err(SavedModelError::Malformed { .. }) => {}
        Err(SavedModelError::Unreadable { .. }) => unreachable!("no file is read"),
    }
});
