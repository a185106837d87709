//! Checks licences, bans and sources of all dependencies against `deny.toml`.
//!
//! `cargo deny` reads the same file and does more (advisories, duplicates), but takes minutes to compile; it is run
//! where it is installed. This check needs nothing but cargo.

use anyhow::{Context as _, Result, bail};
use toml::Table;

use crate::metadata::{self, Package};
use crate::shell::{self, Shell};

pub(crate) fn run(shell: &Shell) -> Result<()> {
    if shell::succeeds(shell.cargo(&["deny", "--version"])) {
        return shell::run(shell.cargo(&["deny", "check"]));
    }
    let text = std::fs::read_to_string(shell.path("deny.toml")).context("deny.toml")?;
    let rules = Rules::parse(&text)?;
    let packages = metadata::packages(shell)?;
    let problems: Vec<String> = packages
        .iter()
        .filter_map(|package| rules.problem(package))
        .collect();
    for problem in &problems {
        println!("{problem}");
    }
    match problems.len() {
        0 => {
            println!(
                "deny: {} packages agree with deny.toml (cargo-deny is not installed: no advisories)",
                packages.len()
            );
            Ok(())
        }
        count => bail!("{count} packages disagree with deny.toml"),
    }
}

/// The part of `deny.toml` that this check knows.
#[derive(Debug)]
struct Rules {
    licences: Vec<String>,
    banned: Vec<String>,
    registries: Vec<String>,
}

impl Rules {
    fn parse(text: &str) -> Result<Self> {
        let table: Table = text.parse().context("deny.toml")?;
        let banned = table["bans"]
            .get("deny")
            .and_then(toml::Value::as_array)
            .context("bans.deny is a list")?;
        let banned = banned
            .iter()
            .filter_map(|ban| ban.get("crate")?.as_str().map(str::to_owned));
        Ok(Self {
            licences: strings(&table, "licenses", "allow")?,
            banned: banned.collect(),
            registries: strings(&table, "sources", "allow-registry")?,
        })
    }

    fn problem(&self, package: &Package) -> Option<String> {
        let Package {
            name,
            version,
            license,
            source,
        } = package;
        let allows = |licence: &str| self.licences.iter().any(|allowed| allowed == licence);
        let is_known = |source: &str| {
            self.registries
                .iter()
                .any(|registry| source == format!("registry+{registry}"))
        };
        let reason = if self.banned.contains(name) {
            "it is banned".to_owned()
        } else if let Some(source) = source.as_deref().filter(|source| !is_known(source)) {
            format!("it comes from {source}, which is not an allowed registry")
        } else {
            match license {
                None => "it declares no licence".to_owned(),
                Some(expression) if is_allowed(expression, &allows) => return None,
                Some(expression) => format!("its licence {expression} is not allowed"),
            }
        };
        Some(format!("{name} {version}: {reason}"))
    }
}

fn strings(table: &Table, section: &str, key: &str) -> Result<Vec<String>> {
    let list = table
        .get(section)
        .and_then(|section| section.get(key))
        .and_then(toml::Value::as_array);
    let list = list.with_context(|| format!("deny.toml has no list {section}.{key}"))?;
    Ok(list
        .iter()
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect())
}

/// Evaluates an SPDX expression: `OR` and `/` need one side, `AND` both; `WITH` binds to the licence before it.
fn is_allowed(expression: &str, allows: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Expression {
        words: &words,
        allows,
    };
    parser.any() && parser.words.is_empty()
}

struct Expression<'a> {
    words: &'a [&'a str],
    allows: &'a dyn Fn(&str) -> bool,
}

impl Expression<'_> {
    fn any(&mut self) -> bool {
        let mut is_allowed = self.all();
        while self.take("OR") {
            is_allowed |= self.all();
        }
        is_allowed
    }

    fn all(&mut self) -> bool {
        let mut is_allowed = self.one();
        while self.take("AND") {
            is_allowed &= self.one();
        }
        is_allowed
    }

    fn one(&mut self) -> bool {
        if self.take("(") {
            let is_allowed = self.any();
            return self.take(")") && is_allowed;
        }
        let Some((licence, rest)) = self.words.split_first() else {
            return false;
        };
        self.words = rest;
        if self.take("WITH") {
            let Some((exception, rest)) = self.words.split_first() else {
                return false;
            };
            self.words = rest;
            return (self.allows)(&format!("{licence} WITH {exception}"));
        }
        (self.allows)(licence)
    }

    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
        [licenses]
        allow = ["MIT", "Unicode-3.0"]
        [bans]
        deny = [{ crate = "openssl-sys", reason = "x" }]
        [sources]
        allow-registry = ["https://registry.example/index"]
    "#;

    fn problem(name: &str, license: Option<&str>, source: Option<&str>) -> Option<String> {
        let package = Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
            source: source.map(str::to_owned),
        };
        Rules::parse(RULES).unwrap().problem(&package)
    }

    #[test]
    fn expressions_are_evaluated_as_spdx_means_them() {
        let allows = |licence: &str| licence == "MIT" || licence == "Zlib";
        for expression in [
            "MIT",
            "GPL-3.0 OR MIT",
            "MIT/Apache-2.0",
            "(GPL-3.0 OR MIT) AND Zlib",
            "MIT AND Zlib",
        ] {
            assert!(is_allowed(expression, &allows), "{expression}");
        }
        for expression in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "MIT WITH Some-exception",
            "",
            "(MIT",
            "MIT MIT",
            "MIT AND",
        ] {
            assert!(!is_allowed(expression, &allows), "{expression}");
        }
    }

    #[test]
    fn a_package_is_refused_for_its_name_source_or_licence() {
        let registry = Some("registry+https://registry.example/index");
        assert_eq!(problem("good", Some("MIT"), registry), None);
        assert_eq!(problem("ours", Some("MIT"), None), None);
        assert!(
            problem("openssl-sys", Some("MIT"), registry)
                .unwrap()
                .contains("banned")
        );
        assert!(
            problem("git", Some("MIT"), Some("git+https://a.example/b"))
                .unwrap()
                .contains("not an allowed")
        );
        assert!(
            problem("copyleft", Some("GPL-3.0"), registry)
                .unwrap()
                .contains("GPL-3.0")
        );
        assert!(
            problem("silent", None, registry)
                .unwrap()
                .contains("no licence")
        );
    }
}
