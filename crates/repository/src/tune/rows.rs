//! Made-up inputs, row by row, and whether rows come out as they do alone.

use std::sync::Arc;

use salver_backend::Signature;
use salver_tensor::{AlignedVec, DType, Dim, Shape, Tensor, TensorSpec, batch};

/// The most memory that made-up inputs may take, in bytes: two dozen pictures of 224 by 224 in floats.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// How far two results may be apart, as a part of their size: kernels add up in another order for other batches, which costs
/// single precision its last digits.
const TOLERANCE: f64 = 1e-3;

/// The size that a small result is taken for, as a part of the largest beside it: it may be the difference of large ones.
const LEAST_SIZE: f64 = 0.05;

/// How much louder a row of floats is than the one before, in powers of two, and after how many it is quiet again. Whatever
/// looks at all rows (their greatest, their mean, a scale to quantise by) sees one row only where all are alike.
const OCTAVES: usize = 3;
const NUM_LEVELS: usize = 3;

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
                let noise = fastrand::Rng::with_seed(seed as u64);
                push_noise(&mut bytes, spec.dtype, row_bytes, noise, row % NUM_LEVELS);
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

/// Adds noise: from 0 to 1, to 8 or to 64, by its level; 0 and 1 for integers, as they may be indices, or zeros only.
fn push_noise(
    bytes: &mut AlignedVec<u8>,
    dtype: DType,
    num_bytes: usize,
    mut noise: fastrand::Rng,
    level: usize,
) {
    let octaves = OCTAVES * level;
    let scale = (1_u32 << octaves) as f32;
    let most = u8::from(level != 1);
    // From 0.5 to 1 at level 0: exponents alike, the bits behind at random.
    let half = |mantissa_bits: u32, least: u16, noise: &mut fastrand::Rng| {
        let octaves = u16::try_from(octaves).unwrap_or_default();
        least + (octaves << mantissa_bits) + noise.u16(0..1 << mantissa_bits)
    };
    let end = bytes.len() + num_bytes;
    while bytes.len() < end {
        match dtype {
            DType::F32 | DType::Complex64 => {
                bytes.extend_from_slice(&(noise.f32() * scale).to_ne_bytes());
            }
            DType::F64 | DType::Complex128 => {
                bytes.extend_from_slice(&(noise.f64() * f64::from(scale)).to_ne_bytes());
            }
            DType::F16 => bytes.extend_from_slice(&half(10, 0x3800, &mut noise).to_ne_bytes()),
            DType::BF16 => bytes.extend_from_slice(&half(7, 0x3F00, &mut noise).to_ne_bytes()),
            DType::U16 | DType::I16 => {
                bytes.extend_from_slice(&u16::from(noise.u8(0..=most)).to_ne_bytes());
            }
            DType::U32 | DType::I32 => {
                bytes.extend_from_slice(&u32::from(noise.u8(0..=most)).to_ne_bytes());
            }
            DType::U64 | DType::I64 => {
                bytes.extend_from_slice(&u64::from(noise.u8(0..=most)).to_ne_bytes());
            }
            DType::Bool | DType::U8 | DType::I8 | DType::String => bytes.push(noise.u8(0..=most)),
        }
    }
}

/// Tells whether rows that were run together came out as they do alone, each as its own. An output whose rows all come out
/// alike says nothing: each one of floats has to differ, and one of any kind.
pub(super) fn are_independent(joined: &[Tensor], alone: &[Vec<Tensor>]) -> bool {
    let mut is_any_telling = false;
    for (output_idx, output) in joined.iter().enumerate() {
        let Ok(rows) = batch::split(output, &vec![1; alone.len()]) else {
            return false;
        };
        let mut pairs = rows.iter().zip(alone);
        if !pairs.all(|(row, alone)| agree(row, &alone[output_idx])) {
            return false;
        }
        let is_telling = rows.iter().any(|row| !agree(row, &rows[0]));
        if !is_telling && floats(output).is_some() {
            return false;
        }
        is_any_telling |= is_telling;
    }
    is_any_telling
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
                (left - right).abs() <= TOLERANCE * right.abs().max(LEAST_SIZE * largest)
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
