//! What only certain files may do: `unsafe`, the environment, generated messages, tasks, channels, clocks.

use super::{Finding, Source, Tree};

/// The only files with `unsafe`: what an engine adapter and the settings of the system call of C, and memory that Rust
/// cannot describe.
pub(super) fn unsafe_code(tree: &Tree) -> Vec<Finding> {
    let is_allowed = |path: &str| {
        let ffi = path
            .strip_prefix("crates/backend-")
            .and_then(|path| path.split_once("/src/"));
        ffi.is_some_and(|(_, file)| file.starts_with("ffi"))
            || matches!(
                path,
                "crates/system/src/ffi.rs"
                    | "crates/tensor/src/mmap.rs"
                    | "crates/tensor/src/buffer.rs"
            )
    };
    let message = "`unsafe` belongs to backend-*/src/ffi*, system/src/ffi.rs, tensor/src/mmap.rs and tensor/src/buffer.rs";
    let sources = tree.sources().filter(|source| !is_allowed(&source.path));
    sources
        .flat_map(|source| each("unsafe", source, &["unsafe"], true, message))
        .collect()
}

/// Arguments and environment are read by the binary, which hands on what they mean.
pub(super) fn environment(tree: &Tree) -> Vec<Finding> {
    const READERS: [&str; 10] = [
        "args",
        "args_os",
        "var",
        "var_os",
        "vars",
        "vars_os",
        "set_var",
        "remove_var",
        "home_dir",
        "current_dir",
    ];
    let mut findings = Vec::new();
    for source in tree
        .product_sources()
        .filter(|source| !source.path.starts_with("crates/cli/"))
    {
        if source.path.ends_with("/build.rs") {
            continue;
        }
        for name in READERS.into_iter().chain(["{"]) {
            let message = "the environment is read in `cli` only; take the value as a parameter";
            findings.extend(each(
                "environment",
                source,
                &["env", "::", name],
                false,
                message,
            ));
        }
    }
    findings
}

/// Generated messages stay where wire forms are made and read.
pub(super) fn proto(tree: &Tree) -> Vec<Finding> {
    const CRATES: [&str; 6] = [
        "crates/proto/",
        "crates/protocol/",
        "crates/client/",
        "crates/savedmodel/",
        "crates/backend-forest/",
        "crates/backend-tensorflow/",
    ];
    let is_allowed = |path: &str| {
        CRATES.iter().any(|folder| path.starts_with(folder))
            || path.starts_with("crates/server/src/grpc")
    };
    let mut findings = Vec::new();
    for source in tree
        .product_sources()
        .filter(|source| !is_allowed(&source.path))
    {
        for name in ["salver_proto", "prost", "prost_types"] {
            let message = "generated messages belong to protocol, client and server::grpc";
            findings.extend(each("proto", source, &[name], false, message));
        }
    }
    findings
}

/// Every task has an owner that joins it.
pub(super) fn tasks(tree: &Tree) -> Vec<Finding> {
    const SPAWNS: [&[&str]; 3] = [
        &["tokio", "::", "spawn"],
        &["task", "::", "spawn"],
        &["task", "::", "spawn_local"],
    ];
    let mut findings = Vec::new();
    for source in tree
        .product_sources()
        .filter(|source| source.path != "crates/server/src/tasks.rs")
    {
        for spawn in SPAWNS {
            let message = "tasks are spawned in server::tasks only, by an owner that joins them";
            findings.extend(each("tasks", source, spawn, false, message));
        }
    }
    findings
}

/// A queue without a bound is memory without a bound.
pub(super) fn channels(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.product_sources() {
        for name in [
            "unbounded",
            "unbounded_channel",
            "UnboundedSender",
            "UnboundedReceiver",
        ] {
            let message =
                "every channel is bounded, by a config field or a constant with its reason";
            findings.extend(each("channels", source, &[name], false, message));
        }
        // Without tokio in sight it is the standard library's, whose `channel` has no bound.
        if source.all_of(&["tokio"]).next().is_none() {
            let message = "`std::sync::mpsc::channel` has no bound; use `sync_channel`";
            findings.extend(each(
                "channels",
                source,
                &["mpsc", "::", "channel"],
                false,
                message,
            ));
        }
    }
    findings
}

/// Time can be paused in tests of asynchronous code, and a date is taken where it is shown.
pub(super) fn clocks(tree: &Tree) -> Vec<Finding> {
    const PAUSABLE: [&str; 2] = ["crates/server/", "crates/batching/"];
    let mut findings = Vec::new();
    for source in tree.product_sources() {
        if !source.path.starts_with("crates/telemetry/") {
            let message = "the date is a parameter";
            findings.extend(each(
                "clocks",
                source,
                &["SystemTime", "::", "now"],
                false,
                message,
            ));
        }
        let is_pausable = PAUSABLE
            .iter()
            .any(|folder| source.path.starts_with(folder));
        if let Some(line) = std_instant(source).filter(|_| is_pausable) {
            findings.push(Finding::at(
                "clocks",
                &source.path,
                line,
                "use `tokio::time::Instant`, which tests can pause",
            ));
        }
    }
    findings
}

/// Finds `std::time::Instant`, also within the braces of a `use`.
fn std_instant(source: &Source) -> Option<usize> {
    let positions = source.tokens.windows(4).enumerate().filter(|(_, window)| {
        let texts = window.iter().map(|token| token.text.as_str());
        texts.eq(["std", "::", "time", "::"]) && window.iter().all(|token| !token.is_test)
    });
    positions
        .filter_map(|(idx, _)| named_by_use(source, idx + 4))
        .next()
}

fn named_by_use(source: &Source, idx: usize) -> Option<usize> {
    let mut rest = source.tokens.get(idx..)?.iter();
    let first = rest.next()?;
    match first.text.as_str() {
        "Instant" => Some(first.line),
        "{" => rest
            .take_while(|token| token.text != "}")
            .find(|token| token.text == "Instant")
            .map(|token| token.line),
        _ => None,
    }
}

/// Tests wait for what they expect, never for a while, and all of them run.
pub(super) fn test_code(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources() {
        let is_test_file = tree.is_test(&source.path);
        for token in source
            .all_of(&["thread", "::", "sleep"])
            .filter(|token| is_test_file || token.is_test)
        {
            let message = "tests do not sleep; wait for the condition, or pause the clock";
            findings.push(Finding::at("tests", &source.path, token.line, message));
        }
        for token in source.all_of(&["#", "[", "ignore"]) {
            findings.push(Finding::at(
                "tests",
                &source.path,
                token.line,
                "no test is ignored",
            ));
        }
    }
    findings
}

/// The one table of error codes names every error, so that a new one cannot be forgotten.
pub(super) fn status_table(tree: &Tree) -> Vec<Finding> {
    let table = tree
        .sources()
        .filter(|source| source.path == "crates/server/src/status.rs");
    let message = "the table of codes is exhaustive: no `_ => Code`";
    table
        .flat_map(|source| {
            each(
                "status-table",
                source,
                &["_", "=", ">", "Code"],
                false,
                message,
            )
        })
        .collect()
}

/// Returns a finding for each place of these tokens, one per line.
fn each(
    rule: &'static str,
    source: &Source,
    wanted: &[&str],
    in_tests: bool,
    message: &str,
) -> Vec<Finding> {
    let places = source
        .all_of(wanted)
        .filter(|token| in_tests || !token.is_test);
    let mut lines: Vec<usize> = places.map(|token| token.line).collect();
    lines.dedup();
    lines
        .into_iter()
        .map(|line| Finding::at(rule, &source.path, line, message))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&Tree) -> Vec<Finding>;

    fn check(rule: Rule, path: &str, code: &str, num_expected: usize) {
        let text = format!("//! A file.\n{code}\n");
        let found = rule(&Tree::of(&[(path, &text)]).unwrap());
        assert_eq!(found.len(), num_expected, "{path}: {code}: {found:?}");
    }

    const SERVER: &str = "crates/server/src/rest.rs";

    /// A rule, a file, its code, and how many places the rule finds there.
    const TABLE: &[(Rule, &str, &str, usize)] = &[
        (unsafe_code, SERVER, "unsafe fn a() {}", 1),
        (
            unsafe_code,
            "crates/server/tests/a.rs",
            "unsafe fn a() {}",
            1,
        ),
        (
            unsafe_code,
            "crates/backend-rten/src/model.rs",
            "fn a() { unsafe { b() } }",
            1,
        ),
        (
            unsafe_code,
            "crates/backend-onnxruntime/src/ffi/run.rs",
            "unsafe fn a() {}",
            0,
        ),
        (
            unsafe_code,
            "crates/tensor/src/buffer.rs",
            "unsafe fn a() {}",
            0,
        ),
        (
            unsafe_code,
            SERVER,
            "// unsafe\nconst A: &str = \"unsafe\";",
            0,
        ),
        (environment, SERVER, "fn a() { std::env::var(\"B\"); }", 1),
        (environment, SERVER, "use std::env::{self, var};", 1),
        (environment, SERVER, "const A: &str = env!(\"B\");", 0),
        (
            environment,
            SERVER,
            "#[cfg(test)]\nmod tests { fn a() { std::env::var_os(\"B\"); } }",
            0,
        ),
        (
            environment,
            "crates/cli/src/main.rs",
            "fn a() { std::env::args(); }",
            0,
        ),
        (proto, SERVER, "use salver_proto::tensorflow;", 1),
        (
            proto,
            "crates/server/src/grpc/predict.rs",
            "use salver_proto::tensorflow;",
            0,
        ),
        (
            proto,
            "crates/backend/src/onnx.rs",
            "use prost::Message;",
            1,
        ),
        (
            proto,
            "crates/protocol/src/predict.rs",
            "use prost::Message;",
            0,
        ),
        (tasks, SERVER, "fn a() { tokio::spawn(b); }", 1),
        (tasks, SERVER, "fn a() { tokio::task::spawn(b); }", 1),
        (
            tasks,
            "crates/server/src/tasks.rs",
            "fn a() { tokio::spawn(b); }",
            0,
        ),
        (
            channels,
            SERVER,
            "fn a() { tokio::sync::mpsc::unbounded_channel(); }",
            1,
        ),
        (
            channels,
            SERVER,
            "fn a() { crossbeam_channel::unbounded(); }",
            1,
        ),
        (
            channels,
            "crates/servable/src/lib.rs",
            "use std::sync::mpsc;\nfn a() { mpsc::channel(); }",
            1,
        ),
        (
            channels,
            SERVER,
            "use tokio::sync::mpsc;\nfn a() { mpsc::channel(3); }",
            0,
        ),
        (clocks, SERVER, "use std::time::{Duration, Instant};", 1),
        (clocks, SERVER, "use std::time::Instant;", 1),
        (
            clocks,
            SERVER,
            "use std::time::Duration;\nuse tokio::time::Instant;",
            0,
        ),
        (
            clocks,
            "crates/servable/src/lib.rs",
            "use std::time::Instant;",
            0,
        ),
        (
            clocks,
            "crates/servable/src/lib.rs",
            "fn a() { SystemTime::now(); }",
            1,
        ),
        (
            clocks,
            "crates/telemetry/src/lib.rs",
            "fn a() { SystemTime::now(); }",
            0,
        ),
        (
            test_code,
            "crates/server/tests/a.rs",
            "fn a() { std::thread::sleep(b); }",
            1,
        ),
        (
            test_code,
            SERVER,
            "#[cfg(test)]\nmod tests { #[ignore]\nfn a() { thread::sleep(b); } }",
            2,
        ),
        (test_code, SERVER, "fn a() { std::thread::sleep(b); }", 0),
        (
            status_table,
            "crates/server/src/status.rs",
            "fn a() { match b { C => d, _ => Code::E } }",
            1,
        ),
        (
            status_table,
            SERVER,
            "fn a() { match b { C => d, _ => Code::E } }",
            0,
        ),
    ];

    #[test]
    fn each_rule_finds_its_mistake_and_nothing_else() {
        for (rule, path, code, num_expected) in TABLE {
            check(*rule, path, code, *num_expected);
        }
    }
}
