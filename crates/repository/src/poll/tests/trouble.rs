//! What goes wrong beside a model, or only for a while, does not take down what is served.

use std::os::unix::fs::symlink;

use super::*;
use crate::whole;

#[test]
fn a_stray_entry_makes_no_model_of_a_folder_of_models() {
    let mut watched = Watched::new(old(&["a/1/model.onnx", "b.onnx"]));
    assert_eq!(watched.look(), ["offer a [1]", "offer b [1]"]);
    let root = watched.tree.root().display().to_string();
    for stray in ["2024/README", "model.toml"] {
        watched.tree.write(stray, b"");
        let mark = stray.split('/').next().unwrap();
        let expected = format!(
            "problem {root}: `{mark}` makes it look like one model; it stays a folder of models; \
             move `{mark}` elsewhere, or start the server anew"
        );
        assert_eq!(watched.look(), [expected]);
        assert_eq!(watched.look(), NOTHING);
        watched.tree.remove(mark);
        assert_eq!(watched.look(), NOTHING);
    }
}

#[test]
fn a_main_file_in_a_folder_of_models_is_one_of_them() {
    let mut watched = Watched::new(old(&["a/1/model.onnx"]));
    watched.look();
    watched.add_whole("model.onnx");
    let told = watched.look();
    assert!(told[0].starts_with("problem "), "{told:?}");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(watched.look(), ["offer model [1]"]);
}

#[test]
fn a_model_without_versions_for_a_while_becomes_no_folder_of_models() {
    let tree = old(&["m/1/model.onnx"]);
    let roots = vec![Root::Discover(tree.path("m"))];
    let mut watched = Watched::with_roots(tree, roots);
    assert_eq!(watched.look(), ["offer m [1]"]);
    watched.add_whole("m/backup/1/model.onnx");
    watched.tree.remove("m/1");
    assert_eq!(
        watched.look(),
        [
            "complain m: there is no version at its base path",
            "offer m []",
            "problem m: looks like a folder of models; it stays one model; put version folders \
             into it, or start the server anew"
        ]
    );
    watched.add_whole("m/2/model.onnx");
    assert_eq!(watched.look(), ["content with m"]);
    assert_eq!(watched.look(), ["offer m [2]"]);
}

#[test]
fn a_folder_becomes_a_model_when_its_first_version_gets_its_name() {
    let tree = old(&["m/copying/model.onnx"]);
    let roots = vec![Root::Discover(tree.path("m"))];
    let mut watched = Watched::with_roots(tree, roots);
    assert_eq!(watched.look(), ["offer copying [1]"]);
    std::fs::rename(watched.tree.path("m/copying"), watched.tree.path("m/1")).unwrap();
    assert_eq!(watched.look(), ["offer copying []"]);
    assert_eq!(watched.look(), ["offer m [1]"]);
}

#[test]
fn a_verdict_that_may_pass_is_given_anew_at_each_look_and_told_once() {
    let tree = old(&["a/1/model.onnx"]);
    let now = Now {
        steady: Instant::now(),
        wall: SystemTime::now(),
    };
    let place = layout::Place::Dir(tree.path("a/1"));
    for (flaw, is_judged_anew) in [
        (whole::Flaw::Unreadable("no file handles".to_owned()), true),
        (whole::Flaw::Incomplete("no weights".to_owned()), true),
        (whole::Flaw::Malformed("damaged".to_owned()), false),
    ] {
        let mut tracked = Tracked::judged(&place, flaw);
        let name: Arc<str> = "a".into();
        assert!(tracked.report(&name, 1).is_some());
        assert!(tracked.report(&name, 1).is_none());
        tracked.look(&place, now, REST, false);
        assert_eq!(tracked.offer.is_some(), is_judged_anew);
        assert_eq!(tracked.report(&name, 1).is_some(), is_judged_anew);
    }
}

#[test]
fn what_was_incomplete_is_offered_once_it_is_whole_though_no_name_size_or_time_changed() {
    let (whole, time) = (onnx(64), long_ago());
    let tree = old(&["a/1/model.onnx"]);
    tree.write_at("a/2/model.onnx", &onnx(128)[..whole.len()], time);
    let mut watched = Watched::new(tree);
    let told = watched.look();
    assert!(
        told[0].starts_with("report a 2: model.onnx is incomplete"),
        "{told:?}"
    );
    assert_eq!(told[1], "offer a [1]");
    assert_eq!(watched.look(), NOTHING);
    watched.tree.write_at("a/2/model.onnx", &whole, time);
    assert_eq!(watched.look(), ["offer a [2]", "withdraw a 2"]);
}

#[test]
fn a_link_in_a_circle_is_told_for_itself_and_the_other_models_are_served() {
    let tree = old(&["a/1/model.onnx", "b/1/model.onnx"]);
    symlink(tree.path("circle"), tree.path("circle")).unwrap();
    let mut watched = Watched::new(tree);
    let told = watched.look();
    assert_eq!(told[..2], ["offer a [1]", "offer b [1]"]);
    assert!(told[2].starts_with("problem circle: cannot be read: "));
    assert_eq!(told.len(), 3);
    watched.tree.remove("b");
    symlink(watched.tree.path("b"), watched.tree.path("b")).unwrap();
    let told = watched.look();
    assert_eq!(told.len(), 2, "what is loaded of it stays: {told:?}");
    assert!(told[0].starts_with("complain b: its base path cannot be read: "));
    assert!(told[1].starts_with("problem b: cannot be read: "));
}

#[test]
fn a_version_that_cannot_be_read_is_told_for_itself_and_the_others_are_served() {
    let tree = old(&["a/1/model.onnx"]);
    symlink(tree.path("a/2"), tree.path("a/2")).unwrap();
    let mut watched = Watched::new(tree);
    let told = watched.look();
    assert!(told[0].starts_with("report a 2: "), "{told:?}");
    assert_eq!(told[1], "offer a [1]");
    assert!(told[2].starts_with("problem a/2: cannot be read: "));
    assert_eq!(watched.look(), NOTHING);
}

#[test]
fn a_main_file_without_version_is_version_1_until_2_is_whole_and_after() {
    let mut watched = Watched::new(old(&["a/model.onnx", "b.onnx"]));
    assert_eq!(watched.look(), ["offer a [1]", "offer b [1]"]);
    watched.tree.write("a/2/model.onnx", &onnx(64)[..20]);
    assert_eq!(watched.look(), NOTHING);
    let told = watched.look();
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("report a 2: "), "{told:?}");
    watched.add_whole("a/2/model.onnx");
    assert_eq!(watched.look(), NOTHING);
    assert_eq!(watched.look(), ["offer a [2]", "withdraw a 2"]);
    watched.tree.remove("a/2");
    assert_eq!(watched.look(), ["offer a [1]"]);
}

#[test]
fn a_folder_1_counts_before_a_main_file_without_version() {
    let tree = old(&["a/model.onnx", "a/1/model.onnx", "a/2/model.onnx"]);
    let found = layout::versions(&ModelBase::VersionDirs(tree.path("a"))).unwrap();
    let places: Vec<_> = found.into_iter().map(|found| found.place).collect();
    let dir = |path| layout::Place::Dir(tree.path(path));
    assert_eq!(places, [dir("a/1"), dir("a/2")]);
}

#[test]
fn a_base_path_that_is_missing_is_complained_of_until_it_appears() {
    let tree = old(&["a/1/model.onnx"]);
    let listed = |name: &str, path: &str| {
        Root::Model(Box::new(ModelEntry {
            name: name.into(),
            base: ModelBase::VersionDirs(tree.path(path)),
            settings: ModelSettings::default(),
        }))
    };
    let roots = vec![listed("a", "a"), listed("later", "later")];
    let mut watched = Watched::with_roots(tree, roots.clone());
    assert_eq!(
        watched.look(),
        [
            "offer a [1]",
            "complain later: its base path does not exist",
            "offer later []",
            "problem later: cannot be read: No such file or directory (os error 2)",
        ]
    );
    assert_eq!(watched.look(), NOTHING);
    watched.add_whole("later/1/model.onnx");
    assert_eq!(watched.look(), ["content with later"]);
    assert_eq!(watched.look(), ["offer later [1]"]);
    watched.poller.set_roots(roots[..1].to_vec());
    assert_eq!(watched.look(), ["offer a [1]", "offer later []"]);
}
