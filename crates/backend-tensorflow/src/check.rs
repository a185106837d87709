//! Whether TensorFlow can run a model, by what its file declares.

use std::path::Path;

use salver_backend::{BackendError, ModelFiles, ModelFormat};
use salver_savedmodel::MetaGraph;

use crate::{Options, PLATFORM};

/// Reads what a model declares; `None` if it is written in a form that only TensorFlow itself reads, as text or in
/// pieces.
pub(crate) fn check(
    files: &ModelFiles,
    options: &Options,
) -> Result<Option<MetaGraph>, BackendError> {
    if files.format != ModelFormat::SavedModel {
        let reason = format!("it is a {} model, not a SavedModel", files.format.name());
        return Err(unsupported(reason, "export it as a SavedModel".to_owned()));
    }
    if !is_binary(&files.main) {
        return Ok(None);
    }
    let model = salver_savedmodel::read(&files.main)?;
    let tags = &options.tags;
    let graph = model.meta_graph(tags).cloned();
    graph.map(Some).ok_or_else(|| BackendError::InvalidModel {
        file: files.file_name(),
        reason: format!(
            "has no graph with the tags {{{}}}; it has {}",
            tags.join(","),
            model.tag_sets()
        ),
    })
}

fn is_binary(main: &Path) -> bool {
    main.extension().is_some_and(|extension| extension == "pb")
}

pub(crate) fn unsupported(reason: String, remedy: String) -> BackendError {
    BackendError::Unsupported {
        platform: PLATFORM,
        reason,
        remedy,
    }
}
