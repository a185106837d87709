//! JSON strings: finding their end, checking and undoing escapes, and writing them.

use std::borrow::Cow;

use super::JsonError;
use super::scanner::Scanner;

/// Where the text of a string lies, without its quotation marks.
#[derive(Clone, Copy, Debug)]
pub(super) struct StringSpan {
    pub(super) start: usize,
    pub(super) end: usize,
    has_escapes: bool,
}

/// Passes a string, at its opening quotation mark.
pub(super) fn scan(scanner: &mut Scanner<'_>) -> Result<StringSpan, JsonError> {
    let start = scanner.pos + 1;
    scanner.pos = start;
    let mut has_escapes = false;
    loop {
        scanner.pos += plain_len(&scanner.body[scanner.pos..]);
        match scanner.peek() {
            Some(b'"') => {
                let end = scanner.pos;
                scanner.pos += 1;
                return Ok(StringSpan {
                    start,
                    end,
                    has_escapes,
                });
            }
            Some(b'\\') => {
                has_escapes = true;
                scanner.pos += escape(scanner.body, scanner.pos)?.1;
            }
            None | Some(0) => return scanner.fail("Missing a closing quotation mark in string."),
            Some(_) => return scanner.fail("Invalid escape character in string."),
        }
    }
}

/// Returns the text of a scanned string with its escapes undone; borrows if it has none.
pub(super) fn decoded(body: &[u8], span: StringSpan) -> Cow<'_, [u8]> {
    let text = &body[span.start..span.end];
    if !span.has_escapes {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    decode_into(body, span, &mut out);
    Cow::Owned(out)
}

/// Appends the text of a scanned string with its escapes undone.
pub(super) fn decode_into(body: &[u8], span: StringSpan, out: &mut Vec<u8>) {
    let mut text = &body[span.start..span.end];
    if span.has_escapes {
        while let Some(plain) = memchr::memchr(b'\\', text) {
            out.extend_from_slice(&text[..plain]);
            let Ok((code_point, len)) = escape(text, plain) else {
                break;
            };
            push_code_point(out, code_point);
            text = &text[plain + len..];
        }
    }
    out.extend_from_slice(text);
}

/// Returns the number of leading bytes that stand for themselves: no quotation mark, backslash or control character.
fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & HIGHS
    }
    let mut len = 0;
    // Eight bytes at a time: the lowest marked byte is exact, and only that one counts.
    while let Some(chunk) = bytes.get(len..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let quote = zeros(word ^ (ONES * b'"' as u64));
        let backslash = zeros(word ^ (ONES * b'\\' as u64));
        let marked = control | quote | backslash;
        if marked != 0 {
            return len + marked.trailing_zeros() as usize / 8;
        }
        len += 8;
    }
    let rest = bytes[len..].iter();
    len + rest
        .take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
        .count()
}

/// Reads the escape sequence at a backslash; returns the code point and the length of the sequence.
fn escape(text: &[u8], pos: usize) -> Result<(u32, usize), JsonError> {
    let code_point = match text.get(pos + 1) {
        Some(&byte @ (b'"' | b'\\' | b'/')) => u32::from(byte),
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => 0x0a,
        Some(b'r') => 0x0d,
        Some(b't') => 0x09,
        Some(b'u') => return unicode_escape(text, pos),
        _ => {
            return Err(JsonError::syntax(
                "Invalid escape character in string.",
                pos,
            ));
        }
    };
    Ok((code_point, 2))
}

/// Reads `\uXXXX`, or two of them that are a surrogate pair. A lone low surrogate stands for itself.
fn unicode_escape(text: &[u8], pos: usize) -> Result<(u32, usize), JsonError> {
    let bad_hex = || JsonError::syntax("Incorrect hex digit after \\u escape in string.", pos);
    let bad_pair = || JsonError::syntax("The surrogate pair in string is invalid.", pos);
    let first = four_hex_digits(text, pos + 2).ok_or_else(bad_hex)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Ok((first, 6));
    }
    if text.get(pos + 6..pos + 8) != Some(b"\\u") {
        return Err(bad_pair());
    }
    let second = four_hex_digits(text, pos + 8).ok_or_else(bad_hex)?;
    if !(0xdc00..0xe000).contains(&second) {
        return Err(bad_pair());
    }
    Ok((0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00), 12))
}

fn four_hex_digits(text: &[u8], pos: usize) -> Option<u32> {
    text.get(pos..pos + 4)?.iter().try_fold(0, |number, &byte| {
        Some(number << 4 | char::from(byte).to_digit(16)?)
    })
}

/// Appends a code point as UTF-8; a lone surrogate as the three bytes that the same scheme gives.
fn push_code_point(out: &mut Vec<u8>, code_point: u32) {
    if let Some(char) = char::from_u32(code_point) {
        let mut buffer = [0; 4];
        out.extend_from_slice(char.encode_utf8(&mut buffer).as_bytes());
        return;
    }
    let [_, _, high, low] = code_point.to_be_bytes();
    out.extend_from_slice(&[
        0xe0 | high >> 4,
        0x80 | (high & 0xf) << 2 | low >> 6,
        0x80 | low & 0x3f,
    ]);
}

/// Appends a string with its quotation marks. Bytes that are not UTF-8 go out as they are.
pub(super) fn write(out: &mut Vec<u8>, mut text: &[u8]) {
    out.push(b'"');
    loop {
        let plain = plain_len(text);
        out.extend_from_slice(&text[..plain]);
        let Some(&byte) = text.get(plain) else { break };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0a => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            0x0d => out.extend_from_slice(b"\\r"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
        text = &text[plain + 1..];
    }
    out.push(b'"');
}
