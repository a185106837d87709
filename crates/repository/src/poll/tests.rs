use std::num::NonZeroUsize;

use super::*;
use crate::testing::{Tree, long_ago, onnx};
use crate::{ModelEntry, VersionPolicyConfig};

mod start;
mod told;
mod trouble;

const REST: Duration = Duration::from_secs(1);

/// A folder that is looked at by a clock that the test winds.
struct Watched {
    tree: Tree,
    poller: Poller,
    now: Now,
}

impl Watched {
    fn new(tree: Tree) -> Self {
        let roots = vec![Root::Discover(tree.root().to_path_buf())];
        Self::with_roots(tree, roots)
    }

    fn with_roots(tree: Tree, roots: Vec<Root>) -> Self {
        let now = Now {
            steady: Instant::now(),
            wall: SystemTime::now(),
        };
        Self {
            tree,
            poller: Poller::new(roots, REST, ModelSettings::default()),
            now,
        }
    }

    /// Looks after so much time and returns what has changed.
    fn look_after(&mut self, elapsed: Duration) -> Vec<String> {
        self.now.steady += elapsed;
        self.now.wall += elapsed;
        let root = format!("{}/", self.tree.root().display());
        let changes = self.poller.poll_once(self.now);
        changes
            .iter()
            .map(|change| describe(change).replace(&root, ""))
            .collect()
    }

    fn look(&mut self) -> Vec<String> {
        self.look_after(REST)
    }

    fn add_whole(&self, path: &str) {
        self.tree.write_at(path, &onnx(64), long_ago());
    }
}

fn describe(change: &Change) -> String {
    match change {
        Change::Offer { name, offers, .. } => {
            let versions: Vec<_> = offers.iter().map(|offer| offer.version).collect();
            format!("offer {name} {versions:?}")
        }
        Change::Labels { name, labels } => format!("labels {name} {labels:?}"),
        Change::Complaint { name, problem } => match problem {
            None => format!("content with {name}"),
            Some(problem) => format!("complain {name}: {problem}"),
        },
        Change::RequestLog { name, request_log } => {
            let prefix = request_log.as_ref().map(|log| &log.filename_prefix);
            format!("log {name} {prefix:?}")
        }
        Change::Split { name, split } => {
            let arms = split.iter().flat_map(|split| &split.arms);
            let arms: Vec<_> = arms.map(|arm| &*arm.name).collect();
            format!("split {name} {arms:?}")
        }
        Change::Report {
            name,
            version,
            problem: None,
        } => format!("withdraw {name} {version}"),
        Change::Report {
            name,
            version,
            problem: Some(problem),
        } => {
            format!("report {name} {version}: {problem}")
        }
        Change::Problem(problem) => format!("problem {problem}"),
        Change::Ignored(path) => format!("ignored {}", path.display()),
    }
}

const NOTHING: [&str; 0] = [];

/// A tree with files that had been at rest for long.
fn old(paths: &[&str]) -> Tree {
    let tree = Tree::new();
    for path in paths {
        tree.write_at(path, &onnx(64), long_ago());
    }
    tree
}

#[test]
fn a_file_from_the_future_is_watched_first() {
    let tree = Tree::new();
    tree.write_at(
        "a/1/model.onnx",
        &onnx(64),
        SystemTime::now() + Duration::from_secs(3600),
    );
    let mut watched = Watched::new(tree);
    assert_eq!(watched.look(), NOTHING);
    assert_eq!(watched.look(), ["offer a [1]"]);
}

#[test]
fn looks_in_quick_succession_are_no_proof_of_rest() {
    let mut watched = Watched::new(old(&["a/1/model.onnx"]));
    watched.look();
    watched.add_whole("a/2/model.onnx");
    for _ in 0..9 {
        assert_eq!(watched.look_after(REST / 10), NOTHING);
    }
    assert_eq!(watched.look_after(REST / 5), ["offer a [2]"]);
}

#[test]
fn a_new_version_is_offered_once_it_has_rested_even_if_its_times_are_old() {
    let mut watched = Watched::new(old(&["a/1/model.onnx"]));
    watched.look();
    watched.add_whole("a/2/model.onnx");
    assert_eq!(watched.look(), NOTHING);
    assert_eq!(watched.look(), ["offer a [2]"]);
}

#[test]
fn a_growing_copy_never_displaces_the_old_version_and_is_offered_once() {
    let whole = onnx(10_000);
    let mut watched = Watched::new(old(&["a/1/model.onnx"]));
    watched.look();
    let mut told = Vec::new();
    for num_bytes in (0..=whole.len()).step_by(1000) {
        watched.tree.write("a/2/model.onnx", &whole[..num_bytes]);
        told.extend(watched.look());
    }
    assert_eq!(told, ["report a 2: its files are still being written"]);
    watched.tree.write("a/2/model.onnx", &whole);
    assert_eq!(watched.look(), NOTHING);
    assert_eq!(watched.look(), ["offer a [2]", "withdraw a 2"]);
    assert_eq!(watched.look(), NOTHING);
}

#[test]
fn a_copy_that_stopped_half_way_is_reported_and_goes_on_when_it_goes_on() {
    let whole = onnx(10_000);
    let mut watched = Watched::new(old(&["a/1/model.onnx"]));
    watched.look();
    watched
        .tree
        .write_at("a/2/model.onnx", &whole[..5000], long_ago());
    assert_eq!(watched.look(), NOTHING);
    let report = format!(
        "report a 2: model.onnx is incomplete: 5,000 of {},{:03} bytes are here",
        whole.len() / 1000,
        whole.len() % 1000
    );
    assert_eq!(watched.look(), [report]);
    for _ in 0..3 {
        assert_eq!(watched.look(), NOTHING);
    }
    watched.tree.write_at("a/2/model.onnx", &whole, long_ago());
    assert_eq!(watched.look(), NOTHING);
    assert_eq!(watched.look(), ["offer a [2]", "withdraw a 2"]);
}

#[test]
fn a_broken_copy_is_no_longer_reported_once_it_is_removed() {
    let mut watched = Watched::new(old(&["a/1/model.onnx"]));
    watched.look();
    watched.tree.write("a/2/model.onnx", b"");
    watched.look();
    assert!(watched.look()[0].starts_with("report a 2: model.onnx is"));
    watched.tree.remove("a/2");
    assert_eq!(watched.look(), ["withdraw a 2"]);
    assert_eq!(watched.look(), NOTHING);
}

#[test]
fn at_start_a_half_copy_with_old_times_is_unmasked_by_its_structure() {
    let tree = old(&["a/1/model.onnx"]);
    tree.write_at("a/2/model.onnx", &onnx(10_000)[..5000], long_ago());
    let told = Watched::new(tree).look();
    assert!(
        told[0].starts_with("report a 2: model.onnx is incomplete: 5,000 of"),
        "{told:?}"
    );
    assert_eq!(told[1..], ["offer a [1]"]);
}

#[test]
fn a_model_whose_only_version_is_broken_is_known_to_have_none() {
    let tree = Tree::new();
    tree.write_at("a/1/model.onnx", b"", long_ago());
    let told = Watched::new(tree).look();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("report a 1: "));
    assert_eq!(told[1], "offer a []");
}

#[test]
fn a_model_whose_only_version_is_long_in_coming_is_known_to_have_none_yet() {
    let mut watched = Watched::new(Tree::with(&["a/1/model.onnx"]));
    assert_eq!(watched.look_after(Duration::ZERO), NOTHING);
    for num_bytes in [100, 200] {
        watched.tree.write("a/1/model.onnx", &onnx(num_bytes));
        watched.look();
    }
    watched.tree.write("a/1/model.onnx", &onnx(300));
    assert_eq!(watched.look(), NOTHING, "this has been told already");
    assert_eq!(watched.look(), ["offer a [1]", "withdraw a 1"]);
}

#[test]
fn a_folder_without_a_main_file_is_not_a_whole_version() {
    let mut watched = Watched::new(old(&["a/1/model.onnx"]));
    watched.look();
    watched.tree.write_at("a/2/readme.txt", b"soon", long_ago());
    watched.look();
    assert_eq!(
        watched.look(),
        [
            "report a 2: has none of model.onnx, saved_model.pb, saved_model.pbtxt, model.tflite, model.py"
        ]
    );
}

#[test]
fn a_removed_version_is_withdrawn_and_the_next_highest_takes_its_place() {
    let mut watched = Watched::new(old(&["a/1/model.onnx", "a/2/model.onnx"]));
    watched.look();
    watched.tree.remove("a/2");
    assert_eq!(watched.look(), ["offer a [1]"]);
    watched.tree.remove("a/1");
    watched.tree.write("a/model.toml", b"");
    let expected = [
        "complain a: there is no version at its base path",
        "offer a []",
    ];
    assert_eq!(watched.look(), expected);
}

#[test]
fn models_appear_and_go() {
    let mut watched = Watched::new(old(&["a/1/model.onnx"]));
    watched.look();
    watched.add_whole("b/1/model.onnx");
    watched.add_whole("c.onnx");
    watched.look();
    assert_eq!(watched.look(), ["offer b [1]", "offer c [1]"]);
    watched.tree.remove("a");
    watched.tree.remove("c.onnx");
    assert_eq!(watched.look(), ["offer a []", "offer c []"]);
    assert_eq!(watched.look(), NOTHING);
}

#[test]
fn a_root_that_cannot_be_read_unloads_nothing_and_is_told_once() {
    let mut watched = Watched::new(old(&["r/a/1/model.onnx"]));
    watched
        .poller
        .set_roots(vec![Root::Discover(watched.tree.path("r"))]);
    assert_eq!(watched.look(), ["offer a [1]"]);
    std::fs::rename(watched.tree.path("r"), watched.tree.path("elsewhere")).unwrap();
    let told = watched.look();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("problem r: cannot be read: "),
        "{told:?}"
    );
    assert_eq!(watched.look(), NOTHING);
    std::fs::rename(watched.tree.path("elsewhere"), watched.tree.path("r")).unwrap();
    assert_eq!(watched.look(), NOTHING);
    assert_eq!(watched.look(), NOTHING);
}

#[test]
fn a_model_named_by_flags_stays_while_its_folder_is_away() {
    let tree = old(&["a/1/model.onnx"]);
    let base = ModelBase::VersionDirs(tree.path("a"));
    let entry = ModelEntry {
        name: "m".into(),
        base,
        settings: ModelSettings::default(),
    };
    let mut watched = Watched::with_roots(tree, vec![Root::Model(Box::new(entry))]);
    assert_eq!(watched.look(), ["offer m [1]"]);
    watched.tree.remove("a");
    let told = watched.look();
    assert_eq!(told[0], "complain m: its base path does not exist");
    assert!(told[1].starts_with("problem a: cannot be read: "));
    watched.add_whole("a/2/model.onnx");
    assert_eq!(
        watched.look(),
        ["content with m"],
        "what is loaded bridges the time until the new one is known"
    );
    assert_eq!(watched.look(), ["offer m [2]"]);
}

#[test]
fn a_model_named_by_flags_whose_folder_is_not_there_is_known_to_have_no_version() {
    let tree = Tree::new();
    let base = ModelBase::VersionDirs(tree.path("a"));
    let entry = ModelEntry {
        name: "m".into(),
        base,
        settings: ModelSettings::default(),
    };
    let mut watched = Watched::with_roots(tree, vec![Root::Model(Box::new(entry))]);
    let told = watched.look();
    let expected = ["complain m: its base path does not exist", "offer m []"];
    assert_eq!(told[..2], expected);
    assert!(
        told[2].starts_with("problem a: cannot be read: "),
        "{told:?}"
    );
}

#[test]
fn policies_choose_among_whole_versions_only() {
    let tree = old(&[
        "a/1/model.onnx",
        "a/2/model.onnx",
        "a/3/model.onnx",
        "b/1/model.onnx",
    ]);
    tree.write_at("a/4/model.onnx", b"", long_ago());
    tree.write("a/model.toml", b"versions = { latest = 2 }\n");
    tree.write("b/model.toml", b"versions = [1, 7]\n");
    let mut watched = Watched::new(tree);
    let told = watched.look();
    assert!(told.contains(&"offer a [2, 3]".to_owned()), "{told:?}");
    assert!(told.contains(&"offer b [1]".to_owned()), "{told:?}");
    assert!(
        told.contains(&"problem b: has no version 7, which is asked for".to_owned()),
        "{told:?}"
    );
    watched.tree.write("a/model.toml", b"versions = \"all\"\n");
    assert_eq!(watched.look(), ["offer a [1, 2, 3]"]);
}

#[test]
fn broken_settings_leave_the_model_as_it_was_and_are_told_once() {
    let tree = old(&["a/1/model.onnx", "a/2/model.onnx"]);
    tree.write("a/model.toml", b"versions = \"all\"\n");
    let mut watched = Watched::new(tree);
    assert_eq!(watched.look(), ["offer a [1, 2]"]);
    watched
        .tree
        .write("a/model.toml", b"versoins = \"latest\"\n");
    let expected = "problem a/model.toml:1: unknown key `versoins`; did you mean `versions`?";
    assert_eq!(watched.look(), [expected]);
    assert_eq!(watched.look(), NOTHING);
    watched
        .tree
        .write("a/model.toml", b"versions = \"latest\"\n");
    assert_eq!(watched.look(), ["offer a [2]"]);
}

#[test]
fn a_served_version_whose_files_are_overwritten_stays_and_gets_a_new_revision_when_whole() {
    let mut watched = Watched::new(old(&["a/1/model.onnx"]));
    watched.look();
    watched.tree.write("a/1/model.onnx", &onnx(128)[..50]);
    assert_eq!(watched.look(), NOTHING);
    let told = watched.look();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("problem a/1: was whole before, now model.onnx is incomplete"),
        "{told:?}"
    );
    watched.tree.write("a/1/model.onnx", &onnx(128));
    assert_eq!(watched.look(), NOTHING);
    assert_eq!(watched.look(), ["offer a [1]"]);
}

#[test]
fn a_revision_changes_with_files_and_with_settings_that_matter_to_loading() {
    let mut watched = Watched::new(old(&["a/1/model.onnx"]));
    watched.look();
    watched.tree.write("a/model.toml", b"engine = \"rten\"\n");
    assert_eq!(watched.look(), ["offer a [1]"]);
    watched
        .tree
        .write("a/model.toml", b"engine = \"rten\"\nversions = \"all\"\n");
    assert_eq!(watched.look(), NOTHING);
}

#[test]
fn labels_go_with_their_model_and_the_configuration_of_triton_is_noticed_once() {
    let tree = old(&["a/1/model.onnx", "b/1/model.onnx"]);
    tree.write("a/model.toml", b"labels = { stable = 1 }\n");
    tree.write("b/config.pbtxt", b"backend: \"onnxruntime\"\n");
    let mut watched = Watched::new(tree);
    let told = watched.look();
    assert_eq!(told.last().unwrap(), "ignored b/config.pbtxt");
    watched.tree.remove("a");
    assert_eq!(watched.look(), ["offer a []", "labels a {}"]);
}

#[test]
fn a_split_is_told_before_versions_and_again_when_it_changes() {
    let tree = old(&["a/1/model.onnx"]);
    let arm = |name| format!("[[split.arms]]\nname = \"{name}\"\nversion = 1\nweight = 1\n");
    tree.write("a/model.toml", arm("x").as_bytes());
    let mut watched = Watched::new(tree);
    assert_eq!(watched.look(), [r#"split a ["x"]"#, "offer a [1]"]);
    watched.tree.write("a/model.toml", arm("y").as_bytes());
    assert_eq!(watched.look(), [r#"split a ["y"]"#]);
    watched.tree.remove("a/model.toml");
    assert_eq!(watched.look(), ["split a []"]);
    watched.tree.write("a/model.toml", arm("z").as_bytes());
    assert_eq!(watched.look(), [r#"split a ["z"]"#]);
    watched.tree.remove("a");
    assert_eq!(watched.look(), ["offer a []", "split a []"]);
}

#[test]
fn of_two_roots_with_one_name_the_first_counts() {
    let tree = old(&["r/a/1/model.onnx", "s/a/2/model.onnx"]);
    let roots = vec![
        Root::Discover(tree.path("r")),
        Root::Discover(tree.path("s")),
    ];
    // Roots that hold models: `r` and `s` are folders of models.
    let mut watched = Watched::with_roots(tree, roots);
    assert_eq!(
        watched.look(),
        [
            "offer a [1]",
            "problem s/a: a model named `a` is served already"
        ]
    );
}

#[test]
fn new_roots_replace_the_old_ones_at_once() {
    let tree = old(&["r/a/1/model.onnx", "s/b/2/model.onnx"]);
    let roots = vec![Root::Discover(tree.path("r"))];
    let mut watched = Watched::with_roots(tree, roots);
    watched.look();
    watched
        .poller
        .set_roots(vec![Root::Discover(watched.tree.path("s"))]);
    assert_eq!(watched.look(), ["offer b [2]", "offer a []"]);
}

#[test]
fn a_renamed_version_folder_is_loaded_from_its_new_place() {
    let mut watched = Watched::new(old(&["a/1/model.onnx"]));
    watched.look();
    std::fs::rename(watched.tree.path("a/1"), watched.tree.path("a/001")).unwrap();
    assert_eq!(watched.look(), NOTHING);
    assert_eq!(watched.look(), ["offer a [1]"]);
}

#[test]
fn a_hundred_looks_at_a_busy_tree_end_in_what_is_there() {
    let mut watched = Watched::new(Tree::new());
    for step in 1..=100_i64 {
        watched.add_whole(&format!("m{}/{step}/model.onnx", step % 3));
        if step % 7 == 0 {
            let gone = step - 3;
            watched.tree.remove(&format!("m{}/{gone}", gone % 3));
        }
        watched.look_after(REST / 4);
    }
    watched.look();
    watched.look();
    for (name, expected) in [("m0", 99), ("m1", 100), ("m2", 98)] {
        let model = &watched.poller.models[name];
        let offered: Vec<i64> = model
            .offered
            .iter()
            .flatten()
            .map(|(version, _)| *version)
            .collect();
        assert_eq!(offered, [expected], "{name}");
    }
    assert_eq!(
        VersionPolicyConfig::default(),
        VersionPolicyConfig::Latest(NonZeroUsize::MIN)
    );
}
