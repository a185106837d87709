//! Reads what an ONNX file declares, without an engine and without reading its weights.
//!
//! ```text
//! model.onnx ─► FileBuf (seeks over weights) ─► parse ─► OnnxHeader ─► external data is there? ─► signature()
//! ```
//!
//! Owns the structure of the file: is it whole, what goes in and comes out, which operators and element types it
//! uses, which files lie beside it. Does not own whether an engine can run it.
//!
//! A file is read in milliseconds however large it is, with a buffer of a few kilobytes. Any bytes are an answer or
//! an error; nesting is bounded.

mod element;
mod external;
mod parse;
mod rename;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use bytes::Buf;
use salver_tensor::{Dim, TensorSpec};
use salver_wire::FileBuf;

use crate::{BackendError, Signature};

pub use element::ElementType;
pub use rename::rename_external_files;

/// What an ONNX file declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnnxHeader {
    /// The version of the file format.
    pub ir_version: i64,
    /// The tool that wrote the file; often empty.
    pub producer_name: String,
    /// That tool's version; often empty.
    pub producer_version: String,
    /// The version of each operator set that the model is written against; the first of each domain counts.
    pub opset_imports: Vec<OpsetImport>,
    /// Free-form properties, without those that are longer than a megabyte.
    pub metadata: Vec<(String, String)>,
    /// What a run is to be given: the graph's inputs that have no value in the file.
    pub inputs: Vec<ValueInfo>,
    /// What a run gives.
    pub outputs: Vec<ValueInfo>,
    /// Every operator in the graph, its subgraphs and its functions.
    pub operators: BTreeSet<Operator>,
    /// How many nodes the graph, its subgraphs and its functions have together.
    pub num_nodes: usize,
    /// The functions that the model brings along; they appear among the operators where they are called.
    pub functions: BTreeSet<Operator>,
    /// Every element type that is named anywhere: inputs, outputs, weights, constants, casts, declared values between.
    pub elements: BTreeSet<ElementType>,
    /// The files beside the model that hold weights.
    pub external_files: Vec<ExternalFile>,
}

/// The version of one operator set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpsetImport {
    /// The domain; empty for ONNX's own operators.
    pub domain: String,
    /// The version.
    pub version: i64,
}

/// An operator's identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operator {
    /// The domain; empty for ONNX's own operators, also where the file says `ai.onnx`.
    pub domain: String,
    /// The name, such as `Conv`.
    pub name: String,
}

/// Writes `Conv`, or `ai.onnx.ml.TreeEnsembleClassifier`.
impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.domain.is_empty() {
            write!(f, "{}.", self.domain)?;
        }
        f.write_str(&self.name)
    }
}

/// A declared input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueInfo {
    /// Its name.
    pub name: String,
    /// What it is.
    pub value: ValueType,
}

/// What an input or output is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A tensor.
    Tensor {
        /// Its element type.
        element: ElementType,
        /// Its extents; `None` if not even the rank is declared.
        dims: Option<Vec<Dim>>,
    },
    /// Something else, in a word or two: `sequence`, `map`, `value of no declared type`.
    Other(&'static str),
}

/// A file beside the model that holds weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalFile {
    /// Where it is, relative to the model's folder.
    pub location: String,
    /// How long it is at least, in bytes: where the last weight in it ends.
    pub min_bytes: u64,
}

/// Why an ONNX file could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnnxError {
    /// The file ends too early, as while it is being copied; or a file of weights is missing or too short.
    #[error(
        "{file} is not whole: {actual_bytes} bytes are there, at least {expected_bytes} are expected"
    )]
    Incomplete {
        /// The file, relative to the model's folder.
        file: String,
        /// The least size it has when it is whole, in bytes.
        expected_bytes: u64,
        /// Its size now, in bytes; 0 if it is missing.
        actual_bytes: u64,
    },
    /// The file is no ONNX model, or a damaged one.
    #[error("{file} is not a valid ONNX model: {reason}")]
    Malformed {
        /// The file, relative to the model's folder.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file could not be read.
    #[error("{file} cannot be read: {reason}")]
    Unreadable {
        /// The file, relative to the model's folder.
        file: String,
        /// What the system said.
        reason: String,
    },
}

impl From<OnnxError> for BackendError {
    fn from(error: OnnxError) -> Self {
        match error {
            OnnxError::Incomplete {
                file,
                expected_bytes,
                actual_bytes,
            } => Self::InvalidModel {
                file,
                reason: format!(
                    "is not whole: {actual_bytes} bytes are there, at least {expected_bytes} are expected"
                ),
            },
            OnnxError::Malformed { file, reason } => Self::InvalidModel {
                file,
                reason: format!("not a valid ONNX model: {reason}"),
            },
            OnnxError::Unreadable { file, reason } => Self::InvalidModel {
                file,
                reason: format!("cannot be read: {reason}"),
            },
        }
    }
}

/// An input or output that requests and answers have no form for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{role} `{name}` is a {kind}; only tensors of numbers, booleans or strings can be served")]
pub struct NotServable {
    /// `input` or `output`.
    pub role: &'static str,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: String,
}

/// Reads a model file's declarations and checks that the files it refers to are there.
///
/// # Blocking
/// A few file reads for each weight; milliseconds for the largest files.
///
/// # Errors
/// [`OnnxError`].
pub fn read(path: &Path) -> Result<OnnxHeader, OnnxError> {
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut buf = FileBuf::open(path).map_err(|error| OnnxError::Unreadable {
        file: name.clone(),
        reason: error.to_string(),
    })?;
    let result = parse(&mut buf, &name);
    if let Some(error) = buf.into_error() {
        return Err(OnnxError::Unreadable {
            file: name,
            reason: error.to_string(),
        });
    }
    let header = result?;
    external::check(
        path.parent().unwrap_or(Path::new("")),
        &name,
        &header.external_files,
    )?;
    Ok(header)
}

/// Reads the declarations out of a model file's bytes; does not look for the files it refers to.
///
/// `file` is the name that errors carry.
///
/// # Errors
/// [`OnnxError::Incomplete`], [`OnnxError::Malformed`].
pub fn parse(bytes: impl Buf, file: &str) -> Result<OnnxHeader, OnnxError> {
    let actual_bytes = bytes.remaining() as u64;
    parse::model(bytes).map_err(|error| match error {
        parse::Error::EndsEarly { missing_bytes } => OnnxError::Incomplete {
            file: file.to_owned(),
            expected_bytes: actual_bytes.saturating_add(missing_bytes),
            actual_bytes,
        },
        parse::Error::Malformed(reason) => OnnxError::Malformed {
            file: file.to_owned(),
            reason,
        },
        parse::Error::Wire(error) => OnnxError::Malformed {
            file: file.to_owned(),
            reason: error.to_string(),
        },
    })
}

/// Returns the one signature that an ONNX model has.
///
/// # Errors
/// [`NotServable`] for the first input or output that is not a tensor of a known dtype.
pub fn signature(header: &OnnxHeader) -> Result<Signature, NotServable> {
    Ok(Signature::serving_default(
        specs("input", &header.inputs)?,
        specs("output", &header.outputs)?,
    ))
}

fn specs(role: &'static str, values: &[ValueInfo]) -> Result<Vec<TensorSpec>, NotServable> {
    let spec = |value: &ValueInfo| match &value.value {
        ValueType::Tensor { element, dims } => match element.dtype() {
            Some(dtype) => Ok(TensorSpec::new(&value.name, dtype, dims.clone())),
            None => Err(NotServable {
                role,
                name: value.name.clone(),
                kind: format!("tensor of {element}"),
            }),
        },
        ValueType::Other(kind) => Err(NotServable {
            role,
            name: value.name.clone(),
            kind: (*kind).to_owned(),
        }),
    };
    values.iter().map(spec).collect()
}
