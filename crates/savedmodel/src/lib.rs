//! Reads what a SavedModel declares, without TensorFlow and without its graph.
//!
//! ```text
//! saved_model.pb ─► FileBuf (seeks over graphs) ─► parse ─► SavedModel ─► MetaGraph by its tags ─► signatures
//! ```
//!
//! Owns the structure of `saved_model.pb`: is it whole, which meta graphs it holds, their signatures, which files they
//! need beside it. Does not own whether an engine can run it.
//!
//! A file is read in milliseconds however large it is, with a buffer of a few kilobytes. Any bytes are an answer or an
//! error; nesting is bounded.

mod parse;

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Buf;
use salver_backend::{BackendError, Signatures};
use salver_wire::FileBuf;

/// The tag of the meta graph that is meant for serving.
pub const SERVE_TAG: &str = "serve";

/// What a SavedModel declares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SavedModel {
    /// The graphs for different purposes; nearly always one.
    pub meta_graphs: Vec<MetaGraph>,
}

/// What one graph of a SavedModel declares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetaGraph {
    /// What the graph is for: `serve`, `train`, `gpu`.
    pub tags: BTreeSet<String>,
    /// The version of TensorFlow that wrote it; often empty.
    pub tensorflow_version: String,
    /// The operators that its writer listed; empty if it listed none.
    pub operators: BTreeSet<String>,
    /// What it can be asked for.
    pub signatures: Signatures,
    /// Signatures that requests and answers have no form for.
    pub not_servable: Vec<NotServable>,
    /// The names of the files in `assets/` that it needs.
    pub assets: Vec<String>,
    /// Whether there are variables to be restored, which are then in `variables/`.
    pub has_variables: bool,
}

/// A signature that requests and answers have no form for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signature `{signature}` cannot be served: {reason}")]
pub struct NotServable {
    /// Its name.
    pub signature: String,
    /// Which of its tensors is at fault, and how.
    pub reason: String,
}

/// Why a SavedModel could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SavedModelError {
    /// The file ends early: its copy is not finished.
    #[error(
        "{file} is not whole: {actual_bytes} bytes are there, at least {expected_bytes} are expected"
    )]
    Incomplete {
        /// The file's name.
        file: String,
        /// How long it is to be at least.
        expected_bytes: u64,
        /// How long it is.
        actual_bytes: u64,
    },
    /// The bytes are not a SavedModel, and more of them would not make it one.
    #[error("{file} is not a valid SavedModel: {reason}")]
    Malformed {
        /// The file's name.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The file cannot be read.
    #[error("{file} cannot be read: {reason}")]
    Unreadable {
        /// The file's name.
        file: String,
        /// What the system said.
        reason: String,
    },
}

impl From<SavedModelError> for BackendError {
    fn from(error: SavedModelError) -> Self {
        match error {
            SavedModelError::Incomplete {
                file,
                expected_bytes,
                actual_bytes,
            } => Self::InvalidModel {
                file,
                reason: format!(
                    "is not whole: {actual_bytes} bytes are there, at least {expected_bytes} are expected"
                ),
            },
            SavedModelError::Malformed { file, reason } => Self::InvalidModel {
                file,
                reason: format!("not a valid SavedModel: {reason}"),
            },
            SavedModelError::Unreadable { file, reason } => Self::InvalidModel {
                file,
                reason: format!("cannot be read: {reason}"),
            },
        }
    }
}

impl SavedModel {
    /// Returns the meta graph that has exactly these tags, as TensorFlow chooses it.
    #[must_use]
    pub fn meta_graph(&self, tags: &[impl AsRef<str>]) -> Option<&MetaGraph> {
        let wanted: BTreeSet<&str> = tags.iter().map(AsRef::as_ref).collect();
        self.meta_graphs.iter().find(|graph| {
            graph
                .tags
                .iter()
                .map(String::as_str)
                .eq(wanted.iter().copied())
        })
    }

    /// Returns the tags of every meta graph, for messages: `{serve}, {serve,gpu}`.
    #[must_use]
    pub fn tag_sets(&self) -> String {
        let sets = self.meta_graphs.iter().map(|graph| {
            let tags: Vec<&str> = graph.tags.iter().map(String::as_str).collect();
            format!("{{{}}}", tags.join(","))
        });
        sets.collect::<Vec<_>>().join(", ")
    }
}

/// Reads the declarations of a `saved_model.pb`.
///
/// # Blocking
/// A few file reads; milliseconds for the largest files.
///
/// # Errors
/// [`SavedModelError`].
pub fn read(path: &Path) -> Result<SavedModel, SavedModelError> {
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let unreadable = |reason: String| SavedModelError::Unreadable {
        file: name.clone(),
        reason,
    };
    let mut buf = FileBuf::open(path).map_err(|error| unreadable(error.to_string()))?;
    let result = parse(&mut buf, &name);
    match buf.into_error() {
        Some(error) => Err(unreadable(error.to_string())),
        None => result,
    }
}

/// Reads the declarations out of the bytes of a `saved_model.pb`; `file` is the name that errors carry.
///
/// # Errors
/// [`SavedModelError::Incomplete`], [`SavedModelError::Malformed`].
pub fn parse(bytes: impl Buf, file: &str) -> Result<SavedModel, SavedModelError> {
    let actual_bytes = bytes.remaining() as u64;
    parse::saved_model(bytes).map_err(|error| with_file(error, file, actual_bytes))
}

/// Reads the declarations of one meta graph, an encoded `MetaGraphDef`; `file` is the name that errors carry.
///
/// # Errors
/// As [`parse()`].
pub fn parse_meta_graph(bytes: impl Buf, file: &str) -> Result<MetaGraph, SavedModelError> {
    let actual_bytes = bytes.remaining() as u64;
    parse::meta_graph(bytes).map_err(|error| with_file(error, file, actual_bytes))
}

fn with_file(error: parse::Error, file: &str, actual_bytes: u64) -> SavedModelError {
    let file = file.to_owned();
    match error {
        parse::Error::EndsEarly { missing_bytes } => SavedModelError::Incomplete {
            file,
            expected_bytes: actual_bytes.saturating_add(missing_bytes),
            actual_bytes,
        },
        parse::Error::Malformed(reason) => SavedModelError::Malformed { file, reason },
        parse::Error::Wire(error) => SavedModelError::Malformed {
            file,
            reason: error.to_string(),
        },
    }
}
