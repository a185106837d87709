//! Shows in a message what the client sent, shortened.

use super::numbers::Number as _;
use super::scanner::Scanner;
use super::strings;

/// When this much has been shown nothing more is begun, and where a text ends that goes beyond, in bytes.
const MAX_BYTES: usize = 256;

/// The longest escape of one byte of text, `\u0041`.
const MAX_ESCAPE_LEN: usize = 6;

/// Spaces per level inside objects.
const INDENT: usize = 4;

/// Numbers of up to so many digits in front of the point are shown without an exponent.
const MAX_WHOLE_DIGITS: i32 = 21;

/// Numbers with fewer zeros behind the point are shown without an exponent.
const MAX_ZEROS: i32 = 6;

/// Returns the value at `start` in the layout of answers (objects over several lines, lists in one): as it was
/// understood, not as it was written.
pub(super) fn excerpt(body: &[u8], start: usize) -> String {
    let mut shown = Shown::default();
    let mut scanner = Scanner::at(body, start);
    loop {
        let is_separator = matches!(scanner.peek(), Some(b',' | b':'));
        let is_full = shown.out.len() >= MAX_BYTES && !shown.is_separated;
        if is_full && !is_separator || !shown.take(&mut scanner) || shown.is_whole() {
            return String::from_utf8_lossy(&shown.out).into_owned();
        }
        scanner.skip_space();
    }
}

#[derive(Default)]
struct Shown {
    out: Vec<u8>,
    /// What stands between the token before and the next one; shown with that one only.
    separator: Vec<u8>,
    /// Whether a token must follow the separator that was just passed.
    is_separated: bool,
    /// The brackets around the next token.
    open: Vec<u8>,
    has_token: bool,
}

impl Shown {
    fn is_whole(&self) -> bool {
        self.has_token && self.open.is_empty()
    }

    /// Takes one token; returns false if there is none, or if nothing may follow it.
    fn take(&mut self, scanner: &mut Scanner<'_>) -> bool {
        let Some(byte) = scanner.peek() else {
            return false;
        };
        match byte {
            b',' | b':' => {
                if self.out.len() >= MAX_BYTES {
                    return false;
                }
                scanner.pos += 1;
                self.separate(byte);
                return true;
            }
            b'{' | b'[' => {
                self.begin();
                scanner.pos += 1;
                self.out.push(byte);
                scanner.skip_space();
                if let Some(close @ (b'}' | b']')) = scanner.peek() {
                    scanner.pos += 1;
                    self.out.push(close);
                } else {
                    self.open.push(byte);
                    self.break_line();
                }
            }
            b'}' | b']' => {
                scanner.pos += 1;
                if self.open.pop() == Some(b'{') {
                    self.separator.push(b'\n');
                    self.separator.resize(1 + INDENT * self.open.len(), b' ');
                }
                self.begin();
                self.out.push(byte);
            }
            _ => return self.leaf(scanner),
        }
        true
    }

    fn separate(&mut self, byte: u8) {
        self.is_separated = true;
        self.separator.push(byte);
        if byte == b':' || self.open.last() == Some(&b'[') {
            self.separator.push(b' ');
        } else {
            self.break_line();
        }
    }

    /// Starts a line with the next token where the innermost open bracket is an object's.
    fn break_line(&mut self) {
        if self.open.last() == Some(&b'{') {
            self.separator.push(b'\n');
            let len = self.separator.len() + INDENT * self.open.len();
            self.separator.resize(len, b' ');
        }
    }

    fn begin(&mut self) {
        self.has_token = true;
        self.is_separated = false;
        self.out.append(&mut self.separator);
    }

    /// Shows a value that holds no others.
    fn leaf(&mut self, scanner: &mut Scanner<'_>) -> bool {
        self.begin();
        let start = scanner.pos;
        if scanner.peek() == Some(b'"') {
            return self.text(scanner);
        }
        if scanner.skip_value().is_err() {
            return false;
        }
        match scanner.body[start] {
            b't' | b'f' | b'n' => self
                .out
                .extend_from_slice(&scanner.body[start..scanner.pos]),
            _ => self.out.extend(number(scanner.body, start).bytes()),
        }
        true
    }

    /// Shows a text; nothing behind the limit is looked at.
    fn text(&mut self, scanner: &mut Scanner<'_>) -> bool {
        let Ok(mut span) = scanner.string() else {
            return false;
        };
        let room = (MAX_BYTES + 1).saturating_sub(self.out.len());
        span.end = span.end.min(span.start + MAX_ESCAPE_LEN * room);
        let limit = MAX_BYTES.max(self.out.len());
        strings::write(&mut self.out, &strings::decoded(scanner.body, span));
        if self.out.len() > limit {
            // A character is never shown by half.
            let is_within = |&cut: &usize| self.out[cut] & 0xc0 == 0x80;
            let cut = (0..=limit).rev().find(|cut| !is_within(cut));
            self.out.truncate(cut.unwrap_or_default());
            return false;
        }
        true
    }
}

/// Returns a number as it was understood.
fn number(body: &[u8], start: usize) -> String {
    if let Some((number, _)) = i64::read(body, start) {
        return number.to_string();
    }
    if let Some((number, _)) = u64::read(body, start) {
        return number.to_string();
    }
    match f64::read(body, start) {
        Some((number, _)) if number.is_finite() => finite(number),
        Some((number, _)) => super::double_text(number),
        None => String::new(),
    }
}

/// Returns the shortest digits that are read back as the number.
fn finite(number: f64) -> String {
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let text = match exponent + 1 {
        point if -MAX_ZEROS < point && point <= MAX_WHOLE_DIGITS => number.to_string(),
        _ => return format!("{digits}e{exponent}"),
    };
    if text.contains('.') {
        text
    } else {
        text + ".0"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_they_were_understood() {
        for (text, expected) in [
            ("1", "1"),
            ("-0", "0"),
            ("1.50", "1.5"),
            ("1e3", "1000.0"),
            ("1e20", "100000000000000000000.0"),
            ("1e21", "1e21"),
            ("1.25e30", "1.25e30"),
            ("0.00001", "0.00001"),
            ("0.0000001", "1e-7"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "18446744073709552000.0"),
            ("[NaN, -Inf, 0.0]", "[NaN, -Infinity, 0.0]"),
        ] {
            assert_eq!(excerpt(text.as_bytes(), 0), expected, "{text}");
        }
    }

    #[test]
    fn nothing_is_begun_behind_the_limit() {
        let list = format!("[{}", "1.0, ".repeat(1000));
        assert_eq!(
            excerpt(list.as_bytes(), 0).len(),
            259,
            "one bracket, 52 numbers"
        );
        let text = format!("\"{}\"", r"\u0041".repeat(1000));
        assert_eq!(
            excerpt(text.as_bytes(), 0),
            format!("\"{}", "A".repeat(255))
        );
        let text = format!("\"{}\"", "é".repeat(1000));
        assert_eq!(
            excerpt(text.as_bytes(), 0),
            format!("\"{}", "é".repeat(127))
        );
    }
}
