//! The tensor itself.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::buffer::{self, AlignedVec, VecOwner};
use crate::{DType, Element, Shape, TensorError};

/// Elements of one dtype in row-major order, immutable and cheap to clone.
///
/// Numbers are little-endian bytes, aligned at least to their size; strings are a list of byte strings. Either may
/// borrow from a larger buffer (a request's body, an engine's result), which lives as long as the tensor does.
#[derive(Clone, PartialEq)]
pub struct Tensor {
    dtype: DType,
    shape: Shape,
    data: Data,
}

#[derive(Clone, PartialEq)]
enum Data {
    Numbers(Bytes),
    Strings(Arc<[Bytes]>),
}

impl Tensor {
    /// Makes a numeric tensor of bytes that are laid out already; copies them only if their address is misaligned.
    ///
    /// # Errors
    /// [`TensorError::LengthMismatch`] if the bytes are not exactly `shape` elements of `dtype`,
    /// [`TensorError::TooLarge`] if that number overflows, [`TensorError::DTypeMismatch`] for [`DType::String`].
    pub fn from_bytes(
        dtype: DType,
        shape: impl Into<Shape>,
        bytes: Bytes,
    ) -> Result<Self, TensorError> {
        let shape = shape.into();
        let size = dtype.size().ok_or(TensorError::DTypeMismatch {
            expected: DType::U8,
            actual: dtype,
        })?;
        let expected = num_elements(dtype, &shape)?
            .checked_mul(size)
            .ok_or_else(|| TensorError::TooLarge {
                dtype,
                shape: shape.clone(),
            })?;
        if bytes.len() != expected {
            return Err(TensorError::LengthMismatch {
                dtype,
                shape,
                unit: "bytes",
                expected,
                actual: bytes.len(),
            });
        }
        let data = Data::Numbers(buffer::aligned(bytes, dtype.alignment()));
        Ok(Self { dtype, shape, data })
    }

    /// Takes over a vector of elements without copying it.
    ///
    /// # Errors
    /// [`TensorError::LengthMismatch`] if it has not exactly `shape` elements.
    pub fn from_vec<T: Element>(
        shape: impl Into<Shape>,
        elements: Vec<T>,
    ) -> Result<Self, TensorError> {
        Self::from_bytes(T::DTYPE, shape, Bytes::from_owner(VecOwner(elements)))
    }

    /// Takes over an aligned buffer of elements without copying it.
    ///
    /// # Errors
    /// [`TensorError::LengthMismatch`] if it has not exactly `shape` elements.
    pub fn from_aligned<T: Element>(
        shape: impl Into<Shape>,
        elements: AlignedVec<T>,
    ) -> Result<Self, TensorError> {
        Self::from_bytes(T::DTYPE, shape, elements.into_bytes())
    }

    /// Makes a tensor of booleans.
    ///
    /// # Errors
    /// [`TensorError::LengthMismatch`] if there are not exactly `shape` of them.
    pub fn from_bools(shape: impl Into<Shape>, elements: &[bool]) -> Result<Self, TensorError> {
        let bytes: Vec<u8> = elements.iter().map(|&element| u8::from(element)).collect();
        Self::from_bytes(DType::Bool, shape, bytes.into())
    }

    /// Makes a tensor of byte strings.
    ///
    /// # Errors
    /// [`TensorError::LengthMismatch`] if there are not exactly `shape` of them.
    pub fn from_strings(shape: impl Into<Shape>, strings: Vec<Bytes>) -> Result<Self, TensorError> {
        let (dtype, shape) = (DType::String, shape.into());
        let expected = num_elements(dtype, &shape)?;
        let actual = strings.len();
        if actual != expected {
            return Err(TensorError::LengthMismatch {
                dtype,
                shape,
                unit: "elements",
                expected,
                actual,
            });
        }
        Ok(Self {
            dtype,
            shape,
            data: Data::Strings(strings.into()),
        })
    }

    /// Returns the element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Returns the extents.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Returns the number of elements.
    #[must_use]
    pub fn num_elements(&self) -> usize {
        match &self.data {
            Data::Numbers(bytes) => bytes.len() / self.dtype.size().unwrap_or(1),
            Data::Strings(strings) => strings.len(),
        }
    }

    /// Returns the extent of axis 0, or `None` for a scalar.
    #[must_use]
    pub fn num_rows(&self) -> Option<usize> {
        self.shape.first().copied()
    }

    /// Returns the memory that the elements take, in bytes.
    #[must_use]
    pub fn num_bytes(&self) -> usize {
        match &self.data {
            Data::Numbers(bytes) => bytes.len(),
            Data::Strings(strings) => strings
                .iter()
                .map(|string| string.len() + size_of::<Bytes>())
                .sum(),
        }
    }

    /// Returns the little-endian bytes of all elements, or `None` for strings.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match &self.data {
            Data::Numbers(bytes) => Some(bytes),
            Data::Strings(_) => None,
        }
    }

    /// Returns the strings, or `None` for numbers.
    #[must_use]
    pub fn as_strings(&self) -> Option<&[Bytes]> {
        match &self.data {
            Data::Numbers(_) => None,
            Data::Strings(strings) => Some(strings),
        }
    }

    /// Returns the elements, borrowed.
    ///
    /// # Errors
    /// [`TensorError::DTypeMismatch`] if they are of another type.
    pub fn as_slice<T: Element>(&self) -> Result<&[T], TensorError> {
        match &self.data {
            Data::Numbers(bytes) if self.dtype == T::DTYPE => {
                if bytes.is_empty() {
                    return Ok(&[]);
                }
                Ok(bytemuck::cast_slice(bytes))
            }
            _ => Err(TensorError::DTypeMismatch {
                expected: T::DTYPE,
                actual: self.dtype,
            }),
        }
    }

    /// Returns the same elements under other extents.
    ///
    /// # Errors
    /// [`TensorError::LengthMismatch`] if the number of elements would change.
    pub fn reshape(self, shape: impl Into<Shape>) -> Result<Self, TensorError> {
        let (dtype, shape) = (self.dtype, shape.into());
        let (expected, actual) = (num_elements(dtype, &shape)?, self.num_elements());
        if actual != expected {
            return Err(TensorError::LengthMismatch {
                dtype,
                shape,
                unit: "elements",
                expected,
                actual,
            });
        }
        Ok(Self { shape, ..self })
    }

    /// Returns rows `start..end` of axis 0 without copying numbers.
    pub(crate) fn rows(&self, start: usize, end: usize) -> Self {
        let num_rows = self.shape[0];
        let data = match &self.data {
            Data::Numbers(bytes) => {
                let row_bytes = bytes.len().checked_div(num_rows).unwrap_or(0);
                Data::Numbers(bytes.slice(start * row_bytes..end * row_bytes))
            }
            Data::Strings(strings) => {
                let row_len = strings.len().checked_div(num_rows).unwrap_or(0);
                Data::Strings(strings[start * row_len..end * row_len].into())
            }
        };
        Self {
            dtype: self.dtype,
            shape: self.shape.with_rows(end - start),
            data,
        }
    }
}

fn num_elements(dtype: DType, shape: &Shape) -> Result<usize, TensorError> {
    shape.num_elements().ok_or_else(|| TensorError::TooLarge {
        dtype,
        shape: shape.clone(),
    })
}

/// Writes dtype and shape only: tensors are large and may be private.
impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}
