//! Runs the requests that a version brings along, before it serves.
//!
//! They lie in `assets.extra/tf_serving_warmup_requests` beside the model, a TFRecord file of `PredictionLog`, as
//! TensorFlow Serving has it; the request log writes such files. Each goes the way of a request, from decoding to the
//! engine, and its answer is dropped. Records are read one by one, so that a long file takes no more memory than its
//! longest record.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use salver_batching::{Batch, Priority};
use salver_protocol::inference as inference_codec;
use salver_protocol::predict::{self, DecodeError};
use salver_protocol::prediction_log::{self, LogType};
use salver_protocol::tfrecord;
use salver_repository::{LoadedModel, Warmup};
use salver_servable::{CancelToken, LoadError, LoadErrorKind};
use salver_telemetry::Metrics;
use tokio::time::Instant;

use crate::infer;
use crate::inference::{self, InferenceMethod, Question};
use crate::status::{Code, ServeError};

/// Where the requests are, within a version's folder.
const FILE: &str = "assets.extra/tf_serving_warmup_requests";
/// More records are refused, as in TensorFlow Serving.
const MAX_RECORDS: usize = 1000;
/// The largest record: no message of protobuf is larger than 2 GB.
const MAX_RECORD_BYTES: usize = i32::MAX as usize;
/// The most memory that the tensors of one request may take: one value may stand for a whole tensor.
const MAX_TENSOR_BYTES: usize = 4 << 30;
/// How often the log tells how far a long warm-up is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Runs the requests that versions bring along.
#[derive(Clone, Debug)]
pub struct WarmupRequests {
    /// Where they are counted.
    pub metrics: Metrics,
    /// How often each request is run.
    pub num_iterations: NonZeroU32,
}

impl Warmup for WarmupRequests {
    fn warm_up(
        &self,
        model: &LoadedModel,
        dir: &Path,
        cancel: &CancelToken,
    ) -> Result<bool, LoadError> {
        let file = match File::open(dir.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(unreadable(&error)),
        };
        let num_bytes = file.metadata().map_err(|error| unreadable(&error))?.len();
        let mut progress = Progress::new(model, num_bytes);
        let mut records = tfrecord::Reader::new(BufReader::new(file), MAX_RECORD_BYTES);
        let outcome = self.run_all(model, &mut records, &mut progress, cancel);
        let status = match &outcome {
            Ok(()) => "OK".to_owned(),
            Err(error) if error.kind == LoadErrorKind::Damaged => format!("DATA_LOSS: {error}"),
            Err(_) => return outcome.map(|()| true),
        };
        let path = dir.to_string_lossy();
        self.metrics.warmed_up(
            &path,
            &status,
            progress.started_at.elapsed(),
            progress.num_records,
        );
        outcome?;
        progress.finish();
        Ok(true)
    }
}

impl WarmupRequests {
    fn run_all(
        &self,
        model: &LoadedModel,
        records: &mut tfrecord::Reader<BufReader<File>>,
        progress: &mut Progress<'_>,
        cancel: &CancelToken,
    ) -> Result<(), LoadError> {
        while let Some(record) = records.next_record().map_err(|error| data_loss(&error))? {
            if progress.num_records == MAX_RECORDS {
                return Err(invalid(format!(
                    "Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {FILE}"
                )));
            }
            for _ in 0..self.num_iterations.get() {
                if cancel.is_cancelled() {
                    return Err(cancelled());
                }
                replay(model, record.clone(), progress.num_records + 1)?;
            }
            progress.advance(records.offset());
        }
        Ok(())
    }
}

/// Runs one record; they are counted from 1.
fn replay(model: &LoadedModel, record: Bytes, record_number: usize) -> Result<(), LoadError> {
    let unparsed = |reason: String| {
        invalid(format!(
            "Failed to parse warmup record {record_number} from {FILE}: {reason}"
        ))
    };
    let logged = prediction_log::decode(record).map_err(|error| unparsed(error.to_string()))?;
    // As in TensorFlow Serving, an empty record is no request.
    let Some(logged) = logged else { return Ok(()) };
    let batch = match logged.log_type {
        LogType::Predict => predict_batch(model, logged.request),
        LogType::Classify => rows_batch(model, logged.request, InferenceMethod::Classify),
        LogType::Regress => rows_batch(model, logged.request, InferenceMethod::Regress),
        LogType::MultiInference => multi_batch(model, logged.request),
        LogType::SessionRun | LogType::PredictStreamed => Err(unsupported(logged.log_type)),
    };
    let executed =
        batch.and_then(|batch| model.execute_blocking(batch).map_err(ServeError::Execute));
    executed
        .map(drop)
        .map_err(|error| load_error(&error, record_number))
}

fn predict_batch(model: &LoadedModel, request: Bytes) -> Result<Batch, ServeError> {
    let request = predict::decode_request(request, MAX_TENSOR_BYTES);
    let request = request.map_err(|error| unparsed("tensorflow.serving.PredictRequest", &error))?;
    // Whom it asks is this model, whatever it says: it may have been logged under another name.
    let name = request.model.unwrap_or_default().signature_name;
    let signature = model.signatures().get(&name).cloned();
    let unknown = || ServeError::UnknownSignature(infer::or_default(&name).to_owned());
    let signature = signature.ok_or_else(unknown)?;
    let inputs = infer::arrange(&signature, request.inputs)?;
    let requested = infer::requested(&signature, &request.output_filter)?;
    infer::check_dtypes(&signature, &inputs)?;
    Ok(Batch {
        signature,
        inputs,
        requested,
        deadline: None,
        priority: Priority::default(),
        hold: None,
    })
}

fn rows_batch(
    model: &LoadedModel,
    request: Bytes,
    method: InferenceMethod,
) -> Result<Batch, ServeError> {
    let message = match method {
        InferenceMethod::Classify => "tensorflow.serving.ClassificationRequest",
        InferenceMethod::Regress => "tensorflow.serving.RegressionRequest",
    };
    let request = inference_codec::decode_request(request.into());
    let request = request.map_err(|error| unparsed(message, &error))?;
    let name = request.model.unwrap_or_default().signature_name;
    let questions = [Question::new(false, model, method, &name)?];
    inference::batch(&questions, request.examples)
}

fn multi_batch(model: &LoadedModel, request: Bytes) -> Result<Batch, ServeError> {
    let request = inference_codec::decode_multi(request.into());
    let request =
        request.map_err(|error| unparsed("tensorflow.serving.MultiInferenceRequest", &error))?;
    let questions = Question::of_tasks(false, model, request.tasks)?;
    inference::batch(&questions, request.examples)
}

fn unparsed(message: &'static str, error: &DecodeError) -> ServeError {
    ServeError::Protobuf {
        message,
        reason: error.to_string(),
    }
}

fn unsupported(log_type: LogType) -> ServeError {
    ServeError::Unimplemented(format!(
        "Unsupported log_type for warmup: {}",
        log_type.field()
    ))
}

/// Tells the log how far a warm-up is.
struct Progress<'a> {
    model: &'a LoadedModel,
    num_records: usize,
    num_bytes: u64,
    started_at: Instant,
    told_at: Instant,
}

impl<'a> Progress<'a> {
    fn new(model: &'a LoadedModel, num_bytes: u64) -> Self {
        let now = Instant::now();
        Self {
            model,
            num_records: 0,
            num_bytes,
            started_at: now,
            told_at: now,
        }
    }

    fn advance(&mut self, offset: u64) {
        self.num_records += 1;
        if self.told_at.elapsed() >= PROGRESS_INTERVAL {
            self.told_at = Instant::now();
            let percent = offset.saturating_mul(100) / self.num_bytes.max(1);
            tracing::info!(id = %self.model.id, requests = self.num_records, percent, "warming up");
        }
    }

    fn finish(self) {
        tracing::info!(
            id = %self.model.id,
            requests = self.num_records,
            seconds = self.started_at.elapsed().as_secs_f64(),
            "warmed up with the requests of {FILE}"
        );
    }
}

fn load_error(error: &ServeError, record_number: usize) -> LoadError {
    let kind = match error.code() {
        Code::Unimplemented => LoadErrorKind::Unsupported,
        Code::InvalidArgument | Code::FailedPrecondition => LoadErrorKind::Invalid,
        _ => LoadErrorKind::Failed,
    };
    // Unlike a client, whoever loads a model is told what the engine said.
    let message = match error {
        ServeError::Execute(error) => error.to_string(),
        _ => error.to_string(),
    };
    LoadError::new(
        kind,
        format!("warmup record {record_number} of {FILE}: {message}"),
    )
}

fn data_loss(error: &tfrecord::TfRecordError) -> LoadError {
    let message = format!("{error}. Please verify your warmup data is in TFRecord format.");
    LoadError::new(LoadErrorKind::Damaged, message)
}

fn unreadable(error: &std::io::Error) -> LoadError {
    LoadError::new(
        LoadErrorKind::Failed,
        format!("{FILE} cannot be read: {error}"),
    )
}

fn invalid(message: String) -> LoadError {
    LoadError::new(LoadErrorKind::Invalid, message)
}

fn cancelled() -> LoadError {
    LoadError::new(LoadErrorKind::Cancelled, "the load was cancelled")
}
