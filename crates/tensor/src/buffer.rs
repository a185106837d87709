//! Memory of tensors: owned and aligned while it is written, shared and immutable after.

use aligned_vec::{AVec, ConstAlign};
use bytes::Bytes;

use crate::Element;

/// The address alignment of buffers that Salver allocates, in bytes.
///
/// A cache line, and what TensorFlow asks for to take a buffer without copying it.
pub(crate) const ALIGNMENT: usize = 64;

/// A growable buffer of elements that starts at a multiple of 64 bytes.
///
/// Filled once, then turned into a [`crate::Tensor`] without a copy.
#[derive(Debug)]
pub struct AlignedVec<T: Element>(AVec<T, ConstAlign<ALIGNMENT>>);

impl<T: Element> AlignedVec<T> {
    /// Returns an empty buffer with room for `capacity` elements.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(AVec::with_capacity(ALIGNMENT, capacity))
    }

    /// Returns `len` elements that are all zero bytes.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let mut elements = Self::with_capacity(len);
        elements.0.resize(len, T::zeroed());
        elements
    }

    /// Appends one element.
    #[inline]
    pub fn push(&mut self, element: T) {
        self.0.push(element);
    }

    /// Appends a copy of all elements of a slice.
    pub fn extend_from_slice(&mut self, elements: &[T]) {
        self.0.extend_from_slice(elements);
    }

    /// Makes the buffer `len` elements long, filling up with `element`.
    pub fn resize(&mut self, len: usize, element: T) {
        self.0.resize(len, element);
    }

    /// Shortens the buffer to `len` elements; does nothing if it is shorter.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the elements.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        self.0.as_slice()
    }

    /// Returns the elements for writing.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        self.0.as_mut_slice()
    }

    /// Gives the memory up to shared bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(AlignedOwner(self.0))
    }
}

/// Lets [`Bytes`] own an aligned buffer of any element type.
struct AlignedOwner<T: Element>(AVec<T, ConstAlign<ALIGNMENT>>);

impl<T: Element> AsRef<[u8]> for AlignedOwner<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(self.0.as_slice())
    }
}

/// Lets [`Bytes`] own a plain vector of any element type, so that an engine's result is taken as it is.
pub(crate) struct VecOwner<T: Element>(pub(crate) Vec<T>);

impl<T: Element> AsRef<[u8]> for VecOwner<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

/// Returns the bytes at an address that is a multiple of `alignment`, copying only if they are not there already.
pub(crate) fn aligned(bytes: Bytes, alignment: usize) -> Bytes {
    if bytes.is_empty() || bytes.as_ptr().addr().is_multiple_of(alignment) {
        return bytes;
    }
    let mut copy = AlignedVec::<u8>::with_capacity(bytes.len());
    copy.extend_from_slice(&bytes);
    copy.into_bytes()
}
