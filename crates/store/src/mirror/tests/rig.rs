//! A store in memory, and a mirror of it.

use std::fs;
use std::sync::Mutex;

use object_store::{ObjectStoreExt, PutPayload};
use tempfile::TempDir;

use super::super::*;
use super::shaky::Shaky;

/// The main file of a SavedModel that has variables.
const MAIN: &[u8] = b"\x12\x05\x1a\x03\x1a\x01r";

/// The files of a whole SavedModel.
pub(super) const FILES: [&str; 4] = [
    "saved_model.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00002",
    "variables/variables.data-00001-of-00002",
];

/// Returns the content of a file.
pub(super) fn content(version: i64, file_idx: usize) -> Vec<u8> {
    match file_idx {
        0 => MAIN.to_vec(),
        1 => {
            // An index that speaks of two shards; what is in it is not looked at.
            let mut index = vec![0, 0, 6, 0x08, 2, 0x1a, 2, 8, 1];
            index.extend(version.to_le_bytes());
            index.resize(60, 0);
            index.extend(0xdb47_7524_8b80_fb57_u64.to_le_bytes());
            index
        }
        file_idx => format!("{version} {file_idx}").into_bytes(),
    }
}

/// Everything in a store has been at rest for long.
fn long_after() -> SystemTime {
    SystemTime::now() + Duration::from_hours(1)
}

/// A store, and a mirror of `m` in it.
pub(super) struct Rig {
    pub(super) dir: TempDir,
    pub(super) store: Arc<Shaky>,
    pub(super) mirror: Mirror,
    events: Arc<Mutex<Vec<String>>>,
}

impl Rig {
    pub(super) fn new(kind: BaseKind, policy: VersionPolicyConfig) -> Self {
        Self::on(tempfile::tempdir().unwrap(), Arc::default(), kind, policy)
    }

    /// Ends the process and starts it again, on the same cache and store.
    pub(super) fn restarted(self, kind: BaseKind, policy: VersionPolicyConfig) -> Self {
        let Self {
            dir, store, mirror, ..
        } = self;
        mirror.shared.cache.close();
        drop(mirror);
        Self::on(dir, store, kind, policy)
    }

    fn on(dir: TempDir, store: Arc<Shaky>, kind: BaseKind, policy: VersionPolicyConfig) -> Self {
        let events = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&events);
        let cache = Arc::new(Cache::open(dir.path()).unwrap());
        let shared = Shared {
            cache: Arc::clone(&cache),
            permits: Arc::new(Semaphore::new(2)),
            options: Options::default(),
            poll_interval: Some(Duration::from_secs(1)),
            date: long_after,
            listener: Arc::new(move |event| told.lock().unwrap().extend(shown(event))),
        };
        let place = Place {
            uri: StoreUri::parse("s3://b/m").unwrap(),
            kind,
            view: View::open(Arc::clone(&cache), cache.bases().join("x/m")).unwrap(),
            manifest_path: cache.known_path("m"),
        };
        let path = object_store::path::Path::from("m");
        let remote = Remote::new(store.clone(), path, "b".to_owned(), Options::default());
        let mut mirror = Mirror::new(shared, place, Arc::new(|_| {})).with_remote(remote);
        mirror.policies = vec![policy];
        Self {
            dir,
            store,
            mirror,
            events,
        }
    }

    pub(super) async fn put(&self, name: &str, bytes: &[u8]) {
        let path = object_store::path::Path::parse(format!("m/{name}")).unwrap();
        let payload = PutPayload::from(bytes.to_vec());
        self.store.inner.put(&path, payload).await.unwrap();
    }

    pub(super) async fn put_file(&self, version: i64, file_idx: usize) {
        let bytes = content(version, file_idx);
        self.put(&format!("{version}/{}", FILES[file_idx]), &bytes)
            .await;
    }

    pub(super) async fn put_version(&self, version: i64) {
        for file_idx in 0..FILES.len() {
            self.put_file(version, file_idx).await;
        }
    }

    pub(super) async fn remove_version(&self, version: i64) {
        for name in FILES {
            let path = object_store::path::Path::from(format!("m/{version}/{name}"));
            drop(self.store.inner.delete(&path).await);
        }
    }

    /// Lists once, and lets every download that follows end.
    pub(super) async fn poll(&mut self) {
        self.mirror.poll().await;
        while let Some(fetched) = self.mirror.downloads.join_next().await {
            self.mirror.finish(fetched);
        }
    }

    pub(super) fn view(&self) -> std::path::PathBuf {
        self.mirror.shared.cache.bases().join("x/m")
    }

    /// Returns what the folder shows.
    pub(super) fn shown(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.view())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(super) fn events(&self) -> Vec<String> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

fn shown(event: &Event<'_>) -> Option<String> {
    Some(match event {
        Event::Downloading { .. } | Event::Downloaded { .. } | Event::Listed { .. } => return None,
        Event::Published {
            model,
            version,
            num_bytes,
            ..
        } => format!("{model} {version} published, {num_bytes} bytes"),
        Event::Withdrawn { model, version, .. } => format!("{model} {version} withdrawn"),
        Event::Trouble {
            uri,
            error,
            num_published,
        } => format!("{uri}: {error}; {num_published} published"),
        Event::Recovered { .. } => "recovered".to_owned(),
        Event::Refused {
            model,
            version,
            reason,
            ..
        } => format!("{model} {version:?}: {reason}"),
    })
}
