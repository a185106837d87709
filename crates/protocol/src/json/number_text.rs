//! Numbers as text, without an allocation; floats exactly as C's `%g` writes them.
//!
//! A number is put together in a small buffer by copies of a fixed length, which cost a few instructions, where
//! appending its parts one by one would cost a call each.

use std::num::FpCategory;

use super::rounding::{self, Float, MAX_DIGITS, Rounded};

/// Room for every float: sign, `0.000`, 17 digits, point, exponent; and for copies that reach beyond the end.
const BUFFER_LEN: usize = 40;

/// A number in the making.
struct Text {
    buffer: [u8; BUFFER_LEN],
    len: usize,
}

/// Appends a float: six significant digits if they read back as the value, else as many as always do.
///
/// Whole numbers end in `.0` unless they have an exponent; `NaN`, `Infinity` and `-Infinity` are bare words.
#[inline]
pub(super) fn write_float<F: Float>(out: &mut Vec<u8>, value: F) {
    let (category, is_negative) = value.classify();
    if !matches!(category, FpCategory::Normal | FpCategory::Subnormal) {
        out.extend_from_slice(match (category, is_negative) {
            (FpCategory::Nan, _) => b"NaN",
            (FpCategory::Infinite, false) => b"Infinity",
            (FpCategory::Infinite, true) => b"-Infinity",
            (_, false) => b"0.0",
            (_, true) => b"-0.0",
        });
        return;
    }
    let mut text = Text {
        buffer: [b'0'; BUFFER_LEN],
        len: usize::from(is_negative),
    };
    text.buffer[0] = b'-';
    text.put(rounding::round(value));
    // All of the buffer is copied because that is faster than a copy of a length that is not known.
    let start = out.len();
    out.extend_from_slice(&text.buffer);
    out.truncate(start + text.len);
}

impl Text {
    /// Puts digits as `%.*g` does, the precision being their number.
    #[inline]
    fn put(&mut self, rounded: Rounded) {
        let digits = digit_chars(rounded);
        let zeros = digits[..rounded.num_digits]
            .iter()
            .rev()
            .take_while(|&&digit| digit == b'0')
            .count();
        let num_digits = rounded.num_digits - zeros;
        match usize::try_from(rounded.exponent) {
            Ok(exponent) if exponent < rounded.num_digits => {
                let point = exponent + 1;
                self.copy(self.len, &digits, 0);
                self.buffer[self.len + point] = b'.';
                self.copy(self.len + point + 1, &digits, point);
                self.len += point + 1 + num_digits.saturating_sub(point).max(1);
            }
            Err(_) if rounded.exponent >= -4 => {
                // The buffer is full of zeros already.
                let first = self.len + 1 + rounded.exponent.unsigned_abs() as usize;
                self.buffer[self.len] = b'0';
                self.buffer[self.len + 1] = b'.';
                self.copy(first, &digits, 0);
                self.len = first + num_digits;
            }
            _ => self.put_scientific(&digits, num_digits, rounded.exponent),
        }
    }

    /// Puts `d.ddde+xx`.
    fn put_scientific(&mut self, digits: &Digits, num_digits: usize, exponent: i32) {
        self.buffer[self.len] = digits[0];
        self.len += 1;
        if num_digits > 1 {
            self.buffer[self.len] = b'.';
            self.copy(self.len + 1, digits, 1);
            self.len += num_digits;
        }
        self.buffer[self.len] = b'e';
        self.buffer[self.len + 1] = if exponent < 0 { b'-' } else { b'+' };
        self.len += 2;
        let exponent = exponent.unsigned_abs();
        let hundreds = u8::try_from(exponent / 100).unwrap_or_default();
        if hundreds > 0 {
            self.buffer[self.len] = b'0' + hundreds;
            self.len += 1;
        }
        let rest = (exponent % 100) as u8;
        self.buffer[self.len] = b'0' + rest / 10;
        self.buffer[self.len + 1] = b'0' + rest % 10;
        self.len += 2;
    }

    /// Copies all digits from the `from`-th on, and zeros behind them.
    #[inline]
    fn copy(&mut self, at: usize, digits: &Digits, from: usize) {
        self.buffer[at..at + MAX_DIGITS].copy_from_slice(&digits[from..from + MAX_DIGITS]);
    }
}

/// Digits, and as many zeros behind them, so that a copy may start at any digit.
type Digits = [u8; 2 * MAX_DIGITS + 1];

/// Returns the digits as characters, the first one first.
#[inline]
fn digit_chars(rounded: Rounded) -> Digits {
    const EIGHT: u64 = 100_000_000;
    let mut chars = [b'0'; 2 * MAX_DIGITS + 1];
    let Rounded {
        digits, num_digits, ..
    } = rounded;
    if num_digits <= 8 {
        // Moved to the front: the digits that fail become zeros behind.
        let shift = [
            EIGHT, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1,
        ][num_digits];
        chars[..8].copy_from_slice(&eight_chars(digits * shift));
    } else {
        let (mut rest, mut end) = (digits, num_digits);
        while end > 8 {
            chars[end - 8..end].copy_from_slice(&eight_chars(rest % EIGHT));
            rest /= EIGHT;
            end -= 8;
        }
        // Nine and seventeen digits leave one.
        chars[0] = b'0' + (rest % 10) as u8;
    }
    chars
}

/// Returns the eight digits of a number below 10^8, zeros in front, all at once inside one word.
#[inline]
fn eight_chars(number: u64) -> [u8; 8] {
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | ((twos - 10 * tens) << 8);
    (ones | 0x3030_3030_3030_3030).to_le_bytes()
}

/// Appends a signed whole number.
#[inline]
pub(super) fn write_signed(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    write_whole(out, number.unsigned_abs());
}

/// Appends a whole number.
#[inline]
pub(super) fn write_whole(out: &mut Vec<u8>, number: u64) {
    /// The digits of `u64::MAX`.
    const MAX_LEN: usize = 20;
    let mut buffer = [0; MAX_LEN];
    let mut start = MAX_LEN;
    let mut rest = number;
    loop {
        start -= 1;
        buffer[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&buffer[start..]);
}
