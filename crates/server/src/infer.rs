//! The one line that every API's requests go along: lookup, arrange, run.

mod inputs;

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::inference::Question;
use crate::request_log::{Exchange, ModelLog};
use crate::split::Shadowed;
use crate::status::{Code, ServeError};
use crate::trace::RunSpan;
use crate::work::{Work, check_share, refusal};
use salver_backend::{DEFAULT_SIGNATURE, Signature, Signatures};
use salver_batching::Batch;
use salver_protocol::metadata::{SignatureView, VersionState};
use salver_repository::LoadedModel;
use salver_servable::{
    Handle, LoadErrorKind, LookupError, ServableRequest, State, VersionChoice, VersionStatus,
};
use salver_telemetry::{Api, Phase, SignatureMetrics};
use salver_tensor::Tensor;
use tokio::time::Instant;

pub(crate) use inputs::{arrange, check_dtypes, check_method_name, requested};

/// Finds the version of a model that a request names.
pub(crate) fn lookup(
    app: &App,
    name: &str,
    version: &salver_protocol::VersionChoice,
) -> Result<Handle<LoadedModel>, ServeError> {
    if name.is_empty() {
        return Err(ServeError::MissingModelName);
    }
    let version = match version {
        salver_protocol::VersionChoice::Latest => VersionChoice::Latest,
        salver_protocol::VersionChoice::Version(version) => VersionChoice::Version(*version),
        salver_protocol::VersionChoice::Label(label) => VersionChoice::Label(label.clone()),
    };
    let handle = app.manager.handle(&ServableRequest { name, version });
    handle.map_err(|error| match error {
        LookupError::UnknownLabel { label, .. } if has_no_models(app) => {
            ServeError::LabelsNotReady(label)
        }
        error => ServeError::Lookup(error),
    })
}

/// Tells whether the server waits for its first list of models.
fn has_no_models(app: &App) -> bool {
    let reload = app.reload.as_ref();
    reload.is_some_and(|reload| !reload.has_models())
}

/// Returns the name that an empty one stands for.
pub(crate) fn or_default(signature_name: &str) -> &str {
    if signature_name.is_empty() {
        DEFAULT_SIGNATURE
    } else {
        signature_name
    }
}

/// A request that is ready to run.
pub(crate) struct Job {
    pub(crate) api: Api,
    pub(crate) handle: Handle<LoadedModel>,
    pub(crate) signature: Arc<Signature>,
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) requested: Vec<usize>,
    /// How long it took to decode.
    pub(crate) decode: Duration,
}

impl Job {
    /// Returns what the log is told of it before it has run.
    fn exchange(&self, log: Arc<ModelLog>, questions: &[Question]) -> Exchange {
        Exchange {
            log,
            api: self.api,
            model: self.handle.id().clone(),
            signature: Arc::clone(&self.signature),
            inputs: self.inputs.clone(),
            outputs: None,
            questions: questions.to_vec(),
        }
    }
}

/// What a request is answered with.
pub(crate) struct Answer {
    pub(crate) handle: Handle<LoadedModel>,
    pub(crate) signature: Arc<Signature>,
    pub(crate) outputs: Outputs,
    metrics: Arc<SignatureMetrics>,
}

/// What a model answered; a clone shares the tensors.
#[derive(Clone, Debug)]
pub(crate) struct Outputs {
    signature: Arc<Signature>,
    requested: Vec<usize>,
    tensors: Vec<Tensor>,
}

impl Outputs {
    /// Returns the outputs beside the names clients know them by.
    pub(crate) fn named(&self) -> Vec<(&str, &Tensor)> {
        let names = self
            .requested
            .iter()
            .map(|&output_idx| &*self.signature.outputs[output_idx].name);
        names.zip(&self.tensors).collect()
    }

    /// Returns an output by its name in the graph.
    pub(crate) fn by_tensor_name(&self, tensor_name: &str) -> Option<&Tensor> {
        let is_wanted =
            |&output_idx: &usize| *self.signature.outputs[output_idx].tensor_name == *tensor_name;
        self.tensors.get(self.requested.iter().position(is_wanted)?)
    }

    /// Returns the memory that they take, in bytes.
    pub(crate) fn num_bytes(&self) -> usize {
        self.tensors.iter().map(Tensor::num_bytes).sum()
    }
}

impl Answer {
    /// Counts the time of encoding.
    pub(crate) fn encoded(&self, elapsed: Duration) {
        self.metrics.observe(Phase::Encode, elapsed);
    }
}

/// Runs a job and measures its phases; `questions` are what is asked about rows, if that is what is asked.
pub(crate) async fn run(
    work: &mut Work<'_>,
    job: Job,
    questions: &[Question],
) -> Result<Answer, ServeError> {
    let metrics = Arc::clone(job.handle.metrics(&job.signature.name));
    metrics.observe(Phase::Decode, job.decode);
    work.draw_for_log(|log| job.exchange(log, questions));
    let traced = work.app.tracer.is_on().then(Instant::now);
    // A request that is given up leaves its tensors in the queue until an instance comes to them; till then they count.
    let of_outputs = work.reservation.sibling();
    let of_inputs = std::mem::replace(&mut work.reservation, of_outputs);
    check_share(work.app, &job.handle)?;
    let hold = Arc::new(of_inputs.share_of(job.handle.held_bytes())?);
    let shadowed = Shadowed::draw(work, &job, questions, &hold);
    let Job {
        api,
        handle,
        signature,
        inputs,
        requested,
        decode,
    } = job;
    let batch = Batch {
        signature: Arc::clone(&signature),
        inputs,
        requested: requested.clone(),
        deadline: work.deadline,
        priority: work.priority,
        hold: Some(hold),
    };
    let executed = handle.executor().execute(batch).await;
    let executed = executed.map_err(ServeError::Execute);
    let has_run = !matches!(&executed, Err(error) if refusal(error).is_some());
    if let Some(shadowed) = shadowed.filter(|_| has_run) {
        work.app.shadows.send(work.app, shadowed);
    }
    let executed = executed?;
    metrics.observe(Phase::Queue, executed.queue);
    metrics.observe(Phase::Run, executed.run);
    metrics.model().observe_runtime(api, executed.run);
    if let Some(queued) = traced {
        work.run = Some(Box::new(RunSpan {
            api,
            model: handle.id().clone(),
            signature: Arc::clone(&signature),
            decode: (queued.checked_sub(decode).unwrap_or(queued), decode),
            queue: (queued, executed.queue),
            run: (queued + executed.queue, executed.run),
            encode_started: Instant::now(),
        }));
    }
    let outputs = Outputs {
        signature: Arc::clone(&signature),
        requested,
        tensors: executed.outputs,
    };
    work.reservation.hold(outputs.num_bytes());
    if let Some(exchange) = &mut work.exchange {
        exchange.outputs = Some(outputs.clone());
    }
    Ok(Answer {
        handle,
        signature,
        outputs,
        metrics,
    })
}

/// Returns the states of a model's versions, highest first; a label means all of them, as in TensorFlow Serving.
pub(crate) fn states(
    app: &App,
    name: &str,
    version: &salver_protocol::VersionChoice,
) -> Result<Vec<VersionState>, ServeError> {
    let statuses = app.manager.status(name).unwrap_or_default();
    if statuses.is_empty()
        && let Some(complaint) = app.manager.complaint(name)
    {
        return Err(ServeError::NoVersions {
            name: name.to_owned(),
            reason: complaint.message,
        });
    }
    let states = statuses.iter().map(version_state);
    let (states, error): (Vec<_>, _) = match *version {
        salver_protocol::VersionChoice::Version(version) => {
            let name = name.to_owned();
            let of_version = states.filter(|state| state.version == version);
            (
                of_version.collect(),
                ServeError::NoVersionStatus { name, version },
            )
        }
        salver_protocol::VersionChoice::Latest | salver_protocol::VersionChoice::Label(_) => {
            (states.collect(), ServeError::NoStatus(name.to_owned()))
        }
    };
    if states.is_empty() {
        return Err(error);
    }
    Ok(states)
}

fn version_state(status: &VersionStatus) -> VersionState {
    let state = match status.state {
        State::Start => 10,
        State::Loading => 20,
        State::Available => 30,
        State::Unloading => 40,
        State::End => 50,
    };
    let (error_code, error_message) = match &status.error {
        None => (Code::Ok, String::new()),
        Some(error) => (load_error_code(error.kind), error.message.clone()),
    };
    VersionState {
        version: status.version,
        state,
        error_code: i32::from(error_code.number()),
        error_message,
    }
}

/// Returns the code that tells clients what kind of trouble there is with loading.
#[must_use]
pub fn load_error_code(kind: LoadErrorKind) -> Code {
    match kind {
        LoadErrorKind::NotFound => Code::NotFound,
        LoadErrorKind::Invalid => Code::InvalidArgument,
        LoadErrorKind::Unsupported => Code::Unimplemented,
        LoadErrorKind::Damaged => Code::DataLoss,
        LoadErrorKind::ResourceExhausted => Code::ResourceExhausted,
        LoadErrorKind::Cancelled => Code::Cancelled,
        LoadErrorKind::Failed => Code::Unknown,
    }
}

/// Returns what the protocols print of a model's signatures.
pub(crate) fn views(signatures: &Signatures) -> Vec<SignatureView<'_>> {
    signatures.iter().map(|signature| view(signature)).collect()
}

/// Returns what the protocols print of a signature.
pub(crate) fn view(signature: &Signature) -> SignatureView<'_> {
    SignatureView {
        name: &signature.name,
        method_name: &signature.method_name,
        inputs: &signature.inputs,
        outputs: &signature.outputs,
        defaults: &signature.defaults,
    }
}
