//! The files that the rules look at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result};
use toml::{Table, Value};

use super::Source;
use crate::shell::{self, Shell};

/// Every text file of the repository by its path from the root, and its Rust files parsed.
#[derive(Debug)]
pub(crate) struct Tree {
    texts: BTreeMap<String, String>,
    /// Every file, pictures and models too.
    paths: BTreeSet<String>,
    sources: BTreeMap<String, Source>,
    manifests: BTreeMap<String, Table>,
    /// Files that are compiled for tests only because of where they are included.
    test_files: BTreeSet<String>,
}

impl Tree {
    /// Reads what git tracks or would take; a file that is not text is left out.
    pub(crate) fn read(shell: &Shell) -> Result<Self> {
        let listing = [
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ];
        let listing = shell::output(shell.program("git", &listing))?;
        let mut texts = BTreeMap::new();
        let mut paths = BTreeSet::new();
        // A tracked file may be deleted in the work tree.
        for path in listing
            .split('\0')
            .filter(|path| shell.path(path).is_file())
        {
            paths.insert(path.to_owned());
            if let Ok(text) = String::from_utf8(fs::read(shell.path(path))?) {
                texts.insert(path.to_owned(), text);
            }
        }
        Self::parse(paths, texts)
    }

    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Result<Self> {
        let texts = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self::parse(
            files.iter().map(|(path, _)| (*path).to_owned()).collect(),
            texts.collect(),
        )
    }

    fn parse(paths: BTreeSet<String>, texts: BTreeMap<String, String>) -> Result<Self> {
        let mut sources = BTreeMap::new();
        let mut manifests = BTreeMap::new();
        for (path, text) in &texts {
            if path.ends_with(".rs") {
                sources.insert(path.clone(), Source::parse(path, text)?);
            }
            if let Some(folder) = path.strip_suffix("Cargo.toml") {
                let manifest = text.parse().with_context(|| path.clone())?;
                manifests.insert(folder.trim_end_matches('/').to_owned(), manifest);
            }
        }
        let test_files = sources.values().flat_map(test_files).collect();
        Ok(Self {
            texts,
            paths,
            sources,
            manifests,
            test_files,
        })
    }

    pub(crate) fn num_files(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Tells whether there is such a file, or a folder with files in it.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.paths.contains(path)
            || self
                .paths
                .range(folder.clone()..)
                .next()
                .is_some_and(|next| next.starts_with(&folder))
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.values()
    }

    /// Returns the sources that end up in what users run.
    pub(crate) fn product_sources(&self) -> impl Iterator<Item = &Source> {
        self.sources()
            .filter(|source| source.path.starts_with("crates/") && !self.is_test(&source.path))
    }

    /// Tells whether a file is compiled for tests only.
    pub(crate) fn is_test(&self, path: &str) -> bool {
        let in_test_folder = ["/tests/", "/benches/", "/examples/"]
            .iter()
            .any(|folder| path.contains(folder));
        in_test_folder || path.starts_with("crates/testkit/") || self.is_test_module(path)
    }

    /// Tells whether a file is included by `#[cfg(test)] mod name;`.
    pub(crate) fn is_test_module(&self, path: &str) -> bool {
        self.test_files.contains(path)
    }

    /// Returns the packages' manifests by folder, without the workspace's own.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = (String, Table)> {
        let packages = self
            .manifests
            .iter()
            .filter(|(folder, _)| !folder.is_empty() && *folder != "fuzz");
        packages.map(|(folder, manifest)| (folder.clone(), manifest.clone()))
    }

    /// Returns the workspace's manifest.
    pub(crate) fn workspace(&self) -> Option<&Table> {
        self.manifests.get("")?.get("workspace")?.as_table()
    }
}

/// Returns the names in one of a manifest's tables of dependencies, also of those for certain platforms.
pub(crate) fn dependencies(manifest: &Table, table: &str) -> Vec<String> {
    let keys = |owner: &Table| -> Vec<String> {
        let table = owner.get(table).and_then(Value::as_table);
        table
            .map(|table| table.keys().cloned().collect())
            .unwrap_or_default()
    };
    let platforms = manifest.get("target").and_then(Value::as_table).into_iter();
    let platforms = platforms
        .flat_map(Table::values)
        .filter_map(Value::as_table);
    std::iter::once(manifest)
        .chain(platforms)
        .flat_map(keys)
        .collect()
}

/// Returns where the modules lie that a file includes for tests only.
fn test_files(source: &Source) -> Vec<String> {
    let path = source.path.trim_end_matches(".rs");
    let (parent, stem) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = if matches!(stem, "lib" | "main" | "mod") {
        parent
    } else {
        path
    };
    source
        .test_modules
        .iter()
        .map(|name| format!("{folder}/{name}.rs"))
        .collect()
}
