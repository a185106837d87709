//! The first run of a model happens before its first request.
//!
//! Engines allocate, compile and page in during their first run. A version may bring requests of its own for that
//! ([`Warmup`]): they are what its owner says it has to answer, so a failure is the version's. Otherwise the inputs are
//! made up: zeros of the declared shape, every dynamic extent 1. A model may have every reason to refuse them, which is
//! worth a remark only; but a model on which the engine itself fails is not put into service.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use salver_backend::{BackendError, Signature};
use salver_batching::{Batch, ExecuteError, Priority};
use salver_servable::{CancelToken, LoadError};
use salver_tensor::{AlignedVec, Dim, Shape, Tensor, TensorSpec};

use crate::LoadedModel;

/// The most memory that made-up inputs of one signature may take, in bytes: a 4K picture in floats is 100 MB.
const MAX_INPUT_BYTES: usize = 128 * 1024 * 1024;

/// Runs the requests that a version brings along; knows where they are and in which form.
pub trait Warmup: Send + Sync {
    /// Runs the requests in a version's folder; returns false if there are none.
    ///
    /// # Blocking
    /// Until the model has answered them all, or `cancel` is cancelled.
    ///
    /// # Errors
    /// [`LoadError`] if they cannot be read or the model fails on one: the version is not put into service.
    fn warm_up(
        &self,
        model: &LoadedModel,
        dir: &Path,
        cancel: &CancelToken,
    ) -> Result<bool, LoadError>;
}

/// Runs each signature once on zeros, but for those that change the model's state.
///
/// # Blocking
/// Until the model answers.
///
/// # Errors
/// What the engine says if it fails for another reason than the inputs.
pub(crate) fn run_made_up(model: &LoadedModel) -> Result<(), ExecuteError> {
    let id = &model.id;
    let unchanging = |signature: &&Arc<Signature>| !signature.changes_state;
    for signature in model.signatures().iter().filter(unchanging) {
        match run_signature(signature, model) {
            Ok(Some(elapsed)) => tracing::debug!(
                %id, signature = %signature.name, seconds = elapsed.as_secs_f64(), "warmed up"
            ),
            Ok(None) => tracing::debug!(
                %id, signature = %signature.name, "not warmed up: no inputs of a usual size can be made up"
            ),
            Err(ExecuteError::Backend(
                BackendError::InvalidInput { message } | BackendError::Model { message, .. },
            )) => tracing::warn!(
                %id,
                signature = %signature.name,
                reason = message,
                "the warm-up run failed; its inputs were made up (zeros, every dynamic extent 1), real ones may do"
            ),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn run_signature(
    signature: &Arc<Signature>,
    model: &LoadedModel,
) -> Result<Option<Duration>, ExecuteError> {
    let Some(inputs) = made_up_inputs(&signature.inputs) else {
        return Ok(None);
    };
    let requested = (0..signature.outputs.len()).collect();
    let batch = Batch {
        signature: Arc::clone(signature),
        inputs,
        requested,
        deadline: None,
        priority: Priority::default(),
        hold: None,
    };
    Ok(Some(model.execute_blocking(batch)?.run))
}

/// Makes up one tensor for each input, or `None` if a rank is unknown or they would be too large.
fn made_up_inputs(specs: &[TensorSpec]) -> Option<Vec<Tensor>> {
    let mut bytes_left = MAX_INPUT_BYTES;
    specs
        .iter()
        .map(|spec| {
            let tensor = zeros(spec, bytes_left)?;
            bytes_left = bytes_left.checked_sub(tensor.num_bytes())?;
            Some(tensor)
        })
        .collect()
}

fn zeros(spec: &TensorSpec, max_bytes: usize) -> Option<Tensor> {
    let shape: Shape = spec
        .dims
        .as_ref()?
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(extent) => *extent,
            Dim::Dynamic(_) => 1,
        })
        .collect();
    let num_elements = shape.num_elements()?;
    let element_bytes = spec.dtype.size().unwrap_or(size_of::<Bytes>());
    let num_bytes = num_elements
        .checked_mul(element_bytes)
        .filter(|&bytes| bytes <= max_bytes)?;
    let zeros = match spec.dtype.size() {
        None => Tensor::from_strings(shape, vec![Bytes::new(); num_elements]),
        Some(_) => {
            let bytes = AlignedVec::<u8>::zeroed(num_bytes).into_bytes();
            Tensor::from_bytes(spec.dtype, shape, bytes)
        }
    };
    zeros.ok()
}

#[cfg(test)]
mod tests;
