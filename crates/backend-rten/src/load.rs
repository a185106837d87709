//! From a model's files to rten's own model.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rten::{LoadErrorKind, ModelOptions};
use salver_backend::onnx::{self, ElementType, OnnxHeader};
use salver_backend::{BackendError, ModelFiles, ModelFormat, Signature};
use salver_tensor::DType;

use crate::{PLATFORM, convert, operators, unsupported};

/// Element types that may occur inside a graph: those rten computes in, those it holds as 32-bit integers, and half
/// precision, which it widens.
const INNER_DTYPES: [DType; 7] = [
    DType::F32,
    DType::I32,
    DType::I8,
    DType::U8,
    DType::I64,
    DType::Bool,
    DType::F16,
];

/// The most operators a graph may have: rten follows them recursively, so a longer chain would overflow the stack of the
/// thread, which ends the whole process. A chain of this length takes 16 MiB with room to spare.
const MAX_NODES: usize = 20_000;
/// How many missing operators a message names.
const MAX_NAMED: usize = 5;

/// Reads what a model declares and checks that rten can run it.
pub(crate) fn check(files: &ModelFiles) -> Result<(OnnxHeader, Signature), BackendError> {
    if files.format != ModelFormat::Onnx {
        return Err(unsupported(format!(
            "it is a {} model, not ONNX",
            files.format.name()
        )));
    }
    let header = onnx::read(&files.main)?;
    if header.num_nodes > MAX_NODES {
        return Err(unsupported(format!(
            "it has {} operators, more than {MAX_NODES}",
            header.num_nodes
        )));
    }
    check_operators(&header)?;
    let is_inner = |element: &&ElementType| {
        element
            .dtype()
            .is_some_and(|dtype| INNER_DTYPES.contains(&dtype))
    };
    if let Some(element) = header.elements.iter().find(|element| !is_inner(element)) {
        return Err(unsupported(format!("it computes in {element}")));
    }
    let signature = onnx::signature(&header).map_err(|error| unsupported(error.to_string()))?;
    if let Some(spec) = signature
        .inputs
        .iter()
        .chain(&signature.outputs)
        .find(|spec| !convert::is_served(spec.dtype))
    {
        return Err(unsupported(format!(
            "`{}` is declared as {}",
            spec.name, spec.dtype
        )));
    }
    Ok((header, signature))
}

fn check_operators(header: &OnnxHeader) -> Result<(), BackendError> {
    let missing: Vec<_> = header
        .operators
        .iter()
        .filter(|operator| !operators::has(operator))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut names: Vec<_> = missing
        .iter()
        .take(MAX_NAMED)
        .map(ToString::to_string)
        .collect();
    if missing.len() > MAX_NAMED {
        names.push(format!("{} more", missing.len() - MAX_NAMED));
    }
    Err(unsupported(format!(
        "it has no operator {}",
        names.join(", ")
    )))
}

/// Loads the model; the header is that of the same file.
pub(crate) fn load(files: &ModelFiles, header: &OnnxHeader) -> Result<rten::Model, BackendError> {
    // rten trusts that weights have the length their shapes say, among other things.
    match catch_unwind(AssertUnwindSafe(|| load_unguarded(files, header))) {
        Ok(result) => result,
        Err(_) => Err(BackendError::InvalidModel {
            file: files.file_name(),
            reason: "its graph contradicts itself".to_owned(),
        }),
    }
}

fn load_unguarded(files: &ModelFiles, header: &OnnxHeader) -> Result<rten::Model, BackendError> {
    let options = ModelOptions::with_all_ops();
    let is_named_as_rten_likes = files
        .main
        .extension()
        .is_some_and(|ext| ext.eq_ignore_ascii_case("onnx"));
    let loaded = if is_named_as_rten_likes
        && header
            .external_files
            .iter()
            .all(|file| is_readable(&file.location))
    {
        // Weights go from the file straight to where they stay.
        options.load_file(&files.main)
    } else {
        load_from_memory(files, header, options)?
    };
    loaded.map_err(|error| {
        let reason = error.to_string();
        match error.kind() {
            LoadErrorKind::OperatorInvalid => unsupported(reason),
            LoadErrorKind::OptimizeError | LoadErrorKind::ShapeInferenceFailed => {
                BackendError::Engine {
                    platform: PLATFORM,
                    message: reason,
                }
            }
            _ => BackendError::InvalidModel {
                file: files.file_name(),
                reason,
            },
        }
    })
}

/// Tells whether rten takes a file of weights by this name: a plain name that ends in `.data…` or `.onnx_data…`.
fn is_readable(location: &str) -> bool {
    let path = Path::new(location);
    let is_plain = path.file_name().is_some_and(|name| name == location);
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    is_plain && (extension.starts_with("data") || extension.starts_with("onnx_data"))
}

/// Loads a model whose weights lie in files that rten would not open: they are handed over under names it takes.
fn load_from_memory(
    files: &ModelFiles,
    header: &OnnxHeader,
    mut options: ModelOptions,
) -> Result<Result<rten::Model, rten::LoadError>, BackendError> {
    let read = |name: &str, path: &Path| {
        fs::read(path).map_err(|error| BackendError::InvalidModel {
            file: name.to_owned(),
            reason: format!("cannot be read: {error}"),
        })
    };
    let alias = |idx: usize| format!("{idx}.data");
    for (idx, file) in header.external_files.iter().enumerate() {
        options.external_data(
            &alias(idx),
            read(&file.location, &files.dir.join(&file.location))?,
        );
    }
    let mut bytes = read(&files.file_name(), &files.main)?;
    if !header.external_files.is_empty() {
        let position = |location: &str| {
            header
                .external_files
                .iter()
                .position(|file| file.location == location)
        };
        bytes = onnx::rename_external_files(&bytes, &|location| position(location).map(alias))
            .map_err(|reason| BackendError::InvalidModel {
                file: files.file_name(),
                reason,
            })?;
    }
    Ok(options.load(bytes))
}
