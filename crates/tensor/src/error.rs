//! What can be wrong with a tensor.

use crate::{DType, Shape};

/// Why a tensor could not be made, read, joined or split.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The number of bytes or elements is not what dtype and shape ask for.
    #[error("{dtype}{shape} needs {expected} {unit}, got {actual}")]
    LengthMismatch {
        /// Declared element type.
        dtype: DType,
        /// Declared extents.
        shape: Shape,
        /// `bytes` or `elements`.
        unit: &'static str,
        /// How many it should be.
        expected: usize,
        /// How many there are.
        actual: usize,
    },
    /// The number of elements or bytes does not fit this machine's address space.
    #[error("{dtype}{shape} has more elements than can be addressed")]
    TooLarge {
        /// Declared element type.
        dtype: DType,
        /// Declared extents.
        shape: Shape,
    },
    /// Elements were asked for as another type than they have.
    #[error("expected a tensor of {expected}, got {actual}")]
    DTypeMismatch {
        /// The dtype asked for.
        expected: DType,
        /// The dtype of the tensor.
        actual: DType,
    },
    /// A part cannot be joined with the first one.
    #[error(
        "part {part_idx} is {actual_dtype}{actual}, the first part is {expected_dtype}{expected}; they may differ in axis 0 only"
    )]
    ShapeMismatch {
        /// Which part differs.
        part_idx: usize,
        /// Extents of part 0.
        expected: Shape,
        /// Dtype of part 0.
        expected_dtype: DType,
        /// Extents of the part.
        actual: Shape,
        /// Dtype of the part.
        actual_dtype: DType,
    },
    /// A batch operation was given a scalar.
    #[error("a scalar has no batch axis")]
    NoBatchAxis,
    /// There was nothing to join.
    #[error("no tensors to join")]
    Empty,
    /// The rows asked for are not the rows there are.
    #[error("the tensor has {actual} rows, {expected} were asked for")]
    RowsMismatch {
        /// Rows asked for.
        expected: usize,
        /// Rows there are.
        actual: usize,
    },
}
