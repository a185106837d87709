//! Writing a `TensorProto`.

use bytes::{BufMut, BytesMut};
use half::{bf16, f16};
use salver_tensor::{DType, Element, Tensor};
use salver_wire::{Writer, len_field_len, varint_field_len, varint_len};

use super::{data_type, field, shape, values_field};

/// Where a `TensorProto` carries its elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TensorStyle {
    /// In the list of their dtype (`float_val`, …): what TensorFlow Serving answers and clients read by name.
    #[default]
    Fields,
    /// In one block, `tensor_content`; strings in their list all the same, because not every client can read a block
    /// of them.
    Content,
}

/// Appends a `TensorProto`.
pub fn encode(tensor: &Tensor, style: TensorStyle, out: &mut BytesMut) {
    let encoder = TensorEncoder::new(tensor, style);
    out.reserve(encoder.encoded_len());
    encoder.write(&mut Writer::new(out));
}

/// A tensor that is about to be written, with the lengths that come before what they measure.
#[derive(Debug)]
pub(crate) struct TensorEncoder<'a> {
    tensor: &'a Tensor,
    style: TensorStyle,
    shape_len: usize,
    /// The length of the list or block without key and length; of strings with them.
    elements_len: usize,
}

impl<'a> TensorEncoder<'a> {
    pub(crate) fn new(tensor: &'a Tensor, style: TensorStyle) -> Self {
        let shape_len = shape::encoded_len(tensor.shape());
        Self {
            tensor,
            style,
            shape_len,
            elements_len: elements_len(tensor, style),
        }
    }

    /// Returns the size of the message, in bytes.
    pub(crate) fn encoded_len(&self) -> usize {
        let dtype = self.tensor.dtype();
        let elements_len = match dtype {
            DType::String => self.elements_len,
            _ if self.elements_len == 0 => 0,
            _ => len_field_len(self.elements_field(), self.elements_len),
        };
        let data_type = u64::from(data_type(dtype).cast_unsigned());
        varint_field_len(field::DTYPE, data_type)
            + len_field_len(field::TENSOR_SHAPE, self.shape_len)
            + elements_len
    }

    /// Writes the message, fields in the order of their numbers.
    pub(crate) fn write<B: BufMut>(&self, writer: &mut Writer<B>) {
        let dtype = self.tensor.dtype();
        writer.varint_field(field::DTYPE, u64::from(data_type(dtype).cast_unsigned()));
        writer.message(field::TENSOR_SHAPE, self.shape_len);
        shape::write(self.tensor.shape(), writer);
        if let Some(strings) = self.tensor.as_strings() {
            strings
                .iter()
                .for_each(|string| writer.bytes_field(field::STRING_VAL, string));
        } else if self.elements_len > 0 {
            writer.message(self.elements_field(), self.elements_len);
            match self.tensor.as_bytes() {
                Some(bytes) if lies_as_on_the_wire(dtype, self.style) => writer.raw(bytes),
                _ => {
                    let mut packed = writer.packed_varints();
                    for_each_varint(self.tensor, |value| packed.push(value));
                    packed.finish();
                }
            }
        }
    }

    fn elements_field(&self) -> u32 {
        match self.style {
            TensorStyle::Content => field::TENSOR_CONTENT,
            TensorStyle::Fields => values_field(self.tensor.dtype()),
        }
    }
}

/// Tells whether the elements are written as the bytes they are.
fn lies_as_on_the_wire(dtype: DType, style: TensorStyle) -> bool {
    style == TensorStyle::Content
        || matches!(
            dtype,
            DType::F32 | DType::F64 | DType::Complex64 | DType::Complex128
        )
}

fn elements_len(tensor: &Tensor, style: TensorStyle) -> usize {
    match (tensor.as_strings(), tensor.as_bytes()) {
        (Some(strings), _) => strings
            .iter()
            .map(|string| len_field_len(field::STRING_VAL, string.len()))
            .sum(),
        (None, Some(bytes)) if lies_as_on_the_wire(tensor.dtype(), style) => bytes.len(),
        _ => {
            let mut len = 0;
            for_each_varint(tensor, |value| len += varint_len(value));
            len
        }
    }
}

/// Visits integers, halves' bits and booleans as the numbers that a list of varints has for them.
fn for_each_varint(tensor: &Tensor, each: impl FnMut(u64)) {
    match tensor.dtype() {
        DType::Bool => {
            let bytes = tensor.as_bytes().map_or(&[][..], |bytes| bytes);
            bytes
                .iter()
                .map(|&byte| u64::from(byte != 0))
                .for_each(each);
        }
        DType::U8 => elements::<u8>(tensor).map(u64::from).for_each(each),
        DType::U16 => elements::<u16>(tensor).map(u64::from).for_each(each),
        DType::U32 => elements::<u32>(tensor).map(u64::from).for_each(each),
        DType::U64 => elements::<u64>(tensor).for_each(each),
        DType::I8 => elements::<i8>(tensor).map(signed).for_each(each),
        DType::I16 => elements::<i16>(tensor).map(signed).for_each(each),
        DType::I32 => elements::<i32>(tensor).map(signed).for_each(each),
        DType::I64 => elements::<i64>(tensor).map(signed).for_each(each),
        DType::F16 => elements::<f16>(tensor)
            .map(|value| u64::from(value.to_bits()))
            .for_each(each),
        DType::BF16 => elements::<bf16>(tensor)
            .map(|value| u64::from(value.to_bits()))
            .for_each(each),
        DType::F32 | DType::F64 | DType::Complex64 | DType::Complex128 | DType::String => {}
    }
}

/// Negative numbers are written with their sign extended to 64 bits.
fn signed(value: impl Into<i64>) -> u64 {
    value.into().cast_unsigned()
}

fn elements<T: Element>(tensor: &Tensor) -> impl Iterator<Item = T> + '_ {
    tensor
        .as_slice::<T>()
        .expect("the caller asks for the tensor's own dtype")
        .iter()
        .copied()
}
