//! Looks for mistakes in model folders without serving them.

use std::path::Path;

use salver_backend::Registry;

use crate::{ModelEntry, Problem, VersionPolicyConfig, discover, layout, whole};

/// Returns every mistake: of layout and settings, versions that are not whole, and models that no engine here can run.
///
/// # Blocking
/// Reads the structure of every version.
#[must_use]
pub fn check(root: &Path, registry: &Registry) -> Vec<Problem> {
    let discovery = discover(root);
    let mut problems = discovery.problems;
    for entry in &discovery.entries {
        problems.extend(check_model(entry, registry));
    }
    problems.sort();
    problems.dedup();
    problems
}

fn check_model(entry: &ModelEntry, registry: &Registry) -> Vec<Problem> {
    let base = entry.base.path();
    let versions = match layout::versions(&entry.base) {
        Ok(versions) => versions,
        Err(error) => return vec![Problem::new(base, format!("cannot be read: {error}"))],
    };
    if versions.is_empty() {
        let message = "has no version";
        let remedy = format!("put one of {} into a folder `1`", layout::main_file_names());
        return vec![Problem::new(base, message).with_remedy(remedy)];
    }
    let mut problems: Vec<Problem> = versions
        .iter()
        .filter_map(|found| check_version(found, entry.settings.engine.as_deref(), registry))
        .collect();
    let is_there = |version: &i64| versions.iter().any(|found| found.version == *version);
    if let Some(VersionPolicyConfig::Specific(wanted)) = &entry.settings.version_policy {
        let missing = wanted.iter().filter(|version| !is_there(version));
        problems.extend(missing.map(|version| {
            Problem::new(
                base,
                format!("has no version {version}, which `versions` asks for"),
            )
        }));
    }
    let dangling = entry
        .settings
        .labels
        .iter()
        .filter(|(_, version)| !is_there(version));
    problems.extend(dangling.map(|(label, version)| {
        Problem::new(
            base,
            format!("has no version {version}, which label `{label}` stands for"),
        )
    }));
    problems
}

fn check_version(
    found: &layout::FoundVersion,
    engine: Option<&str>,
    registry: &Registry,
) -> Option<Problem> {
    let path = found.place.path();
    let Some(files) = found.place.files() else {
        let message = format!("has none of {}", layout::main_file_names());
        return Some(Problem::new(path, message));
    };
    if let Err(flaw) = whole::check_structure(&files) {
        return Some(Problem::new(path, flaw.message()).with_remedy("copy it again"));
    }
    let refusal = registry.choose(&files, engine).err()?;
    Some(Problem::new(path, refusal.to_string()))
}

#[cfg(test)]
mod tests;
