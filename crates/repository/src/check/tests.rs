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
fn whoever_takes_part_in_a_split_must_be_served() {
    let split = "[split]
        arms = [{ name = \"stable\", label = \"stable\", weight = 1 }, { name = \"old\", label = \"old\", weight = 1 }]
        shadows = [{ name = \"next\", version = 3, percent = 1 }, { name = \"other\", model = \"m\", percent = 1 }]
        [labels]
        stable = 1";
    let tree = Tree::with(&["a/1/model.onnx", "a/2/model.onnx"]);
    tree.write("a/model.toml", split.as_bytes());
    let remedy = "name every version that takes part in `versions`, such as versions = [1, 2]";
    let expected = [
        format!(
            "a: does not serve version 1, label `stable`, which `stable` of `split` asks for; {remedy}"
        ),
        format!("a: does not serve version 3, which `next` of `split` asks for; {remedy}"),
        "a: has no label `old`, which `old` of `split` asks for".to_owned(),
    ];
    assert_eq!(check_tree(&tree), expected);
    tree.write("a/3/model.onnx", &onnx(64));
    let all = format!("versions = \"all\"\n{split}\nold = 2");
    tree.write("a/model.toml", all.as_bytes());
    assert_eq!(check_tree(&tree), [""; 0]);
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
