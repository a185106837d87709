//! Running a model.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use salver_backend::{BackendError, ErrorCode, Inputs, Instance, Outputs, Requested, Signature};
use salver_tensor::Tensor;
use salver_wire::Writer;

use crate::convert;
use crate::ffi::{Error, Runner, Session, Value};

/// Field numbers of `tensorflow.RunOptions`.
mod field {
    pub(super) const TIMEOUT_IN_MS: u32 = 2;
    pub(super) const INTER_OP_THREAD_POOL: u32 = 3;
}

/// The number of the pool that means the calling thread.
const CALLING_THREAD: i64 = -1;

/// A run that takes no longer stays in the instance's own thread.
///
/// To hand operators to TensorFlow's pool costs some 25 µs and a wait for its threads: on two cores, half of the runs per
/// second of models that take less than a millisecond (`examples/concurrency.rs`). In exchange a run in the pool can be
/// broken off, and independent operators run at once, which longer runs have more of.
const SHORT: Duration = Duration::from_millis(5);

pub(crate) struct TfInstance {
    runner: Runner,
    is_pool_wanted: bool,
    /// How long the last run of each signature took.
    last_runs: HashMap<Arc<str>, Duration>,
}

impl TfInstance {
    pub(crate) fn new(session: &Arc<Session>, is_pool_wanted: bool) -> Self {
        Self {
            runner: Runner::new(session),
            is_pool_wanted,
            last_runs: HashMap::new(),
        }
    }

    /// Computes tensors of the graph.
    fn compute(
        &mut self,
        inputs: &Inputs<'_>,
        feeds: &[(&str, Value)],
        fetches: &[&str],
    ) -> Result<Vec<Value>, BackendError> {
        let name = &inputs.signature.name;
        let is_short = self.last_runs.get(name).is_some_and(|last| *last <= SHORT);
        let started = Instant::now();
        let options = match is_short && !self.is_pool_wanted {
            true => in_calling_thread(),
            false => until(inputs.deadline, started),
        };
        if inputs.deadline.is_some_and(|deadline| deadline <= started) {
            return Err(BackendError::Model {
                code: ErrorCode::DeadlineExceeded,
                message: "the deadline passed before the model ran".to_owned(),
            });
        }
        let results = self.runner.run(&options, feeds, fetches).map_err(run_error);
        let elapsed = started.elapsed();
        match self.last_runs.get_mut(name) {
            Some(last) => *last = elapsed,
            None => {
                self.last_runs.insert(Arc::clone(name), elapsed);
            }
        }
        results
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
            results = self.compute(inputs, &feeds, &fetches)?;
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

    fn runs_in_caller(&self) -> bool {
        true
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

/// Returns an encoded `tensorflow.RunOptions` of a run that stays in the calling thread.
fn in_calling_thread() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    writer.varint_field(field::INTER_OP_THREAD_POOL, CALLING_THREAD.cast_unsigned());
    writer.into_inner()
}

/// Returns an encoded `tensorflow.RunOptions` of a run that is broken off at a deadline.
fn until(deadline: Option<Instant>, now: Instant) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    if let Some(deadline) = deadline {
        // Zero would mean no limit.
        let millis = deadline.saturating_duration_since(now).as_millis().max(1);
        let millis = i64::try_from(millis).unwrap_or(i64::MAX);
        writer.varint_field(field::TIMEOUT_IN_MS, millis.cast_unsigned());
    }
    writer.into_inner()
}

fn invalid(message: String) -> BackendError {
    BackendError::InvalidInput { message }
}

/// What kernels say goes to the client under their own code.
fn run_error(error: Error) -> BackendError {
    let Error { code, message } = error;
    BackendError::Model { code, message }
}
