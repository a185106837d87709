//! What was downloaded, on disk: by content, so that nothing is downloaded or kept twice.
//!
//! ```text
//! CACHE/stores/blobs/3f/3f8a…     contents, named by their SHA-256
//!              names/b1/b1c4…     which content an object had when its store called it so
//!              known/….json       what a base path held last, for starts while its store is away
//!              views/12-0/        of one process: downloads that go on, and what it shows; removed with it
//! ```
//!
//! Processes may share the folder: whatever others read appears by a rename, and what is removed is removed under a
//! lock that excludes whoever is linking to it ([`sweep`]).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use crate::StoreError;
use crate::listing::hex;

mod sweep;

/// The cache of downloads, and the folder in it that is this process's own.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    own: PathBuf,
    /// Locked as long as the process lives.
    _own_lock: File,
    num_names: AtomicU64,
}

/// Content that is in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) sha256: String,
    pub(crate) num_bytes: u64,
}

/// Content that is on its way into the cache.
#[derive(Debug)]
pub(crate) struct Incoming {
    path: PathBuf,
    file: File,
    hasher: Sha256,
    num_bytes: u64,
}

impl Incoming {
    /// Takes the next bytes.
    ///
    /// # Blocking
    /// Writes them to the disk.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.num_bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Returns how much has arrived, in bytes.
    pub(crate) fn num_bytes(&self) -> u64 {
        self.num_bytes
    }
}

/// What was given up leaves nothing behind; of what was kept the name is gone already.
impl Drop for Incoming {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

/// Holds off removals until it is dropped.
#[derive(Debug)]
pub(crate) struct Linking {
    _lock: File,
}

impl Cache {
    /// Opens the cache in a folder, and makes what is missing of it.
    pub(crate) fn open(cache_dir: &Path) -> Result<Self, StoreError> {
        let dir = cache_dir.join("stores");
        let open = || {
            for name in ["blobs", "names", "known", "views"] {
                fs::create_dir_all(dir.join(name))?;
            }
            let _linking = linking(&dir)?;
            let own = claim(&dir.join("views"))?;
            for name in ["incoming", "versions", "bases"] {
                fs::create_dir(own.join(name))?;
            }
            let own_lock = open_lock(&own.join("lock"))?;
            supported(own_lock.lock())?;
            Ok(Self {
                dir: dir.clone(),
                own,
                _own_lock: own_lock,
                num_names: AtomicU64::new(0),
            })
        };
        open().map_err(|error| StoreError::disk(&dir, &error))
    }

    /// Returns the file in which is remembered what a base path held.
    pub(crate) fn known_path(&self, name: &str) -> PathBuf {
        self.dir.join("known").join(format!("{name}.json"))
    }

    /// Returns the folder in which this process shows what base paths hold.
    pub(crate) fn bases(&self) -> PathBuf {
        self.own.join("bases")
    }

    /// Returns the path of a version's folder that is yet to be made.
    pub(crate) fn new_version(&self) -> PathBuf {
        self.own.join("versions").join(self.new_name())
    }

    /// Returns a name that nothing in the process's own folder has.
    fn new_name(&self) -> String {
        self.num_names.fetch_add(1, Ordering::Relaxed).to_string()
    }

    /// Says what is wrong with the cache folder.
    pub(crate) fn error(&self, error: &io::Error) -> StoreError {
        StoreError::disk(&self.dir, error)
    }

    /// Returns the content that an object was found to have, if it is still here.
    pub(crate) fn find(&self, name: &str) -> Option<Blob> {
        let text = fs::read_to_string(self.name_path(name)).ok()?;
        let (sha256, num_bytes) = text.trim_end().split_once(' ')?;
        let blob = Blob {
            sha256: sha256.to_owned(),
            num_bytes: num_bytes.parse().ok()?,
        };
        self.has(&blob).then_some(blob)
    }

    /// Tells whether a content is here.
    pub(crate) fn has(&self, blob: &Blob) -> bool {
        let sha256 = blob.sha256.as_bytes();
        sha256.len() == 64
            && sha256.iter().all(u8::is_ascii_hexdigit)
            && fs::symlink_metadata(self.blob_path(blob))
                .is_ok_and(|metadata| metadata.is_file() && metadata.len() == blob.num_bytes)
    }

    /// Returns where a content is.
    pub(crate) fn blob_path(&self, blob: &Blob) -> PathBuf {
        let prefix = blob.sha256.get(..2).unwrap_or("00");
        self.dir.join("blobs").join(prefix).join(&blob.sha256)
    }

    fn name_path(&self, name: &str) -> PathBuf {
        let prefix = name.get(..2).unwrap_or("00");
        self.dir.join("names").join(prefix).join(name)
    }

    /// Begins to take in content.
    pub(crate) fn begin(&self) -> io::Result<Incoming> {
        let path = self.own.join("incoming").join(self.new_name());
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?;
        Ok(Incoming {
            path,
            file,
            hasher: Sha256::new(),
            num_bytes: 0,
        })
    }

    /// Keeps content that has arrived, as that of the object called `name`.
    ///
    /// # Blocking
    /// Until it is on the disk.
    pub(crate) fn keep(&self, mut incoming: Incoming, name: &str) -> io::Result<Blob> {
        incoming.file.sync_all()?;
        let hash = std::mem::take(&mut incoming.hasher).finalize();
        let blob = Blob {
            sha256: hex(&hash),
            num_bytes: incoming.num_bytes,
        };
        let mut permissions = incoming.file.metadata()?.permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&incoming.path, permissions)?;
        let _linking = self.linking()?;
        // Models that are loaded may have this very file open: it is not replaced by its like.
        if !self.has(&blob) {
            let path = self.blob_path(&blob);
            fs::create_dir_all(path.parent().unwrap_or(&self.dir))?;
            fs::rename(&incoming.path, &path)?;
        }
        let text = format!("{} {}\n", blob.sha256, blob.num_bytes);
        self.write(&self.name_path(name), text.as_bytes())?;
        Ok(blob)
    }

    /// Writes a small file, whole or not at all.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut incoming = self.begin()?;
        incoming.write(bytes)?;
        fs::create_dir_all(path.parent().unwrap_or(&self.dir))?;
        fs::rename(&incoming.path, path)
    }

    /// Makes a link that is not there yet or points elsewhere, in one step.
    pub(crate) fn link(&self, target: &Path, path: &Path) -> io::Result<()> {
        let temporary = self.own.join("incoming").join(self.new_name());
        std::os::unix::fs::symlink(target, &temporary)?;
        fs::create_dir_all(path.parent().unwrap_or(&self.dir))?;
        fs::rename(&temporary, path)
    }

    /// Holds off removals.
    pub(crate) fn linking(&self) -> io::Result<Linking> {
        linking(&self.dir)
    }

    /// Removes the folder of this process.
    pub(crate) fn close(&self) {
        if let Err(error) = fs::remove_dir_all(&self.own) {
            tracing::debug!(path = %self.own.display(), %error, "left behind for the next start");
        }
    }
}

fn linking(dir: &Path) -> io::Result<Linking> {
    let lock = open_lock(&dir.join("lock"))?;
    supported(lock.lock_shared())?;
    Ok(Linking { _lock: lock })
}

/// Makes a folder that no other process has: numbers of processes alone do not do, for containers may share the cache.
fn claim(views: &Path) -> io::Result<PathBuf> {
    let process = std::process::id();
    let mut number = 0_u32;
    loop {
        let path = views.join(format!("{process}-{number}"));
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

/// A file system without locks does without: then one process should have the folder to itself, and nothing is swept.
fn supported(locked: io::Result<()>) -> io::Result<()> {
    match locked {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        locked => locked,
    }
}

#[cfg(test)]
mod tests;
