use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{DType, Shape};

/// Parts of one random dtype and row shape, with random numbers of rows.
fn parts() -> impl Strategy<Value = Vec<Tensor>> {
    let dtype = prop::sample::select(DType::ALL.to_vec());
    let row_shape = prop::collection::vec(0_usize..4, 0..3);
    let rows = prop::collection::vec(0_usize..5, 1..6);
    (dtype, row_shape, rows, any::<u64>()).prop_map(|(dtype, row_shape, rows, seed)| {
        rows.iter()
            .enumerate()
            .map(|(idx, &num_rows)| part(dtype, &row_shape, num_rows, seed ^ idx as u64))
            .collect()
    })
}

fn part(dtype: DType, row_shape: &[usize], num_rows: usize, seed: u64) -> Tensor {
    let shape: Shape = std::iter::once(num_rows)
        .chain(row_shape.iter().copied())
        .collect();
    let len = shape.num_elements().expect("small");
    let byte = |idx: usize| (seed.wrapping_mul(31).wrapping_add(idx as u64) % 251) as u8;
    match dtype.size() {
        None => {
            let strings = (0..len)
                .map(|idx| Bytes::from(vec![byte(idx); idx % 3]))
                .collect();
            Tensor::from_strings(shape, strings).expect("fits")
        }
        Some(size) => {
            let bytes: Vec<u8> = (0..len * size).map(byte).collect();
            Tensor::from_bytes(dtype, shape, bytes.into()).expect("fits")
        }
    }
}

/// Returns an element as bytes.
fn element(tensor: &Tensor, index: &[usize]) -> Bytes {
    let mut place = 0;
    for (extent, idx) in tensor.shape().iter().zip(index) {
        place = place * extent + idx;
    }
    match (
        tensor.as_strings(),
        tensor.as_bytes(),
        tensor.dtype().size(),
    ) {
        (Some(strings), _, _) => strings[place].clone(),
        (_, Some(bytes), Some(size)) => bytes.slice(place * size..(place + 1) * size),
        _ => unreachable!("a tensor has strings or numbers"),
    }
}

proptest! {
    #[test]
    fn padded_parts_keep_their_elements_among_copies_of_the_first(
        dtype in prop::sample::select(DType::ALL.to_vec()),
        shapes in prop::collection::vec((1..3_usize, 1..4_usize, 1..4_usize), 1..4),
        seed in any::<u64>(),
    ) {
        let parts: Vec<Tensor> = shapes
            .iter()
            .map(|&(rows, high, wide)| part(dtype, &[high, wide], rows, seed))
            .collect();
        let padded = pad_lengths(&parts, 1 << 20).expect("they are of one rank");
        let high = shapes.iter().map(|shape| shape.1).max().expect("there is one");
        let wide = shapes.iter().map(|shape| shape.2).max().expect("there is one");
        for (part, padded) in parts.iter().zip(&padded) {
            let rows = part.shape()[0];
            prop_assert_eq!(&**padded.shape(), &[rows, high, wide]);
            for index in (0..rows * high * wide).map(|idx| [idx / (high * wide), idx / wide % high, idx % wide]) {
                let is_inside = index.iter().zip(part.shape().iter()).all(|(idx, extent)| idx < extent);
                let expected = element(part, if is_inside { &index } else { &[0, 0, 0] });
                prop_assert_eq!(element(padded, &index), expected, "{:?}", index);
            }
        }
    }

    #[test]
    fn split_undoes_concat(parts in parts()) {
        let rows: Vec<usize> = parts.iter().map(|part| part.num_rows().expect("batch")).collect();
        let joined = concat(&parts).expect("parts fit");
        prop_assert_eq!(joined.num_rows(), Some(rows.iter().sum()));
        prop_assert_eq!(split(&joined, &rows).expect("rows add up"), parts);
    }

    #[test]
    fn pad_keeps_rows_and_repeats_the_first(parts in parts(), extra in 0_usize..4) {
        let tensor = &parts[0];
        let rows = tensor.num_rows().expect("batch");
        let padded = pad(tensor, rows + extra);
        if rows == 0 && extra > 0 {
            prop_assert!(padded.is_err());
        } else {
            let padded = padded.expect("there is a row to repeat");
            prop_assert_eq!(&padded.rows(0, rows), tensor);
            for row in rows..rows + extra {
                prop_assert_eq!(padded.rows(row, row + 1), tensor.rows(0, 1));
            }
        }
    }

    #[test]
    fn misaligned_bytes_are_realigned(offset in 0_usize..16, values in prop::collection::vec(any::<i64>(), 0..9)) {
        let mut bytes = vec![0_u8; offset];
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let borrowed = Bytes::from(bytes).slice(offset..);
        let tensor = Tensor::from_bytes(DType::I64, [values.len()], borrowed).expect("length fits");
        prop_assert_eq!(tensor.as_slice::<i64>().expect("i64"), &values[..]);
    }
}

#[test]
fn parts_that_cannot_be_filled_up_are_refused() {
    let of = |shape: &[usize]| {
        Tensor::from_vec(shape, vec![1.0_f32; shape.iter().product()]).expect("fits")
    };
    assert!(
        pad_lengths(&[of(&[1, 2]), of(&[1])], 100).is_err(),
        "two ranks"
    );
    assert!(
        pad_lengths(&[of(&[1, 2]), of(&[1, 0])], 100).is_err(),
        "nothing to fill with"
    );
    assert_eq!(pad_lengths(&[], 100), Err(TensorError::Empty));
    let crossed = [of(&[1, 1000, 1]), of(&[1, 1, 1000])];
    let refused = pad_lengths(&crossed, 1 << 20);
    assert!(matches!(refused, Err(TensorError::TooLarge { .. })));
    assert!(pad_lengths(&crossed, 8_000_000).is_ok());
    let huge = Tensor::from_bytes(DType::F32, [1, 0, 1 << 61], Bytes::new()).expect("fits");
    assert!(pad_lengths(&[of(&[1, 1, 1]), huge], usize::MAX).is_err());
}

#[test]
fn concat_names_the_part_that_differs() {
    let a = Tensor::from_vec([1, 2], vec![1.0_f32, 2.0]).expect("fits");
    let b = Tensor::from_vec([1, 3], vec![1.0_f32, 2.0, 3.0]).expect("fits");
    let error = concat(&[a.clone(), a.clone(), b]).expect_err("shapes differ");
    assert!(
        matches!(error, TensorError::ShapeMismatch { part_idx: 2, .. }),
        "{error}"
    );
    let c = Tensor::from_vec([1, 2], vec![1_i32, 2]).expect("fits");
    let error = concat(&[a, c]).expect_err("dtypes differ");
    assert_eq!(
        error.to_string(),
        "part 1 is i32[1,2], the first part is f32[1,2]; they may differ in axis 0 only"
    );
}

#[test]
fn one_part_is_not_copied() {
    let a = Tensor::from_vec([2], vec![1.0_f32, 2.0]).expect("fits");
    let joined = concat(std::slice::from_ref(&a)).expect("one part");
    assert_eq!(
        joined.as_bytes().expect("numbers").as_ptr(),
        a.as_bytes().expect("numbers").as_ptr()
    );
}

#[test]
fn absurd_shapes_are_errors() {
    let error =
        Tensor::from_bytes(DType::F32, [usize::MAX, 2], Bytes::new()).expect_err("overflows");
    assert!(matches!(error, TensorError::TooLarge { .. }));
    let error = Tensor::from_bytes(DType::F64, [usize::MAX], Bytes::new()).expect_err("overflows");
    assert!(matches!(error, TensorError::TooLarge { .. }));
    assert_eq!(concat(&[]).expect_err("nothing"), TensorError::Empty);
}

#[test]
fn buffers_start_at_a_cache_line() {
    for len in [1_usize, 7, 100] {
        let tensor = Tensor::from_aligned([len], AlignedVec::<f32>::zeroed(len)).expect("fits");
        assert_eq!(tensor.as_bytes().expect("numbers").as_ptr().addr() % 64, 0);
    }
}
