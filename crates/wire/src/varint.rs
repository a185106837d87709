//! Integers of variable length: seven bits to a byte, lowest first, the top bit set on all but the last.

use bytes::Buf;

use crate::WireError;

/// The longest varint, in bytes.
pub const MAX_VARINT_BYTES: usize = 10;

/// Returns how many bytes a varint takes.
#[must_use]
#[inline]
pub const fn varint_len(value: u64) -> usize {
    // Seven bits to a byte, and one byte for zero: ceil(bits / 7) without a division by seven.
    let num_bits = 64 - (value | 1).leading_zeros() as usize;
    (num_bits * 9 + 64) / 64
}

/// Reads a varint at the start of a slice; returns it and its length.
///
/// # Errors
/// [`WireError::Truncated`] if the slice ends before the varint does, [`WireError::VarintTooLong`] beyond 64 bits.
#[inline]
pub(crate) fn decode_slice(bytes: &[u8]) -> Result<(u64, usize), WireError> {
    match bytes.first_chunk() {
        Some(word) => decode_word(*word).map_or_else(|| decode_bytes(bytes), Ok),
        None => decode_bytes(bytes),
    }
}

/// Reads a varint of up to eight bytes without a branch on its length, or returns `None` if it is longer.
///
/// Random lengths defeat branch prediction; this is some three times as fast as going byte by byte.
#[inline]
fn decode_word(bytes: [u8; 8]) -> Option<(u64, usize)> {
    const TOP_BITS: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(bytes);
    let ends = !word & TOP_BITS;
    if ends == 0 {
        return None;
    }
    let num_bits = ends.trailing_zeros() + 1;
    let groups = word & (u64::MAX >> (64 - num_bits)) & !TOP_BITS;
    // Groups of seven bits move together: pairs to 14 bits, fours to 28, all to 56.
    let pairs = (groups & 0x007f_007f_007f_007f) | ((groups & 0x7f00_7f00_7f00_7f00) >> 1);
    let fours = (pairs & 0x0000_3fff_0000_3fff) | ((pairs & 0x3fff_0000_3fff_0000) >> 2);
    let value = (fours & 0x0fff_ffff) | ((fours & 0x0fff_ffff_0000_0000) >> 4);
    Some((value, num_bits as usize / 8))
}

/// Reads a varint byte by byte.
fn decode_bytes(bytes: &[u8]) -> Result<(u64, usize), WireError> {
    let mut value = 0;
    for (idx, &byte) in bytes.iter().take(MAX_VARINT_BYTES).enumerate() {
        // The tenth byte has room for one bit.
        if idx == MAX_VARINT_BYTES - 1 && byte > 1 {
            return Err(WireError::VarintTooLong);
        }
        value |= u64::from(byte & 0x7f) << (7 * idx);
        if byte < 0x80 {
            return Ok((value, idx + 1));
        }
    }
    // Ten bytes without an end were refused at the tenth.
    Err(WireError::Truncated)
}

/// Reads a varint that may lie across the pieces of a buffer, out of its next `limit` bytes.
///
/// # Errors
/// As [`decode_slice`].
#[inline]
pub(crate) fn decode(buf: &mut impl Buf, limit: usize) -> Result<u64, WireError> {
    let chunk = buf.chunk();
    let chunk = &chunk[..chunk.len().min(limit)];
    match decode_slice(chunk) {
        Ok((value, len)) => {
            buf.advance(len);
            Ok(value)
        }
        Err(WireError::Truncated) if chunk.len() < limit => decode_across(buf, limit),
        Err(error) => Err(error),
    }
}

/// The rare case of [`decode`]: the varint does not end in the first piece.
#[cold]
fn decode_across(buf: &mut impl Buf, limit: usize) -> Result<u64, WireError> {
    let mut bytes = [0; MAX_VARINT_BYTES];
    for idx in 0..limit.min(MAX_VARINT_BYTES) {
        bytes[idx] = buf.get_u8();
        if bytes[idx] < 0x80 {
            return decode_slice(&bytes[..=idx]).map(|(value, _)| value);
        }
    }
    if limit < MAX_VARINT_BYTES {
        Err(WireError::Truncated)
    } else {
        Err(WireError::VarintTooLong)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn eight_bytes_at_once_are_read_as_one_by_one(bytes in any::<[u8; 8]>()) {
            prop_assert_eq!(decode_word(bytes), decode_bytes(&bytes).ok());
        }
    }

    #[test]
    fn lengths_change_at_multiples_of_seven_bits() {
        for num_bits in 1..64_usize {
            let largest = u64::MAX >> (64 - num_bits);
            assert_eq!(varint_len(largest), num_bits.div_ceil(7));
            assert_eq!(varint_len(largest + 1), (num_bits + 1).div_ceil(7));
        }
        assert_eq!(varint_len(0), 1);
        assert_eq!(varint_len(u64::MAX), MAX_VARINT_BYTES);
    }
}
