//! Joining, splitting and padding along axis 0, the batch axis.

use bytes::Bytes;

use crate::{AlignedVec, Tensor, TensorError};

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
            return Err(TensorError::ShapeMismatch {
                part_idx,
                expected: first.shape().clone(),
                expected_dtype: first.dtype(),
                actual: part.shape().clone(),
                actual_dtype: part.dtype(),
            });
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

#[cfg(test)]
mod tests;
