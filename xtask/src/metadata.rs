//! What cargo knows of the dependencies.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::shell::{self, Shell};

/// One package of the dependency graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// SPDX expression; packages with only a licence file have none.
    pub(crate) license: Option<String>,
    /// Where it comes from; the workspace's own have none.
    pub(crate) source: Option<String>,
}

/// Returns every package that `Cargo.lock` names for the platforms we build for.
pub(crate) fn packages(shell: &Shell) -> Result<Vec<Package>> {
    let json = shell::output(shell.cargo(&["metadata", "--format-version=1", "--locked"]))?;
    parse(&json)
}

fn parse(json: &str) -> Result<Vec<Package>> {
    let metadata: Value = serde_json::from_str(json).context("cargo metadata prints JSON")?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists packages")?;
    let text = |package: &Value, field: &str| package[field].as_str().map(str::to_owned);
    let package = |package: &Value| {
        Some(Package {
            name: text(package, "name")?,
            version: text(package, "version")?,
            license: text(package, "license"),
            source: text(package, "source"),
        })
    };
    packages
        .iter()
        .map(|value| package(value).context("a package has a name and a version"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_from_cargo_s_json() {
        let json = r#"{"packages": [{"name": "a", "version": "1.0.0", "license": "MIT", "source": null, "id": "x"}]}"#;
        let expected = Package {
            name: "a".to_owned(),
            version: "1.0.0".to_owned(),
            license: Some("MIT".to_owned()),
            source: None,
        };
        assert_eq!(parse(json).unwrap(), [expected]);
        assert!(parse("{}").is_err());
    }
}
