//! Memory of tensors: owned and aligned while it is written, shared and immutable after.

use bytes::Bytes;

use crate::Element;

/// The address alignment of buffers that Salver allocates, in bytes.
///
/// A cache line, and what TensorFlow asks for to take a buffer without copying it.
pub(crate) const ALIGNMENT: usize = 64;

/// A growable buffer of elements that starts at a multiple of 64 bytes.
///
/// Filled once, then turned into a [`crate::Tensor`] without a copy. Its block is a plain one, some bytes larger: blocks of a
/// wanted alignment cost several times as much. An allocator whose blocks are not even aligned to the size of an element
/// makes it start at an element's alignment.
#[derive(Debug)]
pub struct AlignedVec<T: Element> {
    /// Elements in front of the first, to reach the alignment, and the elements. Never moves to another block.
    block: Vec<T>,
    start: usize,
}

impl<T: Element> AlignedVec<T> {
    /// As many elements in front of the first are enough.
    const MAX_START: usize = ALIGNMENT / size_of::<T>();

    /// Returns an empty buffer with room for `capacity` elements.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        if capacity == 0 {
            return Self {
                block: Vec::new(),
                start: 0,
            };
        }
        let mut block = Vec::<T>::with_capacity(capacity + Self::MAX_START);
        let missing = block.as_ptr().addr().wrapping_neg() % ALIGNMENT;
        let start = match missing.is_multiple_of(size_of::<T>()) {
            true => missing / size_of::<T>(),
            false => 0,
        };
        block.resize(start, T::zeroed());
        Self { block, start }
    }

    /// Returns `len` elements that are all zero bytes.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let mut elements = Self::with_capacity(len);
        elements.resize(len, T::zeroed());
        elements
    }

    /// Appends one element.
    #[inline]
    pub fn push(&mut self, element: T) {
        if self.block.len() == self.block.capacity() {
            self.grow(1);
        }
        self.block.push(element);
    }

    /// Appends a copy of all elements of a slice.
    pub fn extend_from_slice(&mut self, elements: &[T]) {
        self.reserve(elements.len());
        self.block.extend_from_slice(elements);
    }

    /// Makes the buffer `len` elements long, filling up with `element`.
    pub fn resize(&mut self, len: usize, element: T) {
        self.reserve(len.saturating_sub(self.len()));
        self.block.resize(self.start + len, element);
    }

    /// Shortens the buffer to `len` elements; does nothing if it is shorter.
    pub fn truncate(&mut self, len: usize) {
        self.block.truncate(self.start + len);
    }

    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.block.len() - self.start
    }

    /// Tells whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the elements.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.block[self.start..]
    }

    /// Returns the elements for writing.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.block[self.start..]
    }

    /// Gives the memory up to shared bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(AlignedOwner(self))
    }

    fn reserve(&mut self, more: usize) {
        if self.block.capacity() - self.block.len() < more {
            self.grow(more);
        }
    }

    /// Moves to a block with room for `more` elements, twice as large at least.
    #[cold]
    fn grow(&mut self, more: usize) {
        let mut moved = Self::with_capacity(self.len() + more.max(self.len()));
        moved.block.extend_from_slice(self.as_slice());
        *self = moved;
    }
}

/// Lets [`Bytes`] own an aligned buffer of any element type.
struct AlignedOwner<T: Element>(AlignedVec<T>);

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_aligned<T: Element>(elements: &AlignedVec<T>) -> bool {
        elements.is_empty()
            || elements
                .as_slice()
                .as_ptr()
                .addr()
                .is_multiple_of(ALIGNMENT)
    }

    proptest! {
        #[test]
        fn it_holds_what_a_vector_holds_at_an_aligned_address(
            capacity in 0_usize..40,
            pieces in prop::collection::vec(prop::collection::vec(any::<u16>(), 0..70), 0..6),
            len in 0_usize..100,
        ) {
            let mut elements = AlignedVec::with_capacity(capacity);
            let mut expected = Vec::new();
            for (piece_idx, piece) in pieces.iter().enumerate() {
                match piece_idx % 2 {
                    0 => elements.extend_from_slice(piece),
                    _ => piece.iter().for_each(|&element| elements.push(element)),
                }
                expected.extend_from_slice(piece);
                prop_assert_eq!(elements.as_slice(), &expected);
                prop_assert!(is_aligned(&elements));
            }
            elements.resize(len, 7);
            expected.resize(len, 7);
            prop_assert_eq!(elements.as_mut_slice(), &mut expected);
            elements.truncate(len / 2);
            expected.truncate(len / 2);
            prop_assert!(is_aligned(&elements));
            prop_assert_eq!(elements.len(), len / 2);
            let bytes = elements.into_bytes();
            prop_assert_eq!(&*bytes, bytemuck::cast_slice::<u16, u8>(&expected));
        }
    }

    #[test]
    fn elements_of_every_size_are_aligned() {
        for len in [1, 5, 1000, 1_000_000] {
            assert!(is_aligned(&AlignedVec::<u8>::zeroed(len)));
            assert!(is_aligned(&AlignedVec::<f32>::zeroed(len)));
            assert!(is_aligned(&AlignedVec::<f64>::zeroed(len)));
        }
    }
}
