//! Predict requests: the optimistic pass, and the careful one that finds the error which wins.

use bytes::Bytes;
use salver_tensor::{Tensor, TensorSpec};

use super::halves::{Helper, Work};
use super::outline::{Outline, SIGNATURE_NAME, document_error, string_value};
use super::scanner::Scanner;
use super::{Format, JsonError, PredictBody, columnar, row};

/// Key of the tensors in row form.
const INSTANCES: &[u8] = b"instances";

/// Key of the tensors in columnar form.
const INPUTS: &[u8] = b"inputs";

/// What messages call the signature that a request does not name.
const DEFAULT_SIGNATURE: &str = "serving_default";

/// Parses the body of a predict request.
///
/// `lookup` returns the inputs of a signature by name, the empty name standing for the default one.
///
/// # Shapes
/// Whatever the body holds; the declared extents are not asked. In row form the batch axis is put in front.
///
/// # Errors
/// [`JsonError::InvalidArgument`] for bad syntax anywhere in the object, then for a `signature_name` that is no
/// string or names no signature, then for values that do not fit; [`JsonError::Unimplemented`] for values of a dtype
/// that JSON has no form for (half, bfloat16, uint16, complex).
///
/// ```
/// use salver_protocol::json::{Format, parse_predict};
/// use salver_tensor::{DType, TensorSpec};
///
/// let inputs = [TensorSpec::new("x", DType::F32, None)];
/// let body = parse_predict(br#"{"instances": [1.0, 2, 5e0]}"#, |_| Some(&inputs[..]))?;
/// assert_eq!(body.format, Format::Row);
/// assert_eq!(body.inputs[0].as_slice::<f32>().unwrap(), [1.0, 2.0, 5.0]);
/// # Ok::<(), salver_protocol::json::JsonError>(())
/// ```
pub fn parse_predict<'s>(
    body: &[u8],
    lookup: impl Fn(&str) -> Option<&'s [TensorSpec]>,
) -> Result<PredictBody, JsonError> {
    parse(Scanner::new(body), &lookup)
}

/// As [`parse_predict`], with the help of another thread where the body is a long list of numbers: in about half the time,
/// and no more CPU time than it takes to wake it. `lend` has it do its part; where that is late or never happens, no time is
/// lost.
///
/// # Errors
/// As [`parse_predict`].
pub fn parse_predict_by_two<'s>(
    body: &Bytes,
    lookup: impl Fn(&str) -> Option<&'s [TensorSpec]>,
    lend: &dyn Fn(Work),
) -> Result<PredictBody, JsonError> {
    let mut scanner = Scanner::new(body);
    scanner.helper = Some(Helper { body, lend });
    parse(scanner, &lookup)
}

fn parse<'s>(
    scanner: Scanner<'_>,
    lookup: &impl Fn(&str) -> Option<&'s [TensorSpec]>,
) -> Result<PredictBody, JsonError> {
    let body = scanner.body;
    match parse_optimistically(scanner, lookup) {
        Some(parsed) => Ok(parsed),
        None => parse_carefully(body, lookup),
    }
}

/// Checks what is checked before the model is known: the syntax of the body and the type of `signature_name`.
///
/// # Errors
/// [`JsonError::InvalidArgument`].
pub fn check_predict(body: &[u8]) -> Result<(), JsonError> {
    Outline::scan(body, [INSTANCES, INPUTS])?
        .signature_name(body)
        .map(drop)
}

/// Parses in one pass, taking the default signature if none was named yet. `None` if anything is wrong, or the
/// signature was named too late; nothing is said about what.
pub(super) fn parse_optimistically<'s>(
    mut scanner: Scanner<'_>,
    lookup: &impl Fn(&str) -> Option<&'s [TensorSpec]>,
) -> Option<PredictBody> {
    if scanner.peek() != Some(b'{') {
        return None;
    }
    let mut signature_name: Option<String> = None;
    let mut parsed: Option<(Format, &[TensorSpec], Vec<Tensor>)> = None;
    let mut member = scanner.first_member().ok()?;
    while let Some(key) = member {
        let format = match key.as_ref() {
            INSTANCES => Some(Format::Row),
            INPUTS => Some(Format::Columnar),
            _ => None,
        };
        match (format, &parsed) {
            (Some(format), None) => {
                let specs = lookup(signature_name.as_deref().unwrap_or_default())?;
                if specs.is_empty() {
                    return None;
                }
                let inputs = parse_value(&mut scanner, format, specs).ok()?;
                parsed = Some((format, specs, inputs));
            }
            (Some(format), Some((parsed_format, ..))) if format != *parsed_format => return None,
            _ if key.as_ref() == SIGNATURE_NAME && signature_name.is_none() => {
                if scanner.peek() != Some(b'"') {
                    return None;
                }
                signature_name = Some(string_value(&mut scanner).ok()?);
            }
            _ => scanner.skip_value().ok()?,
        }
        member = scanner.next_member().ok()?;
    }
    let (format, specs, inputs) = parsed?;
    // Names differ where the default signature is named; what counts is which inputs are meant.
    let wanted = lookup(signature_name.as_deref().unwrap_or_default())?;
    std::ptr::eq(specs, wanted).then_some(PredictBody {
        signature_name,
        format,
        inputs,
    })
}

/// Parses step by step, so that of several errors the right one is told.
pub(super) fn parse_carefully<'s>(
    body: &[u8],
    lookup: &impl Fn(&str) -> Option<&'s [TensorSpec]>,
) -> Result<PredictBody, JsonError> {
    let outline = Outline::scan(body, [INSTANCES, INPUTS])?;
    let signature_name = outline.signature_name(body)?;
    let name = signature_name.as_deref().unwrap_or_default();
    let specs = lookup(name).ok_or_else(|| {
        let name = if name.is_empty() {
            DEFAULT_SIGNATURE
        } else {
            name
        };
        JsonError::InvalidArgument(format!(
            "Serving signature name: \"{name}\" not found in signature def"
        ))
    })?;
    if specs.is_empty() {
        let name = if name.is_empty() { "DEFAULT" } else { name };
        return Err(JsonError::InvalidArgument(format!(
            "Failed to get input map for signature: {name}"
        )));
    }
    let (format, start) = match outline.members {
        [Some(start), None] => (Format::Row, start),
        [None, Some(start)] => (Format::Columnar, start),
        [Some(_), Some(_)] => {
            return Err(document_error(
                body,
                "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
            ));
        }
        [None, None] => {
            return Err(JsonError::InvalidArgument(
                "Missing 'inputs' or 'instances' key".to_owned(),
            ));
        }
    };
    let inputs = parse_value(&mut Scanner::at(body, start), format, specs)?;
    Ok(PredictBody {
        signature_name,
        format,
        inputs,
    })
}

fn parse_value(
    scanner: &mut Scanner<'_>,
    format: Format,
    specs: &[TensorSpec],
) -> Result<Vec<Tensor>, JsonError> {
    match format {
        Format::Row => row::parse(scanner, specs),
        Format::Columnar => columnar::parse(scanner, specs),
    }
}
