//! The versions of a model as they are on disk, for those who look once and do not watch.

use std::io;

use salver_backend::ModelFiles;

use crate::{ModelBase, layout};

/// Lists the versions of a model that have a main file, ascending, whether they are whole or not.
///
/// # Errors
/// If the folder cannot be read; a flat file that is gone is an error of kind `NotFound`.
pub fn versions(base: &ModelBase) -> io::Result<Vec<(i64, ModelFiles)>> {
    let found = layout::versions(base)?;
    Ok(found
        .into_iter()
        .filter_map(|found| Some((found.version, found.place.files()?)))
        .collect())
}
