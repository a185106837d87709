//! One lint table for all crates, and a reason with every lint that is switched off.

use toml::{Table, Value};

use super::{Finding, Tree};

/// The crates that may contain `unsafe`. Cargo cannot lift the workspace's `forbid`, so they restate its table.
const UNSAFE_CRATES: &[&str] = &[
    "crates/backend-onnxruntime",
    "crates/backend-tensorflow",
    "crates/system",
    "crates/tensor",
];

pub(super) fn tables(tree: &Tree) -> Vec<Finding> {
    let shared = tree
        .workspace()
        .and_then(|workspace| workspace.get("lints"))
        .and_then(Value::as_table);
    let Some(shared) = shared else {
        return vec![Finding::of_file(
            "lint-tables",
            "Cargo.toml",
            "has no table workspace.lints",
        )];
    };
    let mut findings = Vec::new();
    for (folder, manifest) in tree.manifests() {
        let own = manifest.get("lints").and_then(Value::as_table);
        let inherits = own.is_some_and(|own| {
            own.get("workspace") == Some(&Value::Boolean(true)) && own.len() == 1
        });
        let problem = match own {
            _ if inherits => None,
            None => Some("has no `lints.workspace = true`"),
            Some(_) if !UNSAFE_CRATES.contains(&folder.as_str()) => {
                Some("may not have lints of its own")
            }
            Some(own) if *own != with_unsafe(shared) => Some(
                "its lints are not the workspace's with unsafe_code = \"deny\" and undocumented_unsafe_blocks = \"warn\"",
            ),
            Some(_) => None,
        };
        findings.extend(problem.map(|problem| {
            Finding::of_file("lint-tables", &format!("{folder}/Cargo.toml"), problem)
        }));
    }
    findings
}

fn with_unsafe(shared: &Table) -> Table {
    let mut expected = shared.clone();
    let mut set = |tool: &str, lint: &str, level: &str| {
        let lints = expected
            .entry(tool)
            .or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(lints) = lints {
            lints.insert(lint.to_owned(), Value::String(level.to_owned()));
        }
    };
    set("rust", "unsafe_code", "deny");
    set("clippy", "undocumented_unsafe_blocks", "warn");
    expected
}

/// `#[allow(…)]` and `#[expect(…)]` say why.
pub(super) fn reasons(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources() {
        for (idx, window) in source.tokens.windows(3).enumerate() {
            let [bracket, level, open] = window else {
                continue;
            };
            let switches_off =
                matches!(level.text.as_str(), "allow" | "expect") && open.text == "(";
            if bracket.text != "[" || !switches_off {
                continue;
            }
            let attribute = source
                .tokens
                .iter()
                .skip(idx)
                .take_while(|token| token.text != "]");
            if !attribute.into_iter().any(|token| token.text == "reason") {
                let message = format!("`{}` without a reason", level.text);
                findings.push(Finding::at(
                    "lint-reasons",
                    &source.path,
                    level.line,
                    message,
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str =
        "[workspace.lints.rust]\nunsafe_code = 'forbid'\n[workspace.lints.clippy]\ntodo = 'warn'\n";

    fn num_tables(folder: &str, manifest: &str) -> usize {
        tables(
            &Tree::of(&[
                ("Cargo.toml", ROOT),
                (&format!("{folder}/Cargo.toml"), manifest),
            ])
            .unwrap(),
        )
        .len()
    }

    #[test]
    fn a_crate_with_lints_of_its_own_is_found() {
        let own = "[lints.rust]\nunsafe_code = 'deny'\n[lints.clippy]\ntodo = 'warn'\nundocumented_unsafe_blocks = 'warn'\n";
        assert_eq!(num_tables("crates/server", "[lints]\nworkspace = true"), 0);
        assert_eq!(num_tables("crates/server", ""), 1);
        assert_eq!(num_tables("crates/server", own), 1);
        assert_eq!(num_tables("crates/backend-onnxruntime", own), 0);
        assert_eq!(
            num_tables(
                "crates/backend-onnxruntime",
                &own.replace("todo = 'warn'", "")
            ),
            1
        );
        assert_eq!(
            num_tables(
                "crates/backend-onnxruntime",
                &own.replace("'deny'", "'allow'")
            ),
            1
        );
    }

    #[test]
    fn a_lint_that_is_off_without_a_reason_is_found() {
        let text = "//! A.\n#[allow(dead_code)]\nfn a() {}\n#[expect(dead_code, reason = \"x\")]\nfn b() { c.expect(\"d\") }";
        let found = reasons(&Tree::of(&[("a.rs", text)]).unwrap());
        assert_eq!(
            found.iter().map(|finding| finding.line).collect::<Vec<_>>(),
            [Some(2)]
        );
    }
}
