//! Settings that others are told of, as they come and go: labels, request logs.

use super::*;

#[test]
fn request_logs_are_told_when_they_change_and_end_with_their_model() {
    let tree = old(&["a/1/model.onnx"]);
    let settings = b"request_log = { filename_prefix = 'p', sampling_rate = 0.5 }\n";
    tree.write("a/model.toml", settings);
    let mut watched = Watched::new(tree);
    assert_eq!(watched.look(), ["offer a [1]", r#"log a Some("p")"#]);
    assert_eq!(watched.look(), NOTHING);
    watched.tree.write("a/model.toml", b"");
    assert_eq!(watched.look(), ["log a None"]);
    watched.tree.write("a/model.toml", settings);
    assert_eq!(watched.look(), [r#"log a Some("p")"#]);
    watched.tree.remove("a");
    assert_eq!(watched.look(), ["offer a []", "log a None"]);
}

#[test]
fn labels_are_told_when_they_change() {
    let tree = old(&["a/1/model.onnx"]);
    tree.write("a/model.toml", b"labels = { stable = 1 }\n");
    let mut watched = Watched::new(tree);
    assert_eq!(watched.look(), ["offer a [1]", r#"labels a {"stable": 1}"#]);
    assert_eq!(watched.look(), NOTHING);
    watched.tree.write("a/model.toml", b"");
    assert_eq!(watched.look(), ["labels a {}"]);
}
