//! Tensors as the REST API writes them: lists of numbers, both ways.
//!
//! A client reads answers of a server that it chose, so a document tree is good enough here; the server itself never
//! builds one.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use salver_tensor::{AlignedVec, DType, Element, Tensor, TensorSpec};
use serde_json::Value;

use crate::ClientError;

/// Writes a request body in columnar form, which takes inputs of every rank.
///
/// # Errors
/// [`ClientError::NotInJson`] for dtypes that JSON has no form for.
pub fn request_body(
    signature_name: &str,
    inputs: &[(&str, &Tensor)],
) -> Result<String, ClientError> {
    let mut out = format!(
        "{{\"signature_name\":{},\"inputs\":{{",
        Value::from(signature_name)
    );
    for (idx, (name, tensor)) in inputs.iter().enumerate() {
        let comma = if idx > 0 { "," } else { "" };
        append(&mut out, format_args!("{comma}{}:", Value::from(*name)));
        write_tensor(name, tensor, &mut out)?;
    }
    out.push_str("}}");
    Ok(out)
}

fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("a string takes everything that is written to it");
}

fn write_tensor(name: &str, tensor: &Tensor, out: &mut String) -> Result<(), ClientError> {
    match tensor.dtype() {
        DType::F32 => write_numbers::<f32>(tensor, out, |x, out| {
            write_float(f64::from(x), format_args!("{x:?}"), out)
        }),
        DType::F64 => write_numbers::<f64>(tensor, out, |x, out| {
            write_float(x, format_args!("{x:?}"), out)
        }),
        DType::U8 => write_integers::<u8>(tensor, out),
        DType::U16 => write_integers::<u16>(tensor, out),
        DType::U32 => write_integers::<u32>(tensor, out),
        DType::U64 => write_integers::<u64>(tensor, out),
        DType::I8 => write_integers::<i8>(tensor, out),
        DType::I16 => write_integers::<i16>(tensor, out),
        DType::I32 => write_integers::<i32>(tensor, out),
        DType::I64 => write_integers::<i64>(tensor, out),
        DType::Bool => {
            let bytes = tensor
                .as_bytes()
                .map(|bytes| &bytes[..])
                .unwrap_or_default();
            write_nested(tensor.shape(), &mut bytes.iter(), out, &|&x, out| {
                out.push_str(if x == 0 { "false" } else { "true" });
            });
        }
        DType::String => {
            let strings = tensor.as_strings().unwrap_or_default();
            write_nested(tensor.shape(), &mut strings.iter(), out, &write_string);
        }
        dtype @ (DType::F16 | DType::BF16 | DType::Complex64 | DType::Complex128) => {
            return Err(ClientError::NotInJson {
                input: name.to_owned(),
                dtype,
            });
        }
    }
    Ok(())
}

fn write_numbers<T: Element>(tensor: &Tensor, out: &mut String, write: impl Fn(T, &mut String)) {
    let numbers = tensor
        .as_slice::<T>()
        .expect("the caller matched the dtype");
    write_nested(tensor.shape(), &mut numbers.iter(), out, &|&x, out| {
        write(x, out)
    });
}

fn write_integers<T: Element + std::fmt::Display>(tensor: &Tensor, out: &mut String) {
    write_numbers::<T>(tensor, out, |x, out| append(out, format_args!("{x}")));
}

/// Writes the shortest digits that read back the same; what is no number has the server's own words.
fn write_float(value: f64, digits: std::fmt::Arguments<'_>, out: &mut String) {
    match value {
        x if x.is_nan() => out.push_str("NaN"),
        f64::INFINITY => out.push_str("Infinity"),
        f64::NEG_INFINITY => out.push_str("-Infinity"),
        _ => append(out, digits),
    }
}

fn write_string(string: &Bytes, out: &mut String) {
    match std::str::from_utf8(string) {
        Ok(text) => append(out, format_args!("{}", Value::from(text))),
        Err(_) => append(
            out,
            format_args!("{{\"b64\":\"{}\"}}", BASE64_STANDARD.encode(string)),
        ),
    }
}

fn write_nested<T>(
    shape: &[usize],
    elements: &mut impl Iterator<Item = T>,
    out: &mut String,
    write: &impl Fn(T, &mut String),
) {
    let Some((&extent, inner)) = shape.split_first() else {
        if let Some(element) = elements.next() {
            write(element, out);
        }
        return;
    };
    out.push('[');
    for idx in 0..extent {
        if idx > 0 {
            out.push(',');
        }
        write_nested(inner, elements, out, write);
    }
    out.push(']');
}

/// Reads an answer in columnar form: `{"outputs": …}`, bare if there is one output.
pub(crate) fn decode_response(
    body: &[u8],
    outputs: &[TensorSpec],
) -> Result<Vec<(String, Tensor)>, ClientError> {
    let document = parse(body)?;
    let answer = document
        .get("outputs")
        .ok_or_else(|| ClientError::answer("it has no `outputs`"))?;
    if let [output] = outputs {
        return Ok(vec![(
            output.name.to_string(),
            read_tensor(answer, output)?,
        )]);
    }
    let read = |output: &TensorSpec| {
        let value = answer
            .get(&*output.name)
            .ok_or_else(|| ClientError::answer(format!("output `{}` is missing", output.name)))?;
        Ok((output.name.to_string(), read_tensor(value, output)?))
    };
    outputs.iter().map(read).collect()
}

/// Reads JSON that may hold bare `NaN` and `Infinity`, as TensorFlow Serving writes them; they become strings.
pub(crate) fn parse(body: &[u8]) -> Result<Value, ClientError> {
    let text = std::str::from_utf8(body).map_err(ClientError::answer)?;
    let is_strict = !text.contains("NaN") && !text.contains("Inf");
    let parsed = match is_strict {
        true => serde_json::from_str(text),
        false => serde_json::from_str(&quote_words(text)),
    };
    parsed.map_err(ClientError::answer)
}

fn quote_words(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 64);
    let mut rest = text;
    let mut is_in_string = false;
    while let Some(first) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN"]
            .into_iter()
            .find(|word| rest.starts_with(word));
        let len = match (is_in_string, word) {
            (false, Some(word)) => {
                append(&mut quoted, format_args!("\"{word}\""));
                rest = &rest[word.len()..];
                continue;
            }
            (true, _) if first == '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => first.len_utf8(),
        };
        is_in_string ^= first == '"';
        quoted.push_str(&rest[..len]);
        rest = &rest[len..];
    }
    quoted
}

fn read_tensor(value: &Value, spec: &TensorSpec) -> Result<Tensor, ClientError> {
    let shape = shape_of(value);
    let mut leaves = Vec::with_capacity(shape.iter().product());
    collect_leaves(value, &shape, &mut leaves)?;
    let tensor = match spec.dtype {
        DType::F32 => numbers(&leaves, shape, |leaf| float(leaf).map(|x| x as f32)),
        DType::F64 => numbers(&leaves, shape, float),
        DType::F16 | DType::BF16 | DType::Complex64 | DType::Complex128 => None,
        DType::U8 => numbers::<u8>(&leaves, shape, integer),
        DType::U16 => numbers::<u16>(&leaves, shape, integer),
        DType::U32 => numbers::<u32>(&leaves, shape, integer),
        DType::U64 => numbers::<u64>(&leaves, shape, integer),
        DType::I8 => numbers::<i8>(&leaves, shape, integer),
        DType::I16 => numbers::<i16>(&leaves, shape, integer),
        DType::I32 => numbers::<i32>(&leaves, shape, integer),
        DType::I64 => numbers::<i64>(&leaves, shape, integer),
        DType::Bool => {
            let bools: Option<Vec<bool>> = leaves.iter().map(|leaf| leaf.as_bool()).collect();
            bools.and_then(|bools| Tensor::from_bools(shape, &bools).ok())
        }
        DType::String => {
            let strings: Option<Vec<Bytes>> = leaves.iter().map(|leaf| string(leaf)).collect();
            strings.and_then(|strings| Tensor::from_strings(shape, strings).ok())
        }
    };
    tensor
        .ok_or_else(|| ClientError::answer(format!("output `{}` is not {}", spec.name, spec.dtype)))
}

fn numbers<T: Element>(
    leaves: &[&Value],
    shape: Vec<usize>,
    read: impl Fn(&Value) -> Option<T>,
) -> Option<Tensor> {
    let mut elements = AlignedVec::with_capacity(leaves.len());
    for leaf in leaves {
        elements.push(read(leaf)?);
    }
    Tensor::from_aligned(shape, elements).ok()
}

fn float(leaf: &Value) -> Option<f64> {
    match leaf.as_str() {
        None => leaf.as_f64(),
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(_) => None,
    }
}

fn integer<T: TryFrom<i128>>(leaf: &Value) -> Option<T> {
    let value = leaf
        .as_i64()
        .map(i128::from)
        .or_else(|| leaf.as_u64().map(i128::from))?;
    T::try_from(value).ok()
}

fn string(leaf: &Value) -> Option<Bytes> {
    match leaf {
        Value::String(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
        Value::Object(object) => BASE64_STANDARD
            .decode(object.get("b64")?.as_str()?)
            .ok()
            .map(Bytes::from),
        _ => None,
    }
}

fn shape_of(value: &Value) -> Vec<usize> {
    let mut shape = Vec::new();
    let mut value = value;
    while let Value::Array(items) = value {
        shape.push(items.len());
        let Some(first) = items.first() else { break };
        value = first;
    }
    shape
}

fn collect_leaves<'v>(
    value: &'v Value,
    shape: &[usize],
    leaves: &mut Vec<&'v Value>,
) -> Result<(), ClientError> {
    match (value, shape.split_first()) {
        (Value::Array(items), Some((&extent, inner))) if items.len() == extent => items
            .iter()
            .try_for_each(|item| collect_leaves(item, inner, leaves)),
        (Value::Array(_), _) | (_, Some(_)) => {
            Err(ClientError::answer("a list is not rectangular"))
        }
        _ => {
            leaves.push(value);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
