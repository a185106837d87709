//! The one line that every API's requests go along: lookup, arrange, run.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::status::{Code, ServeError};
use crate::trace::RunSpan;
use crate::work::Work;
use salver_backend::{DEFAULT_SIGNATURE, Signature, Signatures};
use salver_batching::Batch;
use salver_protocol::metadata::{SignatureView, VersionState};
use salver_protocol::tensor_proto::{self, TensorProtoError};
use salver_repository::LoadedModel;
use salver_servable::{
    Handle, LoadErrorKind, LookupError, ServableRequest, State, VersionChoice, VersionStatus,
};
use salver_telemetry::{Api, Phase, SignatureMetrics};
use salver_tensor::{Tensor, TensorSpec};
use tokio::time::Instant;

/// What a signature that takes predictions may say it is for.
const PREDICTION_METHODS: [&str; 3] = [
    "tensorflow/serving/predict",
    "tensorflow/serving/classify",
    "tensorflow/serving/regress",
];

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

/// Checks that a signature may be asked for a prediction, where that is wanted.
pub(crate) fn check_method_name(app: &App, signature: &Signature) -> Result<(), ServeError> {
    let is_known = PREDICTION_METHODS.contains(&&*signature.method_name);
    if is_known || !app.config.checks_method_names {
        return Ok(());
    }
    Err(ServeError::PredictMethodName {
        known: list(PREDICTION_METHODS.into_iter(), ", "),
        actual: signature.method_name.to_string(),
    })
}

/// Puts the inputs of a request into the order of the signature; those that it leaves out and that have a default are
/// that.
///
/// # Errors
/// In TensorFlow Serving's order: number of inputs, names, decoding. Dtypes are checked later, shapes never: they are
/// the model's matter.
pub(crate) fn arrange(
    signature: &Signature,
    sent: Vec<(String, Result<Tensor, TensorProtoError>)>,
) -> Result<Vec<Tensor>, ServeError> {
    let (num_sent, num_wanted) = (sent.len(), signature.inputs.len());
    if num_sent > num_wanted || (num_sent < num_wanted && signature.defaults.is_empty()) {
        return Err(count_mismatch(signature, &sent));
    }
    let mut slots: Vec<Option<Result<Tensor, TensorProtoError>>> = vec![None; num_wanted];
    let mut unused = Vec::new();
    for (name, tensor) in sent {
        match signature.input_idx(&name) {
            Some(input_idx) => slots[input_idx] = Some(tensor),
            None => unused.push(name),
        }
    }
    let used = slots.iter().zip(&signature.inputs);
    let used = used.filter_map(|(slot, spec)| slot.as_ref().map(|_| &*spec.name));
    let names = Names {
        used: used.map(str::to_owned).collect(),
        unused,
    };
    let mut tensors = Vec::with_capacity(num_wanted);
    for (slot, spec) in slots.into_iter().zip(&signature.inputs) {
        let default = || signature.defaults.get(&spec.name).cloned().map(Ok);
        let tensor = slot
            .or_else(default)
            .ok_or_else(|| names.missing(signature, spec))?;
        let tensor = tensor.map_err(|error| tensor_error(&spec.name, error))?;
        tensors.push(tensor);
    }
    if !names.unused.is_empty() {
        return Err(names.unused());
    }
    Ok(tensors)
}

fn tensor_error(input: &str, error: TensorProtoError) -> ServeError {
    match error {
        TensorProtoError::TooLarge { max_bytes } => ServeError::TensorTooLarge {
            input: input.to_owned(),
            max_bytes,
        },
        error => ServeError::TensorProto {
            input: input.to_owned(),
            reason: error.to_string(),
        },
    }
}

/// The inputs that a request names, for messages.
struct Names {
    used: Vec<String>,
    unused: Vec<String>,
}

impl Names {
    fn sent(&self) -> String {
        sorted(self.used.iter().chain(&self.unused).map(String::as_str))
    }

    fn missing(&self, signature: &Signature, spec: &TensorSpec) -> ServeError {
        ServeError::InputAlias {
            alias: spec.name.to_string(),
            feed: spec.tensor_name.to_string(),
            sent: self.sent(),
            defaults: sorted(signature.defaults.keys().map(|name| &**name)),
        }
    }

    fn unused(&self) -> ServeError {
        ServeError::UnusedInputs {
            used: sorted(self.used.iter().map(String::as_str)),
            sent: self.sent(),
        }
    }
}

/// Checks that inputs are of the declared dtypes. TensorFlow numbers them in the order of their names in the graph.
pub(crate) fn check_dtypes(signature: &Signature, tensors: &[Tensor]) -> Result<(), ServeError> {
    let pairs = signature.inputs.iter().zip(tensors);
    let Some((spec, tensor)) = pairs
        .filter(|(spec, tensor)| spec.dtype != tensor.dtype())
        .min_by_key(|(spec, _)| &*spec.tensor_name)
    else {
        return Ok(());
    };
    let is_before = |other: &&TensorSpec| other.tensor_name < spec.tensor_name;
    Err(ServeError::InputDType {
        arg_idx: signature.inputs.iter().filter(is_before).count(),
        expected: tensor_proto::dtype_word(spec.dtype),
        actual: tensor_proto::dtype_word(tensor.dtype()),
    })
}

fn count_mismatch(
    signature: &Signature,
    sent: &[(String, Result<Tensor, TensorProtoError>)],
) -> ServeError {
    let sent: BTreeSet<&str> = sent.iter().map(|(name, _)| name.as_str()).collect();
    let wanted: BTreeSet<&str> = signature.inputs.iter().map(|spec| &*spec.name).collect();
    ServeError::InputCount {
        num_sent: sent.len(),
        num_wanted: wanted.len(),
        extra: sorted(sent.difference(&wanted).copied()),
        missing: sorted(wanted.difference(&sent).copied()),
        sent: sorted(sent.into_iter()),
        wanted: sorted(wanted.into_iter()),
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>, separator: &str) -> String {
    names.collect::<Vec<_>>().join(separator)
}

/// Returns the names, each once, in their order.
fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    list(names.collect::<BTreeSet<_>>().into_iter(), ",")
}

/// Returns the positions of the outputs that a filter asks for; of all of them if there is no filter.
pub(crate) fn requested(
    signature: &Signature,
    filter: &[String],
) -> Result<Vec<usize>, ServeError> {
    if filter.is_empty() {
        return Ok((0..signature.outputs.len()).collect());
    }
    let mut requested = Vec::with_capacity(filter.len());
    for alias in filter {
        let output_idx = signature
            .output_idx(alias)
            .ok_or_else(|| ServeError::UnknownOutput {
                alias: alias.clone(),
                known: sorted(signature.outputs.iter().map(|spec| &*spec.name)),
            })?;
        if requested.contains(&output_idx) {
            return Err(ServeError::DuplicateOutput(alias.clone()));
        }
        requested.push(output_idx);
    }
    Ok(requested)
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

/// What a request is answered with.
pub(crate) struct Answer {
    pub(crate) handle: Handle<LoadedModel>,
    pub(crate) signature: Arc<Signature>,
    requested: Vec<usize>,
    outputs: Vec<Tensor>,
    metrics: Arc<SignatureMetrics>,
}

impl Answer {
    /// Returns the outputs beside the names clients know them by.
    pub(crate) fn named_outputs(&self) -> Vec<(&str, &Tensor)> {
        let names = self
            .requested
            .iter()
            .map(|&output_idx| &*self.signature.outputs[output_idx].name);
        names.zip(&self.outputs).collect()
    }

    /// Returns an output by its name in the graph.
    pub(crate) fn output(&self, tensor_name: &str) -> Option<&Tensor> {
        let is_wanted =
            |&output_idx: &usize| *self.signature.outputs[output_idx].tensor_name == *tensor_name;
        self.outputs.get(self.requested.iter().position(is_wanted)?)
    }

    /// Returns the memory that the outputs take, in bytes.
    pub(crate) fn num_bytes(&self) -> usize {
        self.outputs.iter().map(Tensor::num_bytes).sum()
    }

    /// Counts the time of encoding.
    pub(crate) fn encoded(&self, elapsed: Duration) {
        self.metrics.observe(Phase::Encode, elapsed);
    }
}

/// Runs a job and measures its phases.
pub(crate) async fn run(work: &mut Work<'_>, job: Job) -> Result<Answer, ServeError> {
    let Job {
        api,
        handle,
        signature,
        inputs,
        requested,
        decode,
    } = job;
    let metrics = Arc::clone(handle.metrics(&signature.name));
    metrics.observe(Phase::Decode, decode);
    let traced = work.app.tracer.is_on().then(Instant::now);
    let outputs = work.reservation.sibling();
    let batch = Batch {
        signature: Arc::clone(&signature),
        inputs,
        requested: requested.clone(),
        deadline: work.deadline,
        // A request that is given up leaves its tensors in the queue until an instance comes to them; till then they count.
        hold: Some(Arc::new(std::mem::replace(&mut work.reservation, outputs))),
    };
    let executed = handle
        .executor()
        .execute(batch)
        .await
        .map_err(ServeError::Execute)?;
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
    work.reservation
        .hold(executed.outputs.iter().map(Tensor::num_bytes).sum());
    Ok(Answer {
        handle,
        signature,
        requested,
        outputs: executed.outputs,
        metrics,
    })
}

/// Returns the states of a model's versions, highest first; a label means all of them, as in TensorFlow Serving.
pub(crate) fn states(
    app: &App,
    name: &str,
    version: &salver_protocol::VersionChoice,
) -> Result<Vec<VersionState>, ServeError> {
    let statuses = app
        .manager
        .status(name)
        .filter(|statuses| !statuses.is_empty());
    let statuses = statuses.ok_or_else(|| match app.manager.complaint(name) {
        Some(complaint) => ServeError::NoVersions {
            name: name.to_owned(),
            reason: complaint.message,
        },
        None => ServeError::NoStatus(name.to_owned()),
    })?;
    let states = statuses.iter().map(version_state);
    let salver_protocol::VersionChoice::Version(version) = *version else {
        return Ok(states.collect());
    };
    let states: Vec<_> = states.filter(|state| state.version == version).collect();
    if states.is_empty() {
        return Err(ServeError::NoVersionStatus {
            name: name.to_owned(),
            version,
        });
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
