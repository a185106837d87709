//! Sets up what the tests of this crate need: `cargo run --example install_tensorflow [PYTHON]` puts the libraries into
//! the target folder, where they look for them.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let python = std::env::args_os()
        .nth(1)
        .unwrap_or_else(|| "python3".into());
    let cache_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/engines");
    let mut progress = |line: &str| report(line);
    match salver_backend_tensorflow::install(&cache_dir, Path::new(&python), &mut progress) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stderr, reason = "a program for the command line")]
fn report(line: &str) {
    eprintln!("{line}");
}
