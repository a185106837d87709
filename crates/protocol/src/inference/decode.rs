//! Reading requests.

use bytes::Buf;
use salver_wire::{Reader, WireError, WireType};

use super::{DecodeError, Examples, MAX_ENTRIES};
use crate::ModelSpec;
use crate::predict::merge_model;
use crate::rope::Rope;

/// Field numbers.
mod field {
    /// Of `ClassificationRequest` and `RegressionRequest`.
    pub(super) const MODEL_SPEC: u32 = 1;
    /// Of `MultiInferenceRequest`.
    pub(super) const TASKS: u32 = 1;
    /// Of all three.
    pub(super) const INPUT: u32 = 2;
    /// Of `InferenceTask`.
    pub(super) const TASK_MODEL_SPEC: u32 = 1;
    pub(super) const TASK_METHOD_NAME: u32 = 2;
}

/// One question about each row.
#[derive(Clone, Debug, Default)]
pub struct InferenceRequest {
    /// Whom to ask; `None` if the request does not say.
    pub model: Option<ModelSpec>,
    /// The rows.
    pub examples: Examples,
}

/// Several questions about each row.
#[derive(Clone, Debug, Default)]
pub struct MultiInferenceRequest {
    /// The questions.
    pub tasks: Vec<Task>,
    /// The rows.
    pub examples: Examples,
}

/// One of several questions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Whom to ask; `None` if the task does not say.
    pub model: Option<ModelSpec>,
    /// What kind of question: `tensorflow/serving/classify` or `tensorflow/serving/regress`.
    pub method_name: String,
}

/// Decodes a `ClassificationRequest` or a `RegressionRequest`; on the wire they are the same.
///
/// # Errors
/// [`DecodeError::Wire`] if it is not protobuf. What is inside the rows is not looked at.
pub fn decode_request(message: Rope) -> Result<InferenceRequest, DecodeError> {
    let mut reader = Reader::new(message.clone());
    let mut model = None;
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (field::MODEL_SPEC, WireType::Len) => merge_model(&mut model, &mut reader)?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    let examples = Examples::of_message(message, field::INPUT)?;
    Ok(InferenceRequest { model, examples })
}

/// Decodes a `MultiInferenceRequest`.
///
/// # Errors
/// [`DecodeError`] if it is not protobuf or has more tasks than [`MAX_ENTRIES`].
pub fn decode_multi(message: Rope) -> Result<MultiInferenceRequest, DecodeError> {
    let mut reader = Reader::new(message.clone());
    let mut tasks = Vec::new();
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (field::TASKS, WireType::Len) => {
                if tasks.len() == MAX_ENTRIES {
                    return Err(DecodeError::TooManyEntries { max: MAX_ENTRIES });
                }
                tasks.push(reader.message(read_task)?);
            }
            _ => reader.skip(field, wire_type)?,
        }
    }
    let examples = Examples::of_message(message, field::INPUT)?;
    Ok(MultiInferenceRequest { tasks, examples })
}

fn read_task<B: Buf>(reader: &mut Reader<B>) -> Result<Task, WireError> {
    let mut task = Task::default();
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (field::TASK_MODEL_SPEC, WireType::Len) => merge_model(&mut task.model, reader)?,
            (field::TASK_METHOD_NAME, WireType::Len) => task.method_name = reader.string()?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    Ok(task)
}
