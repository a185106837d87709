//! Finds dependencies that no source file of their crate names, and workspace dependencies that no crate takes.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::shell::Shell;
use crate::tidy::{Source, Tree, dependencies};

/// Dependencies that are used without being named, with the reason. `*` stands for every crate.
const UNNAMED: &[(&str, &str, &str)] = &[
    ("proto", "bytes", "named by the generated code"),
    ("proto", "prost", "named by the generated code"),
    ("proto", "prost-types", "named by the generated code"),
    ("proto", "tonic", "named by the generated code"),
    ("proto", "tonic-prost", "named by the generated code"),
];

/// Tells whether a table of dependencies is for a file, by its path within the crate.
type IsFor = fn(&str) -> bool;

/// A manifest's tables of dependencies, and which source files each is for.
const TABLES: [(&str, IsFor); 3] = [
    ("dependencies", |path| path.starts_with("src/")),
    ("dev-dependencies", |path| !path.starts_with("build.rs")),
    ("build-dependencies", |path| path == "build.rs"),
];

pub(crate) fn run(shell: &Shell) -> Result<()> {
    let tree = Tree::read(shell)?;
    let unused = find(&tree);
    for line in &unused {
        println!("{line}");
    }
    match unused.len() {
        0 => {
            println!("unused: every dependency is named by its crate's source");
            Ok(())
        }
        count => bail!("{count} dependencies are not used"),
    }
}

fn find(tree: &Tree) -> Vec<String> {
    let mut unused = Vec::new();
    for (folder, manifest) in tree.manifests() {
        for (table, is_for) in TABLES {
            let names = names(tree, &folder, is_for);
            for dependency in dependencies(&manifest, table) {
                let is_unnamed = UNNAMED
                    .iter()
                    .any(|(owner, name, _)| folder.ends_with(owner) && *name == dependency);
                if !is_unnamed && !names.contains(dependency.replace('-', "_").as_str()) {
                    unused.push(format!(
                        "{folder}/Cargo.toml: {table}: `{dependency}` is not used"
                    ));
                }
            }
        }
    }
    unused.extend(untaken(tree));
    unused
}

/// Finds what the workspace's table offers and no crate takes.
fn untaken(tree: &Tree) -> Vec<String> {
    let taken: BTreeSet<String> = tree
        .manifests()
        .flat_map(|(_, manifest)| {
            TABLES
                .map(|(table, _)| dependencies(&manifest, table))
                .into_iter()
                .flatten()
        })
        .collect();
    let offered = tree
        .workspace()
        .map(|workspace| dependencies(workspace, "dependencies"));
    let untaken = offered
        .unwrap_or_default()
        .into_iter()
        .filter(|name| !taken.contains(name));
    untaken
        .map(|name| format!("Cargo.toml: workspace.dependencies: no crate takes `{name}`"))
        .collect()
}

/// Returns every identifier in those of the crate's files that may name its dependencies.
fn names<'a>(tree: &'a Tree, folder: &str, is_for: IsFor) -> BTreeSet<&'a str> {
    let prefix = format!("{folder}/");
    let is_ours = |source: &&Source| source.path.strip_prefix(&prefix).is_some_and(is_for);
    let tokens = tree
        .sources()
        .filter(is_ours)
        .flat_map(|source| &source.tokens);
    tokens.map(|token| token.text.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_must_be_named_where_it_is_for() {
        let tree = Tree::of(&[
            (
                "crates/a/Cargo.toml",
                "[dependencies]\nserde-json = '1'\nbytes = '1'\n[dev-dependencies]\ntempfile = '3'\n",
            ),
            ("Cargo.toml", "[workspace.dependencies]\nbytes = '1'\nrand = '1'\n"),
            ("crates/a/src/lib.rs", "//! A.\nuse serde_json::Value; // bytes"),
            ("crates/a/tests/b.rs", "//! B.\nuse tempfile::TempDir; use bytes::Bytes;"),
        ])
        .unwrap();
        let expected = [
            "crates/a/Cargo.toml: dependencies: `bytes` is not used",
            "Cargo.toml: workspace.dependencies: no crate takes `rand`",
        ];
        assert_eq!(find(&tree), expected);
    }
}
