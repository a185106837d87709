//! What is offered at the start.

use super::*;

#[test]
fn at_start_what_has_rested_is_offered_at_once() {
    let mut watched = Watched::new(old(&["a/1/model.onnx", "a/2/model.onnx", "b.onnx"]));
    assert_eq!(watched.look(), ["offer a [2]", "offer b [1]"]);
    for _ in 0..3 {
        assert_eq!(watched.look(), NOTHING);
    }
    assert!(!watched.poller.is_unsettled());
}

#[test]
fn at_start_what_was_just_written_is_watched_first() {
    let tree = Tree::with(&["a/1/model.onnx"]);
    let mut watched = Watched::new(tree);
    assert_eq!(watched.look_after(Duration::ZERO), NOTHING);
    assert!(watched.poller.is_unsettled());
    assert_eq!(watched.look(), ["offer a [1]"]);
}

#[test]
fn at_start_nothing_is_offered_before_the_latest_version_has_rested() {
    let mut watched = Watched::new(old(&["a/1/model.onnx"]));
    watched
        .tree
        .write_at("a/2/model.onnx", &onnx(64), SystemTime::now());
    assert_eq!(watched.look(), NOTHING);
    assert_eq!(watched.look(), ["offer a [2]"]);
}

#[test]
fn at_start_the_latest_version_is_not_waited_for_while_it_is_copied() {
    let mut watched = Watched::new(old(&["a/1/model.onnx"]));
    let mut seen = Vec::new();
    for num_bytes in 64..68 {
        watched
            .tree
            .write_at("a/2/model.onnx", &onnx(num_bytes), SystemTime::now());
        seen.extend(watched.look());
    }
    let expected = [
        "report a 2: its files are still being written",
        "offer a [1]",
    ];
    assert_eq!(seen, expected);
}
