//! `cargo xtask bench`: builds what is measured, installs the peers, and runs `salver-benches`.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::shell::{self, Shell};

/// Where the peers are installed, below the target folder.
const PEERS: &str = "target/bench/peers";

/// Where the raw data goes.
const RAW: &str = "target/bench/results.json";

/// Where engines are installed.
const ENGINES: &str = "target/engines";

/// What the peers are, as pip knows them. Triton is inside the last one, with its Python backend only.
const PACKAGES: [&str; 5] = [
    "fastapi==0.*",
    "uvicorn[standard]==0.*",
    "onnxruntime==1.*",
    "numpy<2",
    "nvidia-pytriton==0.7.0",
];

/// What is asked for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Options {
    has_peers: bool,
    rest: Vec<String>,
}

impl Options {
    /// Reads the command line; what is not for this command is for `salver-benches`.
    pub(crate) fn parse(arguments: &[String]) -> Self {
        Self {
            has_peers: !arguments.iter().any(|argument| argument == "--no-peers"),
            rest: arguments
                .iter()
                .filter(|argument| *argument != "--no-peers")
                .cloned()
                .collect(),
        }
    }
}

/// Measures.
pub(crate) fn run(shell: &Shell, options: &Options) -> Result<()> {
    shell::run(shell.cargo(&[
        "build",
        "--locked",
        "--release",
        "-p",
        "salver",
        "-p",
        "salver-benches",
    ]))?;
    let binaries = target(shell).join("release");
    let mut bench = shell.program(binaries.join("salver-benches"), &[]);
    bench
        .arg("--salver")
        .arg(binaries.join("salver"))
        .arg("--engines")
        .arg(shell.path(ENGINES))
        .arg("--out")
        .arg(shell.path(RAW));
    std::fs::create_dir_all(shell.path("target/bench"))?;
    if options.has_peers {
        install_peers(shell)?;
        bench.arg("--peers").arg(shell.path(PEERS));
    }
    shell::run({
        bench.args(&options.rest);
        bench
    })
}

fn install_peers(shell: &Shell) -> Result<()> {
    let python = shell.path(PEERS).join("bin/python");
    if !python.exists() {
        shell::run(shell.program("python3", &["-m", "venv", PEERS]))?;
    }
    let mut install = shell.program(
        &python,
        &[
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ],
    );
    install.args(PACKAGES);
    if !shell::succeeds(install) {
        bail!("the peers cannot be installed; --no-peers measures without them");
    }
    Ok(())
}

fn target(shell: &Shell) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell.path("target"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_passed_on() {
        let arguments = ["--rounds", "3", "--no-peers", "--only", "tiny"].map(str::to_owned);
        let options = Options::parse(&arguments);
        assert!(!options.has_peers);
        assert_eq!(options.rest, ["--rounds", "3", "--only", "tiny"]);
    }
}
