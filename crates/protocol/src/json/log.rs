//! What a log line holds of a request and of its answer: as in REST bodies, but on one line, and text whatever the
//! bytes of its strings are.
//!
//! Strings that are not UTF-8 are `{"b64": ..}`, as clients send them; `NaN` and infinities are bare words, as they are
//! sent.

use bytes::Bytes;
use prost::Message as _;
use salver_proto::tensorflow::feature::Kind;
use salver_proto::tensorflow::{Example, Feature};
use salver_tensor::Tensor;

use super::writer::Output;
use super::{base64, number_text, strings};
use crate::inference::{Regressions, Results};

/// Appends a JSON string.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    strings::write(out, text.as_bytes());
}

/// Appends an object of tensors by alias; one whose dtype has no form in JSON is `null`.
pub fn write_tensors(tensors: &[(&str, &Tensor)], out: &mut Vec<u8>) {
    object(tensors, out, |(alias, tensor), out| {
        strings::write(out, alias.as_bytes());
        out.push(b':');
        match Output::readable(alias, tensor) {
            Ok(mut output) => output.write_on_one_line(out),
            Err(_) => out.extend_from_slice(b"null"),
        }
    });
}

/// Appends rows of serialized `tensorflow.Example` as objects of features; a row that is none is `{"b64": ..}`.
pub fn write_examples(rows: &[Bytes], out: &mut Vec<u8>) {
    list(rows, out, |row, out| match Example::decode(row.clone()) {
        Ok(example) => {
            let features = example.features.unwrap_or_default().feature;
            object(&features, out, |(name, feature), out| {
                strings::write(out, name.as_bytes());
                out.push(b':');
                write_feature(feature, out);
            });
        }
        Err(_) => write_base64(row, out),
    });
}

/// Appends the results of a classify or a regress request.
pub fn write_results(results: &Results<'_>, out: &mut Vec<u8>) {
    match *results {
        Results::Classifications(classifications) => {
            list(classifications.rows(), out, |row, out| {
                list(row, out, |(label, score), out| {
                    out.push(b'[');
                    write_bytes(label, out);
                    out.push(b',');
                    number_text::write_float(out, score);
                    out.push(b']');
                });
            });
        }
        Results::Regressions(Regressions { values }) => {
            list(values, out, |value, out| {
                number_text::write_float(out, *value)
            });
        }
    }
}

fn write_feature(feature: &Feature, out: &mut Vec<u8>) {
    match &feature.kind {
        None => out.extend_from_slice(b"[]"),
        Some(Kind::BytesList(values)) => {
            list(&values.value, out, |value, out| write_bytes(value, out));
        }
        Some(Kind::FloatList(values)) => {
            list(&values.value, out, |value, out| {
                number_text::write_float(out, *value)
            });
        }
        Some(Kind::Int64List(values)) => {
            list(&values.value, out, |value, out| {
                number_text::write_signed(out, *value)
            });
        }
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    if str::from_utf8(bytes).is_ok() {
        strings::write(out, bytes);
    } else {
        write_base64(bytes, out);
    }
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'{');
    base64::write(out, bytes);
    out.push(b'}');
}

fn list<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    write: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'[');
    separate(items, out, write);
    out.push(b']');
}

fn object<T>(
    members: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    write: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'{');
    separate(members, out, write);
    out.push(b'}');
}

fn separate<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    for (idx, item) in items.into_iter().enumerate() {
        if idx > 0 {
            out.push(b',');
        }
        write(item, out);
    }
}
