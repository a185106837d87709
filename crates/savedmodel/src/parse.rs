//! Walks the messages of a `saved_model.pb` and keeps what a [`SavedModel`] holds.
//!
//! Field numbers are those of `saved_model.proto` and `meta_graph.proto`. Of the graph only its nodes' names and
//! dependencies are read, and of them only what follows from them is kept; object graphs and collections are skipped.

mod graph;
mod signature;

use std::collections::BTreeSet;

use bytes::Buf;
use salver_wire::{Reader, WireError, WireType};

use crate::{MetaGraph, SavedModel};

/// The longest message there can be, in bytes: protobuf's own limit.
const MAX_MESSAGE_BYTES: u64 = i32::MAX as u64;

/// The longest name that is kept, in bytes. Anything longer in the place of a name is not copied.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Why bytes are not a SavedModel.
#[derive(Debug)]
pub(crate) enum Error {
    /// At least so much is missing at the end.
    EndsEarly { missing_bytes: u64 },
    /// More bytes would not help.
    Malformed(String),
    /// What it means depends on where it is: see [`at_top`] and [`within`].
    Wire(WireError),
}

impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

type Result<T> = std::result::Result<T, Error>;

/// Reads a `SavedModel`.
pub(crate) fn saved_model<B: Buf>(buf: B) -> Result<SavedModel> {
    let mut reader = Reader::new(buf);
    let mut model = SavedModel::default();
    while let Some((field, wire_type)) =
        reader.next_field().map_err(|error| at_top(error.into()))?
    {
        saved_model_field(&mut reader, field, wire_type, &mut model).map_err(at_top)?;
    }
    // A file that ends between two fields, or is empty.
    match model.meta_graphs.is_empty() {
        true => Err(Error::EndsEarly { missing_bytes: 1 }),
        false => Ok(model),
    }
}

fn saved_model_field<B: Buf>(
    reader: &mut Reader<B>,
    field: u32,
    wire_type: WireType,
    model: &mut SavedModel,
) -> Result<()> {
    match (field, wire_type) {
        (1, WireType::Varint) => reader.skip(field, wire_type)?,
        (2, WireType::Len) => {
            let graph = reader.message(|inner| meta_graph_fields(inner).map_err(within))?;
            model.meta_graphs.push(graph);
        }
        _ => {
            return Err(Error::Malformed(format!(
                "field {field} is not that of a SavedModel"
            )));
        }
    }
    Ok(())
}

/// Reads a `MetaGraphDef` that fills a buffer.
pub(crate) fn meta_graph<B: Buf>(buf: B) -> Result<MetaGraph> {
    meta_graph_fields(&mut Reader::new(buf)).map_err(within)
}

fn meta_graph_fields<B: Buf>(reader: &mut Reader<B>) -> Result<MetaGraph> {
    let mut graph = MetaGraph::default();
    let (mut signatures, mut nodes) = (Vec::new(), graph::Graph::default());
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => reader.message(|inner| meta_info(inner, &mut graph))?,
            (2, WireType::Len) => reader.message(|inner| nodes.read(inner))?,
            (3, WireType::Len) => {
                let operator = reader.message(restore_operator)?;
                graph.has_variables |= !operator.is_empty();
            }
            (5, WireType::Len) => match reader.message(signature::entry)? {
                Ok(signature) => signatures.push(signature),
                Err(not_servable) => graph.not_servable.push(not_servable),
            },
            (6, WireType::Len) => graph.assets.push(reader.message(asset)?),
            _ => reader.skip(field, wire_type)?,
        }
    }
    for signature in &mut signatures {
        let outputs = signature.outputs.iter().map(|spec| &*spec.tensor_name);
        signature.changes_state = nodes.is_changing(outputs);
    }
    graph.signatures = signatures.into_iter().collect();
    graph
        .not_servable
        .sort_by(|left, right| left.signature.cmp(&right.signature));
    Ok(graph)
}

/// Reads a `MetaInfoDef`.
fn meta_info<B: Buf>(reader: &mut Reader<B>, graph: &mut MetaGraph) -> Result<()> {
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (2, WireType::Len) => {
                reader.message(|inner| operators(inner, &mut graph.operators))?;
            }
            (4, WireType::Len) => {
                graph.tags.insert(text(reader)?);
            }
            (5, WireType::Len) => graph.tensorflow_version = text(reader)?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(())
}

/// Reads the names in an `OpList`.
fn operators<B: Buf>(reader: &mut Reader<B>, operators: &mut BTreeSet<String>) -> Result<()> {
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => {
                operators.insert(reader.message(|inner| text_field(inner, 1))?);
            }
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(())
}

/// Reads the name of the operator in a `SaverDef` that restores variables.
fn restore_operator<B: Buf>(reader: &mut Reader<B>) -> Result<String> {
    text_field(reader, 3)
}

/// Reads the file's name in an `AssetFileDef`.
fn asset<B: Buf>(reader: &mut Reader<B>) -> Result<String> {
    text_field(reader, 2)
}

/// Reads a message of which one text is wanted.
fn text_field<B: Buf>(reader: &mut Reader<B>, wanted: u32) -> Result<String> {
    let mut found = String::new();
    while let Some((field, wire_type)) = reader.next_field()? {
        match wire_type {
            WireType::Len if field == wanted => found = text(reader)?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(found)
}

/// Reads a name.
fn text<B: Buf>(reader: &mut Reader<B>) -> Result<String> {
    let len = reader.len_prefix()?;
    if len > MAX_TEXT_BYTES {
        return Err(Error::Malformed(format!("a name is {len} bytes long")));
    }
    let bytes = reader.take(len)?;
    Ok(String::from_utf8(bytes.into()).map_err(|_| WireError::InvalidUtf8)?)
}

/// What an error between two fields of the outermost message means: a value that is longer than what is left of the
/// file is not there as a whole yet.
fn at_top(error: Error) -> Error {
    match error {
        Error::Wire(WireError::Truncated) => Error::EndsEarly { missing_bytes: 1 },
        Error::Wire(WireError::LengthBeyondEnd {
            announced,
            remaining,
        }) if announced <= MAX_MESSAGE_BYTES => Error::EndsEarly {
            missing_bytes: announced.saturating_sub(remaining as u64),
        },
        other => within(other),
    }
}

/// What an error inside a message means that is there as a whole: damage.
fn within(error: Error) -> Error {
    match error {
        Error::Wire(error) => Error::Malformed(error.to_string()),
        other => other,
    }
}
