//! Answers: tensors and errors as JSON, in the layout of TensorFlow Serving.
//!
//! Objects take a line per member and four spaces per level. Lists stay on one line in row form and take a line per
//! element in columnar form. Numbers are written into the
//! output directly, so the cost is that of their digits.

use std::ops::Range;

use bytes::Bytes;
use salver_tensor::{DType, Element, Tensor};

use super::{Format, JsonError, base64, number_text, strings};
use crate::tensor_proto::dtype_word;

/// String outputs whose alias ends so hold bytes, not text.
const BYTES_SUFFIX: &str = "_bytes";

/// Spaces for each level.
const INDENT: usize = 4;

/// A guess at the characters that an element takes, the comma included.
const ELEMENT_LEN: usize = 12;

/// Appends the answer to a predict request; `outputs` are pairs of alias and tensor.
///
/// In row form one output gives a list of its rows, several give a list of objects; in columnar form one output
/// gives its value, several give an object. Floats have six significant digits if those read back as the value, else
/// as many as always do; `NaN` and infinities are bare words.
///
/// # Errors
/// [`JsonError::InvalidArgument`] if there are no outputs, a dtype has no form in JSON, or rows are asked for and an
/// output has no axis 0 or another number of rows than the rest. Nothing is appended then.
pub fn encode_predict(
    format: Format,
    outputs: &[(&str, &Tensor)],
    out: &mut Vec<u8>,
) -> Result<(), JsonError> {
    let start = out.len();
    let result = write_predict(format, outputs, out);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

/// Appends an error answer.
pub fn encode_error(message: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\n    \"error\": ");
    strings::write(out, message.as_bytes());
    out.extend_from_slice(b"\n}");
}

fn write_predict(
    format: Format,
    outputs: &[(&str, &Tensor)],
    out: &mut Vec<u8>,
) -> Result<(), JsonError> {
    if outputs.is_empty() {
        return Err(JsonError::InvalidArgument(
            "Cannot convert empty tensor map to JSON".to_owned(),
        ));
    }
    let num_elements: usize = outputs
        .iter()
        .map(|(_, tensor)| tensor.num_elements())
        .sum();
    out.reserve(num_elements * ELEMENT_LEN);
    let outputs = outputs
        .iter()
        .map(|&(alias, tensor)| Output::new(alias, tensor));
    let mut outputs = outputs.collect::<Result<Vec<_>, _>>()?;
    match format {
        Format::Row => write_rows(&mut outputs, out),
        Format::Columnar => {
            write_columns(&mut outputs, out);
            Ok(())
        }
    }
}

/// Writes the list of rows: each on one line, and the bracket at the end on a line of its own.
fn write_rows(outputs: &mut [Output<'_>], out: &mut Vec<u8>) -> Result<(), JsonError> {
    let mut num_rows = None;
    for Output { alias, dims, .. } in &*outputs {
        let Some(&size) = dims.first() else {
            return Err(JsonError::InvalidArgument(format!(
                "Tensor name: {alias} has no shape information "
            )));
        };
        let expected = *num_rows.get_or_insert(size);
        if size != expected {
            return Err(JsonError::InvalidArgument(format!(
                "Tensor name: {alias} has inconsistent batch size: {size} expecting: {expected}"
            )));
        }
    }
    let num_rows = num_rows.unwrap_or_default();
    out.extend_from_slice(b"{\n    \"predictions\": [");
    let place = Place {
        layout: Layout::OneLine,
        depth: 2,
    };
    if let [output] = outputs {
        output.write_elements_from(0, num_rows, place, out);
    } else {
        for row in 0..num_rows {
            out.extend_from_slice(if row == 0 { b"" } else { b"," });
            place.break_line(out);
            write_object(outputs, 1, place, out);
        }
    }
    if num_rows > 0 {
        place.outer().break_line(out);
    }
    out.extend_from_slice(b"]\n}");
    Ok(())
}

/// Writes each output whole, one element to a line.
fn write_columns(outputs: &mut [Output<'_>], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\n    \"outputs\": ");
    let place = Place {
        layout: Layout::Lines,
        depth: 1,
    };
    if let [output] = outputs {
        output.write_value(0, place, out);
    } else {
        write_object(outputs, 0, place, out);
    }
    out.extend_from_slice(b"\n}");
}

/// Writes an object with the next value of each output from `axis` inwards.
fn write_object(outputs: &mut [Output<'_>], axis: usize, place: Place, out: &mut Vec<u8>) {
    let inner = place.inner();
    out.push(b'{');
    for (output_idx, output) in outputs.iter_mut().enumerate() {
        out.extend_from_slice(if output_idx == 0 { b"" } else { b"," });
        inner.break_line(out);
        strings::write(out, output.alias.as_bytes());
        out.extend_from_slice(b": ");
        output.write_value(axis, inner, out);
    }
    place.break_line(out);
    out.push(b'}');
}

/// How lists are laid out; objects have a line for each member in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    OneLine,
    /// A line for each element.
    Lines,
}

/// Where a value is written.
#[derive(Clone, Copy, Debug)]
struct Place {
    layout: Layout,
    /// How many brackets are open.
    depth: usize,
}

impl Place {
    fn inner(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }

    fn outer(self) -> Self {
        Self {
            depth: self.depth - 1,
            ..self
        }
    }

    /// Begins a line.
    fn break_line(self, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.resize(out.len() + self.depth * INDENT, b' ');
    }

    /// Begins an element of a list that is not its first.
    fn separate(self, out: &mut Vec<u8>) {
        match self.layout {
            Layout::OneLine => out.extend_from_slice(b", "),
            Layout::Lines => {
                out.push(b',');
                self.break_line(out);
            }
        }
    }
}

/// An output and how much of it is written.
pub(super) struct Output<'a> {
    alias: &'a str,
    dims: &'a [usize],
    elements: Elements<'a>,
    num_written: usize,
}

/// The elements of a tensor by how they are written.
enum Elements<'a> {
    Bool(&'a [u8]),
    U8(&'a [u8]),
    U32(&'a [u32]),
    U64(&'a [u64]),
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    F32(&'a [f32]),
    F64(&'a [f64]),
    Text(&'a [Bytes]),
    Base64(&'a [Bytes]),
}

impl<'a> Output<'a> {
    fn new(alias: &'a str, tensor: &'a Tensor) -> Result<Self, JsonError> {
        let elements = elements(alias, tensor).ok_or_else(|| unsupported(tensor.dtype()))?;
        Ok(Self {
            alias,
            dims: tensor.shape(),
            elements,
            num_written: 0,
        })
    }

    /// Returns a tensor whose strings are written as base64 if one of them is not text.
    pub(super) fn readable(alias: &'a str, tensor: &'a Tensor) -> Result<Self, JsonError> {
        let mut output = Self::new(alias, tensor)?;
        if let Elements::Text(all) = output.elements
            && all.iter().any(|text| str::from_utf8(text).is_err())
        {
            output.elements = Elements::Base64(all);
        }
        Ok(output)
    }

    /// Writes it whole, without a line feed.
    pub(super) fn write_on_one_line(&mut self, out: &mut Vec<u8>) {
        let place = Place {
            layout: Layout::OneLine,
            depth: 0,
        };
        let start = out.len();
        self.write_value(0, place, out);
        if matches!(self.elements, Elements::Base64(_)) {
            join_lines(out, start);
        }
    }

    /// Writes the next value that has the axes from `axis` inwards: lists in lists, or one element.
    fn write_value(&mut self, axis: usize, place: Place, out: &mut Vec<u8>) {
        let Some(&size) = self.dims.get(axis) else {
            return self.write_leaves(1, place, out);
        };
        out.push(b'[');
        let (inner, has_lines) = (place.inner(), place.layout == Layout::Lines && size > 0);
        if has_lines {
            inner.break_line(out);
        }
        self.write_elements_from(axis, size, inner, out);
        if has_lines {
            place.break_line(out);
        }
        out.push(b']');
    }

    /// Writes the next elements along `axis`, with commas between them.
    fn write_elements_from(
        &mut self,
        axis: usize,
        num_elements: usize,
        place: Place,
        out: &mut Vec<u8>,
    ) {
        if axis + 1 == self.dims.len() {
            return self.write_leaves(num_elements, place, out);
        }
        for idx in 0..num_elements {
            if idx > 0 {
                place.separate(out);
            }
            self.write_value(axis + 1, place, out);
        }
    }

    /// Writes the next single elements, with commas between them.
    fn write_leaves(&mut self, num_elements: usize, place: Place, out: &mut Vec<u8>) {
        let range = self.num_written..self.num_written + num_elements;
        self.num_written = range.end;
        match place.layout {
            // What separates them is known beforehand, so that it costs two stores.
            Layout::OneLine => self.write_range(range, place, out, |out| {
                out.extend_from_slice(b", ");
            }),
            Layout::Lines => {
                let mut separator = Vec::new();
                place.separate(&mut separator);
                self.write_range(range, place, out, |out| {
                    out.extend_from_slice(&separator);
                });
            }
        }
    }

    fn write_range(
        &self,
        range: Range<usize>,
        place: Place,
        out: &mut Vec<u8>,
        separate: impl Fn(&mut Vec<u8>),
    ) {
        match self.elements {
            Elements::Bool(all) => {
                write_each(&all[range], out, separate, |out, &element| {
                    out.extend_from_slice(if element == 0 { b"false" } else { b"true" });
                });
            }
            Elements::U8(all) => write_each(&all[range], out, separate, |out, &element| {
                number_text::write_whole(out, element.into())
            }),
            Elements::U32(all) => write_each(&all[range], out, separate, |out, &element| {
                number_text::write_whole(out, element.into())
            }),
            Elements::U64(all) => write_each(&all[range], out, separate, |out, &element| {
                number_text::write_whole(out, element)
            }),
            Elements::I8(all) => write_each(&all[range], out, separate, |out, &element| {
                number_text::write_signed(out, element.into())
            }),
            Elements::I16(all) => write_each(&all[range], out, separate, |out, &element| {
                number_text::write_signed(out, element.into())
            }),
            Elements::I32(all) => write_each(&all[range], out, separate, |out, &element| {
                number_text::write_signed(out, element.into())
            }),
            Elements::I64(all) => write_each(&all[range], out, separate, |out, &element| {
                number_text::write_signed(out, element)
            }),
            Elements::F32(all) => write_each(&all[range], out, separate, |out, &element| {
                number_text::write_float(out, element)
            }),
            Elements::F64(all) => write_each(&all[range], out, separate, |out, &element| {
                number_text::write_float(out, element)
            }),
            Elements::Text(all) => write_each(&all[range], out, separate, |out, element| {
                strings::write(out, element)
            }),
            Elements::Base64(all) => write_each(&all[range], out, separate, |out, element| {
                out.push(b'{');
                place.inner().break_line(out);
                base64::write(out, element);
                place.break_line(out);
                out.push(b'}');
            }),
        }
    }
}

/// Takes out line feeds and what the next lines are indented by; text has neither in base64.
fn join_lines(out: &mut Vec<u8>, start: usize) {
    let mut is_indent = false;
    for byte in out.split_off(start) {
        is_indent = byte == b'\n' || (is_indent && byte == b' ');
        if !is_indent {
            out.push(byte);
        }
    }
}

/// Returns the elements to write, or `None` if JSON has no form for the dtype.
fn elements<'a>(alias: &str, tensor: &'a Tensor) -> Option<Elements<'a>> {
    fn slice<T: Element>(tensor: &Tensor) -> Option<&[T]> {
        tensor.as_slice().ok()
    }
    Some(match tensor.dtype() {
        DType::Bool => Elements::Bool(tensor.as_bytes()?),
        DType::U8 => Elements::U8(slice(tensor)?),
        DType::U32 => Elements::U32(slice(tensor)?),
        DType::U64 => Elements::U64(slice(tensor)?),
        DType::I8 => Elements::I8(slice(tensor)?),
        DType::I16 => Elements::I16(slice(tensor)?),
        DType::I32 => Elements::I32(slice(tensor)?),
        DType::I64 => Elements::I64(slice(tensor)?),
        DType::F32 => Elements::F32(slice(tensor)?),
        DType::F64 => Elements::F64(slice(tensor)?),
        DType::String if alias.ends_with(BYTES_SUFFIX) => Elements::Base64(tensor.as_strings()?),
        DType::String => Elements::Text(tensor.as_strings()?),
        DType::U16 | DType::F16 | DType::BF16 | DType::Complex64 | DType::Complex128 => {
            return None;
        }
    })
}

fn unsupported(dtype: DType) -> JsonError {
    JsonError::InvalidArgument(format!(
        "Failed to write JSON value for tensor type: {}",
        dtype_word(dtype)
    ))
}

/// Writes elements and what separates them.
#[inline]
fn write_each<T>(
    elements: &[T],
    out: &mut Vec<u8>,
    separate: impl Fn(&mut Vec<u8>),
    mut write: impl FnMut(&mut Vec<u8>, &T),
) {
    let mut elements = elements.iter();
    if let Some(first) = elements.next() {
        write(out, first);
    }
    for element in elements {
        separate(out);
        write(out, element);
    }
}
