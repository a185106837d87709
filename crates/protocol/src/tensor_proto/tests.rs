//! Tests of tensors on the wire: round trips, TensorFlow's rules, golden bytes, hostile bytes.

mod against_prost;

use bytes::{Bytes, BytesMut};
use half::f16;
use proptest::prelude::*;
use salver_tensor::{DType, Shape, Tensor};
use salver_wire::Writer;

use super::*;
use crate::rope::Rope;

/// Enough for every tensor of these tests.
const ROOM: usize = 1 << 20;

/// A tensor of any dtype with any bits in it.
pub(crate) fn any_tensor() -> impl Strategy<Value = Tensor> {
    let shape = prop::collection::vec(0_usize..5, 0..4);
    let bytes = prop::collection::vec(any::<u8>(), 4 * 4 * 4 * 16);
    (prop::sample::select(DType::ALL.to_vec()), shape, bytes).prop_map(
        |(dtype, shape, mut bytes)| {
            let shape = Shape::from(shape);
            let len = shape.num_elements().expect("small");
            match dtype.size() {
                None => {
                    let strings = (0..len)
                        .map(|idx| Bytes::copy_from_slice(&bytes[idx..idx + idx % 4]))
                        .collect();
                    Tensor::from_strings(shape, strings).expect("fits")
                }
                Some(size) => {
                    bytes.truncate(len * size);
                    if dtype == DType::Bool {
                        bytes.iter_mut().for_each(|byte| *byte &= 1);
                    }
                    Tensor::from_bytes(dtype, shape, bytes.into()).expect("fits")
                }
            }
        },
    )
}

pub(crate) fn any_style() -> impl Strategy<Value = TensorStyle> {
    prop::sample::select(vec![TensorStyle::Fields, TensorStyle::Content])
}

/// Cuts bytes into frames of the given lengths, over and over.
pub(crate) fn frames(bytes: &[u8], lens: &[usize]) -> Rope {
    let mut rest = Bytes::copy_from_slice(bytes);
    let mut rope = Rope::default();
    for &len in lens.iter().cycle().take_while(|_| !bytes.is_empty()) {
        let len = len.clamp(1, rest.len());
        rope.push(rest.split_to(len));
        if rest.is_empty() {
            break;
        }
    }
    rope
}

pub(crate) fn any_lens() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1_usize..70, 1..6)
}

fn encoded(tensor: &Tensor, style: TensorStyle) -> BytesMut {
    let mut out = BytesMut::new();
    encode(tensor, style, &mut out);
    out
}

proptest! {
    #[test]
    fn decode_undoes_encode(tensor in any_tensor(), style in any_style(), lens in any_lens()) {
        let bytes = encoded(&tensor, style);
        prop_assert_eq!(bytes.len(), TensorEncoder::new(&tensor, style).encoded_len());
        prop_assert_eq!(decode(&bytes[..], ROOM).expect("valid"), tensor.clone());
        prop_assert_eq!(decode(frames(&bytes, &lens), ROOM).expect("valid"), tensor);
    }

    #[test]
    fn random_bytes_do_not_panic_and_frames_do_not_matter(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..0x90], 0..120),
        lens in any_lens(),
    ) {
        prop_assert_eq!(decode(&bytes[..], ROOM), decode(frames(&bytes, &lens), ROOM));
    }

    #[test]
    fn truncated_messages_are_errors_or_tensors(tensor in any_tensor(), style in any_style(), end in 0_usize..200) {
        let bytes = encoded(&tensor, style);
        let end = end.min(bytes.len());
        let truncated = &bytes[..end];
        if let Ok(decoded) = decode(truncated, ROOM) {
            prop_assert!(decoded.num_bytes() <= ROOM);
        }
    }
}

/// A message of dtype, shape and what `values` adds.
fn message(data_type: u64, dims: &[i64], values: impl FnOnce(&mut Writer<Vec<u8>>)) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    writer.varint_field(field::DTYPE, data_type);
    writer.nested(field::TENSOR_SHAPE, |shape| {
        for &dim in dims {
            shape.nested(2, |writer| writer.varint_field(1, dim.cast_unsigned()));
        }
    });
    values(&mut writer);
    writer.into_inner()
}

const FLOAT: u64 = 1;
const INT32: u64 = 3;
const UINT8: u64 = 4;
const STRING: u64 = 7;
const COMPLEX64: u64 = 8;
const INT64: u64 = 9;
const BOOL: u64 = 10;
const HALF: u64 = 19;

#[track_caller]
fn check(bytes: &[u8], expected: &Result<Tensor, TensorProtoError>) {
    assert_eq!(&decode(bytes, ROOM), expected);
    assert_eq!(&decode(frames(bytes, &[1]), ROOM), expected);
}

#[test]
fn a_short_list_repeats_its_last_element() {
    let bytes = message(FLOAT, &[2, 2], |writer| {
        writer.fixed32_field(field::FLOAT_VAL, 1.0_f32.to_bits());
        writer.fixed32_field(field::FLOAT_VAL, 2.0_f32.to_bits());
    });
    check(
        &bytes,
        &Ok(Tensor::from_vec([2, 2], vec![1.0_f32, 2.0, 2.0, 2.0]).expect("fits")),
    );
    let bytes = message(STRING, &[3], |writer| {
        writer.bytes_field(field::STRING_VAL, b"a")
    });
    check(
        &bytes,
        &Ok(Tensor::from_strings([3], vec![Bytes::from("a"); 3]).expect("fits")),
    );
    let bytes = message(COMPLEX64, &[2], |writer| {
        for part in [1.0_f32, 2.0, 3.0] {
            writer.fixed32_field(field::SCOMPLEX_VAL, part.to_bits());
        }
    });
    check(
        &bytes,
        &Ok(Tensor::from_vec([2], vec![[1.0_f32, 2.0]; 2]).expect("fits")),
    );
}

#[test]
fn an_empty_list_means_zeros_or_empty_strings() {
    check(
        &message(FLOAT, &[2], |_| {}),
        &Ok(Tensor::from_vec([2], vec![0.0_f32; 2]).expect("fits")),
    );
    check(
        &message(STRING, &[2], |_| {}),
        &Ok(Tensor::from_strings([2], vec![Bytes::new(); 2]).expect("fits")),
    );
    check(
        &message(COMPLEX64, &[1], |writer| {
            writer.fixed32_field(field::SCOMPLEX_VAL, 1.0_f32.to_bits());
        }),
        &Ok(Tensor::from_vec([1], vec![[0.0_f32; 2]]).expect("fits")),
    );
}

#[test]
fn a_surplus_is_ignored() {
    let bytes = message(INT64, &[], |writer| {
        writer.varint_field(field::INT64_VAL, 7);
        writer.varint_field(field::INT64_VAL, 8);
    });
    check(
        &bytes,
        &Ok(Tensor::from_vec([0_usize; 0], vec![7_i64]).expect("fits")),
    );
    let bytes = message(FLOAT, &[0], |writer| {
        writer.bytes_field(field::TENSOR_CONTENT, b"whatever")
    });
    check(
        &bytes,
        &Ok(Tensor::from_vec([0], Vec::<f32>::new()).expect("fits")),
    );
}

#[test]
fn lists_of_other_dtypes_are_ignored() {
    let bytes = message(INT32, &[1], |writer| {
        writer.fixed32_field(field::FLOAT_VAL, 1.0_f32.to_bits());
        writer.varint_field(field::INT_VAL, 5);
    });
    check(
        &bytes,
        &Ok(Tensor::from_vec([1], vec![5_i32]).expect("fits")),
    );
}

#[test]
fn small_integers_wrap_and_halves_are_bits() {
    let bytes = message(UINT8, &[2], |writer| {
        writer.varint_field(field::INT_VAL, 300);
        writer.varint_field(field::INT_VAL, (-1_i64).cast_unsigned());
    });
    check(
        &bytes,
        &Ok(Tensor::from_vec([2], vec![44_u8, 255]).expect("fits")),
    );
    let one = f16::from_f32(1.0);
    let bytes = message(HALF, &[1], |writer| {
        writer.varint_field(field::HALF_VAL, u64::from(one.to_bits()))
    });
    check(&bytes, &Ok(Tensor::from_vec([1], vec![one]).expect("fits")));
}

#[test]
fn any_byte_but_zero_is_true() {
    let expected = Tensor::from_bools([3], &[true, false, true]).expect("fits");
    let bytes = message(BOOL, &[3], |writer| {
        writer.bytes_field(field::TENSOR_CONTENT, &[255, 0, 1])
    });
    check(&bytes, &Ok(expected.clone()));
    let bytes = message(BOOL, &[3], |writer| {
        for value in [300, 0, 1] {
            writer.varint_field(field::BOOL_VAL, value);
        }
    });
    check(&bytes, &Ok(expected));
}

#[test]
fn content_of_wrong_length_is_an_error() {
    let bytes = message(FLOAT, &[2], |writer| {
        writer.bytes_field(field::TENSOR_CONTENT, &[0; 7])
    });
    assert!(matches!(
        decode(&bytes[..], ROOM),
        Err(TensorProtoError::ContentLength(_))
    ));
}

#[test]
fn strings_may_come_as_one_block() {
    let bytes = message(STRING, &[2], |writer| {
        writer.bytes_field(field::TENSOR_CONTENT, b"\x01\x03abcd")
    });
    check(
        &bytes,
        &Ok(Tensor::from_strings([2], vec![Bytes::from("a"), Bytes::from("bcd")]).expect("fits")),
    );
    for block in [
        &b"\x01\x03abc"[..],
        b"\x01\x03abcde",
        b"\x01",
        b"\xff\xff\xff\xff\x7f\x00",
    ] {
        let bytes = message(STRING, &[2], |writer| {
            writer.bytes_field(field::TENSOR_CONTENT, block)
        });
        check(
            &bytes,
            &Err(TensorProtoError::ContentStrings { expected: 2 }),
        );
    }
}

#[test]
fn absurd_shapes_are_errors_and_allocate_nothing() {
    let too_large = || Err(TensorProtoError::TooLarge { max_bytes: ROOM });
    for data_type in [FLOAT, STRING, UINT8, INT64] {
        check(&message(data_type, &[1 << 40], |_| {}), &too_large());
        for sizes in [&[i64::MAX, i64::MAX][..], &[1 << 62, 1 << 62, 0]] {
            let shape: Vec<usize> = sizes.iter().map(|&size| size as usize).collect();
            check(
                &message(data_type, sizes, |_| {}),
                &Err(TensorProtoError::Overflow(Shape::from(shape.as_slice()))),
            );
        }
    }
    check(
        &message(FLOAT, &[1 << 40], |writer| {
            writer.fixed32_field(field::FLOAT_VAL, 1)
        }),
        &too_large(),
    );
    let size = -1;
    check(
        &message(FLOAT, &[3, size], |_| {}),
        &Err(TensorProtoError::InvalidDim { axis: 1, size }),
    );
    check(
        &message(FLOAT, &[1; 254], |_| {}),
        &Ok(Tensor::from_vec(vec![1; 254], vec![0.0_f32]).expect("fits")),
    );
    check(
        &message(FLOAT, &[1; 255], |_| {}),
        &Err(TensorProtoError::TooManyDims { max: 254 }),
    );
}

#[test]
fn elements_beyond_the_room_are_errors() {
    let room = 64;
    let ones = |field: u32, len: usize| {
        move |writer: &mut Writer<Vec<u8>>| writer.bytes_field(field, &vec![1; len])
    };
    for (data_type, values, len) in [
        (INT64, field::INT64_VAL, 9),
        (UINT8, field::INT_VAL, 65),
        (FLOAT, field::FLOAT_VAL, 68),
    ] {
        let bytes = message(data_type, &[1], ones(values, len));
        assert_eq!(
            decode(&bytes[..], room),
            Err(TensorProtoError::TooLarge { max_bytes: room })
        );
    }
    let bytes = message(STRING, &[1], |writer| {
        (0..3).for_each(|_| writer.bytes_field(field::STRING_VAL, b""))
    });
    assert_eq!(
        decode(&bytes[..], room),
        Err(TensorProtoError::TooLarge { max_bytes: room })
    );
}

#[test]
fn unserved_dtypes_are_errors() {
    for data_type in [0, 11, 20, 21, 24, 29, 101, 999] {
        let unsupported = TensorProtoError::UnsupportedDType { data_type };
        check(
            &message(u64::from(data_type.cast_unsigned()), &[1], |_| {}),
            &Err(unsupported),
        );
    }
    check(
        &[],
        &Err(TensorProtoError::UnsupportedDType { data_type: 0 }),
    );
}

#[test]
fn a_dtype_that_changes_behind_elements_is_an_error() {
    let bytes = message(UINT8, &[1], |writer| {
        writer.varint_field(field::INT_VAL, 300);
        writer.varint_field(field::DTYPE, INT32);
    });
    check(
        &bytes,
        &Err(TensorProtoError::DTypeChanged {
            first: 4,
            second: 3,
        }),
    );
}

#[test]
fn aligned_numbers_in_one_frame_are_not_copied() {
    for values in [field::TENSOR_CONTENT, field::FLOAT_VAL] {
        let mut shared = 0;
        for offset in 0..4 {
            let mut bytes = vec![0; offset];
            bytes.extend(message(FLOAT, &[2], |writer| {
                writer.bytes_field(values, &[1; 8])
            }));
            let frame = Bytes::from(bytes).slice(offset..);
            let tensor = decode(Rope::from(frame.clone()), ROOM).expect("valid");
            let numbers = tensor.as_bytes().expect("numbers");
            assert_eq!(numbers.as_ptr().addr() % 4, 0);
            shared += usize::from(frame.as_ptr_range().contains(&numbers.as_ptr()));
        }
        assert_eq!(shared, 1, "exactly one of four offsets is aligned");
    }
}

#[test]
fn golden_bytes() {
    let golden = |tensor: &Tensor, style| {
        encoded(tensor, style)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let floats = Tensor::from_vec([2], vec![1.0_f32, -2.0]).expect("fits");
    assert_eq!(
        golden(&floats, TensorStyle::Fields),
        "08 01 12 04 12 02 08 02 2a 08 00 00 80 3f 00 00 00 c0"
    );
    assert_eq!(
        golden(&floats, TensorStyle::Content),
        "08 01 12 04 12 02 08 02 22 08 00 00 80 3f 00 00 00 c0"
    );
    let integers = Tensor::from_vec([1, 2], vec![-1_i32, 300]).expect("fits");
    assert_eq!(
        golden(&integers, TensorStyle::Fields),
        "08 03 12 08 12 02 08 01 12 02 08 02 3a 0c ff ff ff ff ff ff ff ff ff 01 ac 02"
    );
    let strings = Tensor::from_strings([2], vec![Bytes::from("ab"), Bytes::new()]).expect("fits");
    assert_eq!(
        golden(&strings, TensorStyle::Fields),
        "08 07 12 04 12 02 08 02 42 02 61 62 42 00"
    );
    assert_eq!(
        golden(&strings, TensorStyle::Content),
        "08 07 12 04 12 02 08 02 42 02 61 62 42 00"
    );
    let scalar = Tensor::from_bools(Shape::scalar(), &[true]).expect("fits");
    assert_eq!(golden(&scalar, TensorStyle::Fields), "08 0a 12 00 5a 01 01");
    let empty = Tensor::from_vec([0, 3], Vec::<u64>::new()).expect("fits");
    assert_eq!(
        golden(&empty, TensorStyle::Fields),
        "08 17 12 06 12 00 12 02 08 03"
    );
    let half = Tensor::from_vec([1], vec![f16::from_f32(1.0)]).expect("fits");
    assert_eq!(
        golden(&half, TensorStyle::Fields),
        "08 13 12 04 12 02 08 01 6a 02 80 78"
    );
}
