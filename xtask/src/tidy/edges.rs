//! Who may depend on whom: downward only.

use toml::Table;

use super::{Finding, Tree, dependencies};

/// Every crate with those of ours that it may depend on, lowest layer first.
///
/// `telemetry` is below everything, so any crate but the other lowest ones may take it.
const EDGES: &[(&str, &[&str])] = &[
    ("tensor", &[]),
    ("proto", &[]),
    ("telemetry", &[]),
    ("wire", &[]),
    ("system", &[]),
    ("protocol", &["proto", "tensor", "wire"]),
    ("backend", &["tensor", "wire"]),
    ("servable", &[]),
    ("engine-install", &[]),
    ("savedmodel", &["backend", "protocol", "tensor", "wire"]),
    ("backend-rten", &["backend", "tensor"]),
    (
        "backend-onnxruntime",
        &["backend", "engine-install", "tensor"],
    ),
    (
        "backend-tensorflow",
        &[
            "backend",
            "engine-install",
            "protocol",
            "savedmodel",
            "tensor",
            "wire",
        ],
    ),
    ("batching", &["backend", "telemetry", "tensor"]),
    ("client", &["protocol", "proto", "tensor"]),
    (
        "repository",
        &[
            "servable",
            "batching",
            "backend",
            "savedmodel",
            "system",
            "telemetry",
            "tensor",
        ],
    ),
    ("store", &["servable", "repository"]),
    (
        "server",
        &[
            "protocol",
            "proto",
            "repository",
            "servable",
            "backend",
            "batching",
            "telemetry",
            "tensor",
        ],
    ),
    ("testkit", &["backend", "tensor", "wire"]),
];

/// May depend on every crate; nothing may depend on it.
const TOP: &str = "cli";

/// What tests may use of ours beside their crate's own dependencies.
const FOR_TESTS: &[&str] = &["testkit"];

/// Libraries that run models: whoever links one of them is an engine.
const ENGINE_LIBRARIES: &[&str] = &["rten", "rten-tensor", "ort", "ort-sys"];

const TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

pub(super) fn crates(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, manifest) in tree.manifests() {
        let Some(name) = folder.strip_prefix("crates/").filter(|name| *name != TOP) else {
            continue;
        };
        let path = format!("{folder}/Cargo.toml");
        let Some((_, allowed)) = EDGES.iter().find(|(crate_name, _)| *crate_name == name) else {
            findings.push(Finding::of_file(
                "crate-edges",
                &path,
                "is not in the table of edges (tidy/edges.rs)",
            ));
            continue;
        };
        for (table, dependency) in all_dependencies(&manifest) {
            let Some(ours) = dependency.strip_prefix("salver-") else {
                continue;
            };
            let is_for_tests = table == "dev-dependencies" && FOR_TESTS.contains(&ours);
            if !allowed.contains(&ours) && !is_for_tests {
                let message = format!("{table}: `{name}` may not depend on `{ours}`");
                findings.push(Finding::of_file("crate-edges", &path, message));
            }
        }
    }
    findings
}

pub(super) fn engines(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, manifest) in tree
        .manifests()
        .filter(|(folder, _)| !folder.starts_with("crates/backend-"))
    {
        for (table, dependency) in all_dependencies(&manifest) {
            if ENGINE_LIBRARIES.contains(&dependency.as_str()) {
                let message = format!("{table}: `{dependency}` belongs to a crate `backend-*`");
                findings.push(Finding::of_file(
                    "engines",
                    &format!("{folder}/Cargo.toml"),
                    message,
                ));
            }
        }
    }
    findings
}

/// Returns every dependency with the table it is in.
fn all_dependencies(manifest: &Table) -> Vec<(&'static str, String)> {
    let of_table = |table| {
        dependencies(manifest, table)
            .into_iter()
            .map(move |name| (table, name))
    };
    TABLES.into_iter().flat_map(of_table).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn num_found(rule: fn(&Tree) -> Vec<Finding>, folder: &str, manifest: &str) -> usize {
        rule(&Tree::of(&[(&format!("{folder}/Cargo.toml"), manifest)]).unwrap()).len()
    }

    /// A crate, a line of its manifest, and how many findings it makes.
    const TABLE: &[(&str, &str, &str, usize)] = &[
        ("crates/wire", "dependencies", "salver-tensor", 1),
        (
            "crates/wire",
            "target.'cfg(unix)'.dependencies",
            "salver-tensor",
            1,
        ),
        ("crates/servable", "dependencies", "salver-tensor", 1),
        ("crates/server", "dependencies", "salver-backend-rten", 1),
        ("crates/server", "dev-dependencies", "salver-client", 1),
        ("crates/server", "dependencies", "salver-tensor", 0),
        ("crates/batching", "dev-dependencies", "salver-testkit", 0),
        ("crates/batching", "dependencies", "salver-testkit", 1),
        ("crates/cli", "dependencies", "salver-backend-rten", 0),
    ];

    #[test]
    fn an_edge_upwards_is_found() {
        for (folder, table, dependency, num_expected) in TABLE {
            let manifest = format!("[{table}]\n{dependency} = '1'");
            assert_eq!(
                num_found(crates, folder, &manifest),
                *num_expected,
                "{folder}: {manifest}"
            );
        }
    }

    #[test]
    fn a_crate_that_the_table_lacks_is_found() {
        assert_eq!(num_found(crates, "crates/utils", ""), 1);
    }

    #[test]
    fn an_engine_outside_its_adapter_is_found() {
        assert_eq!(
            num_found(engines, "crates/backend", "[dependencies]\nrten = '1'"),
            1
        );
        assert_eq!(
            num_found(engines, "crates/testkit", "[dev-dependencies]\nort = '1'"),
            1
        );
        assert_eq!(
            num_found(engines, "crates/backend-rten", "[dependencies]\nrten = '1'"),
            0
        );
    }

    #[test]
    fn the_table_leads_downwards() {
        for (idx, (name, allowed)) in EDGES.iter().enumerate() {
            let below = EDGES.iter().take(idx);
            for edge in *allowed {
                assert!(
                    below.clone().any(|(lower, _)| lower == edge),
                    "{name} → {edge}"
                );
            }
        }
    }
}
