//! Whom a request asks: model, version, signature.

use bytes::{Buf, BufMut};
use salver_wire::{Reader, WireError, WireType, Writer, len_field_len, varint_field_len};

/// Which version of a model is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VersionChoice {
    /// The newest one.
    #[default]
    Latest,
    /// The one of this number.
    Version(i64),
    /// The one that carries this label.
    Label(String),
}

/// Whom a request asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelSpec {
    /// The model; empty if the request names none.
    pub name: String,
    /// Which version of it.
    pub version: VersionChoice,
    /// Which signature of it; empty for the default one.
    pub signature_name: String,
}

/// Field numbers of `tensorflow.serving.ModelSpec`.
mod field {
    pub(super) const NAME: u32 = 1;
    pub(super) const VERSION: u32 = 2;
    pub(super) const SIGNATURE_NAME: u32 = 3;
    pub(super) const VERSION_LABEL: u32 = 4;
    /// Of `google.protobuf.Int64Value`.
    pub(super) const VALUE: u32 = 1;
}

impl ModelSpec {
    /// Reads a message into this one: what it sets replaces what was there.
    pub(crate) fn merge<B: Buf>(&mut self, reader: &mut Reader<B>) -> Result<(), WireError> {
        while let Some((field, wire_type)) = reader.next_field()? {
            match (field, wire_type) {
                (field::NAME, WireType::Len) => self.name = reader.string()?,
                (field::SIGNATURE_NAME, WireType::Len) => self.signature_name = reader.string()?,
                (field::VERSION, WireType::Len) => {
                    let before = if let VersionChoice::Version(version) = self.version {
                        version
                    } else {
                        0
                    };
                    let version = reader.message(|wrapper| read_int64_value(wrapper, before))?;
                    self.version = VersionChoice::Version(version);
                }
                (field::VERSION_LABEL, WireType::Len) => {
                    self.version = VersionChoice::Label(reader.string()?)
                }
                _ => reader.skip(field, wire_type)?,
            }
        }
        Ok(())
    }

    /// Returns this spec, borrowed, for writing.
    pub(crate) fn as_view(&self) -> ModelSpecView<'_> {
        ModelSpecView {
            name: &self.name,
            version: &self.version,
            signature_name: &self.signature_name,
        }
    }
}

fn read_int64_value<B: Buf>(reader: &mut Reader<B>, before: i64) -> Result<i64, WireError> {
    let mut value = before;
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (field::VALUE, WireType::Varint) => value = reader.varint()?.cast_signed(),
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(value)
}

/// A spec to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModelSpecView<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a VersionChoice,
    pub(crate) signature_name: &'a str,
}

impl ModelSpecView<'_> {
    /// Returns the size of the message, in bytes.
    pub(crate) fn encoded_len(&self) -> usize {
        let version_len = match self.version {
            VersionChoice::Latest => 0,
            VersionChoice::Version(version) => {
                len_field_len(field::VERSION, int64_value_len(*version))
            }
            VersionChoice::Label(label) => len_field_len(field::VERSION_LABEL, label.len()),
        };
        string_len(field::NAME, self.name)
            + version_len
            + string_len(field::SIGNATURE_NAME, self.signature_name)
    }

    /// Writes the message, fields in the order of their numbers.
    pub(crate) fn write<B: BufMut>(&self, writer: &mut Writer<B>) {
        write_string(writer, field::NAME, self.name);
        if let VersionChoice::Version(version) = *self.version {
            writer.message(field::VERSION, int64_value_len(version));
            if version != 0 {
                writer.varint_field(field::VALUE, version.cast_unsigned());
            }
        }
        write_string(writer, field::SIGNATURE_NAME, self.signature_name);
        if let VersionChoice::Label(label) = self.version {
            writer.bytes_field(field::VERSION_LABEL, label.as_bytes());
        }
    }
}

/// Zero is the default and is not written.
fn int64_value_len(value: i64) -> usize {
    if value == 0 {
        0
    } else {
        varint_field_len(field::VALUE, value.cast_unsigned())
    }
}

/// The empty string is the default and is not written.
fn string_len(field: u32, string: &str) -> usize {
    if string.is_empty() {
        0
    } else {
        len_field_len(field, string.len())
    }
}

fn write_string<B: BufMut>(writer: &mut Writer<B>, field: u32, string: &str) {
    if !string.is_empty() {
        writer.bytes_field(field, string.as_bytes());
    }
}
