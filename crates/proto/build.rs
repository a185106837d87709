//! Compiles the `.proto` files with `protox`, so that no `protoc` need be installed.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message as _;

/// The files that nothing else imports; the rest follows from their imports.
const ROOTS: [&str; 8] = [
    "tensorflow_serving/apis/prediction_service.proto",
    "tensorflow_serving/apis/model_service.proto",
    "tensorflow_serving/apis/prediction_log.proto",
    "tensorflow_serving/config/monitoring_config.proto",
    "tensorflow_serving/config/platform_config.proto",
    "tensorflow_serving/config/ssl_config.proto",
    "tensorflow_serving/servables/tensorflow/saved_model_bundle_source_adapter.proto",
    "tsl/profiler/protobuf/profiler_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut files = protox::compile(ROOTS, ["proto"])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .bytes(".")
        .btree_map(".")
        .emit_rerun_if_changed(false)
        .compile_fds(files.clone())?;

    // Comments help readers of the generated code, but not clients of reflection.
    for file in &mut files.file {
        file.source_code_info = None;
    }
    let out_dir = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(
        PathBuf::from(out_dir).join("descriptors.bin"),
        files.encode_to_vec(),
    )?;
    Ok(())
}
