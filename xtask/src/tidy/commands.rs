//! Commands that the documentation shows exist, with their flags and files.

use std::collections::BTreeSet;

use super::{Finding, Source, Tree};

/// Where the commands of `salver` are declared.
const ARGUMENTS: &str = "crates/cli/src/args";

/// Folders whose files the documentation may name in commands.
const FOLDERS: [&str; 6] = [
    "benches/",
    "crates/",
    "docs/",
    "examples/",
    "fuzz/",
    "python/",
];

/// Flags of programs other than ours that commands may carry before `--`.
const RUN: [&str; 2] = ["cargo run --release -- ", "salver "];

pub(super) fn documented(tree: &Tree) -> Vec<Finding> {
    let known = Known::of(tree);
    let mut findings = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| path.ends_with(".md")) {
        let mut in_commands = false;
        for (line_idx, line) in text.lines().enumerate() {
            if let Some(language) = line.trim_start().strip_prefix("```") {
                in_commands = matches!(language, "sh" | "bash" | "console");
                continue;
            }
            let mut problems = xtask_problems(line);
            if in_commands {
                problems.extend(known.problems(tree, line));
            }
            findings.extend(
                problems
                    .into_iter()
                    .map(|problem| Finding::at("commands", path, line_idx + 1, problem)),
            );
        }
    }
    findings
}

fn xtask_problems(line: &str) -> Vec<String> {
    let commands = line.split("cargo xtask ").skip(1).filter_map(|rest| {
        let end = rest
            .find(|sign: char| !sign.is_ascii_lowercase())
            .unwrap_or(rest.len());
        rest.get(..end).filter(|command| !command.is_empty())
    });
    let is_unknown = |command: &&str| !crate::HELP.contains(&format!("cargo xtask {command}"));
    commands
        .filter(is_unknown)
        .map(|command| format!("there is no `cargo xtask {command}`"))
        .collect()
}

/// What `salver` understands, as its argument types declare it.
struct Known {
    commands: BTreeSet<String>,
    /// Identifiers and literals, among them every flag.
    words: BTreeSet<String>,
}

impl Known {
    fn of(tree: &Tree) -> Self {
        let sources = || {
            tree.sources()
                .filter(|source| source.path.starts_with(ARGUMENTS))
        };
        let words = sources()
            .flat_map(|source| &source.tokens)
            .map(|token| token.text.trim_matches('"').to_owned());
        Self {
            commands: sources().flat_map(variants_of_command).collect(),
            words: words.collect(),
        }
    }

    fn problems(&self, tree: &Tree, line: &str) -> Vec<String> {
        let line = line.trim_start().trim_start_matches("$ ");
        let mut problems = Vec::new();
        if let Some(ours) = RUN.iter().find_map(|prefix| line.strip_prefix(prefix)) {
            let mut words = ours
                .split_whitespace()
                .take_while(|word| !word.starts_with('#'));
            let command = words.next().unwrap_or_default();
            if !command.starts_with('-') && !self.commands.contains(command) {
                problems.push(format!("there is no `salver {command}`"));
            }
            let flags = words.filter_map(|word| word.strip_prefix("--")?.split('=').next());
            let is_unknown = |flag: &&str| {
                !self.words.contains(*flag) && !self.words.contains(&flag.replace('-', "_"))
            };
            problems.extend(
                flags
                    .filter(is_unknown)
                    .map(|flag| format!("`salver {command}` has no --{flag}")),
            );
        }
        let paths = line
            .split([' ', '=', '\'', '"'])
            .filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)));
        let is_gone = |path: &&str| !path.contains(['*', '$', '{']) && !tree.has(path);
        problems.extend(
            paths
                .filter(is_gone)
                .map(|path| format!("`{path}` does not exist")),
        );
        problems
    }
}

/// Returns the variants of `enum Command`, as they are typed.
fn variants_of_command(source: &Source) -> Vec<String> {
    let texts: Vec<&str> = source
        .tokens
        .iter()
        .map(|token| token.text.as_str())
        .collect();
    let Some(start) = texts
        .windows(3)
        .position(|window| window == ["enum", "Command", "{"])
    else {
        return Vec::new();
    };
    let body = texts
        .iter()
        .skip(start + 3)
        .take_while(|text| **text != "}");
    body.filter(|text| text.starts_with(|sign: char| sign.is_ascii_uppercase()))
        .map(|text| text.to_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGS: &str = "//! A.\nenum Command { Serve(Box<ServeArgs>), Predict(PredictArgs) }\n\
                        struct A { #[arg(long = \"rest_api_port\")] a: u8, host: u8 }";

    fn check(markdown: &str, expected: &[&str]) {
        let files = [
            ("crates/cli/src/args.rs", ARGS),
            ("examples/a/b.py", ""),
            ("README.md", markdown),
        ];
        let found = documented(&Tree::of(&files).unwrap());
        assert_eq!(
            found
                .iter()
                .map(|finding| finding.message.as_str())
                .collect::<Vec<_>>(),
            expected,
            "{markdown}"
        );
    }

    #[test]
    fn commands_that_do_not_exist_are_found() {
        check("run `cargo xtask test`", &[]);
        check(
            "run `cargo xtask conquer`",
            &["there is no `cargo xtask conquer`"],
        );
        check(
            "```sh\nsalver serve examples/a --host=::1 --rest_api_port=1\n```",
            &[],
        );
        check(
            "```sh\nsalver conquer\n```",
            &["there is no `salver conquer`"],
        );
        check(
            "```sh\ncargo run --release -- serve --nice\n```",
            &["`salver serve` has no --nice"],
        );
        check(
            "```sh\npython3 examples/a/c.py\n```",
            &["`examples/a/c.py` does not exist"],
        );
        check("```text\nsalver conquer\n```", &[]);
    }
}
