//! The small messages: names, numbers, declared types and shapes.

use bytes::Buf;
use salver_tensor::Dim;
use salver_wire::{Reader, WireError, WireType};

use super::super::{ElementType, ValueInfo, ValueType};
use super::{Error, Result};

/// The longest name or property that is kept, in bytes. A weight's bytes in the place of a name are not copied.
const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// What a value without a type is called.
const UNDECLARED: ValueType = ValueType::Other("value of no declared type");

/// Reads a name.
pub(super) fn text<B: Buf>(reader: &mut Reader<B>) -> Result<String> {
    let len = reader.len_prefix()?;
    if len > MAX_TEXT_BYTES {
        return Err(Error::Malformed(format!("a name is {len} bytes long")));
    }
    let bytes = reader.take(len)?;
    Ok(String::from_utf8(bytes.into()).map_err(|_| WireError::InvalidUtf8)?)
}

/// Reads a signed integer.
pub(super) fn varint_i64<B: Buf>(reader: &mut Reader<B>) -> Result<i64> {
    Ok(reader.varint()?.cast_signed())
}

/// Reads an enum; numbers that no enum has are 0.
pub(super) fn varint_i32<B: Buf>(reader: &mut Reader<B>) -> Result<i32> {
    Ok(i32::try_from(varint_i64(reader)?).unwrap_or(0))
}

/// Reads a `StringStringEntryProto`; `None` if its value is longer than what is kept.
pub(super) fn property<B: Buf>(reader: &mut Reader<B>) -> Result<Option<(String, String)>> {
    let (mut key, mut value) = (String::new(), Some(String::new()));
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => key = text(reader)?,
            (2, WireType::Len) => {
                let len = reader.len_prefix()?;
                if len > MAX_TEXT_BYTES {
                    reader.chunks(len, |_| {})?;
                    value = None;
                } else {
                    value = Some(String::from_utf8_lossy(&reader.take(len)?).into_owned());
                }
            }
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(value.map(|value| (key, value)))
}

/// Reads a `ValueInfoProto`.
pub(super) fn value_info<B: Buf>(reader: &mut Reader<B>) -> Result<ValueInfo> {
    let mut info = ValueInfo {
        name: String::new(),
        value: UNDECLARED,
    };
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => info.name = text(reader)?,
            (2, WireType::Len) => info.value = reader.message(type_of_value)?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(info)
}

/// Reads a `TypeProto`.
fn type_of_value<B: Buf>(reader: &mut Reader<B>) -> Result<ValueType> {
    let mut value = UNDECLARED;
    while let Some((field, wire_type)) = reader.next_field()? {
        if (field, wire_type) == (1, WireType::Len) {
            value = reader.message(tensor_type)?;
            continue;
        }
        // Engines descend into these types, so they may be no deeper than any other message.
        if matches!(field, 4 | 9) && wire_type == WireType::Len {
            reader.message(element_of_value)?;
            value = match field {
                4 => ValueType::Other("sequence"),
                _ => ValueType::Other("optional value"),
            };
            continue;
        }
        value = match field {
            4 => ValueType::Other("sequence"),
            5 => ValueType::Other("map"),
            7 => ValueType::Other("value of an opaque type"),
            8 => ValueType::Other("sparse tensor"),
            9 => ValueType::Other("optional value"),
            _ => value,
        };
        reader.skip(field, wire_type)?;
    }
    Ok(value)
}

/// Reads a `TypeProto.Sequence` or `TypeProto.Optional`: a type in a message of its own.
fn element_of_value<B: Buf>(reader: &mut Reader<B>) -> Result<()> {
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => {
                reader.message(type_of_value)?;
            }
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(())
}

/// Reads a `TypeProto.Tensor`.
fn tensor_type<B: Buf>(reader: &mut Reader<B>) -> Result<ValueType> {
    let (mut element, mut dims) = (ElementType(0), None);
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Varint) => element = ElementType(varint_i32(reader)?),
            (2, WireType::Len) => dims = Some(reader.message(shape)?),
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(ValueType::Tensor { element, dims })
}

/// Reads a `TensorShapeProto`.
fn shape<B: Buf>(reader: &mut Reader<B>) -> Result<Vec<Dim>> {
    let mut dims = Vec::new();
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => dims.push(reader.message(dimension)?),
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(dims)
}

/// Reads a `TensorShapeProto.Dimension`; a negative extent is any extent.
fn dimension<B: Buf>(reader: &mut Reader<B>) -> Result<Dim> {
    let mut dim = Dim::Dynamic(None);
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Varint) => {
                dim = usize::try_from(varint_i64(reader)?).map_or(Dim::Dynamic(None), Dim::Fixed);
            }
            (2, WireType::Len) => {
                let name = text(reader)?;
                dim = Dim::Dynamic((!name.is_empty()).then(|| name.into()));
            }
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(dim)
}
