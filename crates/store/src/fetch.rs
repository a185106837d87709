//! Downloads the files of a version into the cache, and puts them into a folder once they are all there.
//!
//! Contents are written as they come and never held whole in memory. What the cache has already is not asked for, so a
//! download that was cut off goes on with the files that it lacks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use salver_repository::check_version;
use salver_servable::LoadErrorKind;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::cache::{Blob, Cache};
use crate::listing::{Object, RemoteFile, RemoteVersion, hex};
use crate::manifest::{KnownFile, KnownVersion};
use crate::remote::Remote;
use crate::view::{self, View};
use crate::{Event, Listener, StoreError, StoreUri};

/// How much arrives between two words on it, in bytes.
const PROGRESS_BYTES: u64 = 1 << 20;

/// How many files of one version are asked for at once; how many of them are downloaded at once all versions share.
const MAX_FILES_AT_ONCE: usize = 16;

/// What downloads need.
#[derive(Clone)]
pub(crate) struct Fetcher {
    pub(crate) uri: StoreUri,
    pub(crate) remote: Remote,
    pub(crate) cache: Arc<Cache>,
    pub(crate) view: View,
    /// Bounds downloads, and with them the bytes in flight.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) listener: Listener,
}

/// A version whose download has ended.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) model: String,
    pub(crate) version: i64,
    pub(crate) fingerprint: String,
    pub(crate) outcome: Result<Staged, FetchError>,
}

/// A version that is here, whole, and not published yet.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) dir: PathBuf,
    pub(crate) known: KnownVersion,
    /// How much of it was downloaded, in bytes.
    pub(crate) num_bytes: u64,
    pub(crate) started_at: Instant,
}

/// Why a version is not here.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// The store or the disk: to be tried again.
    Store(StoreError),
    /// It is not whole, or damaged: to be tried when it has changed.
    Flaw(String),
}

/// How much of a version is here.
pub(crate) struct Progress<'a> {
    listener: &'a Listener,
    model: &'a str,
    version: i64,
    total_bytes: u64,
    num_bytes: AtomicU64,
}

impl Progress<'_> {
    fn add(&self, num_bytes: u64) {
        let before = self.num_bytes.fetch_add(num_bytes, Ordering::Relaxed);
        (self.listener)(&Event::Downloading {
            model: self.model,
            version: self.version,
            num_bytes: before + num_bytes,
            total_bytes: self.total_bytes,
        });
    }
}

impl Fetcher {
    /// Returns what messages call a model.
    pub(crate) fn shown<'a>(&'a self, model: &'a str) -> &'a str {
        match model {
            "" => self.uri.name(),
            model => model,
        }
    }

    /// Downloads a version as it was listed, and stages it.
    ///
    /// # Cancel safety
    /// What has arrived whole stays in the cache, the rest is removed.
    pub(crate) async fn version(
        self,
        model: String,
        version: i64,
        listed: RemoteVersion,
    ) -> Fetched {
        let fingerprint = listed.fingerprint();
        let shown = self.shown(&model).to_owned();
        let outcome = self.stage(&shown, version, &listed, &fingerprint).await;
        (self.listener)(&Event::Downloaded {
            model: &shown,
            version,
        });
        Fetched {
            model,
            version,
            fingerprint,
            outcome,
        }
    }

    async fn stage(
        &self,
        shown: &str,
        version: i64,
        listed: &RemoteVersion,
        fingerprint: &str,
    ) -> Result<Staged, FetchError> {
        let started_at = Instant::now();
        let missing = listed
            .files
            .iter()
            .filter(|file| self.find(&file.object).is_none());
        let progress = Progress {
            listener: &self.listener,
            model: shown,
            version,
            total_bytes: missing.map(|file| file.object.num_bytes).sum(),
            num_bytes: AtomicU64::new(0),
        };
        let files: Vec<_> = listed
            .files
            .iter()
            .map(|file| self.file(file, &progress).boxed())
            .collect();
        let files: Vec<KnownFile> = stream::iter(files)
            .buffered(MAX_FILES_AT_ONCE)
            .try_collect()
            .await
            .map_err(FetchError::Store)?;
        let view = self.view.clone();
        let staging = tokio::task::spawn_blocking(move || {
            let dir = view.stage(&files)?;
            let check = check_version(&dir);
            if check.is_err() {
                view::discard(&dir);
            }
            Ok((dir, files, check))
        });
        let staged: std::io::Result<_> = staging.await.unwrap_or_else(|error| {
            // A check that panicked says the same the next time: it is the files' fault.
            Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                error.to_string(),
            ))
        });
        let (dir, files, check) =
            staged.map_err(|error| FetchError::Store(self.cache.error(&error)))?;
        match check {
            Ok(()) => Ok(Staged {
                dir,
                known: KnownVersion {
                    fingerprint: fingerprint.to_owned(),
                    dir: listed.dir.clone(),
                    files,
                },
                num_bytes: progress.num_bytes.load(Ordering::Relaxed),
                started_at,
            }),
            Err(error) if error.kind == LoadErrorKind::Failed => {
                Err(FetchError::Store(StoreError::Disk {
                    path: dir,
                    reason: error.message,
                }))
            }
            Err(error) => Err(FetchError::Flaw(error.message)),
        }
    }

    async fn file(
        &self,
        file: &RemoteFile,
        progress: &Progress<'_>,
    ) -> Result<KnownFile, StoreError> {
        let blob = self.object(&file.object, Some(progress)).await?;
        Ok(KnownFile::new(&file.path, blob))
    }

    /// Returns the content of an object, downloaded if it is not in the cache.
    pub(crate) async fn object(
        &self,
        object: &Object,
        progress: Option<&Progress<'_>>,
    ) -> Result<Blob, StoreError> {
        if let Some(blob) = self.find(object) {
            return Ok(blob);
        }
        let permit = self.permits.acquire().await;
        let _permit = permit.expect("nobody closes the semaphore");
        let disk = |error: std::io::Error| self.cache.error(&error);
        let mut incoming = self.cache.begin().map_err(disk)?;
        let mut chunks = self.remote.open(object).await?;
        let mut untold = 0;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            if incoming.num_bytes() + chunk.len() as u64 > object.num_bytes {
                return Err(changed(object));
            }
            incoming.write(&chunk).map_err(disk)?;
            untold += chunk.len() as u64;
            if let Some(progress) = progress.filter(|_| untold >= PROGRESS_BYTES) {
                progress.add(std::mem::take(&mut untold));
            }
        }
        if incoming.num_bytes() != object.num_bytes {
            return Err(changed(object));
        }
        if let Some(progress) = progress {
            progress.add(untold);
        }
        let (cache, name) = (Arc::clone(&self.cache), self.name(object));
        let keeping = tokio::task::spawn_blocking(move || cache.keep(incoming, &name));
        let kept = keeping
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)));
        kept.map_err(disk)
    }

    fn find(&self, object: &Object) -> Option<Blob> {
        let blob = self.cache.find(&self.name(object))?;
        (blob.num_bytes == object.num_bytes).then_some(blob)
    }

    /// Returns the name of an object's content in the cache: where it is and what the store calls the content.
    fn name(&self, object: &Object) -> String {
        let mut hasher = Sha256::new();
        let size = object.num_bytes.to_string();
        let parts = [
            self.remote.place(),
            object.location.as_ref(),
            &object.stamp,
            &size,
        ];
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hex(&hasher.finalize())
    }
}

fn changed(object: &Object) -> StoreError {
    StoreError::Changed {
        object: object.location.to_string(),
    }
}
