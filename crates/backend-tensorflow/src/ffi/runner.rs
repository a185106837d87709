//! Runs of a session by the names of its tensors.

use std::collections::HashMap;
use std::ptr::{self, NonNull};
use std::sync::Arc;

use salver_backend::ErrorCode;

use super::api::{TF_Buffer, TF_Output, TF_Tensor};
use super::session::{c_string, count, parse_name};
use super::status::{Error, Status};
use super::{Library, Session, Value};

/// One thread's way to run a session. Remembers where tensors are, of which there are as many as the graph has.
#[derive(Debug)]
pub(crate) struct Runner {
    session: Arc<Session>,
    outputs: HashMap<String, TF_Output>,
}

// SAFETY: the pointers in `outputs` belong to the session's graph, which any thread may use and which lives as long.
unsafe impl Send for Runner {}

impl Runner {
    pub(crate) fn new(session: &Arc<Session>) -> Self {
        Self {
            session: Arc::clone(session),
            outputs: HashMap::new(),
        }
    }

    pub(crate) fn library(&self) -> &Arc<Library> {
        self.session.library()
    }

    /// Runs the graph: `feeds` take the place of the tensors of these names; returns the tensors called `fetches`.
    ///
    /// `options` is an encoded `tensorflow.RunOptions`.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] for a name that the graph does not have; what kernels say.
    pub(crate) fn run(
        &mut self,
        options: &[u8],
        feeds: &[(&str, Value)],
        fetches: &[&str],
    ) -> Result<Vec<Value>, Error> {
        let inputs = feeds
            .iter()
            .map(|(name, _)| {
                let message = || format!("FeedInputs: unable to find feed output {name}");
                self.output(name, message)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let outputs = fetches
            .iter()
            .map(|name| self.output(name, || format!("FetchOutputs node {name}: not found")))
            .collect::<Result<Vec<_>, _>>()?;
        let input_values: Vec<*mut TF_Tensor> =
            feeds.iter().map(|(_, value)| value.as_ptr()).collect();
        let mut results: Vec<*mut TF_Tensor> = vec![ptr::null_mut(); fetches.len()];
        let options = TF_Buffer {
            data: options.as_ptr().cast(),
            length: options.len(),
            data_deallocator: None,
        };
        let status = Status::new(self.session.library())?;
        // SAFETY: all arrays have the lengths that are passed. Operations are the session's own, tensors are alive, and
        // TensorFlow writes neither to those that are fed nor to the options. `results` is written by the call.
        unsafe {
            (self.session.library().api().TF_SessionRun)(
                self.session.as_ptr(),
                &raw const options,
                inputs.as_ptr(),
                input_values.as_ptr(),
                count(inputs.len())?,
                outputs.as_ptr(),
                results.as_mut_ptr(),
                count(outputs.len())?,
                ptr::null(),
                0,
                ptr::null_mut(),
                status.as_ptr(),
            );
        }
        // Taken over before the status is looked at, so that none is lost.
        let values: Vec<_> = results.into_iter().filter_map(NonNull::new).collect();
        let values: Vec<_> = values
            .into_iter()
            .map(|tensor| Value::of_run(&self.session, tensor))
            .collect();
        status.check()?;
        match values.len() == fetches.len() {
            true => Ok(values),
            false => Err(Error::no_output()),
        }
    }

    fn output(
        &mut self,
        name: &str,
        not_found: impl FnOnce() -> String,
    ) -> Result<TF_Output, Error> {
        if let Some(output) = self.outputs.get(name) {
            return Ok(*output);
        }
        let (operation, index) = parse_name(name);
        let output = self.session.output(&c_string(operation.as_bytes())?, index);
        let output = output.ok_or_else(|| Error {
            code: ErrorCode::NotFound,
            message: not_found(),
        })?;
        self.outputs.insert(name.to_owned(), output);
        Ok(output)
    }
}
