//! Signatures: `SignatureDef` and what is in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Buf;
use salver_backend::Signature;
use salver_protocol::tensor_proto;
use salver_tensor::{Dim, Tensor, TensorSpec};
use salver_wire::{Reader, WireType};

use super::{Error, Result, text};
use crate::NotServable;

/// The most memory that the default of one input may take, in bytes: far above real ones, which are switches.
const MAX_DEFAULT_BYTES: usize = 64 * 1024 * 1024;

/// Data types above this number are references to variables: `DT_FLOAT_REF` is 101, `DT_FLOAT` is 1.
const REFERENCES: i32 = 100;

/// A `TensorInfo`.
#[derive(Debug, Default)]
struct TensorInfo {
    tensor_name: String,
    /// Its number in `tensorflow.DataType`.
    data_type: i32,
    /// `None` if not even the rank is declared.
    dims: Option<Vec<Dim>>,
    /// What it is, if it is not one tensor.
    other: Option<&'static str>,
}

/// A `SignatureDef`.
#[derive(Debug, Default)]
struct SignatureDef {
    inputs: BTreeMap<String, TensorInfo>,
    outputs: BTreeMap<String, TensorInfo>,
    method_name: String,
    defaults: BTreeMap<Arc<str>, Tensor>,
}

/// Reads an entry of the map of signatures.
pub(super) fn entry<B: Buf>(
    reader: &mut Reader<B>,
) -> Result<std::result::Result<Signature, NotServable>> {
    let (name, definition) = map_entry(reader, definition)?;
    Ok(signature(&name, definition).map_err(|reason| NotServable {
        signature: name,
        reason,
    }))
}

fn signature(name: &str, definition: SignatureDef) -> std::result::Result<Signature, String> {
    let SignatureDef {
        inputs,
        outputs,
        method_name,
        defaults,
    } = definition;
    Ok(Signature {
        name: name.into(),
        method_name: method_name.into(),
        inputs: specs("input", inputs)?,
        outputs: specs("output", outputs)?,
        defaults,
        changes_state: false,
    })
}

fn specs(
    role: &str,
    infos: BTreeMap<String, TensorInfo>,
) -> std::result::Result<Vec<TensorSpec>, String> {
    let spec = |(alias, info): (String, TensorInfo)| {
        if let Some(kind) = info.other {
            return Err(format!("{role} `{alias}` is a {kind}"));
        }
        let data_type = info.data_type;
        let dtype = tensor_proto::dtype_of(value_type(data_type))
            .ok_or_else(|| format!("{role} `{alias}` is of data type {data_type}"))?;
        Ok(TensorSpec {
            name: alias.into(),
            tensor_name: info.tensor_name.into(),
            dtype,
            dims: info.dims,
        })
    };
    infos.into_iter().map(spec).collect()
}

/// Returns the data type of the values of a reference to a variable, which old graphs give as outputs; others are what
/// they are.
fn value_type(data_type: i32) -> i32 {
    match data_type > REFERENCES {
        true => data_type - REFERENCES,
        false => data_type,
    }
}

/// Reads a `SignatureDef`.
fn definition<B: Buf>(reader: &mut Reader<B>) -> Result<SignatureDef> {
    let mut definition = SignatureDef::default();
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => {
                let (alias, info) = reader.message(|entry| map_entry(entry, tensor_info))?;
                definition.inputs.insert(alias, info);
            }
            (2, WireType::Len) => {
                let (alias, info) = reader.message(|entry| map_entry(entry, tensor_info))?;
                definition.outputs.insert(alias, info);
            }
            (3, WireType::Len) => definition.method_name = text(reader)?,
            (4, WireType::Len) => {
                let (alias, value) = reader.message(default_entry)?;
                definition.defaults.insert(alias.into(), value);
            }
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(definition)
}

/// Reads an entry of a map from names to messages; an absent message is an empty one.
fn map_entry<B: Buf, T: Default>(
    reader: &mut Reader<B>,
    read: impl Fn(&mut Reader<B>) -> Result<T>,
) -> Result<(String, T)> {
    let (mut key, mut value) = (String::new(), T::default());
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => key = text(reader)?,
            (2, WireType::Len) => value = reader.message(&read)?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok((key, value))
}

/// Reads an entry of the map of defaults.
fn default_entry<B: Buf>(reader: &mut Reader<B>) -> Result<(String, Tensor)> {
    let (mut alias, mut value) = (String::new(), None);
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => alias = text(reader)?,
            (2, WireType::Len) => value = Some(reader.bytes()?),
            _ => reader.skip(field, wire_type)?,
        }
    }
    let value = tensor_proto::decode(value.unwrap_or_default(), MAX_DEFAULT_BYTES)
        .map_err(|error| Error::Malformed(format!("the default of input `{alias}`: {error}")))?;
    Ok((alias, value))
}

/// Reads a `TensorInfo`.
fn tensor_info<B: Buf>(reader: &mut Reader<B>) -> Result<TensorInfo> {
    let mut info = TensorInfo::default();
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => info.tensor_name = text(reader)?,
            (2, WireType::Varint) => info.data_type = reader.varint()? as i32,
            (3, WireType::Len) => info.dims = reader.message(tensor_shape)?,
            (4, WireType::Len) => {
                info.other = Some("sparse tensor");
                reader.skip(field, wire_type)?;
            }
            (5, WireType::Len) => {
                info.other = Some("composite tensor");
                reader.skip(field, wire_type)?;
            }
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(info)
}

/// Reads a `TensorShapeProto`; `None` if the rank is unknown.
fn tensor_shape<B: Buf>(reader: &mut Reader<B>) -> Result<Option<Vec<Dim>>> {
    let (mut dims, mut is_unknown) = (Vec::new(), false);
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (2, WireType::Len) => dims.push(reader.message(dim)?),
            (3, WireType::Varint) => is_unknown = reader.varint()? != 0,
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok((!is_unknown).then_some(dims))
}

/// Reads a `TensorShapeProto.Dim`.
fn dim<B: Buf>(reader: &mut Reader<B>) -> Result<Dim> {
    let (mut size, mut name) = (0, String::new());
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Varint) => size = reader.varint()?.cast_signed(),
            (2, WireType::Len) => name = text(reader)?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(match usize::try_from(size) {
        Ok(extent) => Dim::Fixed(extent),
        Err(_) => Dim::Dynamic((!name.is_empty()).then(|| name.into())),
    })
}
