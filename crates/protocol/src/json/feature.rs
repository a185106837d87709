//! JSON objects as `tensorflow.Example` messages, without a tree between: values become packed lists as they are read.

use salver_wire::{Writer, len_field_len};

use super::numbers::{self, Number as _};
use super::scanner::Scanner;
use super::values::type_word;
use super::{JsonError, base64, strings};

/// Field numbers.
mod field {
    /// Of `Example`.
    pub(super) const FEATURES: u32 = 1;
    /// Of `Features`: a map.
    pub(super) const FEATURE: u32 = 1;
    pub(super) const KEY: u32 = 1;
    pub(super) const VALUE: u32 = 2;
    /// Of `BytesList`, `FloatList` and `Int64List`.
    pub(super) const LIST: u32 = 1;
}

/// The kinds of feature, by their field in `Feature`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bytes = 1,
    Float = 2,
    Int64 = 3,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Float => "float",
            Self::Int64 => "int64",
        }
    }
}

/// Writes examples; kept from one to the next for its memory.
#[derive(Debug, Default)]
pub(super) struct ExampleWriter {
    /// Values of the feature at hand: fields of a `BytesList`, or the packed field of the other two.
    values: Vec<u8>,
    /// Bytes that were base64 or had escapes.
    text: Vec<u8>,
    /// Features of the example at hand.
    features: Vec<u8>,
}

impl ExampleWriter {
    /// Takes the object at the scanner and appends the example it stands for.
    pub(super) fn take(
        &mut self,
        scanner: &mut Scanner<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), JsonError> {
        if scanner.peek() != Some(b'{') {
            let word = type_word(scanner.peek());
            scanner.skip_value()?;
            return Err(JsonError::InvalidArgument(format!(
                "Example must be JSON object but got JSON {word}"
            )));
        }
        self.features.clear();
        let mut member = scanner.first_member()?;
        while let Some(name) = member {
            self.take_feature(scanner, &name)?;
            member = scanner.next_member()?;
        }
        if !self.features.is_empty() {
            Writer::new(out).bytes_field(field::FEATURES, &self.features);
        }
        Ok(())
    }

    /// Takes one value or a list of them.
    fn take_feature(&mut self, scanner: &mut Scanner<'_>, name: &[u8]) -> Result<(), JsonError> {
        self.values.clear();
        let mut kind = None;
        if scanner.peek() == Some(b'[') {
            let mut has_element = scanner.first_element();
            while has_element {
                self.take_value(scanner, name, &mut kind)?;
                has_element = scanner.next_element()?;
            }
            scanner.pos += 1;
        } else {
            self.take_value(scanner, name, &mut kind)?;
        }
        self.end_feature(name, kind);
        Ok(())
    }

    fn take_value(
        &mut self,
        scanner: &mut Scanner<'_>,
        name: &[u8],
        kind: &mut Option<Kind>,
    ) -> Result<(), JsonError> {
        match scanner.peek() {
            Some(byte @ (b't' | b'f')) => {
                scanner.word(if byte == b't' { "true" } else { "false" })?;
                expect(kind, Kind::Int64, name)?;
                self.values.push(u8::from(byte == b't'));
            }
            Some(b'"') => {
                let span = scanner.string()?;
                expect(kind, Kind::Bytes, name)?;
                let text = strings::decoded(scanner.body, span);
                Writer::new(&mut self.values).bytes_field(field::LIST, &text);
            }
            Some(b'{') if let Some((span, end)) = base64::find(scanner) => {
                expect(kind, Kind::Bytes, name)?;
                self.text.clear();
                base64::decode_into(scanner.body, span, &mut self.text)?;
                Writer::new(&mut self.values).bytes_field(field::LIST, &self.text);
                scanner.pos = end;
            }
            first @ Some(b'n' | b'[' | b'{') => {
                scanner.skip_value()?;
                return Err(JsonError::InvalidArgument(format!(
                    "Feature: {} has element with unexpected JSON type: {}",
                    String::from_utf8_lossy(name),
                    type_word(first)
                )));
            }
            _ => self.take_number(scanner, name, kind)?,
        }
        Ok(())
    }

    /// Takes a number: whole ones are integers, those with a fraction or an exponent and those beyond 64 bits floats.
    fn take_number(
        &mut self,
        scanner: &mut Scanner<'_>,
        name: &[u8],
        kind: &mut Option<Kind>,
    ) -> Result<(), JsonError> {
        let (body, pos) = (scanner.body, scanner.pos);
        if let Some((number, end)) = i64::read(body, pos) {
            expect(kind, Kind::Int64, name)?;
            Writer::new(&mut self.values).varint(number.cast_unsigned());
            scanner.pos = end;
            return Ok(());
        }
        if let Some((_, end)) = u64::read(body, pos) {
            expect(kind, Kind::Int64, name)?;
            scanner.pos = end;
            return Err(JsonError::InvalidArgument(format!(
                "Feature: {} has uint64_t element. Only int64_t is supported.",
                String::from_utf8_lossy(name)
            )));
        }
        let Some((number, end)) = f32::read(body, pos) else {
            return numbers::skip(scanner);
        };
        expect(kind, Kind::Float, name)?;
        self.values.extend_from_slice(&number.to_le_bytes());
        scanner.pos = end;
        Ok(())
    }

    /// Appends the feature whose values have been taken; of a feature without values, its name.
    fn end_feature(&mut self, name: &[u8], kind: Option<Kind>) {
        let values_len = self.values.len();
        let list_len = match kind {
            None | Some(Kind::Bytes) => values_len,
            Some(Kind::Float | Kind::Int64) => len_field_len(field::LIST, values_len),
        };
        let feature_len = kind.map_or(0, |kind| len_field_len(kind as u32, list_len));
        let entry_len =
            len_field_len(field::KEY, name.len()) + len_field_len(field::VALUE, feature_len);
        self.features
            .reserve(len_field_len(field::FEATURE, entry_len));
        let mut writer = Writer::new(&mut self.features);
        writer.message(field::FEATURE, entry_len);
        writer.bytes_field(field::KEY, name);
        writer.message(field::VALUE, feature_len);
        if let Some(kind) = kind {
            writer.message(kind as u32, list_len);
            if kind != Kind::Bytes {
                writer.message(field::LIST, values_len);
            }
            writer.raw(&self.values);
        }
    }
}

/// Holds a feature to the kind of its first value.
#[inline]
fn expect(kind: &mut Option<Kind>, wanted: Kind, name: &[u8]) -> Result<(), JsonError> {
    let kind = *kind.get_or_insert(wanted);
    if kind == wanted {
        return Ok(());
    }
    Err(JsonError::InvalidArgument(format!(
        "Unexpected element type in feature: {} expecting type: {}",
        String::from_utf8_lossy(name),
        kind.word()
    )))
}
