//! What the files of a model declare, whatever their format.

use std::path::{Path, PathBuf};

use salver_backend::onnx::{self, OnnxHeader};
use salver_backend::{ModelFiles, ModelFormat, Signatures};
use salver_savedmodel::SERVE_TAG;

/// The largest folder of a SavedModel that is added up, in entries.
const MAX_ENTRIES: usize = 10_000;

/// What a model declares; what its format does not have is empty.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) signatures: Signatures,
    /// Signatures that cannot be served, and why.
    pub(super) not_servable: Vec<String>,
    pub(super) opsets: Vec<(String, i64)>,
    pub(super) tags: Vec<String>,
    pub(super) producer: String,
    pub(super) operators: Vec<String>,
}

/// Reads the declarations of a model.
pub(super) fn read(files: &ModelFiles) -> Result<Declared, String> {
    match files.format {
        ModelFormat::Onnx => of_onnx(files),
        ModelFormat::SavedModel => of_saved_model(files),
        ModelFormat::TfLite | ModelFormat::Python => Err(format!(
            "cannot be read yet: {} models are not supported by this build",
            files.format.name()
        )),
    }
}

fn of_onnx(files: &ModelFiles) -> Result<Declared, String> {
    let header = onnx::read(&files.main).map_err(|error| error.to_string())?;
    let signature = onnx::signature(&header).map_err(|error| error.to_string())?;
    Ok(Declared {
        signatures: [signature].into_iter().collect(),
        not_servable: Vec::new(),
        opsets: opsets(&header),
        tags: Vec::new(),
        producer: producer(&header),
        operators: header.operators.iter().map(ToString::to_string).collect(),
    })
}

fn opsets(header: &OnnxHeader) -> Vec<(String, i64)> {
    header
        .opset_imports
        .iter()
        .map(|import| (import.domain.clone(), import.version))
        .collect()
}

fn producer(header: &OnnxHeader) -> String {
    format!("{} {}", header.producer_name, header.producer_version)
        .trim()
        .to_owned()
}

fn of_saved_model(files: &ModelFiles) -> Result<Declared, String> {
    if files
        .main
        .extension()
        .is_some_and(|extension| extension == "pbtxt")
    {
        return Err("is written as text, which only TensorFlow reads: its signatures are known once it is loaded".to_owned());
    }
    let mut model = salver_savedmodel::read(&files.main).map_err(|error| error.to_string())?;
    let graph = match model.meta_graph(&[SERVE_TAG]) {
        Some(graph) => graph.clone(),
        None => model.meta_graphs.swap_remove(0),
    };
    let not_servable = graph.not_servable.iter().map(ToString::to_string);
    Ok(Declared {
        not_servable: not_servable.collect(),
        signatures: graph.signatures,
        opsets: Vec::new(),
        tags: graph.tags.into_iter().collect(),
        producer: format!("tensorflow {}", graph.tensorflow_version),
        operators: graph.operators.into_iter().collect(),
    })
}

/// Returns the size of the main file and of the weights beside it, as far as they can be seen.
pub(super) fn num_bytes(files: &ModelFiles) -> u64 {
    let size = |path: PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let beside: u64 = match files.format {
        ModelFormat::Onnx => onnx::read(&files.main)
            .map(|header| header.external_files)
            .unwrap_or_default()
            .iter()
            .map(|file| size(files.dir.join(Path::new(&file.location))))
            .sum(),
        ModelFormat::SavedModel => ["variables", "assets"]
            .into_iter()
            .flat_map(|folder| {
                std::fs::read_dir(files.dir.join(folder))
                    .into_iter()
                    .flatten()
            })
            .flatten()
            .take(MAX_ENTRIES)
            .map(|entry| size(entry.path()))
            .sum(),
        ModelFormat::TfLite | ModelFormat::Python => 0,
    };
    size(files.main.clone()) + beside
}
