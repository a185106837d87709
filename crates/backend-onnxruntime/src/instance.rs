//! Running a model.

use std::sync::Arc;

use salver_backend::{BackendError, Inputs, Instance, Outputs, Requested};
use salver_tensor::Tensor;

use crate::ffi::{Error, ErrorCode, Session};
use crate::{PLATFORM, convert};

pub(crate) struct OrtInstance {
    session: Arc<Session>,
}

impl OrtInstance {
    pub(crate) fn new(session: Arc<Session>) -> Self {
        Self { session }
    }
}

impl Instance for OrtInstance {
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
        // The library does not run for nothing.
        if outputs.0.is_empty() {
            return Ok(Vec::new());
        }
        let values = signature
            .inputs
            .iter()
            .zip(tensors)
            .map(|(spec, tensor)| convert::input(self.session.library(), spec, tensor))
            .collect::<Result<Vec<_>, _>>()?;
        let results = self.session.run(&values, outputs.0).map_err(run_error)?;
        let lent: Vec<&[u8]> = tensors
            .iter()
            .filter_map(Tensor::as_bytes)
            .map(|bytes| &bytes[..])
            .collect();
        let pairs = outputs.0.iter().zip(results);
        pairs
            .map(|(&output, value)| convert::output(&signature.outputs[output], value, &lent))
            .collect()
    }

    fn runs_in_caller(&self) -> bool {
        true
    }
}

fn invalid(message: String) -> BackendError {
    BackendError::InvalidInput { message }
}

/// Tells the client's mistakes from the engine's. The library says "invalid argument" for inputs that the graph does not
/// take; a kernel that gives up in the middle of a run gives up because of the values it was given, unless for want of
/// memory.
fn run_error(error: Error) -> BackendError {
    let Error { code, message } = error;
    let is_kernels =
        message.contains("while running") && !message.to_ascii_lowercase().contains("alloc");
    match code {
        ErrorCode::ORT_INVALID_ARGUMENT => invalid(message),
        ErrorCode::ORT_FAIL | ErrorCode::ORT_RUNTIME_EXCEPTION if is_kernels => invalid(message),
        _ => BackendError::Engine {
            platform: PLATFORM,
            message,
        },
    }
}
