//! Made-up inputs, row by row, and whether rows come out as they do alone.

use std::sync::Arc;

use salver_backend::Signature;
use salver_tensor::{AlignedVec, DType, Dim, Shape, Tensor, TensorSpec, batch};

/// The most memory that made-up inputs may take, in bytes: two dozen pictures of 224 by 224 in floats.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// How far results of the same row may be apart, as a part of the largest: kernels add up in another order for other
/// batches, which costs single precision its last digits.
const TOLERANCE: f64 = 1e-3;

/// Makes up rows for a signature.
pub(super) struct Rows<'a> {
    specs: &'a [TensorSpec],
    row_bytes: usize,
    /// Whether there may be any number of them.
    pub(super) has_batch_axis: bool,
}

impl<'a> Rows<'a> {
    /// Returns what makes them up; `None` if the inputs of a signature cannot be, or it must not be run.
    pub(super) fn of(signature: &'a Arc<Signature>) -> Option<Self> {
        if signature.changes_state {
            return None;
        }
        let mut row_bytes: usize = 0;
        for spec in &signature.inputs {
            let num_bytes = row_shape(spec)?
                .num_elements()?
                .checked_mul(spec.dtype.size()?)?;
            row_bytes = row_bytes.checked_add(num_bytes)?;
        }
        let is_dynamic = |spec: &TensorSpec| {
            let dims = spec.dims.as_deref().unwrap_or_default();
            matches!(dims.first(), Some(Dim::Dynamic(_)))
        };
        let has_batch_axis =
            !signature.inputs.is_empty() && signature.inputs.iter().all(is_dynamic);
        let rows = Self {
            specs: &signature.inputs,
            row_bytes,
            has_batch_axis,
        };
        (row_bytes <= MAX_BYTES).then_some(rows)
    }

    /// Makes up rows `start..start + num_rows`, each the same whatever is beside it; without a batch axis one input of
    /// the declared shape. `None` if that would be too large.
    pub(super) fn make(&self, start: usize, num_rows: usize) -> Option<Vec<Tensor>> {
        let is_small = self.row_bytes.checked_mul(num_rows)? <= MAX_BYTES;
        let make = |(spec_idx, spec): (usize, &TensorSpec)| {
            let shape = row_shape(spec)?;
            let shape = match self.has_batch_axis {
                true => shape.with_rows(num_rows),
                false => shape,
            };
            let row_bytes = row_shape(spec)?.num_elements()? * spec.dtype.size()?;
            let mut bytes = AlignedVec::<u8>::with_capacity(row_bytes * num_rows);
            for row in start..start + num_rows {
                let seed = row * self.specs.len() + spec_idx;
                let mut noise = fastrand::Rng::with_seed(seed as u64);
                push_noise(&mut bytes, spec.dtype, row_bytes, &mut noise);
            }
            Tensor::from_bytes(spec.dtype, shape, bytes.into_bytes()).ok()
        };
        let tensors = self.specs.iter().enumerate().map(make);
        is_small.then(|| tensors.collect())?
    }
}

/// Returns the shape of one row; `None` if an extent is not declared behind the first axis.
fn row_shape(spec: &TensorSpec) -> Option<Shape> {
    let dims = spec.dims.as_ref()?.iter().enumerate();
    dims.map(|(axis, dim)| match dim {
        Dim::Fixed(extent) => Some(*extent),
        Dim::Dynamic(_) if axis == 0 => Some(1),
        Dim::Dynamic(_) => None,
    })
    .collect()
}

/// Adds noise: from 0 to 1, or one of the two for integers, as they may be indices.
fn push_noise(
    bytes: &mut AlignedVec<u8>,
    dtype: DType,
    num_bytes: usize,
    noise: &mut fastrand::Rng,
) {
    let end = bytes.len() + num_bytes;
    while bytes.len() < end {
        match dtype {
            DType::F32 | DType::Complex64 => {
                bytes.extend_from_slice(&noise.f32().to_ne_bytes());
            }
            DType::F64 | DType::Complex128 => {
                bytes.extend_from_slice(&noise.f64().to_ne_bytes());
            }
            // From 0.5 to 1: exponents alike, the bits behind at random.
            DType::F16 => bytes.extend_from_slice(&noise.u16(0x3800..0x3C00).to_ne_bytes()),
            DType::BF16 => bytes.extend_from_slice(&noise.u16(0x3F00..0x3F80).to_ne_bytes()),
            DType::U16 | DType::I16 => bytes.extend_from_slice(&noise.u16(0..2).to_ne_bytes()),
            DType::U32 | DType::I32 => bytes.extend_from_slice(&noise.u32(0..2).to_ne_bytes()),
            DType::U64 | DType::I64 => bytes.extend_from_slice(&noise.u64(0..2).to_ne_bytes()),
            DType::Bool | DType::U8 | DType::I8 | DType::String => bytes.push(noise.u8(0..2)),
        }
    }
}

/// Tells whether rows that were run together came out as they do alone, each as its own. Rows that all come out alike say
/// nothing, so they do not.
pub(super) fn are_independent(joined: &[Tensor], alone: &[Vec<Tensor>]) -> bool {
    let mut differ = false;
    for (output_idx, output) in joined.iter().enumerate() {
        let Ok(rows) = batch::split(output, &vec![1; alone.len()]) else {
            return false;
        };
        for (row_idx, (row, alone)) in rows.iter().zip(alone).enumerate() {
            if !agree(row, &alone[output_idx]) {
                return false;
            }
            differ |= row_idx > 0 && !agree(row, &rows[0]);
        }
    }
    differ
}

/// Tells whether two results are the same but for rounding.
fn agree(left: &Tensor, right: &Tensor) -> bool {
    if left.dtype() != right.dtype() || left.shape() != right.shape() {
        return false;
    }
    match (floats(left), floats(right)) {
        (Some(left), Some(right)) => {
            let largest = right
                .iter()
                .fold(0.0_f64, |max, value| max.max(value.abs()));
            let is_close = |(left, right): (&f64, &f64)| {
                (left - right).abs() <= TOLERANCE * largest
                    || left == right
                    || (left.is_nan() && right.is_nan())
            };
            left.iter().zip(&right).all(is_close)
        }
        _ => left.as_bytes() == right.as_bytes() && left.as_strings() == right.as_strings(),
    }
}

fn floats(tensor: &Tensor) -> Option<Vec<f64>> {
    match tensor.dtype() {
        DType::F32 => {
            let values = tensor.as_slice::<f32>().ok()?;
            Some(values.iter().map(|&value| f64::from(value)).collect())
        }
        DType::F64 => tensor.as_slice::<f64>().ok().map(<[f64]>::to_vec),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
