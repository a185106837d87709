use std::time::{Duration, SystemTime};

use super::*;
use crate::manifest::{KnownFile, KnownVersion, Manifest};
use crate::view::View;

fn put(cache: &Cache, name: &str, content: &[u8]) -> Blob {
    let mut incoming = cache.begin().unwrap();
    incoming.write(content).unwrap();
    cache.keep(incoming, name).unwrap()
}

fn later(hours: u64) -> SystemTime {
    SystemTime::now() + Duration::from_hours(hours)
}

fn files(dir: &Path) -> usize {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { files(&path) } else { 1 })
        .sum()
}

#[test]
fn a_content_is_kept_once_and_found_by_each_of_its_names() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(dir.path()).unwrap();
    let blob = put(&cache, "aa01", b"weights");
    assert_eq!(put(&cache, "bb02", b"weights"), blob);
    assert_eq!(cache.find("aa01"), Some(blob.clone()));
    assert_eq!(cache.find("bb02"), Some(blob.clone()));
    assert_eq!(cache.find("cc03"), None);
    assert_eq!(files(&dir.path().join("stores/blobs")), 1);
    assert_eq!(fs::read(cache.blob_path(&blob)).unwrap(), b"weights");
    assert_eq!(files(&cache.own.join("incoming")), 0);
}

#[test]
fn what_was_given_up_or_damaged_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(dir.path()).unwrap();
    let mut incoming = cache.begin().unwrap();
    incoming.write(b"half").unwrap();
    drop(incoming);
    assert_eq!(files(&cache.own.join("incoming")), 0);
    let blob = put(&cache, "aa01", b"weights");
    fs::remove_file(cache.blob_path(&blob)).unwrap();
    fs::write(cache.blob_path(&blob), b"cut").unwrap();
    assert_eq!(cache.find("aa01"), None);
    fs::write(
        dir.path().join("stores/names/aa/aa01"),
        b"../../../etc/passwd 7",
    )
    .unwrap();
    assert_eq!(cache.find("aa01"), None);
}

#[test]
fn a_sweep_removes_what_nothing_refers_to() {
    let dir = tempfile::tempdir().unwrap();
    let cache = std::sync::Arc::new(Cache::open(dir.path()).unwrap());
    let [shown, known, left] = [("a1", b"shown"), ("b2", b"known"), ("c3", b"left!")]
        .map(|(name, content)| put(&cache, name, content));
    let view = View::open(cache.clone(), cache.bases().join("x/m")).unwrap();
    let staged = view.stage(&[KnownFile::new("f", shown.clone())]).unwrap();
    let mut manifest = Manifest::new("s3://b/m");
    let version = KnownVersion {
        fingerprint: String::new(),
        dir: "1".to_owned(),
        files: vec![KnownFile::new("f", known.clone())],
    };
    let model = manifest.models.entry(String::new()).or_default();
    model.versions.insert(1, version);
    cache
        .write(&cache.known_path("k"), &manifest.to_bytes())
        .unwrap();
    let is_here = || [&shown, &known, &left].map(|blob| cache.has(blob));

    cache.sweep(SystemTime::now()).unwrap();
    assert_eq!(
        is_here(),
        [true, true, true],
        "it may be part of a download that goes on"
    );
    cache.sweep(later(2)).unwrap();
    assert_eq!(is_here(), [true, true, false]);
    assert_eq!(cache.find("c3"), None);
    crate::view::discard(&staged);
    cache.sweep(later(24 * 31)).unwrap();
    assert_eq!(
        is_here(),
        [false, false, false],
        "nobody has mirrored it for a month"
    );
    cache.sweep(later(24 * 31)).unwrap();
    assert_eq!(files(&dir.path().join("stores/names")), 0);
}

#[test]
fn a_sweep_spares_what_is_being_linked_to_and_other_processes() {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::open(dir.path()).unwrap();
    let other = Cache::open(dir.path()).unwrap();
    let blob = put(&cache, "a1", b"weights");
    let linking = other.linking().unwrap();
    cache.sweep(later(2)).unwrap();
    assert!(cache.has(&blob));
    drop(linking);
    cache.sweep(later(2)).unwrap();
    assert!(!cache.has(&blob));
    assert!(other.own.exists());
    let left = other.own.clone();
    drop(other);
    cache.sweep(later(2)).unwrap();
    assert!(!left.exists());
    assert!(cache.own.exists());
}
