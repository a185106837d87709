use std::sync::Arc;

use salver_testkit::FakeBackend;

use super::*;
use crate::testing::{Tree, onnx};

fn check_tree(tree: &Tree) -> Vec<String> {
    let registry = Registry::new(vec![Arc::new(FakeBackend::new())]);
    let root = format!("{}/", tree.root().display());
    check(tree.root(), &registry)
        .iter()
        .map(|problem| problem.to_string().replace(&root, ""))
        .collect()
}

#[test]
fn a_folder_without_mistakes_has_no_problems() {
    let tree = Tree::with(&["a/1/model.onnx", "b.onnx"]);
    tree.write(
        "a/model.toml",
        b"engine = \"fake\"\nlabels = { stable = 1 }\n",
    );
    assert_eq!(check_tree(&tree), [""; 0]);
}

#[test]
fn every_mistake_is_found_at_once() {
    let tree = Tree::with(&[
        "a/1/model.onnx",
        "b/1/model.onnx",
        "c/model.toml",
        "d/2/notes.txt",
    ]);
    tree.write("a/2/model.onnx", &onnx(5000)[..1000]);
    tree.write(
        "a/model.toml",
        b"versions = [1, 3]\nlabels = { stable = 4 }\n",
    );
    tree.write("b/model.toml", b"engine = \"tpu\"\n");
    tree.write("e/1/model.onnx", &onnx(8));
    tree.write("e/model.toml", b"instance = 1\n");
    let expected = [
        "a: has no version 3, which `versions` asks for",
        "a: has no version 4, which label `stable` stands for",
        "a/2: model.onnx is incomplete: 1,000 of 5,080 bytes are here; copy it again",
        "b/1: the engine is not available: there is none named `tpu`; known engines: fake",
        "c: has no version; put one of model.onnx, saved_model.pb, saved_model.pbtxt, model.tflite, model.py into a folder `1`",
        "d/2: has none of model.onnx, saved_model.pb, saved_model.pbtxt, model.tflite, model.py",
        "e/model.toml:1: unknown key `instance`; did you mean `instances`?",
    ];
    assert_eq!(check_tree(&tree), expected);
}

#[test]
fn a_folder_that_is_not_there_is_a_problem() {
    let problems = check(Path::new("/nowhere/at/all"), &Registry::default());
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0]
            .to_string()
            .starts_with("/nowhere/at/all: cannot be read")
    );
}
