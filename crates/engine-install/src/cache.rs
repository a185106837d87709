//! The folder of installed libraries: `<cache>/<engine>/<version>/`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Package;

/// Returns the library of the newest version of a package in a cache folder.
#[must_use]
pub fn newest(cache_dir: &Path, package: &Package) -> Option<PathBuf> {
    let versions = fs::read_dir(cache_dir.join(package.folder)).ok()?.flatten();
    let mut found: Vec<_> = versions
        .filter_map(|entry| {
            let version = parse_version(&entry.file_name().to_string_lossy())?;
            Some((version, (package.library_in)(&entry.path())?))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, path)| path)
}

/// Versions are compared number by number: 1.9 is before 1.31. Folders of other names are not versions.
fn parse_version(name: &str) -> Option<Vec<u64>> {
    name.split('.').map(|part| part.parse().ok()).collect()
}
