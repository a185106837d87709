//! `tensorflow.TensorShapeProto` of a tensor that is there, so every extent is known.

use bytes::{Buf, BufMut};
use salver_tensor::Shape;
use salver_wire::{Reader, WireError, WireType, Writer, len_field_len, varint_field_len};

use super::TensorProtoError;

/// The most dimensions that TensorFlow gives a tensor.
const MAX_DIMS: usize = 254;

/// Field numbers.
mod field {
    pub(super) const DIM: u32 = 2;
    /// Of `Dim`.
    pub(super) const SIZE: u32 = 1;
    pub(super) const NAME: u32 = 2;
}

/// Reads a shape into one that was begun: extents are appended. `problem` is set to the first fault that is not one
/// of the wire.
pub(super) fn merge<B: Buf>(
    shape: &mut Shape,
    problem: &mut Option<TensorProtoError>,
    reader: &mut Reader<B>,
) -> Result<(), WireError> {
    while let Some((field, wire_type)) = reader.next_field()? {
        if (field, wire_type) != (field::DIM, WireType::Len) {
            reader.skip(field, wire_type)?;
            continue;
        }
        let size = reader.message(read_dim)?;
        let axis = shape.len();
        if axis == MAX_DIMS {
            problem.get_or_insert(TensorProtoError::TooManyDims { max: MAX_DIMS });
            continue;
        }
        let extent = usize::try_from(size);
        shape.push(extent.unwrap_or_default());
        if extent.is_err() {
            problem.get_or_insert(TensorProtoError::InvalidDim { axis, size });
        }
    }
    Ok(())
}

fn read_dim<B: Buf>(reader: &mut Reader<B>) -> Result<i64, WireError> {
    let mut size = 0;
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (field::SIZE, WireType::Varint) => size = reader.varint()?.cast_signed(),
            (field::NAME, WireType::Len) => {
                let name = reader.bytes()?;
                std::str::from_utf8(&name).map_err(|_| WireError::InvalidUtf8)?;
            }
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(size)
}

/// Returns the size of a shape's message, in bytes.
pub(super) fn encoded_len(shape: &Shape) -> usize {
    shape
        .iter()
        .map(|&extent| len_field_len(field::DIM, dim_len(extent)))
        .sum()
}

/// Writes a shape's message.
pub(super) fn write<B: BufMut>(shape: &Shape, writer: &mut Writer<B>) {
    for &extent in shape.iter() {
        writer.message(field::DIM, dim_len(extent));
        if extent != 0 {
            writer.varint_field(field::SIZE, extent as u64);
        }
    }
}

/// Zero is the default and is not written.
fn dim_len(extent: usize) -> usize {
    if extent == 0 {
        0
    } else {
        varint_field_len(field::SIZE, extent as u64)
    }
}
