//! What no file may say, and links that lead somewhere.

use super::{Finding, Tree};

/// Folders of one machine, hosts of package registries and settings that redirect them. Written in halves, so that
/// this file may be checked too.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("static.", "crates.io"), "a registry's host"),
    (concat!("index.", "crates.io"), "a registry's host"),
    (concat!("pypi", ".org"), "a registry's host"),
    (concat!("pythonhosted", ".org"), "a registry's host"),
    (concat!("registry.", "npmjs"), "a registry's host"),
    (concat!("proxy.", "golang.org"), "a registry's host"),
    (concat!("deb.", "debian.org"), "a registry's host"),
    (
        concat!("--index", "-url"),
        "a registry is the user's choice",
    ),
    (
        concat!("--find", "-links"),
        "a registry is the user's choice",
    ),
];

/// Where every dependency comes from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn workplace(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts() {
        for (line_idx, line) in text.lines().enumerate() {
            let forbidden = FORBIDDEN
                .iter()
                .filter(|(needle, _)| contains(line, needle));
            findings.extend(forbidden.map(|(needle, what)| {
                Finding::at(
                    "texts",
                    path,
                    line_idx + 1,
                    format!("names `{needle}`: {what}"),
                )
            }));
        }
    }
    findings
}

/// A path counts only from its start: `network/…` is not one of this machine.
fn contains(line: &str, needle: &str) -> bool {
    let starts_path = |position: usize| {
        let before = line
            .get(..position)
            .and_then(|before| before.chars().next_back());
        before.is_none_or(|sign| !sign.is_alphanumeric() && !"._-*{}".contains(sign))
    };
    line.match_indices(needle)
        .any(|(position, _)| !needle.starts_with('/') || starts_path(position))
}

/// `Cargo.lock` names one registry, and no configuration replaces it.
pub(super) fn sources(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in ["Cargo.lock", "fuzz/Cargo.lock"] {
        for (line_idx, line) in tree.text(path).unwrap_or_default().lines().enumerate() {
            let source = line
                .strip_prefix("source = ")
                .map(|source| source.trim_matches('"'));
            if source.is_some_and(|source| source != REGISTRY) {
                findings.push(Finding::at(
                    "sources",
                    path,
                    line_idx + 1,
                    format!("only {REGISTRY} is a source"),
                ));
            }
        }
    }
    let config = ".cargo/config.toml";
    let has_sources = |line: &str| {
        line.trim_start().starts_with("[source") || line.trim_start().starts_with("[registr")
    };
    if tree
        .text(config)
        .unwrap_or_default()
        .lines()
        .any(has_sources)
    {
        findings.push(Finding::of_file(
            "sources",
            config,
            "registries are the user's choice",
        ));
    }
    findings
}

/// Relative links of Markdown files lead to files.
pub(super) fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| path.ends_with(".md")) {
        for (line_idx, line) in text.lines().enumerate() {
            let targets = line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split_once(')'));
            for target in targets.map(|(target, _)| target.split('#').next().unwrap_or_default()) {
                let is_outside =
                    target.is_empty() || target.contains("://") || target.starts_with("mailto:");
                if !is_outside && !tree.has(&resolve(path, target)) {
                    findings.push(Finding::at(
                        "links",
                        path,
                        line_idx + 1,
                        format!("`{target}` does not exist"),
                    ));
                }
            }
        }
    }
    findings
}

/// Returns a link's target from the root.
fn resolve(path: &str, target: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn num_found(rule: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> usize {
        rule(&Tree::of(&[("docs/there.md", ""), (path, text)]).unwrap()).len()
    }

    #[test]
    fn paths_and_hosts_of_one_machine_are_found() {
        assert_eq!(
            num_found(workplace, "a.md", concat!("see /wo", "rk/main")),
            1
        );
        assert_eq!(
            num_found(workplace, "a.py", concat!("https://pypi", ".org/simple")),
            1
        );
        assert_eq!(
            num_found(
                workplace,
                "a.md",
                concat!("net/wo", "rk/main and home", "/roots")
            ),
            0
        );
    }

    #[test]
    fn foreign_sources_are_found() {
        assert_eq!(
            num_found(
                sources,
                "Cargo.lock",
                "source = \"git+https://a.example/b\""
            ),
            1
        );
        assert_eq!(
            num_found(sources, "Cargo.lock", &format!("source = \"{REGISTRY}\"")),
            0
        );
        assert_eq!(
            num_found(sources, ".cargo/config.toml", "[source.mirror]"),
            1
        );
    }

    #[test]
    fn links_to_nowhere_are_found() {
        assert_eq!(
            num_found(
                links,
                "a.md",
                "[a](docs/there.md#part), [b](https://a.example/), [c](#part)"
            ),
            0
        );
        assert_eq!(
            num_found(
                links,
                "docs/a.md",
                "[a](there.md), [b](../docs/there.md), [c](../docs)"
            ),
            0
        );
        assert_eq!(
            num_found(links, "a.md", "[a](there.md) and [b](docs/gone.md)"),
            2
        );
    }
}
