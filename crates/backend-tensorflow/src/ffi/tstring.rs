//! A string as TensorFlow keeps it in a tensor: 24 bytes that hold a short one, or say where a longer one is.
//!
//! ```text
//! the lowest two bits of the first byte are the kind, the rest of that number is the length
//!   small   u8 length, up to 22 bytes, a zero byte
//!   large   u64 length, u64 capacity, pointer to malloc's memory, which belongs to the string
//!   offset  u32 length, u32 distance from the string itself to the bytes
//!   view    u64 length, pointer to memory that belongs to somebody else
//! ```
//!
//! The layout is part of TensorFlow's interface since version 2.4, on machines of either byte order; here it is that of
//! machines which begin with the low byte. Short and large strings are written, all four kinds are read.

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::slice;

const _: () = assert!(cfg!(target_endian = "little") && size_of::<TString>() == 24);

/// The longest string that fits the 24 bytes themselves.
const SMALL_CAPACITY: usize = 22;

/// The kinds, which are the lowest two bits.
const SMALL: u8 = 0;
const LARGE: u8 = 1;
const OFFSET: u8 = 2;
const KIND_MASK: u8 = 3;
const KIND_BITS: u32 = 2;

/// TensorFlow's capacities are one less than a multiple of this.
const CAPACITY_STEP: usize = 16;

#[repr(C)]
#[derive(Clone, Copy)]
struct Small {
    len: u8,
    bytes: [u8; SMALL_CAPACITY + 1],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Large {
    len: usize,
    capacity: usize,
    bytes: *mut u8,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Offset {
    len: u32,
    offset: u32,
    count: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct View {
    len: usize,
    bytes: *const u8,
    owner: *mut c_void,
}

#[repr(C)]
pub(super) union TString {
    small: Small,
    large: Large,
    offset: Offset,
    view: View,
}

unsafe extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn free(pointer: *mut c_void);
}

impl TString {
    /// Returns a copy of a string; `None` if there is no memory for it.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let len = bytes.len();
        if len <= SMALL_CAPACITY {
            let mut small = Small {
                len: (len as u8) << KIND_BITS | SMALL,
                bytes: [0; SMALL_CAPACITY + 1],
            };
            small.bytes[..len].copy_from_slice(bytes);
            return Some(Self { small });
        }
        // One more for the zero byte behind the string.
        let num_bytes = len
            .checked_add(1)?
            .checked_next_multiple_of(CAPACITY_STEP)?;
        // SAFETY: any size may be asked for; null says that there is not so much.
        let memory = NonNull::new(unsafe { malloc(num_bytes) })?.cast::<u8>();
        // SAFETY: the memory is longer than the string, and new.
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), memory.as_ptr(), len);
            memory.add(len).write(0);
        }
        let large = Large {
            len: len << KIND_BITS | usize::from(LARGE),
            capacity: num_bytes - 1,
            bytes: memory.as_ptr(),
        };
        Some(Self { large })
    }

    fn kind(&self) -> u8 {
        // SAFETY: the first byte of every kind is initialised.
        unsafe { self.small.len & KIND_MASK }
    }

    /// Returns the string. It is one that [`TString::new`] or a kernel made, so that what it points to is there.
    pub(super) fn as_bytes(&self) -> &[u8] {
        // SAFETY: the kind says which member was written. A string's bytes live as long as it does, since they are its
        // own, or as long as the tensor that it is in.
        unsafe {
            match self.kind() {
                SMALL => {
                    let len = usize::from(self.small.len >> KIND_BITS).min(SMALL_CAPACITY);
                    &self.small.bytes[..len]
                }
                LARGE => slice_of(self.large.bytes, self.large.len >> KIND_BITS),
                OFFSET => {
                    let start = ptr::from_ref(self).cast::<u8>();
                    let len = self.offset.len >> KIND_BITS;
                    slice_of(start.add(self.offset.offset as usize), len as usize)
                }
                _ => slice_of(self.view.bytes, self.view.len >> KIND_BITS),
            }
        }
    }
}

/// # Safety
/// So many initialised bytes are there for as long as the result is used, or the length is 0.
unsafe fn slice_of<'a>(bytes: *const u8, len: usize) -> &'a [u8] {
    if len == 0 || bytes.is_null() {
        return &[];
    }
    // SAFETY: by this function's own condition.
    unsafe { slice::from_raw_parts(bytes, len) }
}

impl Drop for TString {
    fn drop(&mut self) {
        if self.kind() == LARGE {
            // SAFETY: a large string's memory is its own and malloc's, whoever made it; it is released once.
            unsafe { free(self.large.bytes.cast()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_every_length_come_back() {
        for len in [0, 1, 21, 22, 23, 31, 32, 33, 1000] {
            let bytes: Vec<u8> = (0..len).map(|idx| idx as u8).collect();
            let string = TString::new(&bytes).expect("there is memory");
            assert_eq!(string.as_bytes(), bytes);
            let kind = if len <= SMALL_CAPACITY { SMALL } else { LARGE };
            assert_eq!(string.kind(), kind, "{len}");
        }
    }

    #[test]
    fn views_and_offsets_are_read() {
        let text = b"somebody else's";
        let view = View {
            len: text.len() << KIND_BITS | 3,
            bytes: text.as_ptr(),
            owner: ptr::null_mut(),
        };
        assert_eq!(TString { view }.as_bytes(), text);

        #[repr(C)]
        struct Row {
            string: TString,
            bytes: [u8; 5],
        }
        let offset = Offset {
            len: 5 << KIND_BITS | u32::from(OFFSET),
            offset: 24,
            count: 0,
        };
        let row = Box::new(Row {
            string: TString { offset },
            bytes: *b"after",
        });
        // Read through the whole row, which is what a tensor's memory is.
        let start: *const Row = &raw const *row;
        // SAFETY: the string is the first member.
        let string = unsafe { &*start.cast::<TString>() };
        assert_eq!(string.as_bytes(), row.bytes);
    }
}
