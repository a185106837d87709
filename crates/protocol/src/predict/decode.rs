//! Reading requests and answers.

use std::collections::HashSet;

use bytes::Buf;
use salver_tensor::Tensor;
use salver_wire::{Reader, WireError, WireType};

use super::{DecodeError, MAX_ENTRIES, PredictRequest, PredictResponse, field};
use crate::ModelSpec;
use crate::tensor_proto::{TensorDecoder, TensorProtoError};

/// Decodes a `PredictRequest` that fills a buffer, such as a [`crate::rope::Rope`] of frames.
///
/// All tensors together may take `max_tensor_bytes`; the first one beyond is [`TensorProtoError::TooLarge`], found
/// before anything of its size is allocated.
///
/// # Errors
/// [`DecodeError`] if the message as a whole cannot be read; a faulty tensor is an `Err` among the inputs.
pub fn decode_request(
    buf: impl Buf,
    max_tensor_bytes: usize,
) -> Result<PredictRequest, DecodeError> {
    let mut reader = Reader::new(buf);
    let mut tensors = Tensors::new(max_tensor_bytes);
    let mut request = PredictRequest::default();
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (field::REQUEST_MODEL_SPEC, WireType::Len) => {
                merge_model(&mut request.model, &mut reader)?
            }
            (field::REQUEST_INPUTS, WireType::Len) => tensors.read_entry(&mut reader)?,
            (field::REQUEST_OUTPUT_FILTER, WireType::Len) => {
                if request.output_filter.len() == MAX_ENTRIES {
                    return Err(DecodeError::TooManyEntries { max: MAX_ENTRIES });
                }
                request.output_filter.push(reader.string()?);
            }
            _ => reader.skip(field, wire_type)?,
        }
    }
    request.inputs = tensors.into_unique();
    Ok(request)
}

/// How many fields of a message are passed over in search of its model: a request has one for each input and each name in
/// its filter, and whoever looks does so where nothing may take long.
const MAX_FIELDS_PASSED: usize = 4096;

/// Returns which model a request asks, without looking at what it is asked; `None` if the request does not say, or has more
/// fields than can be passed over in a moment.
///
/// Right for each message whose field 1 is a `ModelSpec`: `PredictRequest`, `ClassificationRequest`, `RegressionRequest`.
///
/// # Errors
/// [`WireError`] if the fields of the message or those of the `ModelSpec` cannot be read.
pub fn model_of(buf: impl Buf) -> Result<Option<ModelSpec>, WireError> {
    let mut reader = Reader::new(buf);
    let mut model = None;
    for _ in 0..MAX_FIELDS_PASSED {
        match reader.next_field()? {
            None => return Ok(model),
            Some((field::REQUEST_MODEL_SPEC, WireType::Len)) => {
                merge_model(&mut model, &mut reader)?;
            }
            Some((field, wire_type)) => reader.skip(field, wire_type)?,
        }
    }
    Ok(None)
}

/// Decodes a `PredictResponse` that fills a buffer.
///
/// # Errors
/// As [`decode_request`].
pub fn decode_response(
    buf: impl Buf,
    max_tensor_bytes: usize,
) -> Result<PredictResponse, DecodeError> {
    let mut reader = Reader::new(buf);
    let mut tensors = Tensors::new(max_tensor_bytes);
    let mut response = PredictResponse::default();
    while let Some((field, wire_type)) = reader.next_field()? {
        match (field, wire_type) {
            (field::RESPONSE_MODEL_SPEC, WireType::Len) => {
                merge_model(&mut response.model, &mut reader)?
            }
            (field::RESPONSE_OUTPUTS, WireType::Len) => tensors.read_entry(&mut reader)?,
            _ => reader.skip(field, wire_type)?,
        }
    }
    response.outputs = tensors.into_unique();
    Ok(response)
}

/// Reads a `model_spec` field into what earlier ones said.
pub(crate) fn merge_model<B: Buf>(
    model: &mut Option<ModelSpec>,
    reader: &mut Reader<B>,
) -> Result<(), WireError> {
    let model = model.get_or_insert_default();
    reader.message(|message| model.merge(message))
}

/// The entries of a map from names to tensors, as they come.
struct Tensors {
    entries: Vec<(String, Result<Tensor, TensorProtoError>)>,
    /// How much those still to come may take, in bytes.
    max_bytes: usize,
}

impl Tensors {
    fn new(max_bytes: usize) -> Self {
        Self {
            entries: Vec::new(),
            max_bytes,
        }
    }

    fn read_entry<B: Buf>(&mut self, reader: &mut Reader<B>) -> Result<(), DecodeError> {
        if self.entries.len() == MAX_ENTRIES {
            return Err(DecodeError::TooManyEntries { max: MAX_ENTRIES });
        }
        let mut name = String::new();
        let mut tensor = TensorDecoder::new(self.max_bytes);
        reader.message(|entry| {
            while let Some((field, wire_type)) = entry.next_field()? {
                match (field, wire_type) {
                    (field::KEY, WireType::Len) => name = entry.string()?,
                    (field::VALUE, WireType::Len) => {
                        entry.message(|message| tensor.merge(message))?
                    }
                    _ => entry.skip(field, wire_type)?,
                }
            }
            Ok::<(), WireError>(())
        })?;
        let tensor = tensor.finish();
        let num_bytes = tensor.as_ref().map_or(0, Tensor::num_bytes);
        self.max_bytes = self.max_bytes.saturating_sub(num_bytes);
        self.entries.push((name, tensor));
        Ok(())
    }

    /// Returns the last entry of each name.
    fn into_unique(mut self) -> Vec<(String, Result<Tensor, TensorProtoError>)> {
        let mut seen = HashSet::new();
        let is_last: Vec<bool> = self
            .entries
            .iter()
            .rev()
            .map(|(name, _)| seen.insert(name.as_str()))
            .collect();
        let mut is_last = is_last.into_iter().rev();
        self.entries.retain(|_| is_last.next().unwrap_or(true));
        self.entries
    }
}
