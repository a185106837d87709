//! Weights and constants: their element type and where they are, not what they hold.

use std::collections::BTreeMap;

use bytes::Buf;
use salver_wire::{Reader, WireType};

use super::super::ElementType;
use super::values::{property, text, varint_i32, varint_i64};
use super::{Error, Gathered, Result};

/// `TensorProto.data_location` of weights in a file beside the model.
const EXTERNAL: i32 = 1;

/// Reads a `TensorProto` and returns its name.
pub(super) fn tensor<B: Buf>(reader: &mut Reader<B>, gathered: &mut Gathered) -> Result<String> {
    let (mut name, mut element, mut location) = (String::new(), 0, 0);
    let mut num_elements = Some(1_u64);
    let mut external = BTreeMap::new();
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Varint) => num_elements = times(num_elements, varint_i64(reader)?),
            (1, WireType::Len) => {
                reader.packed_varints(|extent| {
                    num_elements = times(num_elements, extent.cast_signed())
                })?;
            }
            (2, WireType::Varint) => element = varint_i32(reader)?,
            (8, WireType::Len) => name = text(reader)?,
            (13, WireType::Len) => external.extend(reader.message(property)?),
            (14, WireType::Varint) => location = varint_i32(reader)?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    let element = ElementType(element);
    gathered.note_element(element);
    if location == EXTERNAL {
        external_data(&name, element, num_elements, &external, gathered)?;
    }
    Ok(name)
}

/// Reads a `SparseTensorProto` and returns the name of its values, which is its own.
pub(super) fn sparse_tensor<B: Buf>(
    reader: &mut Reader<B>,
    gathered: &mut Gathered,
) -> Result<String> {
    let mut name = String::new();
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (1, WireType::Len) => name = reader.message(|inner| tensor(inner, gathered))?,
            (2, WireType::Len) => {
                reader.message(|inner| tensor(inner, gathered))?;
            }
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(name)
}

/// Notes where one weight in a file beside the model ends.
fn external_data(
    name: &str,
    element: ElementType,
    num_elements: Option<u64>,
    entries: &BTreeMap<String, String>,
    gathered: &mut Gathered,
) -> Result<()> {
    let damaged = |what: &str| {
        Error::Malformed(format!(
            "{what} of the external data of `{name}` is missing or no number"
        ))
    };
    let number = |key: &str| {
        entries
            .get(key)
            .map(|value| value.parse::<u64>().map_err(|_| damaged(key)))
            .transpose()
    };
    let location = entries.get("location").ok_or_else(|| damaged("location"))?;
    // Types of less than a byte have no dtype, so nothing is claimed about their length.
    let element_bytes = element
        .dtype()
        .and_then(salver_tensor::DType::size)
        .unwrap_or(0) as u64;
    let length = match number("length")? {
        Some(length) => length,
        None => num_elements
            .and_then(|num| num.checked_mul(element_bytes))
            .ok_or_else(|| damaged("length"))?,
    };
    let end = number("offset")?
        .unwrap_or(0)
        .checked_add(length)
        .ok_or_else(|| damaged("length"))?;
    let known = gathered.external.entry(location.clone()).or_default();
    *known = end.max(*known);
    Ok(())
}

/// Multiplies by an extent; `None` for what is no number of elements.
fn times(num_elements: Option<u64>, extent: i64) -> Option<u64> {
    num_elements?.checked_mul(u64::try_from(extent).ok()?)
}
