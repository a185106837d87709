//! Shows in a message what the client sent, shortened.

use super::scanner::Scanner;

/// Where a shown value is cut, in bytes.
const MAX_BYTES: usize = 256;

/// Spaces per level inside objects.
const INDENT: usize = 4;

/// Returns the value at `start` in the layout of answers (objects over several lines, lists in one), cut at 256
/// bytes. Strings and numbers are shown as they were written.
pub(super) fn excerpt(body: &[u8], start: usize) -> String {
    let mut out = Vec::new();
    let mut open = Vec::new();
    let mut scanner = Scanner::at(body, start);
    while out.len() < MAX_BYTES && show_token(&mut scanner, &mut out, &mut open) && !open.is_empty()
    {
        scanner.skip_space();
    }
    let cut = out.len().min(MAX_BYTES);
    // A character is never shown by half.
    let cut = (0..=cut)
        .rev()
        .find(|&cut| out.get(cut).is_none_or(|byte| byte & 0xc0 != 0x80));
    out.truncate(cut.unwrap_or_default());
    String::from_utf8_lossy(&out).into_owned()
}

/// Shows one token; `open` are the brackets around it. Returns false at the end of the text.
fn show_token(scanner: &mut Scanner<'_>, out: &mut Vec<u8>, open: &mut Vec<u8>) -> bool {
    let Some(byte) = scanner.peek() else {
        return false;
    };
    let start = scanner.pos;
    scanner.pos += 1;
    match byte {
        b'{' | b'[' => {
            out.push(byte);
            scanner.skip_space();
            if let Some(close @ (b'}' | b']')) = scanner.peek() {
                scanner.pos += 1;
                out.push(close);
                return true;
            }
            open.push(byte);
            break_line(out, open);
        }
        b'}' | b']' => {
            let opened = open.pop();
            if opened == Some(b'{') {
                out.push(b'\n');
                out.resize(out.len() + INDENT * open.len(), b' ');
            }
            out.push(byte);
        }
        b',' => {
            out.push(b',');
            if open.last() == Some(&b'[') {
                out.push(b' ');
            }
            break_line(out, open);
        }
        b':' => out.extend_from_slice(b": "),
        _ => {
            scanner.pos = start;
            if scanner.skip_value().is_err() {
                return false;
            }
            // Little more than the limit is ever copied: enough to see whether a character is cut.
            let end = scanner.pos.min(start + MAX_BYTES + 1);
            out.extend_from_slice(&scanner.body[start..end]);
        }
    }
    true
}

/// Starts a line where the innermost open bracket is an object's.
fn break_line(out: &mut Vec<u8>, open: &[u8]) {
    if open.last() == Some(&b'{') {
        out.push(b'\n');
        out.resize(out.len() + INDENT * open.len(), b' ');
    }
}
