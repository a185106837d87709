//! The decoder against the generated one: on any legal order and packing of fields both see the same message.

use prost::Message;
use salver_proto::tensorflow::tensor_shape_proto::Dim;
use salver_proto::tensorflow::{TensorProto, TensorShapeProto};
use salver_wire::{Reader, WireType};

use super::*;

/// A message with something in several of its fields, of which at most one list belongs to the dtype.
fn any_proto() -> impl Strategy<Value = TensorProto> {
    let header = (
        0_i32..25,
        prop::option::of(prop::collection::vec(-1_i64..4, 0..3)),
    );
    let content =
        prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(any::<u8>(), 0..20)];
    let floats = (
        prop::collection::vec(any::<f32>(), 0..6),
        prop::collection::vec(any::<f64>(), 0..6),
        prop::collection::vec(any::<f32>(), 0..6),
        prop::collection::vec(any::<f64>(), 0..6),
    );
    let integers = (
        prop::collection::vec(any::<i32>(), 0..6),
        prop::collection::vec(any::<i64>(), 0..6),
        prop::collection::vec(any::<i32>(), 0..6),
        prop::collection::vec(any::<u32>(), 0..6),
        prop::collection::vec(any::<u64>(), 0..6),
        prop::collection::vec(any::<bool>(), 0..6),
    );
    let strings = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..6);
    (header, content, floats, integers, strings).prop_map(
        |((dtype, dims), content, floats, integers, strings)| TensorProto {
            dtype,
            tensor_shape: dims.map(|dims| TensorShapeProto {
                dim: dims
                    .into_iter()
                    .map(|size| Dim {
                        size,
                        name: "d".into(),
                    })
                    .collect(),
                unknown_rank: false,
            }),
            version_number: 1,
            tensor_content: content.into(),
            float_val: floats.0,
            double_val: floats.1,
            scomplex_val: floats.2,
            dcomplex_val: floats.3,
            int_val: integers.0,
            int64_val: integers.1,
            half_val: integers.2,
            uint32_val: integers.3,
            uint64_val: integers.4,
            bool_val: integers.5,
            string_val: strings.into_iter().map(Bytes::from).collect(),
            float8_val: Bytes::from_static(b"8"),
            ..TensorProto::default()
        },
    )
}

/// What TensorFlow makes of a message, written down as plainly as can be.
fn expected(proto: &TensorProto) -> Option<Tensor> {
    let dtype = dtype_of(proto.dtype)?;
    let dims = proto
        .tensor_shape
        .as_ref()
        .map_or(&[][..], |shape| &shape.dim);
    let shape = dims
        .iter()
        .map(|dim| usize::try_from(dim.size).ok())
        .collect::<Option<Vec<_>>>()?;
    let len = shape.iter().product::<usize>();
    let Some(size) = dtype.size() else {
        let strings = if len == 0 || proto.tensor_content.is_empty() {
            repeat(&proto.string_val, len)
        } else {
            super::super::decode::strings_of_content(&proto.tensor_content, len)?
        };
        return Tensor::from_strings(shape, strings).ok();
    };
    let bytes = if len == 0 || proto.tensor_content.is_empty() {
        repeat(&elements(proto, dtype), len).concat()
    } else {
        let content = proto.tensor_content.iter();
        content
            .map(|&byte| {
                if dtype == DType::Bool {
                    u8::from(byte != 0)
                } else {
                    byte
                }
            })
            .collect()
    };
    let bytes = if bytes.is_empty() {
        vec![0; len * size]
    } else {
        bytes
    };
    Tensor::from_bytes(dtype, shape, bytes.into()).ok()
}

fn repeat<T: Clone + Default>(given: &[T], len: usize) -> Vec<T> {
    let last = given.last().cloned().unwrap_or_default();
    (0..len)
        .map(|idx| given.get(idx).unwrap_or(&last).clone())
        .collect()
}

/// Returns the bytes of each listed element.
fn elements(proto: &TensorProto, dtype: DType) -> Vec<Vec<u8>> {
    fn bytes<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<Vec<u8>> {
        values.iter().map(|&value| bytes(value).to_vec()).collect()
    }
    fn pairs(parts: &[Vec<u8>]) -> Vec<Vec<u8>> {
        parts.chunks_exact(2).map(<[Vec<u8>]>::concat).collect()
    }
    match dtype {
        DType::Bool => bytes(&proto.bool_val, |value| [u8::from(value)]),
        DType::U8 | DType::I8 => bytes(&proto.int_val, |value| [value as u8]),
        DType::U16 | DType::I16 => bytes(&proto.int_val, |value| (value as u16).to_le_bytes()),
        DType::I32 => bytes(&proto.int_val, i32::to_le_bytes),
        DType::F16 | DType::BF16 => bytes(&proto.half_val, |value| (value as u16).to_le_bytes()),
        DType::U32 => bytes(&proto.uint32_val, u32::to_le_bytes),
        DType::U64 => bytes(&proto.uint64_val, u64::to_le_bytes),
        DType::I64 => bytes(&proto.int64_val, i64::to_le_bytes),
        DType::F32 => bytes(&proto.float_val, f32::to_le_bytes),
        DType::F64 => bytes(&proto.double_val, f64::to_le_bytes),
        DType::Complex64 => pairs(&bytes(&proto.scomplex_val, f32::to_le_bytes)),
        DType::Complex128 => pairs(&bytes(&proto.dcomplex_val, f64::to_le_bytes)),
        DType::String => Vec::new(),
    }
}

/// Cuts a message into its fields; `unpack` tells for each packed list whether to write its elements one by one.
fn fields(message: &[u8], mut unpack: impl FnMut() -> bool) -> Vec<Vec<u8>> {
    let mut reader = Reader::new(message);
    let mut fields = Vec::new();
    while let Some((number, wire_type)) = reader.next_field().expect("valid") {
        let mut one = Writer::new(Vec::new());
        match wire_type {
            WireType::Varint => one.varint_field(number, reader.varint().expect("valid")),
            WireType::Len => {
                let payload = reader.slice().expect("valid");
                if is_packed(number) && unpack() {
                    fields.extend(unpacked(number, payload));
                    continue;
                }
                one.bytes_field(number, payload);
            }
            other => panic!("{other:?} does not occur in packed messages"),
        }
        fields.push(one.into_inner());
    }
    fields
}

fn is_packed(number: u32) -> bool {
    (field::FLOAT_VAL..=field::UINT64_VAL).contains(&number)
        && !matches!(number, field::STRING_VAL | 14 | 15)
}

fn unpacked(number: u32, payload: &[u8]) -> Vec<Vec<u8>> {
    let one = |write: &dyn Fn(&mut Writer<Vec<u8>>)| {
        let mut writer = Writer::new(Vec::new());
        write(&mut writer);
        writer.into_inner()
    };
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let double_word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    match number {
        field::FLOAT_VAL | field::SCOMPLEX_VAL => payload
            .chunks_exact(4)
            .map(|part| one(&|writer| writer.fixed32_field(number, word(part))))
            .collect(),
        field::DOUBLE_VAL | field::DCOMPLEX_VAL => payload
            .chunks_exact(8)
            .map(|part| one(&|writer| writer.fixed64_field(number, double_word(part))))
            .collect(),
        _ => {
            let mut reader = Reader::new(payload);
            let mut fields = Vec::new();
            while reader.remaining() > 0 {
                let value = reader.varint().expect("valid");
                fields.push(one(&|writer| writer.varint_field(number, value)));
            }
            fields
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn sees_what_the_generated_decoder_sees(proto in any_proto(), lens in any_lens()) {
        let bytes = proto.encode_to_vec();
        prop_assert_eq!(decode(frames(&bytes, &lens), ROOM).ok(), expected(&proto));
    }

    #[test]
    fn order_and_packing_of_fields_do_not_matter(
        proto in any_proto(),
        order in prop::collection::vec(any::<u16>(), 80),
        unpack in prop::collection::vec(any::<bool>(), 20),
        lens in any_lens(),
    ) {
        let mut unpack = unpack.into_iter();
        let mut fields = fields(&proto.encode_to_vec(), || unpack.next().unwrap_or(false));
        // Equal keys keep their order, so that a shuffle of few keys leaves runs together.
        let mut keys = order.into_iter();
        fields.sort_by_cached_key(|_| keys.next());
        let bytes = fields.concat();
        let shuffled = TensorProto::decode(&bytes[..]).expect("still legal");
        prop_assert_eq!(decode(frames(&bytes, &lens), ROOM).ok(), expected(&shuffled));
    }

    #[test]
    fn the_generated_decoder_reads_what_is_written(tensor in any_tensor(), style in any_style()) {
        let bytes = encoded(&tensor, style);
        let proto = TensorProto::decode(&bytes[..]).expect("legal");
        prop_assert_eq!(&proto.encode_to_vec(), &bytes, "the very bytes that generated code writes");
        prop_assert_eq!(expected(&proto), Some(tensor));
    }
}
