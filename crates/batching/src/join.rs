//! Several requests as one run, and its outputs as several answers.

use salver_tensor::{Tensor, TensorError, batch};

use crate::{Batch, BatchingConfig};

/// The inputs of one run.
pub(crate) struct Joined {
    pub(crate) inputs: Vec<Tensor>,
    /// The rows of each request, then those that fill the batch up, if there are any.
    num_rows: Vec<usize>,
    num_requests: usize,
}

/// How much larger filling up may make the inputs of a run, and how many bytes it may add however small they are.
const MAX_FILL_FACTOR: usize = 8;
const MAX_SMALL_FILL_BYTES: usize = 1 << 20;

/// Joins the inputs of requests that agree in what they have to, and fills them up as configured.
///
/// # Errors
/// [`TensorError::TooLarge`] if that would take many times the memory of the requests.
pub(crate) fn join(batches: &[&Batch], config: &BatchingConfig) -> Result<Joined, TensorError> {
    let first = batches.first().ok_or(TensorError::Empty)?;
    let mut num_rows = batches
        .iter()
        .map(|batch| {
            let rows = batch.inputs.first().and_then(Tensor::num_rows);
            rows.ok_or(TensorError::NoBatchAxis)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let total = num_rows.iter().sum();
    let filled = config.allowed_size(total);
    if filled > total {
        num_rows.push(filled - total);
    }
    let inputs = (0..first.inputs.len()).map(|input_idx| {
        let mut parts: Vec<Tensor> = batches
            .iter()
            .map(|batch| batch.inputs[input_idx].clone())
            .collect();
        if config.pad_variable_length_inputs {
            let num_bytes: usize = parts.iter().map(Tensor::num_bytes).sum();
            let max_bytes = num_bytes
                .saturating_mul(MAX_FILL_FACTOR)
                .max(MAX_SMALL_FILL_BYTES);
            parts = batch::pad_lengths(&parts, max_bytes)?;
        }
        batch::pad(&batch::concat(&parts)?, filled)
    });
    Ok(Joined {
        inputs: inputs.collect::<Result<_, _>>()?,
        num_rows,
        num_requests: batches.len(),
    })
}

impl Joined {
    /// Returns the outputs of each request.
    ///
    /// # Errors
    /// [`TensorError::RowsMismatch`] or [`TensorError::NoBatchAxis`] if an output does not have the rows of the inputs.
    pub(crate) fn split(&self, outputs: &[Tensor]) -> Result<Vec<Vec<Tensor>>, TensorError> {
        let mut answers = vec![Vec::with_capacity(outputs.len()); self.num_requests];
        for output in outputs {
            let parts = batch::split(output, &self.num_rows)?;
            for (answer, part) in answers.iter_mut().zip(parts) {
                answer.push(part);
            }
        }
        Ok(answers)
    }
}

/// A request in parts.
pub(crate) struct Parts {
    pub(crate) batches: Vec<Batch>,
    /// The rows of each.
    pub(crate) num_rows: Vec<usize>,
}

/// Cuts a request of so many rows into parts of `max_rows` at most, which share its numbers.
pub(crate) fn cut(batch: &Batch, num_rows: usize, max_rows: usize) -> Result<Parts, TensorError> {
    let sizes: Vec<usize> = (0..num_rows)
        .step_by(max_rows)
        .map(|start| max_rows.min(num_rows - start))
        .collect();
    let mut parts: Vec<Batch> = sizes
        .iter()
        .map(|_| Batch {
            inputs: Vec::with_capacity(batch.inputs.len()),
            ..batch.clone()
        })
        .collect();
    for input in &batch.inputs {
        for (part, rows) in parts.iter_mut().zip(batch::split(input, &sizes)?) {
            part.inputs.push(rows);
        }
    }
    Ok(Parts {
        batches: parts,
        num_rows: sizes,
    })
}
