//! Mirrors of stores in memory, told listing by listing what to do; what is looked at is the folder that they show.

mod rig;
mod shaky;

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use object_store::ObjectStoreExt;
use proptest::prelude::*;

use super::*;
use rig::{FILES, Rig, content};

fn latest(count: usize) -> VersionPolicyConfig {
    VersionPolicyConfig::Latest(NonZeroUsize::new(count).unwrap())
}

#[tokio::test]
async fn a_version_that_is_uploaded_file_by_file_is_shown_once_it_is_whole() {
    let mut rig = Rig::new(BaseKind::Model, latest(1));
    rig.put_version(1).await;
    rig.poll().await;
    assert_eq!(rig.shown(), ["1"]);
    rig.events();
    for file_idx in 0..FILES.len() {
        assert_eq!(rig.shown(), ["1"], "after {file_idx} files");
        rig.put_file(2, file_idx).await;
        // However long the pause between two files is.
        for _ in 0..4 {
            rig.poll().await;
        }
    }
    assert_eq!(rig.shown(), ["2"]);
    let expected = [
        "m 2: variables/variables.index is missing",
        "m 2: variables/variables.data-00000-of-00002 is missing",
        "m 2: variables/variables.data-00001-of-00002 is missing",
        "m 2 published, 3 bytes",
        "m 1 withdrawn",
    ];
    let events: Vec<String> = rig
        .events()
        .iter()
        .map(|event| event.replace("Some(2)", "2"))
        .collect();
    assert_eq!(events, expected);
    assert_eq!(
        fs::read(rig.view().join("2/variables/variables.index")).unwrap(),
        content(2, 1)
    );
}

#[tokio::test]
async fn a_store_that_goes_away_takes_nothing_with_it() {
    let mut rig = Rig::new(BaseKind::Model, VersionPolicyConfig::All);
    rig.put_version(1).await;
    rig.put_version(2).await;
    rig.poll().await;
    rig.events();
    rig.store.set_lists(false);
    for _ in 0..5 {
        rig.poll().await;
        assert_eq!(rig.shown(), ["1", "2"]);
    }
    assert_eq!(
        rig.events(),
        ["s3://b/m: the store cannot be read: out of order; 2 published"]
    );
    assert!(
        rig.mirror.pause().unwrap() > Duration::from_secs(10),
        "tries are further and further apart"
    );
    rig.put_version(3).await;
    rig.store.set_lists(true);
    rig.poll().await;
    assert_eq!(rig.mirror.pause(), Some(Duration::from_secs(1)));
    rig.poll().await;
    assert_eq!(rig.shown(), ["1", "2", "3"]);
    assert_eq!(rig.events(), ["recovered", "m 3 published, 81 bytes"]);
}

#[tokio::test]
async fn a_download_that_fails_is_tried_again_and_goes_on_with_what_is_missing() {
    let mut rig = Rig::new(BaseKind::Model, latest(1));
    rig.put_version(1).await;
    rig.poll().await;
    rig.put_version(2).await;
    rig.poll().await;
    rig.events();
    rig.store.set_num_gets(2);
    rig.poll().await;
    assert_eq!(rig.shown(), ["1"]);
    rig.store.set_num_gets(usize::MAX);
    rig.poll().await;
    assert_eq!(rig.shown(), ["2"]);
    let events = rig.events();
    assert!(
        events[0].contains("out of order; 1 published"),
        "{events:?}"
    );
    assert!(events.contains(&"recovered".to_owned()), "{events:?}");
    // Two files were here.
    assert!(
        events.contains(&"m 2 published, 71 bytes".to_owned()),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_restart_downloads_nothing_again() {
    let mut rig = Rig::new(BaseKind::Model, latest(1));
    rig.put_version(1).await;
    rig.poll().await;
    rig.store.set_num_gets(0);
    let mut rig = rig.restarted(BaseKind::Model, latest(1));
    rig.poll().await;
    assert_eq!(rig.shown(), ["1"]);
    assert_eq!(rig.events(), ["m 1 published, 0 bytes"]);
    // Nor does it need the store.
    rig.store.set_lists(false);
    let mut rig = rig.restarted(BaseKind::Model, latest(1));
    rig.poll().await;
    assert_eq!(rig.shown(), ["1"]);
    assert_eq!(
        rig.events(),
        ["s3://b/m: the store cannot be read: out of order; 1 published"]
    );
    rig.store.set_lists(true);
    rig.poll().await;
    assert_eq!(rig.events(), ["recovered"]);
    // What is gone from the store meanwhile is not remembered for ever.
    rig.remove_version(1).await;
    let mut rig = rig.restarted(BaseKind::Model, latest(1));
    rig.poll().await;
    rig.store.set_lists(false);
    let mut rig = rig.restarted(BaseKind::Model, latest(1));
    rig.poll().await;
    assert!(rig.shown().is_empty());
}

#[tokio::test]
async fn a_folder_of_models_is_mirrored_with_their_settings() {
    let mut rig = Rig::new(BaseKind::Discover, latest(1));
    rig.put("a/model.toml", b"versions = \"all\"").await;
    for name in [
        "a/1/model.tflite",
        "a/2/model.tflite",
        "b.tflite",
        "c/1/model.tflite",
        "c/2/model.tflite",
    ] {
        rig.put(name, b"\x1c\0\0\0TFL3").await;
    }
    rig.put("notes/x", b"x").await;
    rig.poll().await;
    assert_eq!(rig.shown(), ["a", "b", "c"]);
    let names = |model: &str| {
        let entries = fs::read_dir(rig.view().join(model)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("a"), ["1", "2", "model.toml"]);
    assert_eq!(names("b"), ["1"]);
    assert_eq!(names("c"), ["2"]);
    assert!(rig.view().join("b/1/model.tflite").is_file());
    for name in ["a/model.toml", "a/1/model.tflite", "a/2/model.tflite"] {
        let path = object_store::path::Path::from(format!("m/{name}"));
        rig.store.inner.delete(&path).await.unwrap();
    }
    rig.poll().await;
    assert_eq!(rig.shown(), ["a", "b", "c"]);
    rig.poll().await;
    assert_eq!(rig.shown(), ["b", "c"]);
}

#[tokio::test]
async fn a_file_that_is_a_model_is_mirrored_with_its_weights() {
    let mut rig = Rig::new(BaseKind::Model, latest(1));
    let path = object_store::path::Path::from("m/d.tflite");
    rig.mirror.remote = Some(Remote::new(
        rig.store.clone(),
        path,
        "b".to_owned(),
        Options::default(),
    ));
    rig.put("d.tflite", b"\x1c\0\0\0TFL3").await;
    rig.put("d.tflite.data", b"w").await;
    rig.put("e.tflite", b"\x1c\0\0\0TFL3").await;
    rig.poll().await;
    let mut names: Vec<_> = fs::read_dir(rig.view().join("1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["d.tflite.data", "model.tflite"]);
}

#[tokio::test]
async fn links_in_the_cache_lead_nowhere_else() {
    let mut rig = Rig::new(BaseKind::Model, latest(1));
    let elsewhere = rig.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, rig.view().join("1")).unwrap();
    rig.put_version(1).await;
    rig.poll().await;
    assert_eq!(rig.shown(), ["1"]);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert!(rig.view().join("1/saved_model.pb").is_file());
}

/// Something that happens to a store, or a listing of it.
#[derive(Clone, Debug)]
enum Op {
    Put(i64, usize),
    Remove(i64),
    Poll { lists: bool, num_gets: usize },
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1..4_i64, 0..FILES.len()).prop_map(|(version, file_idx)| Op::Put(version, file_idx)),
        1 => (1..4_i64).prop_map(Op::Remove),
        6 => (prop::bool::weighted(0.8), prop_oneof![Just(usize::MAX), 0..4_usize])
            .prop_map(|(lists, num_gets)| Op::Poll { lists, num_gets }),
        1 => Just(Op::Restart),
    ]
}

/// What the store holds, as files of versions.
type Held = BTreeMap<i64, BTreeSet<usize>>;

fn whole(held: &Held) -> Vec<i64> {
    let whole = held.iter().filter(|(_, files)| files.len() == FILES.len());
    whole.map(|(version, _)| *version).collect()
}

fn check_shown(view: &Path, shown: &[String]) {
    for version in shown {
        for (file_idx, name) in FILES.iter().enumerate() {
            let expected = content(version.parse().unwrap(), file_idx);
            assert_eq!(
                fs::read(view.join(version).join(name)).unwrap(),
                expected,
                "{version}/{name}"
            );
        }
    }
}

async fn replay(ops: Vec<Op>, policy: VersionPolicyConfig) {
    let mut rig = Rig::new(BaseKind::Model, policy.clone());
    let mut held = Held::new();
    for op in ops {
        let before = rig.shown();
        match op {
            Op::Put(version, file_idx) => {
                rig.put_file(version, file_idx).await;
                held.entry(version).or_default().insert(file_idx);
            }
            Op::Remove(version) => {
                rig.remove_version(version).await;
                held.remove(&version);
            }
            Op::Poll { lists, num_gets } => {
                rig.store.set_lists(lists);
                rig.store.set_num_gets(num_gets);
                rig.poll().await;
                let shown = rig.shown();
                check_shown(&rig.view(), &shown);
                let whole = whole(&held);
                let is_kept = |version: &String| whole.contains(&version.parse().unwrap());
                match policy {
                    VersionPolicyConfig::All => {
                        let kept: Vec<_> =
                            before.iter().filter(|version| is_kept(version)).collect();
                        assert!(
                            kept.iter().all(|version| shown.contains(version)),
                            "{before:?} to {shown:?}"
                        );
                    }
                    _ => assert!(
                        !shown.is_empty() || !before.iter().any(is_kept),
                        "{before:?} to nothing"
                    ),
                }
            }
            Op::Restart => {
                rig = rig.restarted(BaseKind::Model, policy.clone());
            }
        }
    }
    rig.store.set_lists(true);
    rig.store.set_num_gets(usize::MAX);
    for _ in 0..4 {
        rig.poll().await;
    }
    let expected: Vec<String> = policy
        .choose(&whole(&held))
        .iter()
        .map(i64::to_string)
        .collect();
    let shown = rig.shown();
    // What was shown whole stays while its folder is there, were it but in part.
    let extra = shown.iter().filter(|version| !expected.contains(version));
    assert!(
        expected.iter().all(|version| shown.contains(version)),
        "{expected:?}, {shown:?}"
    );
    for version in extra {
        assert!(
            held.contains_key(&version.parse().unwrap()),
            "{expected:?}, {shown:?}"
        );
    }
    check_shown(&rig.view(), &shown);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_order_of_events_shows_half_a_version_or_loses_a_whole_one(
        ops in prop::collection::vec(op(), 1..40),
        is_all in any::<bool>(),
    ) {
        let policy = if is_all { VersionPolicyConfig::All } else { latest(1) };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(replay(ops, policy));
    }
}
