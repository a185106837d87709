use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::SystemTime;

use super::*;
use crate::{Event, Options};

fn config(dir: &std::path::Path, told: &Arc<Mutex<Vec<String>>>) -> MirrorsConfig {
    let told = Arc::clone(told);
    // Nothing listens there.
    let options = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_ACCESS_KEY_ID", "an-access-key"),
        ("AWS_SECRET_ACCESS_KEY", "a-secret-key"),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
    MirrorsConfig {
        cache_dir: dir.to_path_buf(),
        poll_interval: None,
        options: Options(BTreeMap::from(options)),
        num_downloads: NonZeroUsize::MIN,
        date: SystemTime::now,
        listener: Arc::new(move |event| {
            if let Event::Trouble { error, .. } = event {
                told.lock().unwrap().push(error.to_string());
            }
        }),
    }
}

fn base(uri: &str) -> Base {
    Base {
        uri: StoreUri::parse(uri).unwrap(),
        kind: BaseKind::Model,
        versions: VersionPolicyConfig::default(),
    }
}

#[test]
fn a_store_that_cannot_be_reached_is_told_once_and_waited_for_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let told = Arc::default();
    let mirrors = Mirrors::start(config(dir.path(), &told)).unwrap();
    let base = base("s3://bucket/models/m");
    mirrors.set(std::slice::from_ref(&base)).unwrap();
    let local_dir = mirrors.local_dir(&base.uri, base.kind);
    assert!(local_dir.ends_with("m") && local_dir.is_dir());
    mirrors.wait_first(None);
    let problems = mirrors.problems(&base.uri, base.kind);
    assert!(
        problems[0].starts_with("the store cannot be read: "),
        "{problems:?}"
    );
    assert!(!problems[0].contains("secret"), "{problems:?}");
    assert_eq!(*told.lock().unwrap(), problems);

    mirrors.set(&[]).unwrap();
    mirrors.wait_first(None);
    assert!(mirrors.problems(&base.uri, base.kind).is_empty());
    drop(mirrors);
    let views = std::fs::read_dir(dir.path().join("stores/views")).unwrap();
    assert_eq!(views.count(), 0);
}

#[test]
fn a_wait_ends_with_the_mirrors_or_at_its_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let told = Arc::default();
    let mirrors = Mirrors::start(config(dir.path(), &told)).unwrap();
    mirrors.set(&[base("s3://bucket/m")]).unwrap();
    mirrors.wait_first(Some(Instant::now()));
    mirrors.begin_stop();
    mirrors.wait_first(None);
}

#[test]
fn each_base_path_has_a_folder_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mirrors = Mirrors::start(config(dir.path(), &Arc::default())).unwrap();
    let of = |uri: &str, kind| mirrors.local_dir(&StoreUri::parse(uri).unwrap(), kind);
    let all = [
        of("s3://a/m", BaseKind::Model),
        of("s3://a/m", BaseKind::Discover),
        of("s3://b/m", BaseKind::Model),
        of("gs://a/m", BaseKind::Model),
    ];
    for (idx, dir) in all.iter().enumerate() {
        assert!(!all[..idx].contains(dir), "{}", dir.display());
    }
}
