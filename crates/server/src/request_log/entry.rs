//! One request as it is logged: what is kept of it, and its two written forms.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use salver_backend::Signature;
use salver_protocol::inference as inference_codec;
use salver_protocol::json::log as json;
use salver_protocol::predict::{self, ModelSpecEcho};
use salver_protocol::prediction_log::{self, LogMetadata, LogType};
use salver_protocol::tensor_proto::TensorStyle;
use salver_protocol::{ModelSpec, VersionChoice, tfrecord};
use salver_servable::ServableId;
use salver_telemetry::Api;
use salver_tensor::Tensor;

use super::{LogForm, ModelLog};
use crate::infer::Outputs;
use crate::inference::Question;
use crate::status::Code;

/// A request to be logged.
pub(crate) struct Entry {
    pub(crate) log: Arc<ModelLog>,
    /// When it began, since 1970.
    pub(crate) time: Duration,
    pub(crate) latency: Duration,
    /// `grpc` or `rest`.
    pub(crate) entrypoint: &'static str,
    pub(crate) request_id: String,
    pub(crate) code: Code,
    /// What the client was told, if it failed.
    pub(crate) error: Option<String>,
    /// `None` if it failed before the model was run.
    pub(crate) exchange: Option<Box<Exchange>>,
}

/// What went into a model and what came out of it; tensors are shared with whoever has them.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) log: Arc<ModelLog>,
    pub(crate) api: Api,
    pub(crate) model: ServableId,
    pub(crate) signature: Arc<Signature>,
    pub(crate) inputs: Vec<Tensor>,
    /// `None` until the model has answered.
    pub(crate) outputs: Option<Outputs>,
    /// What was asked about each row; empty for Predict.
    pub(crate) questions: Vec<Question>,
}

impl Exchange {
    fn echo(&self) -> ModelSpecEcho<'_> {
        ModelSpecEcho {
            name: &self.model.name,
            version: self.model.version,
            signature_name: &self.signature.name,
        }
    }

    /// Returns whom the request asked, as a request says it.
    fn spec(&self, signature: &Signature) -> ModelSpec {
        ModelSpec {
            name: self.model.name.to_string(),
            version: VersionChoice::Version(self.model.version),
            signature_name: signature.name.to_string(),
        }
    }

    fn named_inputs(&self) -> Vec<(&str, &Tensor)> {
        let names = self.signature.inputs.iter().map(|spec| &*spec.name);
        names.zip(&self.inputs).collect()
    }

    /// Returns the rows of a request that takes rows.
    fn rows(&self) -> &[Bytes] {
        let rows = self.inputs.first().and_then(Tensor::as_strings);
        rows.unwrap_or_default()
    }

    fn num_bytes(&self) -> usize {
        let inputs: usize = self.inputs.iter().map(Tensor::num_bytes).sum();
        inputs + self.outputs.as_ref().map_or(0, Outputs::num_bytes)
    }
}

impl Entry {
    /// Returns what its tensors take, in bytes.
    pub(crate) fn num_bytes(&self) -> usize {
        self.exchange
            .as_ref()
            .map_or(0, |exchange| exchange.num_bytes())
    }

    /// Tells whether its log takes it: a record of a failed request would be of no use to a warm-up.
    pub(crate) fn is_wanted(&self) -> bool {
        self.log.form == LogForm::JsonLines || self.code == Code::Ok
    }

    /// Appends it in the form of its log.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self.log.form {
            LogForm::JsonLines => self.write_line(out),
            LogForm::TfRecord => {
                if let Some(record) = self.record() {
                    tfrecord::write_record(&record, out);
                }
            }
        }
    }

    /// Returns a `PredictionLog`.
    fn record(&self) -> Option<Vec<u8>> {
        let exchange = self.exchange.as_deref()?;
        let outputs = exchange.outputs.as_ref()?;
        let (mut request, mut response) = (BytesMut::new(), BytesMut::new());
        let log_type = match exchange.api {
            Api::Predict => {
                write_predict(exchange, outputs, &mut request, &mut response);
                LogType::Predict
            }
            Api::Classify | Api::Regress => {
                let (question, rows) = (exchange.questions.first()?, exchange.rows());
                let spec = exchange.spec(&exchange.signature);
                inference_codec::encode_request(&spec, rows, &mut request);
                let results = question.results(outputs, rows.len()).ok()?;
                inference_codec::encode_response(&exchange.echo(), &results, &mut response);
                match exchange.api {
                    Api::Classify => LogType::Classify,
                    _ => LogType::Regress,
                }
            }
            Api::MultiInference => {
                write_multi(exchange, outputs, &mut request, &mut response)?;
                LogType::MultiInference
            }
        };
        let metadata = LogMetadata {
            model: exchange.echo(),
            sampling_rate: self.log.sampling_rate,
            timestamp_seconds: i64::try_from(self.time.as_secs()).unwrap_or(i64::MAX),
        };
        let mut record = Vec::new();
        let (request, response) = ([request.freeze()], [response.freeze()]);
        prediction_log::encode(log_type, &metadata, &request, &response, &mut record);
        Some(record)
    }

    fn write_line(&self, out: &mut Vec<u8>) {
        let mut line = Line::begin(out);
        line.text("time", &rfc3339(self.time));
        match self.exchange.as_deref() {
            Some(exchange) => {
                line.text("model", &exchange.model.name);
                line.number("version", exchange.model.version.into());
                line.text("signature", &exchange.signature.name);
                line.text("api", exchange.api.name());
            }
            None => line.text("model", &self.log.model),
        }
        line.text("entrypoint", self.entrypoint);
        line.text("request_id", &self.request_id);
        line.text("status", self.code.name());
        if let Some(error) = &self.error {
            line.text("error", error);
        }
        let micros = i64::try_from(self.latency.as_micros()).unwrap_or(i64::MAX);
        line.number("latency_micros", micros.into());
        if let Some(exchange) = self.exchange.as_deref() {
            line.value("request", |out| write_json_request(exchange, out));
            if let Some(outputs) = exchange.outputs.as_ref().filter(|_| self.code == Code::Ok) {
                line.value("response", |out| {
                    write_json_response(exchange, outputs, out)
                });
            }
        }
        line.end();
    }
}

fn write_predict(
    exchange: &Exchange,
    outputs: &Outputs,
    request: &mut BytesMut,
    response: &mut BytesMut,
) {
    let named_outputs = outputs.named();
    let filter: Vec<&str> = if named_outputs.len() == exchange.signature.outputs.len() {
        Vec::new()
    } else {
        named_outputs.iter().map(|(name, _)| *name).collect()
    };
    let style = TensorStyle::Content;
    let spec = exchange.spec(&exchange.signature);
    predict::encode_request(&spec, &exchange.named_inputs(), &filter, style, request);
    predict::encode_response(&exchange.echo(), &named_outputs, style, response);
}

fn write_multi(
    exchange: &Exchange,
    outputs: &Outputs,
    request: &mut BytesMut,
    response: &mut BytesMut,
) -> Option<()> {
    let rows = exchange.rows();
    let mut tasks = Vec::with_capacity(exchange.questions.len());
    let mut answers = Vec::with_capacity(exchange.questions.len());
    for question in &exchange.questions {
        tasks.push(inference_codec::Task {
            model: Some(exchange.spec(question.signature())),
            method_name: question.method().name().to_owned(),
        });
        let echo = ModelSpecEcho {
            signature_name: &question.signature().name,
            ..exchange.echo()
        };
        answers.push((echo, question.results(outputs, rows.len()).ok()?));
    }
    inference_codec::encode_multi_request(&tasks, rows, request);
    inference_codec::encode_multi(&answers, response);
    Some(())
}

/// Writes the request as a REST client would have sent it.
fn write_json_request(exchange: &Exchange, out: &mut Vec<u8>) {
    let mut members = Line::begin(out);
    match exchange.api {
        Api::Predict => members.value("inputs", |out| {
            json::write_tensors(&exchange.named_inputs(), out);
        }),
        Api::Classify | Api::Regress | Api::MultiInference => members.value("examples", |out| {
            json::write_examples(exchange.rows(), out);
        }),
    }
    members.close();
}

/// Writes the answer as a REST client would have got it; that to several questions by the signatures asked.
fn write_json_response(exchange: &Exchange, outputs: &Outputs, out: &mut Vec<u8>) {
    let num_rows = exchange.rows().len();
    let write_results =
        |question: &Question, out: &mut Vec<u8>| match question.results(outputs, num_rows) {
            Ok(results) => json::write_results(&results, out),
            Err(_) => out.extend_from_slice(b"null"),
        };
    let mut members = Line::begin(out);
    match exchange.api {
        Api::Predict => members.value("outputs", |out| json::write_tensors(&outputs.named(), out)),
        Api::Classify | Api::Regress => members.value("results", |out| {
            exchange
                .questions
                .iter()
                .for_each(|question| write_results(question, out));
        }),
        Api::MultiInference => {
            for question in &exchange.questions {
                members.value(&question.signature().name, |out| {
                    write_results(question, out)
                });
            }
        }
    }
    members.close();
}

/// An object on one line, as it is written.
struct Line<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Line<'a> {
    fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self {
            out,
            is_empty: true,
        }
    }

    fn value(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        json::write_text(name, self.out);
        self.out.push(b':');
        write(self.out);
    }

    fn text(&mut self, name: &str, text: &str) {
        self.value(name, |out| json::write_text(text, out));
    }

    fn number(&mut self, name: &str, number: i128) {
        self.value(name, |out| {
            out.extend_from_slice(number.to_string().as_bytes())
        });
    }

    fn close(self) {
        self.out.push(b'}');
    }

    fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }
}

/// Writes a moment as `2026-01-31T23:59:59.123456Z`.
fn rfc3339(unix_time: Duration) -> String {
    let [year, month, day, hour, minute, second] = civil(unix_time.as_secs());
    let micros = unix_time.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// Returns year, month, day, hour, minute and second in UTC.
///
/// Counts in years that begin in March, so that the day that is not in every year is the last.
pub(super) fn civil(unix_seconds: u64) -> [u64; 6] {
    const DAYS_PER_ERA: u64 = 146_097;
    let (days, second_of_day) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let days = days + 719_468;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    [
        year,
        month,
        day,
        second_of_day / 3600,
        second_of_day / 60 % 60,
        second_of_day % 60,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        let rows = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (951_868_800, "2000-03-01T00:00:00.000000Z"),
            (1_767_225_599, "2025-12-31T23:59:59.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(rfc3339(Duration::from_secs(seconds)), expected);
        }
        assert_eq!(
            rfc3339(Duration::from_micros(1_700_000_000_123_456)),
            "2023-11-14T22:13:20.123456Z"
        );
    }
}
