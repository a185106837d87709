//! Writing requests and answers.

use bytes::{BufMut, BytesMut};
use salver_tensor::Tensor;
use salver_wire::{Writer, len_field_len};

use super::field;
use crate::model_spec::ModelSpecView;
use crate::tensor_proto::{TensorEncoder, TensorStyle};
use crate::{ModelSpec, VersionChoice};

/// What an answer says about who gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelSpecEcho<'a> {
    /// The model.
    pub name: &'a str,
    /// The version that was used.
    pub version: i64,
    /// The signature that was used.
    pub signature_name: &'a str,
}

/// Appends a `PredictRequest`. Its length is known before the first byte is written, so `out` grows at most once.
pub fn encode_request(
    model: &ModelSpec,
    inputs: &[(&str, &Tensor)],
    output_filter: &[&str],
    style: TensorStyle,
    out: &mut BytesMut,
) {
    let model = model.as_view();
    let entries = entries(inputs, style);
    let filter_len: usize = output_filter
        .iter()
        .map(|alias| len_field_len(field::REQUEST_OUTPUT_FILTER, alias.len()))
        .sum();
    out.reserve(
        len_field_len(field::REQUEST_MODEL_SPEC, model.encoded_len())
            + entries_len(field::REQUEST_INPUTS, &entries)
            + filter_len,
    );
    let mut writer = Writer::new(out);
    write_model(&mut writer, field::REQUEST_MODEL_SPEC, model);
    write_entries(&mut writer, field::REQUEST_INPUTS, &entries);
    for alias in output_filter {
        writer.bytes_field(field::REQUEST_OUTPUT_FILTER, alias.as_bytes());
    }
}

/// Appends a `PredictResponse`. Its length is known before the first byte is written, so `out` grows at most once.
pub fn encode_response(
    echo: &ModelSpecEcho<'_>,
    outputs: &[(&str, &Tensor)],
    style: TensorStyle,
    out: &mut BytesMut,
) {
    let version = VersionChoice::Version(echo.version);
    let model = ModelSpecView {
        name: echo.name,
        version: &version,
        signature_name: echo.signature_name,
    };
    let entries = entries(outputs, style);
    out.reserve(
        entries_len(field::RESPONSE_OUTPUTS, &entries)
            + len_field_len(field::RESPONSE_MODEL_SPEC, model.encoded_len()),
    );
    let mut writer = Writer::new(out);
    write_entries(&mut writer, field::RESPONSE_OUTPUTS, &entries);
    write_model(&mut writer, field::RESPONSE_MODEL_SPEC, model);
}

/// An entry of a map from names to tensors, measured.
struct Entry<'a> {
    name: &'a str,
    tensor: TensorEncoder<'a>,
    tensor_len: usize,
    len: usize,
}

fn entries<'a>(tensors: &[(&'a str, &'a Tensor)], style: TensorStyle) -> Vec<Entry<'a>> {
    let entry = |&(name, tensor): &(&'a str, &'a Tensor)| {
        let tensor = TensorEncoder::new(tensor, style);
        let tensor_len = tensor.encoded_len();
        let len = len_field_len(field::KEY, name.len()) + len_field_len(field::VALUE, tensor_len);
        Entry {
            name,
            tensor,
            tensor_len,
            len,
        }
    };
    tensors.iter().map(entry).collect()
}

fn entries_len(field: u32, entries: &[Entry<'_>]) -> usize {
    entries
        .iter()
        .map(|entry| len_field_len(field, entry.len))
        .sum()
}

fn write_entries<B: BufMut>(writer: &mut Writer<B>, field: u32, entries: &[Entry<'_>]) {
    for entry in entries {
        writer.message(field, entry.len);
        writer.bytes_field(field::KEY, entry.name.as_bytes());
        writer.message(field::VALUE, entry.tensor_len);
        entry.tensor.write(writer);
    }
}

fn write_model<B: BufMut>(writer: &mut Writer<B>, field: u32, model: ModelSpecView<'_>) {
    writer.message(field, model.encoded_len());
    model.write(writer);
}
