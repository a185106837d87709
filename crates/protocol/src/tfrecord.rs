//! TFRecord: a file of records, each between checksums.
//!
//! ```text
//! length, 8 bytes │ checksum of the length, 4 │ data │ checksum of the data, 4      numbers are little-endian
//! ```
//!
//! The checksum is CRC-32C, masked so that a record that holds records is not mistaken for them. As in TensorFlow, a
//! file may end in fewer bytes than a record's head: they are passed over.

use std::io::{self, Read};

use bytes::{BufMut, Bytes};

/// Length and its checksum.
pub const HEAD_BYTES: usize = 12;
/// The checksum behind the data.
pub const TAIL_BYTES: usize = 4;

const LENGTH_BYTES: usize = 8;
const MASK_DELTA: u32 = 0xa282_ead8;

/// Why there is no further record.
#[derive(Debug, thiserror::Error)]
pub enum TfRecordError {
    /// A length does not agree with its checksum.
    #[error("corrupted record at {offset} (Is this even a TFRecord file?)")]
    CorruptedHead {
        /// Where the record begins, in bytes.
        offset: u64,
    },
    /// Data does not agree with its checksum.
    #[error("corrupted record at {offset}")]
    CorruptedData {
        /// Where the data begins, in bytes.
        offset: u64,
    },
    /// The file ends inside a record.
    #[error("truncated record at {offset}' failed with Read less bytes than requested")]
    Truncated {
        /// Where the record begins, in bytes.
        offset: u64,
    },
    /// A record is longer than the reader allows.
    #[error("record at {offset} has {length} bytes, at most {max} are taken")]
    TooLong {
        /// Where the record begins, in bytes.
        offset: u64,
        /// What it announces, in bytes.
        length: u64,
        /// What is allowed, in bytes.
        max: usize,
    },
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Reads records one by one; memory grows with what arrives, never with what a length announces.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    /// Where the next record begins.
    offset: u64,
    max_record_bytes: usize,
}

impl<R: Read> Reader<R> {
    /// Returns a reader of records of at most `max_record_bytes`; `input` should be buffered.
    pub fn new(input: R, max_record_bytes: usize) -> Self {
        Self {
            input,
            offset: 0,
            max_record_bytes,
        }
    }

    /// Returns how much has been read, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the next record, or `None` at the end.
    ///
    /// # Errors
    /// [`TfRecordError`]; nothing can be read after it.
    pub fn next_record(&mut self) -> Result<Option<Bytes>, TfRecordError> {
        let offset = self.offset;
        let head = self.take(HEAD_BYTES as u64)?;
        let Some((length, checksum)) = split(&head, LENGTH_BYTES) else {
            return Ok(None);
        };
        if checksum != masked_crc32c(length) {
            return Err(TfRecordError::CorruptedHead { offset });
        }
        let length = u64::from_le_bytes(length.try_into().expect("split at its length"));
        let max = self.max_record_bytes;
        let length = usize::try_from(length)
            .ok()
            .filter(|&length| length <= max)
            .ok_or(TfRecordError::TooLong {
                offset,
                length,
                max,
            })?;
        let mut data = self.take(length as u64 + TAIL_BYTES as u64)?;
        let (content, checksum) =
            split(&data, length).ok_or(TfRecordError::Truncated { offset })?;
        if checksum != masked_crc32c(content) {
            return Err(TfRecordError::CorruptedData {
                offset: offset + HEAD_BYTES as u64,
            });
        }
        self.offset = offset + (HEAD_BYTES + length + TAIL_BYTES) as u64;
        data.truncate(length);
        Ok(Some(data.into()))
    }

    /// Reads so many bytes, or fewer at the end.
    fn take(&mut self, num_bytes: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&mut self.input).take(num_bytes).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Splits bytes into their content and the checksum behind it; `None` if they are too short.
fn split(bytes: &[u8], content_bytes: usize) -> Option<(&[u8], u32)> {
    let (content, checksum) = bytes.split_at_checked(content_bytes)?;
    Some((content, u32::from_le_bytes(checksum.try_into().ok()?)))
}

/// Appends a record.
pub fn write_record(data: &[u8], out: &mut impl BufMut) {
    let length = (data.len() as u64).to_le_bytes();
    out.put_slice(&length);
    out.put_u32_le(masked_crc32c(&length));
    out.put_slice(data);
    out.put_u32_le(masked_crc32c(data));
}

fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(MASK_DELTA)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `hello`, nothing, `world!!`, as TensorFlow's own writer wrote them.
    const GOLDEN: &[u8] = b"\x05\0\0\0\0\0\0\0\xea\xb2\x04\x3ehello\xbb\x1f\x1c\x19\
        \0\0\0\0\0\0\0\0\x29\x03\x98\x07\xd8\xea\x82\xa2\
        \x07\0\0\0\0\0\0\0\xbb\xd7\x9f\x11world!!wT\xcdZ";

    const MAX_RECORD_BYTES: usize = 1000;

    fn read_all(file: &[u8]) -> Result<Vec<Bytes>, TfRecordError> {
        let mut reader = Reader::new(file, MAX_RECORD_BYTES);
        let mut records = Vec::new();
        while let Some(record) = reader.next_record()? {
            records.push(record);
        }
        Ok(records)
    }

    fn file(records: &[impl AsRef<[u8]>]) -> Vec<u8> {
        let mut file = Vec::new();
        for record in records {
            write_record(record.as_ref(), &mut file);
        }
        file
    }

    #[test]
    fn reads_and_writes_what_tensorflow_does() {
        let records = [&b"hello"[..], b"", b"world!!"];
        assert_eq!(file(&records), GOLDEN);
        assert_eq!(read_all(GOLDEN).unwrap(), records);
    }

    #[test]
    fn damage_is_told_in_tensorflows_words() {
        let flipped = |idx: usize| {
            let mut file = GOLDEN.to_vec();
            file[idx] ^= 1;
            file
        };
        let rows = [
            (
                b"no records at all".to_vec(),
                "corrupted record at 0 (Is this even a TFRecord file?)",
            ),
            (
                flipped(0),
                "corrupted record at 0 (Is this even a TFRecord file?)",
            ),
            (flipped(13), "corrupted record at 12"),
            (flipped(18), "corrupted record at 12"),
            (flipped(50), "corrupted record at 49"),
            (
                GOLDEN[..12].to_vec(),
                "truncated record at 0' failed with Read less bytes than requested",
            ),
            (
                GOLDEN[..50].to_vec(),
                "truncated record at 37' failed with Read less bytes than requested",
            ),
            (
                file(&[vec![0; MAX_RECORD_BYTES + 1]]),
                "record at 0 has 1001 bytes, at most 1000 are taken",
            ),
        ];
        for (file, expected) in rows {
            assert_eq!(read_all(&file).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_file_may_end_within_a_head() {
        assert_eq!(read_all(&GOLDEN[..27]).unwrap(), [&b"hello"[..]]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..99), 0..9),
        ) {
            prop_assert_eq!(read_all(&file(&records)).unwrap(), records);
        }

        #[test]
        fn a_flipped_bit_is_found(
            record in prop::collection::vec(any::<u8>(), 0..99),
            bit in any::<prop::sample::Index>(),
        ) {
            let mut file = file(&[record]);
            let bit = bit.index(file.len() * 8);
            file[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(read_all(&file).is_err());
        }
    }
}
