//! Removes what nothing refers to any more.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Cache, open_lock};
use crate::manifest::Manifest;

/// How long nothing has referred to a content before it is removed: a download of many files may take that long.
const MIN_AGE: Duration = Duration::from_hours(1);

/// How long a base path that nobody mirrors is remembered.
const MAX_KNOWN_AGE: Duration = Duration::from_hours(30 * 24);

impl Cache {
    /// Removes what other processes left behind, and contents that are in no view and of no base path that is
    /// remembered. Does nothing while somebody is linking.
    ///
    /// # Blocking
    /// Looks at every file of the cache once.
    pub(crate) fn sweep(&self, date: SystemTime) -> io::Result<()> {
        let lock = open_lock(&self.dir.join("lock"))?;
        if lock.try_lock().is_err() {
            return Ok(());
        }
        for view in entries(&self.dir.join("views"))? {
            let is_left = open_lock(&view.join("lock")).is_ok_and(|lock| lock.try_lock().is_ok());
            if view != self.own && is_left {
                fs::remove_dir_all(&view)?;
            }
        }
        let known = self.sweep_known(date)?;
        for path in nested(&self.dir.join("blobs"))? {
            let metadata = fs::symlink_metadata(&path)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Each view has links of its own to what it shows.
            let is_shown = metadata.nlink() > 1;
            if !is_shown && !known.contains(&*name) && is_older(changed(&metadata), date, MIN_AGE) {
                fs::remove_file(&path)?;
            }
        }
        for path in nested(&self.dir.join("names"))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let age = changed(&fs::symlink_metadata(&path)?);
            if self.find(&name).is_none() && is_older(age, date, MIN_AGE) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Forgets base paths that were long not mirrored; returns the contents of the others.
    fn sweep_known(&self, date: SystemTime) -> io::Result<BTreeSet<String>> {
        let mut contents = BTreeSet::new();
        for path in entries(&self.dir.join("known"))? {
            if is_older(
                fs::symlink_metadata(&path)?.modified()?,
                date,
                MAX_KNOWN_AGE,
            ) {
                fs::remove_file(&path)?;
            } else if let Some(manifest) = Manifest::read(&path) {
                contents.extend(manifest.contents().map(str::to_owned));
            }
        }
        Ok(contents)
    }
}

/// Returns when links to a file were last made or removed.
fn changed(metadata: &Metadata) -> SystemTime {
    let seconds = u64::try_from(metadata.ctime()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn is_older(time: SystemTime, date: SystemTime, age: Duration) -> bool {
    date.duration_since(time).is_ok_and(|actual| actual >= age)
}

fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect()
}

/// Returns the files in the folders of a folder.
fn nested(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for dir in entries(dir)? {
        paths.extend(entries(&dir)?);
    }
    Ok(paths)
}
