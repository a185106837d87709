use std::path::PathBuf;

use super::*;
use crate::testing::Tree;

/// Writes each model as `name@path` below the root, and each problem with paths below the root.
fn describe(tree: &Tree, root: &Path) -> (Vec<String>, Vec<String>) {
    let discovery = discover(root);
    let below = |path: &Path| {
        path.strip_prefix(tree.root())
            .unwrap_or(path)
            .display()
            .to_string()
    };
    let entries = discovery
        .entries
        .iter()
        .map(|entry| format!("{}@{}", entry.name, below(entry.base.path())))
        .collect();
    let problems = discovery
        .problems
        .iter()
        .map(|problem| {
            let file = PathBuf::from(below(&problem.file));
            let problem = Problem {
                file,
                ..problem.clone()
            };
            problem
                .to_string()
                .replace(&format!("{}/", tree.root().display()), "")
        })
        .collect();
    (entries, problems)
}

fn check(paths: &[&str], root: &str, entries: &[&str], problems: &[&str]) {
    let tree = Tree::with(paths);
    let found = describe(&tree, &tree.path(root));
    assert_eq!(found.0, entries, "models of {paths:?}");
    assert_eq!(found.1, problems, "problems of {paths:?}");
}

#[test]
fn a_folder_with_version_folders_is_one_model() {
    check(
        &["m/1/model.onnx", "m/00002/model.onnx", "m/README"],
        "m",
        &["m@m"],
        &[],
    );
    check(&["m/7/saved_model.pb", "m/assets/x"], "m", &["m@m"], &[]);
    check(&["m/model.toml"], "m", &["m@m"], &[]);
}

#[test]
fn a_folder_that_holds_a_main_file_is_one_model() {
    check(&["m/model.onnx", "m/model.onnx.data"], "m", &["m@m"], &[]);
    check(
        &["m/saved_model.pb", "m/variables/variables.index"],
        "m",
        &["m@m"],
        &[],
    );
    check(&["m/model.tflite"], "m", &["m@m"], &[]);
}

#[test]
fn a_folder_of_models_holds_folders_and_flat_files() {
    let paths = [
        "r/a/1/model.onnx",
        "r/b/model.onnx",
        "r/c.onnx",
        "r/d.tflite",
        "r/e/model.toml",
        "r/f/config.pbtxt",
        "r/f/1/model.onnx",
        "r/notes.txt",
        "r/docs/index.html",
        "r/empty/",
        "r/.git/1/model.onnx",
        "r/.hidden.onnx",
    ];
    let entries = [
        "a@r/a",
        "b@r/b",
        "c@r/c.onnx",
        "d@r/d.tflite",
        "e@r/e",
        "f@r/f",
    ];
    check(&paths, "r", &entries, &[]);
}

#[test]
fn among_flat_files_model_onnx_is_one_of_them() {
    check(
        &["r/model.onnx", "r/b.onnx"],
        "r",
        &["b@r/b.onnx", "model@r/model.onnx"],
        &[],
    );
}

#[test]
fn a_flat_file_by_itself_is_one_model() {
    check(
        &["r/net.v2.onnx"],
        "r/net.v2.onnx",
        &["net.v2@r/net.v2.onnx"],
        &[],
    );
    check(
        &["r/notes.txt"],
        "r/notes.txt",
        &[],
        &[
            "r/notes.txt: is not a model file; give a folder, or a file that ends in .onnx or .tflite",
        ],
    );
}

#[test]
fn an_empty_folder_is_a_folder_of_no_models() {
    check(&["r/"], "r", &[], &[]);
}

#[test]
fn a_folder_that_is_not_there_is_a_problem() {
    let tree = Tree::new();
    let (entries, problems) = describe(&tree, &tree.path("nowhere"));
    assert!(entries.is_empty());
    assert!(
        problems[0].starts_with("nowhere: cannot be read: "),
        "{problems:?}"
    );
    assert!(problems[0].ends_with("; check the path"), "{problems:?}");
}

#[test]
fn what_looks_like_a_model_in_the_wrong_place_is_pointed_at() {
    check(
        &[
            "r/a/v1/model.onnx",
            "r/b/net.onnx",
            "r/c/x.tflite",
            "r/ok.onnx",
        ],
        "r",
        &["ok@r/ok.onnx"],
        &[
            "r/a/v1: holds model.onnx but its name is not a version number; rename the folder, for example to 1",
            "r/b/net.onnx: is not named model.onnx; move it to 1/model.onnx, or one folder up to serve it under its own name",
            "r/c/x.tflite: is not named model.tflite; move it to 1/model.tflite, or one folder up to serve it under its own name",
        ],
    );
}

#[test]
fn two_models_of_one_name_are_a_problem() {
    check(
        &["r/a/1/model.onnx", "r/a.onnx", "r/b.onnx", "r/b.tflite"],
        "r",
        &["a@r/a", "b@r/b.onnx"],
        &[
            "r/a.onnx: is a second model named `a`, beside r/a; rename one of them",
            "r/b.tflite: is a second model named `b`, beside r/b.onnx; rename one of them",
        ],
    );
}

#[test]
fn two_folders_of_one_version_are_a_problem() {
    check(
        &["r/a/001/model.onnx", "r/a/1/model.onnx"],
        "r",
        &["a@r/a"],
        &["r/a/001: is version 1, and so is `1`; remove one of them; `1` is the one that counts"],
    );
}

#[test]
fn a_model_among_the_versions_of_another_is_a_problem() {
    check(
        &["m/1/model.onnx", "m/other/model.onnx"],
        "m",
        &["m@m"],
        &[
            "m/other: is a model beside the versions of another; move it out, or rename it to a version number",
        ],
    );
}

#[test]
fn a_name_that_cannot_be_asked_for_is_a_problem() {
    check(
        &["r/a:b/1/model.onnx"],
        "r",
        &[],
        &["r/a:b: `a:b` cannot be a model's name; rename it, without `:` and `/`"],
    );
}

#[test]
fn mistakes_of_all_models_are_told_at_once_and_the_others_found() {
    let tree = Tree::with(&["r/a/1/model.onnx", "r/b/1/model.onnx", "r/c/1/model.onnx"]);
    tree.write("r/a/model.toml", b"instances = 1\nthread = 2\n");
    tree.write("r/b/model.toml", b"engine = 4\n");
    tree.write("r/c/model.toml", b"instances = 2\n");
    let (entries, problems) = describe(&tree, &tree.path("r"));
    assert_eq!(entries, ["c@r/c"]);
    assert_eq!(
        problems,
        [
            "r/a/model.toml:2: unknown key `thread`; did you mean `threads`?",
            "r/b/model.toml:1: `engine`: expected a string, got integer 4",
        ]
    );
    let settings = &discover(&tree.path("r")).entries[0].settings;
    assert_eq!(settings.instances.unwrap().get(), 2);
}

#[test]
fn a_link_to_a_model_gives_it_its_own_name() {
    let tree = Tree::with(&["release-42/1/model.onnx"]);
    std::os::unix::fs::symlink(tree.path("release-42"), tree.path("current")).unwrap();
    for (root, expected) in [
        ("current", "current"),
        ("current/", "current"),
        ("current/.", "current"),
        ("release-42/1/..", "release-42"),
    ] {
        let entries = discover(&tree.path(root)).entries;
        assert_eq!(&*entries[0].name, expected, "{root}");
    }
}
