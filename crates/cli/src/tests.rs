//! The command line as a whole: its help is kept in `docs/cli.md`, and nothing in it is left unexplained.

use std::fmt::Write;
use std::path::Path;

use clap::CommandFactory;

use super::*;
use crate::args::HELP_WIDTH;
use crate::args::tensorflow::{Effect, TF_FLAGS};
use crate::config::variable_of;

const INTRODUCTION: &str = "\
# The command line

What `salver --help` and the `--help` of each command print. Written by the tests; to write it again:
`UPDATE_GOLDEN=1 cargo test -p salver`.
";

fn command() -> clap::Command {
    // Fixed here, since a terminal's own width would win.
    Cli::command().term_width(HELP_WIDTH)
}

fn write_help(command: &mut clap::Command, path: &str, page: &mut String) {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    writeln!(
        page,
        "\n## {path}\n\n```text\n{}\n```",
        lines.join("\n").trim_end()
    )
    .unwrap();
    for sub in command.get_subcommands_mut() {
        let path = format!("{path} {}", sub.get_name());
        write_help(sub, &path, page);
    }
}

#[test]
fn help_is_what_the_documentation_says() {
    let mut command = command();
    command.build();
    let mut page = INTRODUCTION.to_owned();
    write_help(&mut command, "salver", &mut page);
    check_page("cli.md", |_| page);
}

/// Checks that a page of the documentation is what it is to be made of itself.
fn check_page(name: &str, make: impl FnOnce(&str) -> String) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    let page = make(&kept);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&file, page).unwrap();
        return;
    }
    assert!(
        kept == page,
        "docs/{name} is out of date; run UPDATE_GOLDEN=1 cargo test -p salver"
    );
}

const FLAGS_BEGIN: &str = "<!-- flags: written by UPDATE_GOLDEN=1 cargo test -p salver -->\n";
const FLAGS_END: &str = "<!-- end of flags -->";

fn flags_table() -> String {
    let mut table = "| flag | default | here |\n|---|---|---|\n".to_owned();
    for flag in TF_FLAGS {
        let default = match flag.default {
            "" => "none",
            default => default,
        };
        let here = match flag.effect {
            Effect::Declared => "the same".to_owned(),
            Effect::Does(text) => text.to_owned(),
            Effect::Later(text) => format!("**Not yet.** {text}"),
            Effect::Nothing(why) => format!("**No effect:** {why}."),
        };
        writeln!(table, "| `--{}` | {default} | {here} |", flag.name).unwrap();
    }
    table
}

#[test]
fn the_page_for_users_of_tensorflow_serving_has_every_flag() {
    check_page("tensorflow-serving.md", |kept| {
        let (before, rest) = kept.split_once(FLAGS_BEGIN).expect("a place for the table");
        let (_, after) = rest.split_once(FLAGS_END).expect("the table's end");
        format!("{before}{FLAGS_BEGIN}{}{FLAGS_END}{after}", flags_table())
    });
}

#[test]
fn every_flag_of_serve_names_its_variable_and_default() {
    let command = Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    for arg in serve.get_arguments().filter(|arg| arg.get_long().is_some()) {
        let flag = arg.get_long().unwrap();
        let help = arg
            .get_long_help()
            .or(arg.get_help())
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(
            help.contains(&format!("[env: {}]", variable_of(flag))),
            "--{flag}: {help}"
        );
        let has_no_default = matches!(flag, "model_base_path" | "single_port");
        assert!(
            help.contains("[default: ") || has_no_default,
            "--{flag}: {help}"
        );
    }
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}
