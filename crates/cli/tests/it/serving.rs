//! A server's life: start, table, prediction, signals.

use std::net::TcpListener;

use crate::server::{Models, Server, address, post, run, salver, stderr, stdout};

const PREDICT: &str = "/v1/models/half_plus_two:predict";

#[test]
fn a_folder_is_served_until_sigterm() {
    let models = Models::half_plus_two();
    let mut server = Server::start(&[models.text()]);
    let serving = server.wait_for_message("serving");
    let (status, answer) = post(
        address(&serving, "rest"),
        PREDICT,
        r#"{"instances": [1.0, 2.0, 5.0]}"#,
    );
    assert_eq!(status, 200, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["predictions"], serde_json::json!([2.5, 3.0, 4.5]));
    server.signal("TERM");
    server.wait_for_message("stopped");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_person_sees_models_addresses_and_a_line_to_try() {
    let models = Models::half_plus_two();
    let mut server = Server::start(&[models.text(), "--log-format=text"]);
    server.wait_for_line(|line| line.contains("Ctrl-C"));
    let seen = server.seen();
    for wanted in [
        "MODEL",
        "half_plus_two",
        "AVAILABLE",
        "rten",
        "REST ",
        "gRPC ",
        "/metrics",
    ] {
        assert!(seen.contains(wanted), "{wanted}: {seen}");
    }
    let curl = seen
        .lines()
        .find(|line| line.trim_start().starts_with("curl "))
        .expect("a line to try");
    assert!(curl.contains(r#"-d '{"instances": ["#), "{curl}");
    let (_, url) = curl.split_once("http://localhost").expect("an address");
    let (port, path) = url.split_once('/').expect("a path");
    let rest = format!("127.0.0.1{port}").parse().expect("an address");
    let body = curl.split('\'').nth(1).expect("a body");
    let (status, answer) = post(rest, &format!("/{path}"), body);
    assert_eq!(status, 200, "{curl}: {answer}");
    server.signal("INT");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn what_a_burst_took_is_given_back_once_it_is_over() {
    let models = Models::half_plus_two();
    // Twenty looks a second at the folder are no rest on a busy machine.
    let mut server = Server::start(&[models.text(), "--file_system_poll_wait_seconds=1"]);
    let serving = server.wait_for_message("serving");
    let rest = address(&serving, "rest");
    let at_start = server.resident_kib();
    let body = format!(r#"{{"instances": [{}1.0]}}"#, "1.0, ".repeat(1_000_000));
    for _ in 0..3 {
        let (status, _) = post(rest, PREDICT, &body);
        assert_eq!(status, 200);
    }
    let busy = server.resident_kib();
    assert!(busy > at_start + 10_000, "{at_start} KiB, then {busy} KiB");
    let mut rested = busy;
    let is_less = Server::until(|| {
        rested = server.resident_kib();
        rested < at_start + (busy - at_start) / 2
    });
    assert!(
        is_less,
        "{at_start} KiB, then {busy} KiB, then {rested} KiB"
    );
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn an_unloaded_models_memory_is_given_back_beside_requests() {
    const NUM_TABLES: u64 = 6;
    const WEIGHTS_KIB: u64 = NUM_TABLES * 4 * 1024;
    let models = Models::half_plus_two();
    let mut server = Server::start(&[models.text()]);
    let serving = server.wait_for_message("serving");
    let rest = address(&serving, "rest");
    let before = server.resident_kib();
    models.write(
        "tables/1/model.onnx",
        &salver_testkit::models::tables(NUM_TABLES as usize),
    );
    server.wait_for_message("loaded");
    let loaded = server.resident_kib();
    assert!(loaded > before + WEIGHTS_KIB, "{before} KiB, then {loaded}");
    std::fs::remove_dir_all(models.join("tables")).unwrap();
    server.wait_for_message("unloaded");
    // Requests one after the other leave the server no time to rest.
    let mut after = loaded;
    let is_less = Server::until(|| {
        let (status, _) = post(rest, PREDICT, r#"{"instances": [1.0]}"#);
        assert_eq!(status, 200);
        after = server.resident_kib();
        after < loaded - WEIGHTS_KIB * 3 / 4
    });
    assert!(is_less, "{before} KiB, then {loaded} KiB, then {after} KiB");
}

#[test]
#[cfg(target_os = "linux")]
fn threads_that_compute_do_not_push_aside_those_of_sockets() {
    const SCHED_OTHER: u32 = 0;
    const SCHED_BATCH: u32 = 3;
    let models = Models::half_plus_two();
    let mut server = Server::start(&[models.text()]);
    server.wait_for_message("serving");
    for (start, wanted) in [
        ("salver-io", SCHED_OTHER),
        ("half_plus_two-", SCHED_BATCH),
        ("rten-", SCHED_BATCH),
    ] {
        let mut policies = Vec::new();
        // A thread has the name of the one that started it until it has run for the first time.
        let is_there = Server::until(|| {
            policies = server.policies();
            policies.retain(|(name, _)| name.starts_with(start));
            !policies.is_empty()
        });
        assert!(is_there, "{start}: {:?}", server.policies());
        assert!(
            policies.iter().all(|(_, policy)| *policy == wanted),
            "{policies:?}"
        );
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let models = Models::half_plus_two();
        let mut server = Server::start(&[models.text(), "--drain-delay=1h"]);
        server.wait_for_message("serving");
        server.signal("TERM");
        server.wait_for_message("draining");
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(code), "{signal}");
    }
}

#[test]
fn a_signal_while_loading_ends_the_start() {
    let models = Models::half_plus_two();
    // Files that are younger than one look are not taken for whole.
    let mut server = Server::start(&[models.text(), "--file_system_poll_wait_seconds=3600"]);
    server.wait_for_message("starting");
    server.signal("TERM");
    // Either right away or, if it came before the folder was looked through, with a word about that.
    server.wait_for_line(|line| line.contains("\"message\":\"stopped"));
    assert_eq!(server.wait().code(), Some(0));
    assert!(!server.seen().contains("\"serving\""), "{}", server.seen());
}

#[test]
fn one_bad_model_does_not_keep_the_others() {
    let models = Models::half_plus_two();
    models.write("broken/1/model.onnx", b"this is no model");
    models.write(
        "typo/1/model.onnx",
        &salver_testkit::models::half_plus_two(),
    );
    models.write("typo/model.toml", b"enginee = \"rten\"\n");
    let mut server = Server::start(&[models.text()]);
    let serving = server.wait_for_message("serving");
    let (status, _) = post(
        address(&serving, "rest"),
        PREDICT,
        r#"{"instances": [1.0]}"#,
    );
    assert_eq!(status, 200);
    let seen = server.seen();
    assert!(
        seen.contains("broken") && seen.contains("enginee"),
        "{seen}"
    );
}

#[test]
fn a_base_path_is_served_under_its_name() {
    let models = Models::half_plus_two();
    let base_path = models.join("half_plus_two");
    let base_path = format!("--model_base_path={}", base_path.display());
    let mut server = Server::start(&["--model_name=other", &base_path]);
    let serving = server.wait_for_message("serving");
    let (status, answer) = post(
        address(&serving, "rest"),
        "/v1/models/other:predict",
        r#"{"instances": [1.0]}"#,
    );
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn a_port_in_use_is_told_of_with_its_address() {
    let models = Models::half_plus_two();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(&[
        "serve",
        models.text(),
        "--host=127.0.0.1",
        "--port",
        &port,
        "--rest_api_port=auto",
        "--file_system_poll_wait_seconds=0.05",
        "--log-format=text",
    ]);
    assert_eq!(output.status.code(), Some(78));
    let text = stderr(&output);
    assert!(
        text.contains(&format!("cannot listen on 127.0.0.1:{port} for gRPC")),
        "{text}"
    );
}

#[test]
fn a_start_that_loads_nothing_fails() {
    let models = Models::new();
    let nothing = run(&["serve", models.text(), "--log-format=text"]);
    assert_eq!(nothing.status.code(), Some(78));
    assert!(
        stderr(&nothing).contains("there is no model"),
        "{}",
        stderr(&nothing)
    );

    models.write("broken/1/model.onnx", b"this is no model");
    let broken = [
        "--file_system_poll_wait_seconds=0.05",
        "--log-format=text",
        "--port=auto",
        "--rest_api_port=auto",
    ];
    let in_folder = salver()
        .args(["serve", models.text()])
        .args(broken)
        .output()
        .unwrap();
    assert_eq!(in_folder.status.code(), Some(78), "{}", stderr(&in_folder));
    assert!(
        stderr(&in_folder).contains("broken version 1: "),
        "{}",
        stderr(&in_folder)
    );

    let base_path = format!("--model_base_path={}", models.join("broken").display());
    let tf_style = salver()
        .args(["serve", &base_path])
        .args(broken)
        .output()
        .unwrap();
    assert_eq!(tf_style.status.code(), Some(255), "{}", stderr(&tf_style));
    let line = "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: \
                {{{name: default version: 1} due to error: INVALID_ARGUMENT: ";
    assert!(stdout(&tf_style).starts_with(line), "{}", stdout(&tf_style));
}
