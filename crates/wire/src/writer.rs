//! Writing protobuf.

use bytes::BufMut;

use crate::{MAX_VARINT_BYTES, WireType, varint_len};

/// How much of a packed field is gathered before it goes to the buffer, in bytes: a few cache lines.
const STAGE_BYTES: usize = 512;

/// Writes fields in the order it is told to; knows nothing of which fields a message has.
///
/// Lengths are the caller's matter: [`Writer::message`] takes the length of what is written next, which
/// [`varint_field_len`] and [`len_field_len`] add up to.
#[derive(Debug)]
pub struct Writer<B> {
    out: B,
}

impl<B: BufMut> Writer<B> {
    /// Returns a writer that appends.
    pub fn new(out: B) -> Self {
        Self { out }
    }

    /// Gives back what was written into.
    pub fn into_inner(self) -> B {
        self.out
    }

    /// Writes a bare varint, such as an element of a packed field.
    #[inline]
    pub fn varint(&mut self, mut value: u64) {
        let mut bytes = [0; MAX_VARINT_BYTES];
        let mut len = 0;
        while value >= 0x80 {
            bytes[len] = (value & 0x7f) as u8 | 0x80;
            value >>= 7;
            len += 1;
        }
        bytes[len] = value as u8;
        self.out.put_slice(&bytes[..=len]);
    }

    /// Begins the elements of a packed field of varints, after [`Writer::message`]; faster than one by one.
    pub fn packed_varints(&mut self) -> PackedVarints<'_, B> {
        PackedVarints {
            out: &mut self.out,
            staged: [0; STAGE_BYTES],
            len: 0,
        }
    }

    /// Writes a bare run of bytes, such as the elements of a packed field.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.put_slice(bytes);
    }

    /// Writes an integer, enum or boolean field. Signed ones are passed as `value as u64`, sign extended.
    pub fn varint_field(&mut self, field: u32, value: u64) {
        self.key(field, WireType::Varint);
        self.varint(value);
    }

    /// Writes a field of four bytes: `fixed32`, or a float's bits.
    pub fn fixed32_field(&mut self, field: u32, value: u32) {
        self.key(field, WireType::Fixed32);
        self.out.put_u32_le(value);
    }

    /// Writes a field of eight bytes: `fixed64`, or a double's bits.
    pub fn fixed64_field(&mut self, field: u32, value: u64) {
        self.key(field, WireType::Fixed64);
        self.out.put_u64_le(value);
    }

    /// Writes a `bytes` or `string` field.
    pub fn bytes_field(&mut self, field: u32, bytes: &[u8]) {
        self.message(field, bytes.len());
        self.out.put_slice(bytes);
    }

    /// Begins a message, packed or bytes field of which `len` bytes follow.
    pub fn message(&mut self, field: u32, len: usize) {
        self.key(field, WireType::Len);
        self.varint(len as u64);
    }

    /// Writes a message field whose length is not known beforehand, by way of a buffer.
    pub fn nested(&mut self, field: u32, write: impl FnOnce(&mut Writer<Vec<u8>>)) {
        let mut inner = Writer::new(Vec::new());
        write(&mut inner);
        self.bytes_field(field, &inner.out);
    }

    fn key(&mut self, field: u32, wire_type: WireType) {
        self.varint(u64::from(field) << 3 | u64::from(wire_type.to_bits()));
    }
}

/// Gathers varints and hands them to the buffer in runs.
#[derive(Debug)]
pub struct PackedVarints<'w, B: BufMut> {
    out: &'w mut B,
    staged: [u8; STAGE_BYTES],
    len: usize,
}

impl<B: BufMut> PackedVarints<'_, B> {
    /// Writes one more element.
    #[inline]
    pub fn push(&mut self, mut value: u64) {
        if self.len > STAGE_BYTES - MAX_VARINT_BYTES {
            self.flush();
        }
        while value >= 0x80 {
            self.staged[self.len] = (value & 0x7f) as u8 | 0x80;
            value >>= 7;
            self.len += 1;
        }
        self.staged[self.len] = value as u8;
        self.len += 1;
    }

    /// Writes what is still gathered.
    pub fn finish(mut self) {
        self.flush();
    }

    fn flush(&mut self) {
        self.out.put_slice(&self.staged[..self.len]);
        self.len = 0;
    }
}

/// Returns the size of a varint field with its key, in bytes.
#[must_use]
pub const fn varint_field_len(field: u32, value: u64) -> usize {
    key_len(field) + varint_len(value)
}

/// Returns the size of a message, bytes or string field of `len` bytes with its key and length, in bytes.
#[must_use]
pub const fn len_field_len(field: u32, len: usize) -> usize {
    key_len(field) + varint_len(len as u64) + len
}

const fn key_len(field: u32) -> usize {
    varint_len((field as u64) << 3)
}
