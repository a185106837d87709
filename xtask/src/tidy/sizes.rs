//! Functions and files that can be read in one go, each file with a word on what it owns.

use super::{Finding, Tree};

/// Over this, a function is more than one thought.
const MAX_FUNCTION_LINES: usize = 80;

/// Over this, without tests, a file hides a seam.
const MAX_FILE_LINES: usize = 500;

pub(super) fn functions(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources() {
        for function in source
            .functions
            .iter()
            .filter(|function| function.num_lines > MAX_FUNCTION_LINES)
        {
            let message = format!(
                "`{}` has {} lines; the limit is {MAX_FUNCTION_LINES}",
                function.name, function.num_lines
            );
            let subject = format!("{}#{}", source.path, function.name);
            findings.push(Finding {
                subject,
                ..Finding::at("function-length", &source.path, function.line, message)
            });
        }
    }
    findings
}

pub(super) fn files(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources() {
        let num_lines = source.num_lines - source.num_test_lines;
        if num_lines > MAX_FILE_LINES {
            let message =
                format!("has {num_lines} lines without tests; the limit is {MAX_FILE_LINES}");
            findings.push(Finding::of_file("file-length", &source.path, message));
        }
    }
    findings
}

/// A file of unit tests beside its module (`foo/tests.rs`) needs no introduction; every other file has one.
pub(super) fn module_docs(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.sources() {
        let text = tree.text(&source.path).unwrap_or_default();
        let opens_with_docs = text.starts_with("//!") || text.starts_with("#!/");
        if !opens_with_docs && !tree.is_test_module(&source.path) {
            findings.push(Finding::at(
                "module-docs",
                &source.path,
                1,
                "does not open with `//!`: what it owns",
            ));
        }
    }
    findings
}

/// A folder of modules stands beside `foo.rs`, so that no two open files have one name.
pub(super) fn module_files(tree: &Tree) -> Vec<Finding> {
    let named_mod = tree
        .sources()
        .filter(|source| source.path.ends_with("/mod.rs"));
    named_mod
        .map(|source| {
            Finding::of_file(
                "module-files",
                &source.path,
                "is to be `foo.rs` beside `foo/`",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rule: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> Vec<String> {
        let tree = Tree::of(&[
            ("crates/a/src/lib.rs", "//! A.\n#[cfg(test)]\nmod tests;"),
            (path, text),
        ])
        .unwrap();
        rule(&tree)
            .into_iter()
            .map(|finding| finding.subject)
            .collect()
    }

    #[test]
    fn long_functions_are_found() {
        let function = |num_lines: usize| {
            format!(
                "//! B.\nfn long() {{\n{}}}\n",
                "work();\n".repeat(num_lines - 2)
            )
        };
        assert_eq!(found(functions, "b.rs", &function(81)), ["b.rs#long"]);
        assert_eq!(found(functions, "b.rs", &function(80)), [""; 0]);
    }

    #[test]
    fn long_files_are_found_and_tests_do_not_count() {
        let lines = |num_lines: usize| format!("//! B.\n{}", "use a;\n".repeat(num_lines - 1));
        assert_eq!(found(files, "b.rs", &lines(501)), ["b.rs"]);
        let with_tests = format!("{}#[cfg(test)]\nmod tests {{\nuse a;\n}}\n", lines(500));
        assert_eq!(found(files, "b.rs", &with_tests), [""; 0]);
    }

    #[test]
    fn files_say_what_they_own() {
        assert_eq!(found(module_docs, "b.rs", "use a;"), ["b.rs"]);
        assert_eq!(
            found(module_docs, "crates/a/src/tests.rs", "use a;"),
            [""; 0]
        );
    }

    #[test]
    fn mod_rs_is_found() {
        assert_eq!(
            found(module_files, "crates/a/src/b/mod.rs", "//! B."),
            ["crates/a/src/b/mod.rs"]
        );
    }
}
