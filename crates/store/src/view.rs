//! What a base path looks like on this machine: folders of versions, each appearing and disappearing in one step.
//!
//! ```text
//! bases/8c41…/resnet/model.toml                  (or bases/8c41…/models/resnet/…)
//! bases/8c41…/resnet/3   ─►   versions/17/       a folder of links to contents, complete before anything points to it
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use salver_repository::SETTINGS_FILE;

use crate::cache::Cache;
use crate::manifest::KnownFile;
use crate::uri::is_file_name;

/// The folder of one base path.
#[derive(Clone, Debug)]
pub(crate) struct View {
    cache: Arc<Cache>,
    dir: PathBuf,
}

impl View {
    /// Makes the folder of a base path.
    pub(crate) fn open(cache: Arc<Cache>, dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        Ok(Self { cache, dir })
    }

    /// Returns the folder of a model: for the only one that of the base path.
    fn model_dir(&self, model: &str) -> PathBuf {
        match model {
            "" => self.dir.clone(),
            model => self.dir.join(model),
        }
    }

    /// Puts files into a new folder that nothing points to yet.
    ///
    /// # Errors
    /// `NotFound` if some content is no longer in the cache.
    pub(crate) fn stage(&self, files: &[KnownFile]) -> io::Result<PathBuf> {
        let _linking = self.cache.linking()?;
        let dir = self.cache.new_version();
        let staged = fs::create_dir(&dir).and_then(|()| {
            files.iter().try_for_each(|file| {
                let path = dir.join(relative(&file.path)?);
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
                link_or_copy(&self.cache.blob_path(&file.blob()), &path)
            })
        });
        match staged {
            Ok(()) => Ok(dir),
            Err(error) => {
                discard(&dir);
                Err(error)
            }
        }
    }

    /// Makes a staged folder the one of a version; returns the folder that was it before.
    pub(crate) fn publish(
        &self,
        model: &str,
        dir: &str,
        staged: &Path,
    ) -> io::Result<Option<PathBuf>> {
        let path = self.model_dir(model).join(relative(dir)?);
        let before = fs::read_link(&path).ok();
        self.cache.link(staged, &path)?;
        Ok(before)
    }

    /// Takes a version away; returns the folder that was it.
    pub(crate) fn withdraw(&self, model: &str, dir: &str) -> io::Result<Option<PathBuf>> {
        let path = self.model_dir(model).join(relative(dir)?);
        let before = fs::read_link(&path).ok();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(before),
        }
    }

    /// Makes a content the settings of a model, or takes its settings away.
    pub(crate) fn set_settings(&self, model: &str, file: Option<&KnownFile>) -> io::Result<()> {
        let path = self.model_dir(model).join(SETTINGS_FILE);
        match file {
            Some(file) => {
                let _linking = self.cache.linking()?;
                self.cache
                    .write(&path, &fs::read(self.cache.blob_path(&file.blob()))?)
            }
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }

    /// Returns the folder that a model's settings are in.
    pub(crate) fn settings_dir(&self, model: &str) -> PathBuf {
        self.model_dir(model)
    }

    /// Takes away the folder of a model that has no version any more.
    pub(crate) fn remove_model(&self, model: &str) {
        if !model.is_empty() {
            discard(&self.model_dir(model));
        }
    }

    /// Takes away everything, and the files of every version.
    pub(crate) fn remove(&self) {
        let entries = |dir: &Path| {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let top = entries(&self.dir);
        let models = top.iter().filter(|path| !path.is_symlink());
        let nested: Vec<_> = models.flat_map(|dir| entries(dir)).collect();
        for version in top.iter().chain(&nested) {
            if let Ok(files) = fs::read_link(version) {
                discard(&files);
            }
        }
        discard(&self.dir);
    }
}

/// Removes a folder that nothing points to.
pub(crate) fn discard(dir: &Path) {
    if let Err(error) = fs::remove_dir_all(dir)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(path = %dir.display(), %error, "cannot be removed now");
    }
}

/// Returns a path that stays below the folder it is joined to: names come from stores.
fn relative(path: &str) -> io::Result<&Path> {
    match path.split('/').all(is_file_name) {
        true => Ok(Path::new(path)),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{}` cannot be the name of a file", path.escape_default()),
        )),
    }
}

/// Links to a content; copies it where the file system has no such links.
fn link_or_copy(content: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(content, path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::Unsupported
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::TooManyLinks
            ) =>
        {
            fs::copy(content, path).map(drop)
        }
        linked => linked,
    }
}
