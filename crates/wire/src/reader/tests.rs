use bytes::{Buf, BufMut};
use proptest::prelude::*;

use super::*;
use crate::{Writer, len_field_len, varint_field_len, varint_len};

/// A value of one field, as a test writes and reads it.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
    Bytes(Vec<u8>),
    Packed(Vec<u64>),
    Message(Vec<(u32, Value)>),
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        varied_u64().prop_map(Value::Varint),
        any::<u32>().prop_map(Value::Fixed32),
        any::<u64>().prop_map(Value::Fixed64),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        prop::collection::vec(varied_u64(), 0..200).prop_map(Value::Packed),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop::collection::vec((1_u32..1 << 29, inner), 0..4).prop_map(Value::Message)
    })
}

/// Numbers of every length.
fn varied_u64() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0_u32..64).prop_map(|(value, shift)| value >> shift)
}

fn write(writer: &mut Writer<Vec<u8>>, field: u32, value: &Value) {
    match value {
        Value::Varint(value) => writer.varint_field(field, *value),
        Value::Fixed32(value) => writer.fixed32_field(field, *value),
        Value::Fixed64(value) => writer.fixed64_field(field, *value),
        Value::Bytes(bytes) => writer.bytes_field(field, bytes),
        Value::Packed(values) => {
            writer.message(field, values.iter().map(|&value| varint_len(value)).sum());
            let mut packed = writer.packed_varints();
            values.iter().for_each(|&value| packed.push(value));
            packed.finish();
        }
        Value::Message(fields) => {
            writer.nested(field, |inner| {
                fields
                    .iter()
                    .for_each(|(field, value)| write(inner, *field, value))
            });
        }
    }
}

/// Reads a value of the kind that `like` has.
fn read<B: Buf>(reader: &mut Reader<B>, field: u32, like: &Value) -> Result<Value, WireError> {
    assert_eq!(reader.next_field()?.map(|(field, _)| field), Some(field));
    Ok(match like {
        Value::Varint(_) => Value::Varint(reader.varint()?),
        Value::Fixed32(_) => Value::Fixed32(reader.fixed32()?),
        Value::Fixed64(_) => Value::Fixed64(reader.fixed64()?),
        Value::Bytes(_) => Value::Bytes(reader.bytes()?.to_vec()),
        Value::Packed(_) => {
            let mut values = Vec::new();
            reader.packed_varints(|value| values.push(value))?;
            Value::Packed(values)
        }
        Value::Message(fields) => Value::Message(reader.message(|inner| {
            fields
                .iter()
                .map(|(field, like)| Ok((*field, read(inner, *field, like)?)))
                .collect::<Result<_, WireError>>()
        })?),
    })
}

/// A buffer whose pieces are `piece` bytes long.
struct Pieces<'a> {
    bytes: &'a [u8],
    piece: usize,
}

impl Buf for Pieces<'_> {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes[..self.bytes.len().min(self.piece)]
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

/// Skips everything there is.
fn skip_all<B: Buf>(mut reader: Reader<B>) -> Result<(), WireError> {
    while let Some((field, wire_type)) = reader.next_field()? {
        reader.skip(field, wire_type)?;
    }
    Ok(())
}

proptest! {
    #[test]
    fn reads_what_was_written(fields in prop::collection::vec((1_u32..1 << 29, value()), 0..6), piece in 1_usize..20) {
        let mut writer = Writer::new(Vec::new());
        fields.iter().for_each(|(field, value)| write(&mut writer, *field, value));
        let bytes = writer.into_inner();

        let mut reader = Reader::new(Pieces { bytes: &bytes, piece });
        for (field, value) in &fields {
            prop_assert_eq!(&read(&mut reader, *field, value).expect("valid"), value);
        }
        prop_assert_eq!(reader.next_field(), Ok(None));
        prop_assert_eq!(skip_all(Reader::new(&bytes[..])), Ok(()));
    }

    #[test]
    fn random_bytes_do_not_panic_and_pieces_do_not_matter(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..30], 0..200),
        piece in 1_usize..20,
    ) {
        prop_assert_eq!(skip_all(Reader::new(&bytes[..])), skip_all(Reader::new(Pieces { bytes: &bytes, piece })));
    }

    #[test]
    fn lengths_are_those_written(field in 1_u32..1 << 29, value in varied_u64(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut writer = Writer::new(Vec::new());
        writer.varint_field(field, value);
        prop_assert_eq!(writer.into_inner().len(), varint_field_len(field, value));
        let mut writer = Writer::new(Vec::new());
        writer.bytes_field(field, &bytes);
        prop_assert_eq!(writer.into_inner().len(), len_field_len(field, bytes.len()));
    }
}

#[track_caller]
fn check_error(bytes: &[u8], expected: WireError) {
    assert_eq!(skip_all(Reader::new(bytes)), Err(expected.clone()));
    assert_eq!(
        skip_all(Reader::new(Pieces { bytes, piece: 1 })),
        Err(expected)
    );
}

#[test]
fn broken_bytes_are_named() {
    check_error(&[0x80], WireError::Truncated);
    check_error(&[0x08, 0x80, 0x80], WireError::Truncated);
    check_error(&[0x09, 1, 2, 3], WireError::Truncated);
    check_error(&[0x0d, 1, 2, 3], WireError::Truncated);
    check_error(
        &[0x12, 5, 1, 2],
        WireError::LengthBeyondEnd {
            announced: 5,
            remaining: 2,
        },
    );
    check_error(&[0x00, 0x01], WireError::FieldZero);
    check_error(&[0x0e], WireError::UnknownWireType(6));
    check_error(&[0x0c], WireError::UnexpectedEndGroup(1));
    check_error(&[0x0b, 0x14], WireError::UnexpectedEndGroup(2));
    check_error(&[0x0b, 0x08, 0x01], WireError::Truncated);
    check_error(
        &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
        WireError::VarintTooLong,
    );
    check_error(&[255, 255, 255, 255, 127], WireError::VarintTooLong);
}

#[test]
fn an_announced_length_allocates_nothing() {
    let mut bytes = vec![0x12];
    Writer::new(&mut bytes).varint(u64::MAX);
    check_error(
        &bytes,
        WireError::LengthBeyondEnd {
            announced: u64::MAX,
            remaining: 0,
        },
    );
    let mut reader = Reader::new(&bytes[1..]);
    assert!(matches!(
        reader.string(),
        Err(WireError::LengthBeyondEnd { .. })
    ));
}

#[test]
fn groups_and_messages_nest_to_the_limit_only() {
    let groups = |depth: usize| [vec![0x0b; depth], vec![0x0c; depth]].concat();
    assert_eq!(
        skip_all(Reader::new(&groups(MAX_DEPTH as usize)[..])),
        Ok(())
    );
    check_error(
        &groups(MAX_DEPTH as usize + 1),
        WireError::TooDeep { max: MAX_DEPTH },
    );
    check_error(&vec![0x0b; 1 << 20], WireError::TooDeep { max: MAX_DEPTH });

    fn descend(reader: &mut Reader<&[u8]>) -> Result<u32, WireError> {
        match reader.next_field()? {
            None => Ok(0),
            Some(_) => Ok(1 + reader.message(descend)?),
        }
    }
    let mut bytes = Vec::new();
    for depth in 1..=MAX_DEPTH + 1 {
        let mut outer = Vec::new();
        Writer::new(&mut outer).bytes_field(1, &bytes);
        bytes = outer;
        let expected = if depth <= MAX_DEPTH {
            Ok(depth)
        } else {
            Err(WireError::TooDeep { max: MAX_DEPTH })
        };
        assert_eq!(descend(&mut Reader::new(&bytes[..])), expected);
    }
}

#[test]
fn a_message_does_not_read_beyond_its_end() {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    writer.nested(1, |inner| inner.raw(&[0x08, 0x80]));
    writer.varint_field(1, 1);
    let mut reader = Reader::new(&bytes[..]);
    reader.next_field().expect("key").expect("field");
    let result = reader.message(|inner| {
        inner.next_field()?;
        inner.varint()
    });
    assert_eq!(result, Err(WireError::Truncated));
}

#[test]
fn what_a_message_leaves_unread_is_skipped() {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    writer.nested(1, |inner| inner.bytes_field(7, b"unread"));
    writer.varint_field(2, 5);
    let mut reader = Reader::new(&bytes[..]);
    reader.next_field().expect("key").expect("field");
    reader.message(|_| Ok::<_, WireError>(())).expect("whole");
    assert_eq!(reader.next_field(), Ok(Some((2, WireType::Varint))));
    assert_eq!(reader.varint(), Ok(5));
}

#[test]
fn slices_are_borrowed() {
    let mut bytes = Vec::new();
    bytes.put_slice(&[2, b'o', b'k', 1, 0xff]);
    let mut reader = Reader::new(&bytes[..]);
    assert_eq!(reader.str(), Ok("ok"));
    assert_eq!(reader.str(), Err(WireError::InvalidUtf8));
}
