//! Whether TensorFlow can run a model, by what its file declares.

use std::path::Path;

use salver_backend::{BackendError, ModelFiles, ModelFormat};
use salver_savedmodel::{MetaGraph, NotServable};

use crate::{Options, PLATFORM};

/// The signature that names the initialiser.
const INIT_SIGNATURE: &str = "__saved_model_init_op";

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
    let graph = model
        .meta_graph(tags)
        .ok_or_else(|| BackendError::InvalidModel {
            file: files.file_name(),
            reason: format!(
                "has no graph with the tags {{{}}}; it has {}",
                tags.join(","),
                model.tag_sets()
            ),
        })?;
    // One without any signature is loaded, as by TensorFlow Serving; nothing can be asked of it.
    if graph.signatures.iter().next().is_none()
        && let Some(not_servable) = told(graph).next()
    {
        let remedy = "export it with signatures of dense tensors".to_owned();
        return Err(unsupported(not_servable.to_string(), remedy));
    }
    Ok(Some(graph.clone()))
}

/// Returns the signatures that cannot be served and are somebody's loss: not the one by which TensorFlow itself
/// initialises a model.
pub(crate) fn told(graph: &MetaGraph) -> impl Iterator<Item = &NotServable> {
    graph
        .not_servable
        .iter()
        .filter(|not_servable| not_servable.signature != INIT_SIGNATURE)
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
