//! Looks for mistakes in model folders without serving them.

use std::path::Path;

use salver_backend::Registry;
use salver_servable::VersionChoice;

use crate::{ModelEntry, ModelSettings, Problem, VersionPolicyConfig, discover, layout, whole};

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
    let versions: Vec<i64> = versions.iter().map(|found| found.version).collect();
    problems.extend(check_split(base, &entry.settings, &versions));
    problems
}

/// Checks that whoever takes part in a model's split is served; other models may come from anywhere.
fn check_split(base: &Path, settings: &ModelSettings, versions: &[i64]) -> Vec<Problem> {
    let policy = settings.version_policy.clone().unwrap_or_default();
    let served = policy.choose(versions);
    let missing = |name: &str, version: &VersionChoice| {
        let (version, what) = match version {
            VersionChoice::Latest => return None,
            VersionChoice::Version(version) => (*version, format!("version {version}")),
            VersionChoice::Label(label) => match settings.labels.get(label) {
                Some(version) => (*version, format!("version {version}, label `{label}`")),
                None => {
                    let message =
                        format!("has no label `{label}`, which `{name}` of `split` asks for");
                    return Some(Problem::new(base, message));
                }
            },
        };
        let message = format!("does not serve {what}, which `{name}` of `split` asks for");
        let remedy = "name every version that takes part in `versions`, such as versions = [1, 2]";
        let is_served = served.contains(&version);
        (!is_served).then(|| Problem::new(base, message).with_remedy(remedy))
    };
    let Some(split) = &settings.split else {
        return Vec::new();
    };
    let arms = split.arms.iter().map(|arm| (&arm.name, &arm.target));
    let shadows = split
        .shadows
        .iter()
        .map(|shadow| (&shadow.name, &shadow.target));
    arms.chain(shadows)
        .filter(|(_, target)| target.model.is_none())
        .filter_map(|(name, target)| missing(name, &target.version))
        .collect()
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
