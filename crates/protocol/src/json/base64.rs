//! `{"b64": ".."}`: how JSON carries bytes.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::JsonError;
use super::scanner::Scanner;
use super::strings::{self, StringSpan};

/// The one key of an object that stands for bytes.
pub(super) const KEY: &[u8] = b"b64";

/// Takes padding or none, and does not mind bits that are left over.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Looks ahead from a `{`: returns where the base64 text lies and where the object ends, or `None` for any object
/// that has not exactly one member `b64` that is a string.
pub(super) fn find(scanner: &Scanner<'_>) -> Option<(StringSpan, usize)> {
    let mut ahead = scanner.clone();
    if ahead.first_member().ok()??.as_ref() != KEY || ahead.peek() != Some(b'"') {
        return None;
    }
    let span = ahead.string().ok()?;
    ahead
        .next_member()
        .ok()?
        .is_none()
        .then_some((span, ahead.pos))
}

/// Tells whether the value here is an object that does not stand for bytes.
pub(super) fn is_plain_object(scanner: &Scanner<'_>) -> bool {
    scanner.peek() == Some(b'{') && find(scanner).is_none()
}

/// Appends the bytes that a base64 text stands for.
pub(super) fn decode_into(
    body: &[u8],
    span: StringSpan,
    out: &mut Vec<u8>,
) -> Result<(), JsonError> {
    let text = strings::decoded(body, span);
    let start = out.len();
    if ENGINE.decode_vec(text.as_ref(), out).is_ok() {
        return Ok(());
    }
    // White space is allowed anywhere, but nobody sends it: pay for it only when it is there.
    out.truncate(start);
    let text: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    ENGINE
        .decode_vec(text, out)
        .map_err(|_| JsonError::InvalidArgument("Unable to base64 decode".to_owned()))
}

/// Appends `"b64": ".."`, the member without its object.
pub(super) fn write(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(b"\"b64\": \"");
    let start = out.len();
    // Four characters for three bytes, rounded up: what padded base64 always takes.
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = base64::engine::general_purpose::STANDARD.encode_slice(bytes, &mut out[start..]);
    out.truncate(start + written.unwrap_or_default());
    out.push(b'"');
}
