//! `cargo xtask bench`: builds what is measured, installs the peers, and runs `salver-benches`.

use anyhow::{Result, bail};

use crate::shell::{self, Shell};
use crate::test;

/// Where the peers are installed, below the target folder.
const PEERS: &str = "target/bench/peers";

/// Where the raw data goes.
const RAW: &str = "target/bench/results.json";

/// Their interpreter.
const PYTHON: &str = "target/bench/peers/bin/python";

/// The engine that the peers have, and Salver beside the one inside it.
const ENGINE: &str = "onnxruntime";

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
    let binaries = shell.built("release");
    let salver = binaries.join("salver");
    let mut bench = shell.program(binaries.join("salver-benches"), &[]);
    bench
        .arg("--salver")
        .arg(&salver)
        .arg("--out")
        .arg(shell.path(RAW));
    std::fs::create_dir_all(shell.path("target/bench"))?;
    if options.has_peers {
        install_peers(shell)?;
        test::install(shell, &salver, PYTHON, ENGINE)?;
        bench
            .arg("--peers")
            .arg(shell.path(PEERS))
            .arg("--engines")
            .arg(shell.path(test::CACHE));
    }
    bench.args(&options.rest);
    shell::run(bench)
}

fn install_peers(shell: &Shell) -> Result<()> {
    let python = shell.path(PYTHON);
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
        bail!(
            "the peers cannot be installed; --no-peers measures `rten` beside bare handlers only"
        );
    }
    Ok(())
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
