//! Parses a body as a predict request for inputs of every dtype, and what was parsed again after writing it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use salver_protocol::json::{Format, JsonError, check_predict, encode_predict, parse_predict};
use salver_tensor::{DType, TensorSpec};

/// An alias that ends so is written as base64, so that strings of any bytes can be read back.
const ALIAS: &str = "x_bytes";

fuzz_target!(|body: &[u8]| {
    let checked = check_predict(body);
    for dtype in DType::ALL {
        check(body, &checked, &[TensorSpec::new(ALIAS, dtype, None)]);
    }
    let (x, s) = (
        TensorSpec::new("x", DType::F32, None),
        TensorSpec::new("s", DType::String, None),
    );
    check(body, &checked, &[x, s]);
});

fn check(body: &[u8], checked: &Result<(), JsonError>, specs: &[TensorSpec]) {
    let lookup = |name: &str| matches!(name, "" | "serving_default").then_some(specs);
    let parsed = match parse_predict(body, lookup) {
        Ok(parsed) => parsed,
        Err(error) => {
            if checked.is_err() {
                assert_eq!(
                    *checked,
                    Err(error),
                    "what is wrong with every body is told first"
                );
            }
            return;
        }
    };
    assert_eq!(*checked, Ok(()));
    let [input] = parsed.inputs.as_slice() else {
        return;
    };
    let mut answer = Vec::new();
    if encode_predict(Format::Columnar, &[(ALIAS, input)], &mut answer).is_err() {
        return;
    }
    let value = &answer[answer
        .iter()
        .position(|&byte| byte == b':')
        .expect("an answer has a key")..];
    let request = [b"{\"inputs\"", value].concat();
    let again = parse_predict(&request, lookup).expect("what was written can be read");
    // A NaN comes back as a NaN, but not with the same bits.
    let has_nan = answer.windows(3).any(|bytes| bytes == b"NaN");
    assert!(
        has_nan || again.inputs[0] == *input,
        "reading, writing and reading is reading"
    );
}
