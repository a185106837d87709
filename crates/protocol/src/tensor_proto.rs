//! `tensorflow.TensorProto`: tensors as TensorFlow's clients send and read them.
//!
//! Reads straight from the frames of a body and writes straight into the answer, without a generated struct between:
//! numbers are copied once, into memory that an engine can use as it is, or not at all where they lie aligned in one
//! frame.
//!
//! The rules are TensorFlow's: elements are either one block (`tensor_content`) or the list that belongs to the dtype
//! (`float_val`, …); a list that is too short repeats its last element, an empty one means zeros or empty strings, a
//! surplus is ignored, and `int_val` wraps around for the small integers. Fields may come in any order.

mod data_type;
mod decode;
mod encode;
mod shape;
mod values;

pub use data_type::{data_type, data_type_name, dtype_of, dtype_word};
pub(crate) use decode::TensorDecoder;
pub use decode::{TensorProtoError, decode};
pub(crate) use encode::TensorEncoder;
pub use encode::{TensorStyle, encode};

/// Field numbers of `tensorflow.TensorProto`.
mod field {
    pub(super) const DTYPE: u32 = 1;
    pub(super) const TENSOR_SHAPE: u32 = 2;
    pub(super) const TENSOR_CONTENT: u32 = 4;
    pub(super) const FLOAT_VAL: u32 = 5;
    pub(super) const DOUBLE_VAL: u32 = 6;
    pub(super) const INT_VAL: u32 = 7;
    pub(super) const STRING_VAL: u32 = 8;
    pub(super) const SCOMPLEX_VAL: u32 = 9;
    pub(super) const INT64_VAL: u32 = 10;
    pub(super) const BOOL_VAL: u32 = 11;
    pub(super) const DCOMPLEX_VAL: u32 = 12;
    pub(super) const HALF_VAL: u32 = 13;
    pub(super) const UINT32_VAL: u32 = 16;
    pub(super) const UINT64_VAL: u32 = 17;
}

/// Returns the number of the field that lists elements of a dtype.
fn values_field(dtype: salver_tensor::DType) -> u32 {
    use salver_tensor::DType;
    match dtype {
        DType::F32 => field::FLOAT_VAL,
        DType::F64 => field::DOUBLE_VAL,
        DType::U8 | DType::U16 | DType::I8 | DType::I16 | DType::I32 => field::INT_VAL,
        DType::String => field::STRING_VAL,
        DType::Complex64 => field::SCOMPLEX_VAL,
        DType::I64 => field::INT64_VAL,
        DType::Bool => field::BOOL_VAL,
        DType::Complex128 => field::DCOMPLEX_VAL,
        DType::F16 | DType::BF16 => field::HALF_VAL,
        DType::U32 => field::UINT32_VAL,
        DType::U64 => field::UINT64_VAL,
    }
}

#[cfg(test)]
pub(crate) mod tests;
