//! The suite that every backend passes. Needs the library: `cargo run --example install_onnxruntime` sets it up; without
//! it there is nothing to test.

use std::path::Path;

use salver_backend::Backend;
use salver_backend_onnxruntime::{Config, OnnxRuntime};
use salver_testkit::conformance;

#[test]
fn conforms() {
    let cache_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/engines");
    let backend = OnnxRuntime::new(Config {
        library: None,
        cache_dir: Some(cache_dir),
    });
    if !backend.status().is_available() {
        let is_required = std::env::var_os("SALVER_TEST_ONNXRUNTIME").is_some();
        assert!(!is_required, "{}", backend.status().note);
        println!("not tested: {}", backend.status().note);
        return;
    }
    let no_complex = "computes nothing with complex numbers";
    conformance::run(
        &backend,
        &[
            ("identity_complex64", no_complex),
            ("identity_complex128", no_complex),
        ],
    );
}
