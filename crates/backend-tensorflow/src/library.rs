//! Finds the shared libraries.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Config;
use crate::ffi::Library;
use crate::install::PACKAGE;

/// The open libraries and where the main one was.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) library: Arc<Library>,
    pub(crate) path: PathBuf,
}

/// Opens the configured libraries, else the newest ones in the cache; an error says why there are none.
pub(crate) fn open(config: &Config) -> Result<Opened, String> {
    let path = match (&config.library, &config.cache_dir) {
        (Some(path), _) => in_folder(path)?,
        (None, Some(cache_dir)) => {
            salver_engine_install::newest(cache_dir, &PACKAGE).ok_or_else(not_installed)?
        }
        (None, None) => return Err(not_installed()),
    };
    let framework = path.parent().and_then(|dir| find(dir, is_framework));
    match Library::open(framework.as_deref(), &path) {
        Ok(library) => Ok(Opened {
            library: Arc::new(library),
            path,
        }),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn not_installed() -> String {
    "it is not installed".to_owned()
}

/// Returns the library that a path means: itself, or the one in that folder.
fn in_folder(path: &Path) -> Result<PathBuf, String> {
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    find(path, is_main)
        .ok_or_else(|| format!("{} has no libtensorflow_cc.so in it", path.display()))
}

/// Returns the main library of a folder that has both.
pub(crate) fn library_in(dir: &Path) -> Option<PathBuf> {
    find(dir, is_framework).and_then(|_| find(dir, is_main))
}

fn find(dir: &Path, is_wanted: fn(&str) -> bool) -> Option<PathBuf> {
    let paths = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    paths
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| is_wanted(&name.to_string_lossy()))
        })
        .max()
}

/// Tells whether a file is the library with the C API by its name: `libtensorflow_cc.so.2`, and `libtensorflow.so.2` of
/// the distribution for C.
pub(crate) fn is_main(name: &str) -> bool {
    is_library(name, "libtensorflow_cc") || is_library(name, "libtensorflow")
}

/// Tells whether a file is the library that the other one needs by its name: `libtensorflow_framework.so.2`.
pub(crate) fn is_framework(name: &str) -> bool {
    is_library(name, "libtensorflow_framework")
}

fn is_library(name: &str, stem: &str) -> bool {
    let Some(rest) = name.strip_prefix(stem) else {
        return false;
    };
    let is_dylib = Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "dylib");
    !rest.contains('/')
        && (rest == ".so" || rest.starts_with(".so.") || (rest.starts_with('.') && is_dylib))
}

#[cfg(test)]
mod tests {
    use salver_backend::Backend;

    use super::*;
    use crate::{INSTALL_COMMAND, TensorFlow};

    #[test]
    fn the_libraries_are_known_by_their_names() {
        let rows = [
            ("libtensorflow_cc.so.2", true, false),
            ("libtensorflow.so", true, false),
            ("libtensorflow_cc.2.dylib", true, false),
            ("libtensorflow_framework.so.2", false, true),
            ("libtensorflow_cc.so.2/x", false, false),
            ("libtensorflow_cc.txt", false, false),
            ("tensorflow_cc.so.2", false, false),
        ];
        for (name, main, framework) in rows {
            assert_eq!(
                (is_main(name), is_framework(name)),
                (main, framework),
                "{name}"
            );
        }
    }

    #[test]
    fn a_library_that_does_not_open_is_named_with_the_remedy() {
        let dir = tempfile::TempDir::new().expect("a temporary folder");
        let path = dir.path().join("libtensorflow_cc.so.2");
        fs::write(&path, b"not a library").expect("files can be written");
        let config = |library: Option<&Path>, cache_dir: Option<&Path>| Config {
            library: library.map(Path::to_path_buf),
            cache_dir: cache_dir.map(Path::to_path_buf),
            ..Config::default()
        };
        let empty = tempfile::TempDir::new().expect("a temporary folder");
        let rows = [
            (
                config(Some(&path), None),
                "libtensorflow_cc.so.2: it cannot be opened",
            ),
            (
                config(Some(dir.path()), None),
                "libtensorflow_cc.so.2: it cannot be opened",
            ),
            (
                config(Some(empty.path()), None),
                "has no libtensorflow_cc.so in it",
            ),
            (config(None, Some(dir.path())), "it is not installed"),
            (config(None, None), "it is not installed"),
        ];
        for (config, expected) in rows {
            let status = TensorFlow::new(config).status();
            assert!(!status.is_available());
            assert!(status.note.contains(expected), "{}", status.note);
            assert!(status.note.ends_with(INSTALL_COMMAND), "{}", status.note);
        }
    }
}
