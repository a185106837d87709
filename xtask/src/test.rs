//! `cargo xtask test`: sets up what the tests need and runs all of them.
//!
//! Setting up is separate from testing: packages are installed first, into `target/`, and no test downloads anything.
//!
//! ```text
//! build ─► Python clients ─► engines (by `salver engine install`) ─► cargo test ─► pytest on each engine
//! ```

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::shell::{self, Shell};
use crate::steps::Steps;

/// Where `salver engine install` puts libraries, instead of into the user's own cache; the engines' tests look there.
pub(crate) const CACHE: &str = "target/engines";

/// The binary that is tested, below the folder that cargo builds in.
const BINARY: &str = "debug/salver";

/// The interpreter with the clients, made by `python/setup_clients.py`.
const CLIENTS: &str = "target/python/bin/python";

/// The engine that is built in.
const BUILT_IN: &str = "rten";

/// The engines that are installed, each with the variable that makes its tests fail where they would pass over a library
/// that is not there.
const INSTALLED: [(&str, &str); 2] = [
    ("onnxruntime", "SALVER_TEST_ONNXRUNTIME"),
    ("tensorflow", "SALVER_TEST_TENSORFLOW"),
];

/// What Debian calls the packages that a bare machine may lack.
const PYTHON_PACKAGES: [&str; 2] = ["python3", "python3-venv"];

/// What is to be tested.
#[derive(Debug)]
pub(crate) struct Options {
    /// Whether to run what needs Python: its clients, and the installation of engines.
    pub(crate) python: bool,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self { python: true };
        for argument in arguments {
            match argument.as_str() {
                "--python" => options.python = true,
                "--no-python" => options.python = false,
                other => bail!("unexpected `{other}`; --python and --no-python are known"),
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(shell: &Shell, options: &Options) -> Result<()> {
    let mut steps = Steps::default();
    take(shell, options, &mut steps);
    steps.finish("tests")
}

/// Takes the steps of the tests, as part of a longer list too.
pub(crate) fn take(shell: &Shell, options: &Options, steps: &mut Steps) {
    if !steps.take("build", || build(shell)) {
        steps.skip("cargo test", "the build failed");
        return;
    }
    let mut installed = Vec::new();
    if !options.python {
        steps.skip(
            "python",
            "--no-python: neither installed engines nor the Python clients are tested",
        );
    } else if steps.take("python clients", || set_up_python(shell)) {
        for (engine, variable) in INSTALLED {
            if steps.take(engine, || {
                install(shell, &shell.built(BINARY), CLIENTS, engine)
            }) {
                installed.push((engine, variable));
            }
        }
    }
    steps.take("cargo test", || cargo_test(shell, &installed));
    if !options.python {
        return;
    }
    let installed = installed.iter().map(|(engine, _)| *engine);
    for engine in [BUILT_IN].into_iter().chain(installed) {
        steps.take(&format!("pytest on {engine}"), || pytest(shell, engine));
    }
}

/// Builds everything at once, with the features that the tests use, so that nothing is compiled twice.
fn build(shell: &Shell) -> Result<()> {
    shell::run(shell.cargo(&["build", "--locked", "--workspace", "--all-targets"]))
}

fn set_up_python(shell: &Shell) -> Result<()> {
    let can_make_environments =
        || shell::succeeds(shell.program("python3", &["-c", "import ensurepip, venv"]));
    if !can_make_environments() {
        install_packages(shell, &PYTHON_PACKAGES)
            .context("python3 with venv is needed; --no-python does without")?;
    }
    shell::run(shell.program("python3", &["python/setup_clients.py"]))
}

/// Installs Debian packages, where that is possible.
fn install_packages(shell: &Shell, packages: &[&str]) -> Result<()> {
    let user = shell::output(shell.program("id", &["-u"]))?;
    if user.trim() != "0" || !shell::succeeds(shell.program("apt-get", &["--version"])) {
        bail!("please install {}", packages.join(" and "));
    }
    shell::run(shell.program("apt-get", &["update", "-qq"]))?;
    let mut install = shell.program(
        "apt-get",
        &["install", "-y", "-qq", "--no-install-recommends"],
    );
    install
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive");
    shell::run(install)
}

/// Installs an engine by a binary of this project, with the pip of an interpreter.
pub(crate) fn install(shell: &Shell, binary: &Path, python: &str, engine: &str) -> Result<()> {
    let mut install = shell.program(binary, &["engine", "install", engine]);
    with_cache(shell, &mut install).env("SALVER_PYTHON", shell.path(python));
    shell::run(install)
}

fn cargo_test(shell: &Shell, installed: &[(&str, &str)]) -> Result<()> {
    let mut test = shell.cargo(&["test", "--locked", "--workspace", "--no-fail-fast"]);
    with_cache(shell, &mut test);
    for (_, variable) in installed {
        test.env(variable, "required");
    }
    shell::run(test)
}

fn pytest(shell: &Shell, engine: &str) -> Result<()> {
    let arguments = [
        "-m",
        "pytest",
        "--quiet",
        "-p",
        "no:cacheprovider",
        "python/tests",
    ];
    let mut pytest = shell.program(shell.path(CLIENTS), &arguments);
    with_cache(shell, &mut pytest)
        .env("SALVER_BIN", shell.built(BINARY))
        .env("SALVER_TEST_ENGINE", engine);
    shell::run(pytest)
}

fn with_cache<'a>(shell: &Shell, command: &'a mut Command) -> &'a mut Command {
    command.env("SALVER_CACHE_DIR", shell.path(CACHE))
}
