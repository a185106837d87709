//! The suite that every backend passes.

use salver_backend_rten::Rten;
use salver_testkit::conformance;

#[test]
fn conforms() {
    const WIDTH: &str = "computes in f32, i32, i8 and u8";
    let skips = [
        "identity_u16",
        "identity_u32",
        "identity_u64",
        "identity_i16",
        "identity_f16",
        "identity_bf16",
        "identity_f64",
        "identity_complex64",
        "identity_complex128",
        "identity_string",
    ];
    conformance::run(&Rten, &skips.map(|case| (case, WIDTH)));
}
