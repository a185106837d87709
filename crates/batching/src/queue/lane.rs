//! What requests have to agree in to be joined.

use std::sync::Arc;

use salver_backend::Signature;
use salver_tensor::{DType, Shape};
use smallvec::SmallVec;

use crate::{Batch, BatchingConfig};

/// What requests have to agree in to be joined. Every request has one, so most take no memory elsewhere.
pub(super) struct LaneKey {
    pub(super) signature: Arc<Signature>,
    requested: SmallVec<[usize; 2]>,
    inputs: SmallVec<[(DType, Class); 1]>,
}

/// What an input has to agree in.
#[derive(PartialEq, Eq)]
enum Class {
    /// The extents behind the first.
    Exact(Shape),
    /// The number of axes: extents are filled up.
    Padded(usize),
}

impl PartialEq for LaneKey {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.signature, &other.signature)
            && self.requested == other.requested
            && self.inputs == other.inputs
    }
}

impl Eq for LaneKey {}

/// Returns what a request may be joined by, and its rows; `None` if it runs alone.
pub(super) fn key(batch: &Batch, config: Option<&BatchingConfig>) -> Option<(LaneKey, usize)> {
    let config = config?;
    let num_rows = num_rows(batch).filter(|&num_rows| num_rows <= config.max_run_rows())?;
    let class = |shape: &Shape| match config.pad_variable_length_inputs {
        true => Class::Padded(shape.len()),
        false => Class::Exact(shape.iter().skip(1).copied().collect()),
    };
    let inputs = batch
        .inputs
        .iter()
        .map(|input| (input.dtype(), class(input.shape())))
        .collect();
    let key = LaneKey {
        signature: Arc::clone(&batch.signature),
        requested: SmallVec::from_slice(&batch.requested),
        inputs,
    };
    Some((key, num_rows))
}

/// Returns the rows of a request that can be joined or split: every input has as many, and at least one.
pub(crate) fn num_rows(batch: &Batch) -> Option<usize> {
    let num_rows = batch.inputs.first()?.num_rows()?;
    let is_joinable = num_rows > 0
        && !batch.signature.changes_state
        && batch
            .inputs
            .iter()
            .all(|input| input.num_rows() == Some(num_rows));
    is_joinable.then_some(num_rows)
}
