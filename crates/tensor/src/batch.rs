//! Joining, splitting and padding along axis 0, the batch axis.

use bytes::Bytes;

use crate::{AlignedVec, Shape, Tensor, TensorError};

/// Joins per-request tensors into one batch along axis 0.
///
/// # Shapes
/// `parts[i]` is `[b_i, d1, …, dn]`, one dtype, equal `d1…dn`. The result is `[Σ b_i, d1, …, dn]`; [`split`] undoes
/// it. A single part is returned as it is, without a copy.
///
/// # Errors
/// [`TensorError::ShapeMismatch`] names the first part that differs; [`TensorError::Empty`] if `parts` is empty;
/// [`TensorError::NoBatchAxis`] for scalars.
pub fn concat(parts: &[Tensor]) -> Result<Tensor, TensorError> {
    let first = parts.first().ok_or(TensorError::Empty)?;
    let mut num_rows = 0;
    for (part_idx, part) in parts.iter().enumerate() {
        num_rows += part.num_rows().ok_or(TensorError::NoBatchAxis)?;
        if part.dtype() != first.dtype() || part.shape().get(1..) != first.shape().get(1..) {
            return Err(mismatch(part_idx, first, part));
        }
    }
    if parts.len() == 1 {
        return Ok(first.clone());
    }
    join(parts, num_rows)
}

/// Splits a batch into consecutive parts of the given numbers of rows; numbers are shared, not copied.
///
/// # Shapes
/// `tensor` is `[Σ num_rows, d1, …]`; part `i` is `[num_rows[i], d1, …]`.
///
/// # Errors
/// [`TensorError::RowsMismatch`] if the rows do not add up; [`TensorError::NoBatchAxis`] for a scalar.
pub fn split(tensor: &Tensor, num_rows: &[usize]) -> Result<Vec<Tensor>, TensorError> {
    let actual = tensor.num_rows().ok_or(TensorError::NoBatchAxis)?;
    let expected = num_rows.iter().sum();
    if actual != expected {
        return Err(TensorError::RowsMismatch { expected, actual });
    }
    let mut start = 0;
    Ok(num_rows
        .iter()
        .map(|&rows| {
            let part = tensor.rows(start, start + rows);
            start += rows;
            part
        })
        .collect())
}

/// Pads a batch to `num_rows` rows by repeating its first row, as TensorFlow Serving does: a real row cannot make a
/// model fail where zeros might.
///
/// # Shapes
/// `[b, d1, …]` to `[num_rows, d1, …]`, `1 ≤ b ≤ num_rows`.
///
/// # Errors
/// [`TensorError::RowsMismatch`] if there is no row to repeat or there are too many already.
pub fn pad(tensor: &Tensor, num_rows: usize) -> Result<Tensor, TensorError> {
    let actual = tensor.num_rows().ok_or(TensorError::NoBatchAxis)?;
    if actual == num_rows {
        return Ok(tensor.clone());
    }
    if actual == 0 || actual > num_rows {
        return Err(TensorError::RowsMismatch {
            expected: num_rows,
            actual,
        });
    }
    let first_row = tensor.rows(0, 1);
    let mut parts = vec![tensor.clone()];
    parts.resize(1 + num_rows - actual, first_row);
    join(&parts, num_rows)
}

/// Fills parts up along every axis but the first, each to the longest of them, with its own first element, as TensorFlow
/// Serving does.
///
/// # Shapes
/// `parts[i]` is `[b_i, d1_i, …]`, all of one rank; each becomes `[b_i, max d1, …]`.
///
/// # Errors
/// [`TensorError::ShapeMismatch`] names the first part of another rank; [`TensorError::Empty`] if there are no parts, or
/// one to be filled up has no element; [`TensorError::TooLarge`] if the results would take more than `max_bytes` together:
/// two short parts that are long in different axes make two large ones.
pub fn pad_lengths(parts: &[Tensor], max_bytes: usize) -> Result<Vec<Tensor>, TensorError> {
    let first = parts.first().ok_or(TensorError::Empty)?;
    let mut longest = first.shape().to_vec();
    for (part_idx, part) in parts.iter().enumerate() {
        if part.shape().len() != longest.len() {
            return Err(mismatch(part_idx, first, part));
        }
        for (longest, &extent) in longest.iter_mut().zip(part.shape().iter()) {
            *longest = extent.max(*longest);
        }
    }
    let longest_of = |part: &Tensor| match part.num_rows() {
        Some(num_rows) => Shape::from(&*longest).with_rows(num_rows),
        None => Shape::scalar(),
    };
    let mut num_bytes = 0_usize;
    for part in parts {
        let shape = longest_of(part);
        // A string takes its place at least.
        let size = part.dtype().size().unwrap_or(size_of::<Bytes>());
        let padded = shape
            .num_elements()
            .and_then(|elements| elements.checked_mul(size));
        let total = padded.and_then(|padded| num_bytes.checked_add(padded));
        match total.filter(|total| *total <= max_bytes) {
            Some(total) => num_bytes = total,
            None => {
                let dtype = part.dtype();
                return Err(TensorError::TooLarge { dtype, shape });
            }
        }
    }
    let pad = |part: &Tensor| match part.num_rows() {
        Some(_) => pad_to(part, longest_of(part)),
        None => Ok(part.clone()),
    };
    parts.iter().map(pad).collect()
}

fn pad_to(part: &Tensor, shape: Shape) -> Result<Tensor, TensorError> {
    if *part.shape() == shape {
        return Ok(part.clone());
    }
    let num_elements = shape.num_elements().ok_or_else(|| TensorError::TooLarge {
        dtype: part.dtype(),
        shape: shape.clone(),
    })?;
    if let Some(strings) = part.as_strings() {
        let fill = strings.first().ok_or(TensorError::Empty)?;
        let mut padded = vec![fill.clone(); num_elements];
        copy_rows(part.shape(), &shape, |from, to, len| {
            padded[to..to + len].clone_from_slice(&strings[from..from + len]);
        });
        return Tensor::from_strings(shape, padded);
    }
    let bytes = part.as_bytes().ok_or(TensorError::Empty)?;
    let size = part.dtype().size().ok_or(TensorError::Empty)?;
    let fill = bytes.get(..size).ok_or(TensorError::Empty)?;
    let mut padded = AlignedVec::<u8>::with_capacity(num_elements * size);
    for _ in 0..num_elements {
        padded.extend_from_slice(fill);
    }
    copy_rows(part.shape(), &shape, |from, to, len| {
        padded.as_mut_slice()[to * size..(to + len) * size]
            .copy_from_slice(&bytes[from * size..(from + len) * size]);
    });
    Tensor::from_bytes(part.dtype(), shape, padded.into_bytes())
}

/// Says which elements of a tensor go where in one that is longer along its axes: calls `copy` with the first element's
/// place in each, and how many follow each other.
fn copy_rows(from: &Shape, to: &Shape, mut copy: impl FnMut(usize, usize, usize)) {
    let Some((&len, outer)) = from.split_last() else {
        return;
    };
    if len == 0 {
        return;
    }
    for row in 0..outer.iter().product() {
        let (mut rest, mut place, mut stride) = (row, 0, to[outer.len()]);
        for (axis, &extent) in outer.iter().enumerate().rev() {
            place += rest % extent * stride;
            rest /= extent;
            stride *= to[axis];
        }
        copy(row * len, place, len);
    }
}

/// Copies parts that are known to fit together into one buffer.
fn join(parts: &[Tensor], num_rows: usize) -> Result<Tensor, TensorError> {
    let first = &parts[0];
    let shape = first.shape().with_rows(num_rows);
    if first.as_strings().is_some() {
        let strings = parts
            .iter()
            .flat_map(|part| part.as_strings().unwrap_or_default());
        return Tensor::from_strings(shape, strings.cloned().collect());
    }
    let numbers = || parts.iter().filter_map(Tensor::as_bytes);
    let mut joined = AlignedVec::<u8>::with_capacity(numbers().map(Bytes::len).sum());
    for bytes in numbers() {
        joined.extend_from_slice(bytes);
    }
    Tensor::from_bytes(first.dtype(), shape, joined.into_bytes())
}

fn mismatch(part_idx: usize, first: &Tensor, part: &Tensor) -> TensorError {
    TensorError::ShapeMismatch {
        part_idx,
        expected: first.shape().clone(),
        expected_dtype: first.dtype(),
        actual: part.shape().clone(),
        actual_dtype: part.dtype(),
    }
}

#[cfg(test)]
mod tests;
