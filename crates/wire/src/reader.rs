//! Reading protobuf.

use bytes::{Buf, Bytes};

use crate::varint;
use crate::{MAX_VARINT_BYTES, WireError};

/// How deep messages and groups may lie in each other; protobuf's own limit.
pub const MAX_DEPTH: u32 = 100;

/// How a value is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireType {
    /// Integers, enums, booleans.
    Varint,
    /// Eight bytes: doubles, `fixed64`.
    Fixed64,
    /// A length and that many bytes: messages, bytes, strings, packed fields.
    Len,
    /// Begins a group, which only very old messages have.
    StartGroup,
    /// Ends a group.
    EndGroup,
    /// Four bytes: floats, `fixed32`.
    Fixed32,
}

impl WireType {
    fn from_bits(bits: u8) -> Result<Self, WireError> {
        match bits {
            0 => Ok(Self::Varint),
            1 => Ok(Self::Fixed64),
            2 => Ok(Self::Len),
            3 => Ok(Self::StartGroup),
            4 => Ok(Self::EndGroup),
            5 => Ok(Self::Fixed32),
            unknown => Err(WireError::UnknownWireType(unknown)),
        }
    }

    pub(crate) const fn to_bits(self) -> u8 {
        match self {
            Self::Varint => 0,
            Self::Fixed64 => 1,
            Self::Len => 2,
            Self::StartGroup => 3,
            Self::EndGroup => 4,
            Self::Fixed32 => 5,
        }
    }
}

/// Reads a message field by field.
///
/// [`Reader::next_field`] says what comes; the caller then reads the value with the method for its wire type, or
/// skips it. A field of an unexpected wire type is to be skipped like an unknown one, as protobuf does.
///
/// Every method checks against the end of the current message first, so the buffer's own panics are never reached.
/// After an error the position is not defined: the whole message is to be given up.
#[derive(Clone, Debug)]
pub struct Reader<B> {
    buf: B,
    /// What is left in `buf` once the current message is read, in bytes.
    after: usize,
    depth: u32,
}

impl<B: Buf> Reader<B> {
    /// Returns a reader of one message that fills the whole buffer.
    pub fn new(buf: B) -> Self {
        Self {
            buf,
            after: 0,
            depth: 0,
        }
    }

    /// Returns how much of the current message is left, in bytes.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.buf.remaining() - self.after
    }

    /// Returns what lies in one piece in front: as much as can be read without leaving memory that is contiguous.
    #[inline]
    pub fn chunk(&self) -> &[u8] {
        let chunk = self.buf.chunk();
        &chunk[..chunk.len().min(self.remaining())]
    }

    /// Returns number and wire type of the next field, or `None` at the end of the current message.
    ///
    /// # Errors
    /// [`WireError`] if no key is there.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<(u32, WireType)>, WireError> {
        if self.remaining() == 0 {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?).map_err(|_| WireError::VarintTooLong)?;
        let wire_type = WireType::from_bits((key & 7) as u8)?;
        match key >> 3 {
            0 => Err(WireError::FieldZero),
            field => Ok(Some((field, wire_type))),
        }
    }

    /// Reads an integer, enum or boolean. Those of 32 bits are the low bits; signed ones are sign extended.
    ///
    /// # Errors
    /// [`WireError::Truncated`], [`WireError::VarintTooLong`].
    #[inline]
    pub fn varint(&mut self) -> Result<u64, WireError> {
        let remaining = self.remaining();
        varint::decode(&mut self.buf, remaining)
    }

    /// Reads four bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn fixed32(&mut self) -> Result<u32, WireError> {
        self.need(4)?;
        Ok(self.buf.get_u32_le())
    }

    /// Reads eight bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn fixed64(&mut self) -> Result<u64, WireError> {
        self.need(8)?;
        Ok(self.buf.get_u64_le())
    }

    /// Reads a `bytes` field; shares the memory of buffers that can, else copies.
    ///
    /// # Errors
    /// [`WireError::LengthBeyondEnd`], [`WireError::Truncated`], [`WireError::VarintTooLong`].
    pub fn bytes(&mut self) -> Result<Bytes, WireError> {
        let len = self.len_prefix()?;
        Ok(self.buf.copy_to_bytes(len))
    }

    /// Reads a `string` field.
    ///
    /// # Errors
    /// As [`Reader::bytes`], and [`WireError::InvalidUtf8`].
    pub fn string(&mut self) -> Result<String, WireError> {
        let len = self.len_prefix()?;
        let mut bytes = Vec::with_capacity(len);
        self.take_chunks(len, |chunk| bytes.extend_from_slice(chunk));
        String::from_utf8(bytes).map_err(|_| WireError::InvalidUtf8)
    }

    /// Reads a message field: `read` gets this reader, bounded to that message. What it leaves unread is skipped.
    ///
    /// # Errors
    /// As [`Reader::bytes`], [`WireError::TooDeep`], and what `read` fails with.
    pub fn message<T, E: From<WireError>>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let len = self.len_prefix()?;
        self.enter()?;
        let outer_after = self.after;
        self.after = self.buf.remaining() - len;
        let result = read(self)?;
        let unread = self.remaining();
        self.buf.advance(unread);
        self.after = outer_after;
        self.depth -= 1;
        Ok(result)
    }

    /// Reads a packed field of integers; `each` gets one after the other.
    ///
    /// # Errors
    /// As [`Reader::bytes`]; an integer that goes beyond the end of the field is [`WireError::Truncated`].
    pub fn packed_varints(&mut self, mut each: impl FnMut(u64)) -> Result<(), WireError> {
        let mut left = self.len_prefix()?;
        while left > 0 {
            let chunk = self.buf.chunk();
            let chunk = &chunk[..chunk.len().min(left)];
            let mut done = 0;
            // A varint that cannot reach the end of the piece is read without further looks at the buffer.
            while chunk.len() - done >= MAX_VARINT_BYTES {
                let (value, len) = varint::decode_slice(&chunk[done..])?;
                each(value);
                done += len;
            }
            self.buf.advance(done);
            left -= done;
            if left > 0 {
                let before = self.buf.remaining();
                each(varint::decode(&mut self.buf, left)?);
                left -= before - self.buf.remaining();
            }
        }
        Ok(())
    }

    /// Reads the next `len` bytes piece by piece, as they lie in memory: a `bytes` or packed field after its
    /// [`Reader::len_prefix`].
    ///
    /// # Errors
    /// [`WireError::Truncated`] if so much is not there; nothing is read then.
    pub fn chunks(&mut self, len: usize, each: impl FnMut(&[u8])) -> Result<(), WireError> {
        self.need(len)?;
        self.take_chunks(len, each);
        Ok(())
    }

    /// Reads the next `len` bytes: a `bytes` field after its [`Reader::len_prefix`]. Shares memory like
    /// [`Reader::bytes`].
    ///
    /// # Errors
    /// [`WireError::Truncated`] if so much is not there.
    pub fn take(&mut self, len: usize) -> Result<Bytes, WireError> {
        self.need(len)?;
        Ok(self.buf.copy_to_bytes(len))
    }

    /// Skips the value of a field that [`Reader::next_field`] announced.
    ///
    /// # Errors
    /// [`WireError`] if the value is not whole; [`WireError::TooDeep`] for groups within groups.
    pub fn skip(&mut self, field: u32, wire_type: WireType) -> Result<(), WireError> {
        let len = match wire_type {
            WireType::Varint => return self.varint().map(|_| ()),
            WireType::Fixed64 => 8,
            WireType::Fixed32 => 4,
            WireType::Len => self.len_prefix()?,
            WireType::StartGroup => return self.skip_group(field),
            WireType::EndGroup => return Err(WireError::UnexpectedEndGroup(field)),
        };
        self.need(len)?;
        self.buf.advance(len);
        Ok(())
    }

    /// Reads the length of a length-delimited value and checks that so much is there.
    ///
    /// # Errors
    /// As [`Reader::bytes`].
    pub fn len_prefix(&mut self) -> Result<usize, WireError> {
        let announced = self.varint()?;
        let remaining = self.remaining();
        match usize::try_from(announced) {
            Ok(len) if len <= remaining => Ok(len),
            _ => Err(WireError::LengthBeyondEnd {
                announced,
                remaining,
            }),
        }
    }

    /// Skips to the end of a group; groups within it go down to [`MAX_DEPTH`] only.
    fn skip_group(&mut self, group: u32) -> Result<(), WireError> {
        self.enter()?;
        loop {
            match self.next_field()?.ok_or(WireError::Truncated)? {
                (field, WireType::EndGroup) if field == group => break,
                (field, wire_type) => self.skip(field, wire_type)?,
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn enter(&mut self) -> Result<(), WireError> {
        if self.depth == MAX_DEPTH {
            return Err(WireError::TooDeep { max: MAX_DEPTH });
        }
        self.depth += 1;
        Ok(())
    }

    fn need(&self, len: usize) -> Result<(), WireError> {
        if self.remaining() < len {
            Err(WireError::Truncated)
        } else {
            Ok(())
        }
    }

    /// Hands over the next `len` bytes, which are there.
    fn take_chunks(&mut self, mut len: usize, mut each: impl FnMut(&[u8])) {
        while len > 0 {
            let chunk = self.buf.chunk();
            let chunk = &chunk[..chunk.len().min(len)];
            each(chunk);
            let done = chunk.len();
            self.buf.advance(done);
            len -= done;
        }
    }
}

impl<'a> Reader<&'a [u8]> {
    /// Reads a `bytes` field without copying it, out of a buffer that is one slice.
    ///
    /// # Errors
    /// As [`Reader::bytes`].
    pub fn slice(&mut self) -> Result<&'a [u8], WireError> {
        let len = self.len_prefix()?;
        let (value, rest) = self.buf.split_at(len);
        self.buf = rest;
        Ok(value)
    }

    /// Reads a `string` field without copying it, out of a buffer that is one slice.
    ///
    /// # Errors
    /// As [`Reader::string`].
    pub fn str(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.slice()?).map_err(|_| WireError::InvalidUtf8)
    }
}

#[cfg(test)]
mod tests;
