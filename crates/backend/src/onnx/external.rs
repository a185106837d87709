//! Weights in files beside the model: are they there, and inside the model's folder?

use std::fs;
use std::io;
use std::path::{Component, Path};

use super::{ExternalFile, OnnxError};

/// Checks every file of weights of the model file `model` in the folder `dir`.
///
/// A location may name a file in a subfolder; it may not lead out of the folder, not even by a symbolic link, because
/// a model could otherwise make any file of the machine readable through its answers. Links that the whole version
/// consists of (as Kubernetes mounts them) resolve to one folder and pass.
pub(super) fn check(dir: &Path, model: &str, files: &[ExternalFile]) -> Result<(), OnnxError> {
    if files.is_empty() {
        return Ok(());
    }
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let unreadable = |file: &str, error: &io::Error| OnnxError::Unreadable {
        file: file.to_owned(),
        reason: error.to_string(),
    };
    // Where the model file really is: data beside its link's target is data beside the model.
    let homes: Vec<_> = [
        dir.canonicalize(),
        dir.join(model).canonicalize().map(|path| parent(&path)),
    ]
    .into_iter()
    .collect::<Result<_, _>>()
    .map_err(|error| unreadable(model, &error))?;
    for ExternalFile {
        location,
        min_bytes,
    } in files
    {
        let leads_out = || OnnxError::Malformed {
            file: model.to_owned(),
            reason: format!("external data `{location}` is not inside the model's folder"),
        };
        let relative = Path::new(location);
        if location.is_empty()
            || !relative
                .components()
                .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        {
            return Err(leads_out());
        }
        let actual_bytes = match dir.join(relative).canonicalize() {
            Ok(path) if !homes.iter().any(|home| path.starts_with(home)) => return Err(leads_out()),
            Ok(path) => fs::metadata(path)
                .map_err(|error| unreadable(location, &error))?
                .len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(unreadable(location, &error)),
        };
        let expected_bytes = (*min_bytes).max(1);
        if actual_bytes < expected_bytes {
            return Err(OnnxError::Incomplete {
                file: location.clone(),
                expected_bytes,
                actual_bytes,
            });
        }
    }
    Ok(())
}

fn parent(path: &Path) -> std::path::PathBuf {
    path.parent().unwrap_or(path).to_path_buf()
}
