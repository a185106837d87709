//! Tensors: the one form in which data travels between protocols and engines.
//!
//! Owns element types ([`DType`]), extents ([`Shape`]), what a model declares about a tensor ([`TensorSpec`]),
//! the data itself ([`Tensor`]) and joining and splitting along the batch axis ([`batch`]). Knows nothing of wire
//! forms, engines or models.
//!
//! ```
//! use salver_tensor::{DType, Tensor};
//!
//! let x = Tensor::from_vec([2, 3], vec![1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
//! assert_eq!(x.dtype(), DType::F32);
//! assert_eq!(x.as_slice::<f32>()?[4], 5.0);
//! # Ok::<(), salver_tensor::TensorError>(())
//! ```

pub mod batch;
mod buffer;
mod dtype;
mod error;
mod shape;
mod spec;
mod tensor;

pub use buffer::AlignedVec;
pub use dtype::{DType, Element};
pub use error::TensorError;
pub use shape::Shape;
pub use spec::{Dim, TensorSpec};
pub use tensor::Tensor;
