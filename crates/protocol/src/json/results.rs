//! Answers to the classify and regress calls, in the layout of TensorFlow Serving: the last bracket of a list of
//! classes has a line of its own, that of a list of values has not.

use super::{number_text, strings};
use crate::inference::{Regressions, Results};

/// A guess at the characters of a class or a value, the comma included.
const ELEMENT_LEN: usize = 16;

/// Appends the answer to a classify or a regress request: `[[[label, score], ..], ..]` or `[value, ..]`.
pub fn encode_results(results: &Results<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\n    \"results\": [");
    match *results {
        Results::Classifications(classifications) => {
            for (row_idx, row) in classifications.rows().enumerate() {
                out.reserve(row.len() * ELEMENT_LEN);
                separate(row_idx, out);
                out.push(b'[');
                for (class_idx, (label, score)) in row.enumerate() {
                    separate(class_idx, out);
                    out.push(b'[');
                    strings::write(out, label);
                    out.extend_from_slice(b", ");
                    number_text::write_float(out, score);
                    out.push(b']');
                }
                out.push(b']');
            }
            out.extend_from_slice(b"\n    ");
        }
        Results::Regressions(Regressions { values }) => {
            out.reserve(values.len() * ELEMENT_LEN);
            for (idx, &value) in values.iter().enumerate() {
                separate(idx, out);
                number_text::write_float(out, value);
            }
        }
    }
    out.extend_from_slice(b"]\n}");
}

fn separate(idx: usize, out: &mut Vec<u8>) {
    if idx > 0 {
        out.extend_from_slice(b", ");
    }
}
