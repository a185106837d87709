//! Bodies of the classify and regress calls: `examples`, and `context` that all of them have in common.

use super::feature::ExampleWriter;
use super::outline::{Outline, SIGNATURE_NAME, document_error, string_value};
use super::scanner::Scanner;
use super::{ExamplesBody, JsonError};
use crate::inference::Examples;

/// Key of what every row has in common.
const CONTEXT: &[u8] = b"context";

/// Key of the rows.
const EXAMPLES: &[u8] = b"examples";

/// Parses the body of a classify or regress request. Whole numbers and booleans become integers, other numbers floats,
/// text and `{"b64": ".."}` bytes; values of one feature are of one kind.
///
/// # Errors
/// [`JsonError::InvalidArgument`] for bad syntax anywhere in the object, then for a `signature_name` that is no
/// string, then for a `context` and last for `examples` that do not become examples.
///
/// ```
/// use salver_protocol::json::parse_examples;
///
/// let body = parse_examples(br#"{"examples": [{"x": 1.0, "name": "one"}, {"x": [2.0]}]}"#)?;
/// assert_eq!(body.examples.len(), 2);
/// # Ok::<(), salver_protocol::json::JsonError>(())
/// ```
pub fn parse_examples(body: &[u8]) -> Result<ExamplesBody, JsonError> {
    match parse_optimistically(body) {
        Some(parsed) => Ok(parsed),
        None => parse_carefully(body),
    }
}

/// Parses in one pass. `None` if anything is wrong; nothing is said about what.
pub(super) fn parse_optimistically(body: &[u8]) -> Option<ExamplesBody> {
    let mut scanner = Scanner::new(body);
    if scanner.peek() != Some(b'{') {
        return None;
    }
    let mut writer = ExampleWriter::default();
    let (mut signature_name, mut context, mut rows) = (None, None, None);
    let mut member = scanner.first_member().ok()?;
    while let Some(key) = member {
        match key.as_ref() {
            SIGNATURE_NAME if signature_name.is_none() => {
                if scanner.peek() != Some(b'"') {
                    return None;
                }
                signature_name = Some(string_value(&mut scanner).ok()?);
            }
            CONTEXT if context.is_none() => {
                context = Some(take_context(&mut scanner, &mut writer).ok()?);
            }
            EXAMPLES if rows.is_none() => {
                rows = Some(take_rows(&mut scanner, &mut writer).ok()?);
            }
            _ => scanner.skip_value().ok()?,
        }
        member = scanner.next_member().ok()?;
    }
    let (rows, ends) = rows?;
    Some(ExamplesBody {
        signature_name,
        examples: Examples::encoded(rows, ends, context.unwrap_or_default()),
    })
}

/// Parses step by step, so that of several errors the right one is told.
pub(super) fn parse_carefully(body: &[u8]) -> Result<ExamplesBody, JsonError> {
    let outline = Outline::scan(body, [CONTEXT, EXAMPLES])?;
    let signature_name = outline.signature_name(body)?;
    let [context, rows] = outline.members;
    let mut writer = ExampleWriter::default();
    let context = context
        .map(|start| take_context(&mut Scanner::at(body, start), &mut writer))
        .transpose()?;
    let Some(start) = rows else {
        return Err(document_error(
            body,
            "When method is classify, key 'examples' is expected and was not found",
        ));
    };
    let (rows, ends) = take_rows(&mut Scanner::at(body, start), &mut writer)?;
    Ok(ExamplesBody {
        signature_name,
        examples: Examples::encoded(rows, ends, context.unwrap_or_default()),
    })
}

fn take_context(
    scanner: &mut Scanner<'_>,
    writer: &mut ExampleWriter,
) -> Result<Vec<u8>, JsonError> {
    let mut context = Vec::new();
    writer.take(scanner, &mut context)?;
    Ok(context)
}

/// Takes the list of rows; returns them one behind the other, and where each ends.
fn take_rows(
    scanner: &mut Scanner<'_>,
    writer: &mut ExampleWriter,
) -> Result<(Vec<u8>, Vec<usize>), JsonError> {
    if scanner.peek() != Some(b'[') {
        return Err(document_error(
            scanner.body,
            "Expecting 'examples' value to be an list/array",
        ));
    }
    if !scanner.first_element() {
        return Err(document_error(
            scanner.body,
            "'examples' value is an empty array",
        ));
    }
    let (mut rows, mut ends) = (Vec::new(), Vec::new());
    loop {
        writer.take(scanner, &mut rows)?;
        ends.push(rows.len());
        if !scanner.next_element()? {
            scanner.pos += 1;
            return Ok((rows, ends));
        }
    }
}
