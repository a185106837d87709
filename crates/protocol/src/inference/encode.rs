//! Writing answers.

use bytes::{BufMut, Bytes, BytesMut};
use salver_wire::{Writer, len_field_len};

use super::{Classifications, ModelSpecEcho, Regressions, Results, Task};
use crate::model_spec::ModelSpecView;
use crate::{ModelSpec, VersionChoice};

/// Field numbers.
mod field {
    /// Of `ClassificationResponse` and `RegressionResponse`.
    pub(super) const RESULT: u32 = 1;
    pub(super) const MODEL_SPEC: u32 = 2;
    /// Of `MultiInferenceResponse`.
    pub(super) const RESULTS: u32 = 1;
    /// Of `InferenceResult`.
    pub(super) const OF_MODEL_SPEC: u32 = 1;
    pub(super) const CLASSIFICATION_RESULT: u32 = 2;
    pub(super) const REGRESSION_RESULT: u32 = 3;
    /// Of `ClassificationResult`: one `Classifications` for each row; of that: its classes.
    pub(super) const CLASSIFICATIONS: u32 = 1;
    pub(super) const CLASSES: u32 = 1;
    /// Of `Class`.
    pub(super) const LABEL: u32 = 1;
    pub(super) const SCORE: u32 = 2;
    /// Of `RegressionResult`: one `Regression` for each row; of that: its value.
    pub(super) const REGRESSIONS: u32 = 1;
    pub(super) const VALUE: u32 = 1;
}

/// Field numbers of requests.
mod request_field {
    /// Of `ClassificationRequest` and `RegressionRequest`.
    pub(super) const MODEL_SPEC: u32 = 1;
    /// Of `MultiInferenceRequest`.
    pub(super) const TASKS: u32 = 1;
    /// Of all of them.
    pub(super) const INPUT: u32 = 2;
    /// Of `InferenceTask`.
    pub(super) const TASK_MODEL_SPEC: u32 = 1;
    pub(super) const TASK_METHOD_NAME: u32 = 2;
    /// Of `Input`, and in that.
    pub(super) const EXAMPLE_LIST: u32 = 1;
    pub(super) const EXAMPLES: u32 = 1;
}

/// A key below 16 and four bytes.
const FLOAT_FIELD_LEN: usize = 5;

/// Appends a `ClassificationRequest` or a `RegressionRequest` about serialized examples.
pub fn encode_request(model: &ModelSpec, rows: &[Bytes], out: &mut BytesMut) {
    let model = model.as_view();
    let mut writer = Writer::new(out);
    writer.message(request_field::MODEL_SPEC, model.encoded_len());
    model.write(&mut writer);
    write_rows(&mut writer, rows);
}

/// Appends a `MultiInferenceRequest` about serialized examples.
pub fn encode_multi_request(tasks: &[Task], rows: &[Bytes], out: &mut BytesMut) {
    let mut writer = Writer::new(out);
    for task in tasks {
        writer.nested(request_field::TASKS, |writer| {
            if let Some(model) = &task.model {
                let model = model.as_view();
                writer.message(request_field::TASK_MODEL_SPEC, model.encoded_len());
                model.write(writer);
            }
            writer.bytes_field(request_field::TASK_METHOD_NAME, task.method_name.as_bytes());
        });
    }
    write_rows(&mut writer, rows);
}

fn write_rows<B: BufMut>(writer: &mut Writer<B>, rows: &[Bytes]) {
    let row_len = |row: &Bytes| len_field_len(request_field::EXAMPLES, row.len());
    let list_len = rows.iter().map(row_len).sum();
    let input_len = len_field_len(request_field::EXAMPLE_LIST, list_len);
    writer.message(request_field::INPUT, input_len);
    writer.message(request_field::EXAMPLE_LIST, list_len);
    for row in rows {
        writer.bytes_field(request_field::EXAMPLES, row);
    }
}

/// Appends a `ClassificationResponse` or a `RegressionResponse`. Its length is known before the first byte is written,
/// so `out` grows at most once.
pub fn encode_response(echo: &ModelSpecEcho<'_>, results: &Results<'_>, out: &mut BytesMut) {
    let version = VersionChoice::Version(echo.version);
    let model = view(echo, &version);
    let results_len = results.encoded_len();
    out.reserve(
        len_field_len(field::RESULT, results_len)
            + len_field_len(field::MODEL_SPEC, model.encoded_len()),
    );
    let mut writer = Writer::new(out);
    writer.message(field::RESULT, results_len);
    results.write(&mut writer);
    writer.message(field::MODEL_SPEC, model.encoded_len());
    model.write(&mut writer);
}

/// Appends a `MultiInferenceResponse`, one result for each question in the order they were asked.
pub fn encode_multi(answers: &[(ModelSpecEcho<'_>, Results<'_>)], out: &mut BytesMut) {
    for (echo, results) in answers {
        let version = VersionChoice::Version(echo.version);
        let model = view(echo, &version);
        let results_field = match results {
            Results::Classifications(_) => field::CLASSIFICATION_RESULT,
            Results::Regressions(_) => field::REGRESSION_RESULT,
        };
        let results_len = results.encoded_len();
        let answer_len = len_field_len(field::OF_MODEL_SPEC, model.encoded_len())
            + len_field_len(results_field, results_len);
        out.reserve(len_field_len(field::RESULTS, answer_len));
        let mut writer = Writer::new(&mut *out);
        writer.message(field::RESULTS, answer_len);
        writer.message(field::OF_MODEL_SPEC, model.encoded_len());
        model.write(&mut writer);
        writer.message(results_field, results_len);
        results.write(&mut writer);
    }
}

fn view<'a>(echo: &ModelSpecEcho<'a>, version: &'a VersionChoice) -> ModelSpecView<'a> {
    ModelSpecView {
        name: echo.name,
        version,
        signature_name: echo.signature_name,
    }
}

impl Results<'_> {
    fn encoded_len(&self) -> usize {
        match *self {
            Self::Classifications(classifications) => classifications_len(classifications),
            Self::Regressions(Regressions { values }) => values
                .iter()
                .map(|&value| len_field_len(field::REGRESSIONS, float_len(value)))
                .sum(),
        }
    }

    fn write<B: BufMut>(&self, writer: &mut Writer<B>) {
        match *self {
            Self::Classifications(classifications) => {
                write_classifications(classifications, writer)
            }
            Self::Regressions(Regressions { values }) => {
                for &value in values {
                    writer.message(field::REGRESSIONS, float_len(value));
                    write_float(writer, field::VALUE, value);
                }
            }
        }
    }
}

fn classifications_len(classifications: Classifications<'_>) -> usize {
    classifications
        .rows()
        .map(|row| len_field_len(field::CLASSIFICATIONS, row_len(row)))
        .sum()
}

fn row_len<'a>(row: impl Iterator<Item = (&'a [u8], f32)>) -> usize {
    row.map(|class| len_field_len(field::CLASSES, class_len(class)))
        .sum()
}

fn class_len((label, score): (&[u8], f32)) -> usize {
    let label_len = if label.is_empty() {
        0
    } else {
        len_field_len(field::LABEL, label.len())
    };
    label_len + float_len(score)
}

fn write_classifications<B: BufMut>(classifications: Classifications<'_>, writer: &mut Writer<B>) {
    for row in classifications.rows() {
        writer.message(field::CLASSIFICATIONS, row_len(row.clone()));
        for (label, score) in row {
            writer.message(field::CLASSES, class_len((label, score)));
            if !label.is_empty() {
                writer.bytes_field(field::LABEL, label);
            }
            write_float(writer, field::SCORE, score);
        }
    }
}

/// Zero is the default and is not written; negative zero is.
fn float_len(value: f32) -> usize {
    if value.to_bits() == 0 {
        0
    } else {
        FLOAT_FIELD_LEN
    }
}

fn write_float<B: BufMut>(writer: &mut Writer<B>, field: u32, value: f32) {
    if value.to_bits() != 0 {
        writer.fixed32_field(field, value.to_bits());
    }
}
