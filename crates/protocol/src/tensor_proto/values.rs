//! Elements as they are gathered from the list that belongs to a dtype.

use bytes::{Buf, Bytes};
use salver_tensor::{AlignedVec, DType};
use salver_wire::{Reader, WireError, WireType};

/// How many bytes of elements are gathered before they go to the tensor's memory; a multiple of every element's size.
const STAGE_BYTES: usize = 512;

/// Elements gathered so far; numbers as the little-endian bytes that a tensor has.
#[derive(Debug, Default)]
pub(super) enum Values {
    /// None yet.
    #[default]
    None,
    /// One packed run that lay aligned in one piece of the buffer: shared, not copied.
    Shared(Bytes),
    /// Numbers, copied.
    Owned(AlignedVec<u8>),
    /// Strings, each sharing the buffer's memory if it lay in one piece.
    Strings(Vec<Bytes>),
}

/// What is being gathered, and how much of it is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Their dtype.
    pub(super) dtype: DType,
    /// How many to make room for at first: as many as the shape asks for so far, and as can still come.
    pub(super) num_elements: usize,
    /// The most memory they may take, in bytes.
    pub(super) max_bytes: usize,
}

/// The elements take more than [`Wanted::max_bytes`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// How elements of a dtype lie on the wire.
#[derive(Clone, Copy)]
enum Layout {
    /// As in memory: parts of four or eight bytes, one to an element or two to a complex one.
    Fixed { part_bytes: usize },
    /// Varints, of which the element is the low bytes.
    Varints { element_bytes: usize },
    /// Varints, of which all but 0 are true.
    Bools,
    /// Byte strings.
    Strings,
}

impl Layout {
    fn of(dtype: DType) -> Self {
        match dtype {
            DType::F32 | DType::Complex64 => Self::Fixed { part_bytes: 4 },
            DType::F64 | DType::Complex128 => Self::Fixed { part_bytes: 8 },
            DType::U8 | DType::I8 => Self::Varints { element_bytes: 1 },
            DType::U16 | DType::I16 | DType::F16 | DType::BF16 => {
                Self::Varints { element_bytes: 2 }
            }
            DType::U32 | DType::I32 => Self::Varints { element_bytes: 4 },
            DType::U64 | DType::I64 => Self::Varints { element_bytes: 8 },
            DType::Bool => Self::Bools,
            DType::String => Self::Strings,
        }
    }
}

impl Values {
    /// Reads one occurrence of the list's field: a packed run, or a single element. A field of a wire type that such a
    /// list cannot have is skipped.
    ///
    /// The inner error leaves the reader behind the field, so that the rest of the message can be read.
    pub(super) fn merge<B: Buf>(
        &mut self,
        wanted: Wanted,
        reader: &mut Reader<B>,
        field: u32,
        wire_type: WireType,
    ) -> Result<Result<(), TooLarge>, WireError> {
        match (Layout::of(wanted.dtype), wire_type) {
            (Layout::Fixed { part_bytes }, WireType::Len) => {
                self.merge_packed_fixed(wanted, reader, part_bytes)
            }
            (Layout::Fixed { part_bytes: 4 }, WireType::Fixed32) => {
                let part = reader.fixed32()?.to_le_bytes();
                Ok(self
                    .owned(wanted, part.len())
                    .map(|owned| owned.extend_from_slice(&part)))
            }
            (Layout::Fixed { part_bytes: 8 }, WireType::Fixed64) => {
                let part = reader.fixed64()?.to_le_bytes();
                Ok(self
                    .owned(wanted, part.len())
                    .map(|owned| owned.extend_from_slice(&part)))
            }
            (Layout::Varints { element_bytes }, WireType::Len | WireType::Varint) => {
                match element_bytes {
                    1 => self.merge_varints(wanted, reader, wire_type, |value| [value as u8]),
                    2 => self.merge_varints(wanted, reader, wire_type, |value| {
                        (value as u16).to_le_bytes()
                    }),
                    4 => self.merge_varints(wanted, reader, wire_type, |value| {
                        (value as u32).to_le_bytes()
                    }),
                    _ => self.merge_varints(wanted, reader, wire_type, u64::to_le_bytes),
                }
            }
            (Layout::Bools, WireType::Len | WireType::Varint) => {
                self.merge_varints(wanted, reader, wire_type, |value| [u8::from(value != 0)])
            }
            (Layout::Strings, WireType::Len) => self.merge_string(wanted, reader),
            _ => reader.skip(field, wire_type).map(Ok),
        }
    }

    /// Reads a packed run of numbers that lie on the wire as they do in memory.
    fn merge_packed_fixed<B: Buf>(
        &mut self,
        wanted: Wanted,
        reader: &mut Reader<B>,
        part_bytes: usize,
    ) -> Result<Result<(), TooLarge>, WireError> {
        let len = reader.len_prefix()?;
        if len % part_bytes != 0 {
            return Err(WireError::Truncated);
        }
        if matches!(self, Self::None) && lies_aligned(reader.chunk(), len, wanted.dtype) {
            *self = Self::Shared(reader.take(len)?);
            return Ok(Ok(()));
        }
        match self.owned(wanted, len) {
            Ok(owned) => reader
                .chunks(len, |piece| owned.extend_from_slice(piece))
                .map(Ok),
            Err(too_large) => reader.chunks(len, |_| {}).map(|()| Err(too_large)),
        }
    }

    /// Reads one varint or a packed run of them; `element` makes the bytes of an element of each.
    fn merge_varints<B: Buf, const N: usize>(
        &mut self,
        wanted: Wanted,
        reader: &mut Reader<B>,
        wire_type: WireType,
        element: impl Fn(u64) -> [u8; N],
    ) -> Result<Result<(), TooLarge>, WireError> {
        if wire_type == WireType::Varint {
            let bytes = element(reader.varint()?);
            return Ok(self
                .owned(wanted, N)
                .map(|owned| owned.extend_from_slice(&bytes)));
        }
        let Ok(owned) = self.owned(wanted, 0) else {
            return reader.packed_varints(|_| {}).map(|()| Err(TooLarge));
        };
        let mut room = (wanted.max_bytes - owned.len()) / N;
        let mut staged = [0; STAGE_BYTES];
        let mut num_staged = 0;
        let mut result = Ok(());
        reader.packed_varints(|value| {
            if room == 0 {
                result = Err(TooLarge);
                return;
            }
            room -= 1;
            staged[num_staged..num_staged + N].copy_from_slice(&element(value));
            num_staged += N;
            if num_staged == STAGE_BYTES {
                owned.extend_from_slice(&staged);
                num_staged = 0;
            }
        })?;
        owned.extend_from_slice(&staged[..num_staged]);
        Ok(result)
    }

    fn merge_string<B: Buf>(
        &mut self,
        wanted: Wanted,
        reader: &mut Reader<B>,
    ) -> Result<Result<(), TooLarge>, WireError> {
        let string = reader.bytes()?;
        if !matches!(self, Self::Strings(_)) {
            *self = Self::Strings(Vec::new());
        }
        let Self::Strings(strings) = self else {
            return Ok(Ok(()));
        };
        // The text itself is the message's memory; what grows here is the list.
        if (strings.len() + 1).saturating_mul(size_of::<Bytes>()) > wanted.max_bytes {
            return Ok(Err(TooLarge));
        }
        strings.push(string);
        Ok(Ok(()))
    }

    /// Returns the copied numbers, to append `more` bytes that are known to be there.
    fn owned(&mut self, wanted: Wanted, more: usize) -> Result<&mut AlignedVec<u8>, TooLarge> {
        let before = match self {
            Self::Owned(owned) => owned.len(),
            Self::Shared(shared) => shared.len(),
            Self::None | Self::Strings(_) => 0,
        };
        if before.saturating_add(more) > wanted.max_bytes {
            return Err(TooLarge);
        }
        if !matches!(self, Self::Owned(_)) {
            let element_bytes = wanted.dtype.size().unwrap_or(1);
            let capacity = wanted
                .num_elements
                .saturating_mul(element_bytes)
                .min(wanted.max_bytes);
            let mut owned = AlignedVec::with_capacity(capacity.max(before + more));
            if let Self::Shared(shared) = self {
                owned.extend_from_slice(shared);
            }
            *self = Self::Owned(owned);
        }
        match self {
            Self::Owned(owned) => Ok(owned),
            _ => Err(TooLarge),
        }
    }

    /// Returns the bytes of exactly `num_bytes / size` numbers of `size` bytes: the last one repeated, or the surplus
    /// dropped, or zeros if there are none.
    pub(super) fn into_numbers(self, num_bytes: usize, size: usize) -> Bytes {
        let mut owned = match self {
            Self::Shared(shared) if shared.len() >= num_bytes => return shared.slice(..num_bytes),
            Self::Shared(shared) => {
                let mut owned = AlignedVec::with_capacity(num_bytes);
                owned.extend_from_slice(&shared);
                owned
            }
            Self::Owned(owned) => owned,
            Self::None | Self::Strings(_) => {
                return AlignedVec::<u8>::zeroed(num_bytes).into_bytes();
            }
        };
        // Half a complex number at the end does not count.
        let num_given = owned.len().min(num_bytes) / size * size;
        owned.truncate(num_given);
        owned.resize(num_bytes, 0);
        if num_given > 0 {
            let (given, missing) = owned.as_mut_slice().split_at_mut(num_given);
            let last = &given[num_given - size..];
            missing
                .chunks_exact_mut(size)
                .for_each(|element| element.copy_from_slice(last));
        }
        owned.into_bytes()
    }

    /// Returns exactly `len` strings: the last one repeated, or the surplus dropped, or empty ones if there are none.
    pub(super) fn into_strings(self, len: usize) -> Vec<Bytes> {
        let mut strings = match self {
            Self::Strings(strings) => strings,
            _ => Vec::new(),
        };
        let last = strings.last().cloned().unwrap_or_default();
        strings.resize(len, last);
        strings
    }
}

/// Tells whether the next `len` bytes can be used where they are.
pub(super) fn lies_aligned(chunk: &[u8], len: usize, dtype: DType) -> bool {
    chunk.len() >= len && chunk.as_ptr().addr().is_multiple_of(dtype.alignment())
}
