//! Walks the messages of an ONNX file and keeps what an [`OnnxHeader`] holds.
//!
//! Field numbers are those of `onnx.proto3`. Weights are skipped, wherever they are.

mod tensor;
mod values;

use std::collections::{BTreeMap, HashSet};

use bytes::Buf;
use salver_wire::{Reader, WireError, WireType};

use super::{ElementType, ExternalFile, OnnxHeader, Operator, OpsetImport, ValueInfo};
use values::{text, varint_i32, varint_i64};

/// The longest message there can be, in bytes: protobuf's own limit.
const MAX_MESSAGE_BYTES: u64 = i32::MAX as u64;

/// Why bytes are not an ONNX model.
#[derive(Debug)]
pub(super) enum Error {
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

/// What is gathered while walking.
#[derive(Debug, Default)]
struct Gathered {
    header: OnnxHeader,
    /// The names of the top graph's initialisers: inputs of the same name are defaults, not inputs.
    initializers: HashSet<String>,
    /// The end of the last weight in each file beside the model, in bytes.
    external: BTreeMap<String, u64>,
    has_graph: bool,
}

impl Gathered {
    /// Notes an element type, unless it is the one that means "not said".
    fn note_element(&mut self, element: ElementType) {
        if element.0 != 0 {
            self.header.elements.insert(element);
        }
    }
}

/// Reads a `ModelProto`.
pub(super) fn model<B: Buf>(buf: B) -> Result<OnnxHeader> {
    let mut gathered = Gathered::default();
    let mut reader = Reader::new(buf);
    while let Some((field, wire_type)) =
        reader.next_field().map_err(|error| at_top(error.into()))?
    {
        model_field(&mut reader, field, wire_type, &mut gathered).map_err(at_top)?;
    }
    // Every model has both. Where one is missing the file ends between two fields, or is empty.
    if !gathered.has_graph || gathered.header.opset_imports.is_empty() {
        return Err(Error::EndsEarly { missing_bytes: 1 });
    }
    let Gathered {
        mut header,
        initializers,
        external,
        ..
    } = gathered;
    header
        .inputs
        .retain(|input| !initializers.contains(&input.name));
    let file = |(location, min_bytes)| ExternalFile {
        location,
        min_bytes,
    };
    header.external_files = external.into_iter().map(file).collect();
    check_names(&header)?;
    Ok(header)
}

/// Reads one field of the outermost message.
fn model_field<B: Buf>(
    reader: &mut Reader<B>,
    field: u32,
    wire_type: WireType,
    gathered: &mut Gathered,
) -> Result<()> {
    let header = &mut gathered.header;
    match (field, wire_type) {
        (1, WireType::Varint) => header.ir_version = varint_i64(reader)?,
        (2, WireType::Len) => header.producer_name = text(reader)?,
        (3, WireType::Len) => header.producer_version = text(reader)?,
        (7, WireType::Len) => {
            gathered.has_graph = true;
            reader.message(|graph| read_graph(graph, gathered, true).map_err(within))?;
        }
        (8, WireType::Len) => {
            header
                .opset_imports
                .push(reader.message(|inner| opset_import(inner).map_err(within))?);
        }
        (14, WireType::Len) => {
            header
                .metadata
                .extend(reader.message(|inner| values::property(inner).map_err(within))?);
        }
        (25, WireType::Len) => reader.message(|inner| function(inner, gathered).map_err(within))?,
        (5, WireType::Varint) | (4 | 6 | 20 | 26, WireType::Len) => {
            reader.skip(field, wire_type)?
        }
        // Later versions of the format may have more fields; that one of those is broken says nothing about the end.
        (9.., WireType::Varint | WireType::Len | WireType::Fixed32 | WireType::Fixed64) => {
            reader
                .skip(field, wire_type)
                .map_err(|error| within(error.into()))?;
        }
        _ => {
            return Err(Error::Malformed(format!(
                "field {field} is not that of a model"
            )));
        }
    }
    Ok(())
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

/// Reads a `GraphProto`; `is_top` for the one that runs, not one inside an attribute.
fn read_graph<B: Buf>(reader: &mut Reader<B>, gathered: &mut Gathered, is_top: bool) -> Result<()> {
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => reader.message(|inner| node(inner, gathered))?,
            (5, WireType::Len) => {
                let name = reader.message(|inner| tensor::tensor(inner, gathered))?;
                if is_top {
                    gathered.initializers.insert(name);
                }
            }
            (15, WireType::Len) => {
                let name = reader.message(|inner| tensor::sparse_tensor(inner, gathered))?;
                if is_top {
                    gathered.initializers.insert(name);
                }
            }
            (11..=13, WireType::Len) => {
                let value = value_info(reader, gathered)?;
                match field {
                    11 if is_top => gathered.header.inputs.push(value),
                    12 if is_top => gathered.header.outputs.push(value),
                    _ => {}
                }
            }
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(())
}

fn value_info<B: Buf>(reader: &mut Reader<B>, gathered: &mut Gathered) -> Result<ValueInfo> {
    let value = reader.message(values::value_info)?;
    if let super::ValueType::Tensor { element, .. } = value.value {
        gathered.note_element(element);
    }
    Ok(value)
}

/// Reads a `NodeProto`.
fn node<B: Buf>(reader: &mut Reader<B>, gathered: &mut Gathered) -> Result<()> {
    let (mut name, mut domain) = (String::new(), String::new());
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (4, WireType::Len) => name = text(reader)?,
            (5, WireType::Len) => reader.message(|inner| attribute(inner, gathered))?,
            (7, WireType::Len) => domain = text(reader)?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    if name.is_empty() {
        return Err(Error::Malformed("a node has no operator".to_owned()));
    }
    gathered.header.num_nodes += 1;
    gathered.header.operators.insert(Operator {
        domain: normalized(domain),
        name,
    });
    Ok(())
}

/// Reads an `AttributeProto`: constants, subgraphs, and integers that name element types.
fn attribute<B: Buf>(reader: &mut Reader<B>, gathered: &mut Gathered) -> Result<()> {
    let (mut name, mut integer) = (String::new(), None);
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => name = text(reader)?,
            (3, WireType::Varint) => integer = Some(varint_i32(reader)?),
            (5 | 10, WireType::Len) => {
                reader.message(|inner| tensor::tensor(inner, gathered))?;
            }
            (6 | 11, WireType::Len) => {
                reader.message(|inner| read_graph(inner, gathered, false))?
            }
            (22 | 23, WireType::Len) => {
                reader.message(|inner| tensor::sparse_tensor(inner, gathered))?;
            }
            _ => reader.skip(field, wire_type)?,
        }
    }
    // `Cast` and the generators of constants say in these what they make.
    if let (Some(number), "to" | "dtype") = (integer, name.as_str()) {
        gathered.note_element(ElementType(number));
    }
    Ok(())
}

/// Reads a `FunctionProto`: the operators in it are used as well.
fn function<B: Buf>(reader: &mut Reader<B>, gathered: &mut Gathered) -> Result<()> {
    let (mut name, mut domain) = (String::new(), String::new());
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => name = text(reader)?,
            (7, WireType::Len) => reader.message(|inner| node(inner, gathered))?,
            (10, WireType::Len) => domain = text(reader)?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    gathered.header.functions.insert(Operator {
        domain: normalized(domain),
        name,
    });
    Ok(())
}

/// Reads an `OperatorSetIdProto`.
fn opset_import<B: Buf>(reader: &mut Reader<B>) -> Result<OpsetImport> {
    let mut opset = OpsetImport {
        domain: String::new(),
        version: 0,
    };
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => opset.domain = normalized(text(reader)?),
            (2, WireType::Varint) => opset.version = varint_i64(reader)?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(opset)
}

/// The domain of ONNX's own operators has two spellings.
fn normalized(domain: String) -> String {
    if domain == "ai.onnx" {
        String::new()
    } else {
        domain
    }
}

/// Inputs and outputs are asked for by name, so each has one of its own.
fn check_names(header: &OnnxHeader) -> Result<()> {
    for (role, values) in [("input", &header.inputs), ("output", &header.outputs)] {
        let mut seen = HashSet::new();
        for ValueInfo { name, .. } in values {
            if name.is_empty() {
                return Err(Error::Malformed(format!("an {role} has no name")));
            }
            if !seen.insert(name) {
                return Err(Error::Malformed(format!("two {role}s are named `{name}`")));
            }
        }
    }
    Ok(())
}
