//! The harness itself, on the smallest scale: cases run, numbers come out, and are read again.

use std::path::PathBuf;
use std::process::{Command, Output};

fn harness(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_salver-benches"));
    command.args(arguments).output().expect("the harness runs")
}

/// The binary of this project, beside the one of this package.
fn salver() -> String {
    let salver = PathBuf::from(env!("CARGO_BIN_EXE_salver-benches")).with_file_name("salver");
    assert!(salver.exists(), "cargo build makes {}", salver.display());
    salver.display().to_string()
}

#[test]
fn a_case_is_measured_and_shown_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (raw, plot) = (
        folder.path().join("raw.json"),
        folder.path().join("plot.svg"),
    );
    let [raw, plot] = [raw, plot].map(|path| path.display().to_string());
    let scale = ["--rounds", "2", "--seconds", "0.05", "--requests", "50"];
    let what = [
        "--salver",
        &salver(),
        "--only",
        "tiny",
        "--out",
        &raw,
        "--plot",
        &plot,
    ];
    let output = harness(&[&scale[..], &what].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for wanted in [
        "tiny, 16 connections",
        "Salver, REST",
        "bare handler, gRPC",
        "server CPU, us/request",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(
        text.contains("answers/s, Salver, REST to bare handler, REST"),
        "{text}"
    );
    assert!(
        std::fs::read_to_string(&plot)
            .expect("a plot")
            .contains("Salver, gRPC")
    );
    let again = harness(&["--from", &raw]);
    assert_eq!(String::from_utf8_lossy(&again.stdout), text);
}

#[test]
fn what_is_asked_for_wrongly_is_explained() {
    for (arguments, wanted) in [
        (
            &["--only", "nothing"][..],
            "there is no case nothing; there are tiny, cpu",
        ),
        (&["--rounds"], "--rounds has no value"),
        (&["--rounds", "1"], "--salver is missing"),
    ] {
        let output = harness(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(wanted), "{text}");
    }
}
