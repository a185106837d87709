//! Protobuf's wire format without schemas: a [`Reader`] over any [`bytes::Buf`] and a [`Writer`] into any
//! [`bytes::BufMut`].
//!
//! For messages that are too large to be decoded into generated structs first. The reader works on buffers that lie
//! in pieces (the frames of a body), on one slice, and on a file ([`FileBuf`]) of which it reads only what it does not
//! skip; it never allocates because of an announced length, and nests only to [`MAX_DEPTH`]. Knows no message by name.
//!
//! ```
//! use salver_wire::{Reader, WireType, Writer};
//!
//! let mut bytes = Vec::new();
//! let mut writer = Writer::new(&mut bytes);
//! writer.varint_field(1, 150);
//! writer.bytes_field(2, b"testing");
//!
//! let mut reader = Reader::new(&bytes[..]);
//! let mut number = 0;
//! while let Some((field, wire_type)) = reader.next_field()? {
//!     match (field, wire_type) {
//!         (1, WireType::Varint) => number = reader.varint()?,
//!         _ => reader.skip(field, wire_type)?,
//!     }
//! }
//! assert_eq!(number, 150);
//! # Ok::<(), salver_wire::WireError>(())
//! ```

mod error;
mod file;
mod reader;
mod varint;
mod writer;

pub use error::WireError;
pub use file::FileBuf;
pub use reader::{MAX_DEPTH, Reader, WireType};
pub use varint::{MAX_VARINT_BYTES, varint_len};
pub use writer::{PackedVarints, Writer, len_field_len, varint_field_len};
