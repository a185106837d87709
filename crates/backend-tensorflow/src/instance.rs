//! Running a model.

use std::sync::Arc;
use std::time::Instant;

use salver_backend::{BackendError, ErrorCode, Inputs, Instance, Outputs, Requested, Signature};
use salver_tensor::Tensor;
use salver_wire::Writer;

use crate::convert;
use crate::ffi::{Error, Runner, Session};

/// `timeout_in_ms` of `tensorflow.RunOptions`.
const TIMEOUT_IN_MS: u32 = 2;

pub(crate) struct TfInstance {
    runner: Runner,
}

impl TfInstance {
    pub(crate) fn new(session: &Arc<Session>) -> Self {
        Self {
            runner: Runner::new(session),
        }
    }
}

impl Instance for TfInstance {
    fn run(
        &mut self,
        inputs: &Inputs<'_>,
        outputs: &Requested<'_>,
    ) -> Result<Outputs, BackendError> {
        let (signature, tensors) = (inputs.signature, inputs.tensors);
        if tensors.len() != signature.inputs.len() {
            return Err(invalid(format!(
                "expected {} inputs, got {}",
                signature.inputs.len(),
                tensors.len()
            )));
        }
        if let Some(output) = outputs
            .0
            .iter()
            .find(|&&output| output >= signature.outputs.len())
        {
            return Err(invalid(format!("the model has no output {output}")));
        }
        let feeds = signature
            .inputs
            .iter()
            .zip(tensors)
            .map(|(spec, tensor)| {
                let value = convert::input(self.runner.library(), spec, tensor)?;
                Ok((&*spec.tensor_name, value))
            })
            .collect::<Result<Vec<_>, BackendError>>()?;
        // TensorFlow neither runs for nothing nor gives back what it was fed.
        let computed: Vec<usize> = outputs
            .0
            .iter()
            .copied()
            .filter(|&output| fed(signature, tensors, output).is_none())
            .collect();
        let mut results = Vec::new();
        if !computed.is_empty() {
            let fetches: Vec<&str> = computed
                .iter()
                .map(|&output| &*signature.outputs[output].tensor_name)
                .collect();
            let options = run_options(inputs.deadline)?;
            results = self
                .runner
                .run(&options, &feeds, &fetches)
                .map_err(run_error)?;
        }
        let mut results = results.into_iter();
        outputs
            .0
            .iter()
            .map(|&output| match fed(signature, tensors, output) {
                Some(tensor) => Ok(tensor.clone()),
                None => {
                    let value = results
                        .next()
                        .ok_or_else(|| run_error(Error::no_output()))?;
                    convert::output(&signature.outputs[output], value)
                }
            })
            .collect()
    }
}

/// Returns the input that an output is, if it is one.
fn fed<'a>(signature: &Signature, tensors: &'a [Tensor], output: usize) -> Option<&'a Tensor> {
    let name = &signature.outputs[output].tensor_name;
    let input = signature
        .inputs
        .iter()
        .position(|spec| spec.tensor_name == *name)?;
    tensors.get(input)
}

/// Returns an encoded `tensorflow.RunOptions`.
fn run_options(deadline: Option<Instant>) -> Result<Vec<u8>, BackendError> {
    let Some(deadline) = deadline else {
        return Ok(Vec::new());
    };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(BackendError::Model {
            code: ErrorCode::DeadlineExceeded,
            message: "the deadline passed before the model ran".to_owned(),
        });
    }
    // Zero would mean no limit.
    let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
    let mut writer = Writer::new(Vec::new());
    writer.varint_field(TIMEOUT_IN_MS, millis.min(i64::MAX.cast_unsigned()));
    Ok(writer.into_inner())
}

fn invalid(message: String) -> BackendError {
    BackendError::InvalidInput { message }
}

/// What kernels say goes to the client under their own code.
fn run_error(error: Error) -> BackendError {
    let Error { code, message } = error;
    BackendError::Model { code, message }
}
