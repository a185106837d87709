//! Finds the shared library.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Config;
use crate::ffi::Library;
use crate::install::PACKAGE;

/// An open library and where it was.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) library: Arc<Library>,
    pub(crate) path: PathBuf,
}

/// Opens the configured library, else the newest one in the cache; an error says why there is none.
pub(crate) fn open(config: &Config) -> Result<Opened, String> {
    let path = match (&config.library, &config.cache_dir) {
        (Some(path), _) => path.clone(),
        (None, Some(cache_dir)) => {
            salver_engine_install::newest(cache_dir, &PACKAGE).ok_or_else(not_installed)?
        }
        (None, None) => return Err(not_installed()),
    };
    match Library::open(&path) {
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

/// Returns the library in a folder.
pub(crate) fn library_in(dir: &Path) -> Option<PathBuf> {
    let mut libraries: Vec<_> = fs::read_dir(dir)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| is_library(&name.to_string_lossy()))
        })
        .collect();
    libraries.sort();
    libraries.pop()
}

/// Tells whether a file is the library by its name: `libonnxruntime.so.1.31.1`, `libonnxruntime.1.31.1.dylib`. Its
/// companions (`libonnxruntime_providers_shared.so`) are not.
pub(crate) fn is_library(name: &str) -> bool {
    let is_dylib = name.starts_with("libonnxruntime.")
        && Path::new(name)
            .extension()
            .is_some_and(|ext| ext == "dylib");
    name == "libonnxruntime.so" || name.starts_with("libonnxruntime.so.") || is_dylib
}

#[cfg(test)]
mod tests {
    use salver_backend::Backend;

    use super::*;
    use crate::{INSTALL_COMMAND, OnnxRuntime};

    #[test]
    fn the_library_is_told_from_its_companions() {
        let rows = [
            ("libonnxruntime.so", true),
            ("libonnxruntime.so.1.31.1", true),
            ("libonnxruntime.1.31.1.dylib", true),
            ("libonnxruntime_providers_shared.so", false),
            ("onnxruntime.so", false),
        ];
        for (name, expected) in rows {
            assert_eq!(is_library(name), expected, "{name}");
        }
    }

    #[test]
    fn a_library_that_does_not_open_is_named_with_the_remedy() {
        let dir = tempfile::TempDir::new().expect("a temporary folder");
        let path = dir.path().join("libonnxruntime.so");
        fs::write(&path, b"not a library").expect("files can be written");
        for config in [
            Config {
                library: Some(path),
                cache_dir: None,
            },
            Config {
                library: None,
                cache_dir: Some(dir.path().to_path_buf()),
            },
            Config::default(),
        ] {
            let names_library = config.library.is_some();
            let status = OnnxRuntime::new(config).status();
            assert!(!status.is_available());
            assert!(status.note.ends_with(INSTALL_COMMAND), "{}", status.note);
            assert_eq!(status.note.contains("libonnxruntime.so"), names_library);
        }
    }
}
