//! Numbers: from decimal text to a typed value, correctly rounded, without copying the text.
//!
//! For an `f32` the most common form is tried first: one digit, a point, and sixteen digits behind it, which nearly always
//! tell. Everything else is read digit by digit, eight at a time. Up to 19 of them and a power of ten up to 22 are turned
//! into a value by one multiplication or division; where that could round wrongly, and for everything longer,
//! `fast-float2` reads the text again.

use salver_tensor::Element;

use super::JsonError;
use super::digits::{Fraction, MAX_DIGITS, digit, read_digits};
use super::scanner::Scanner;

/// A Rust type that a JSON number can become.
pub(super) trait Number: Element {
    /// Reads the number that starts at `pos`; returns it and the position behind it.
    ///
    /// `None` if there is no number, or none that this type can take. What follows it is the caller's to check.
    fn read(body: &[u8], pos: usize) -> Option<(Self, usize)>;
}

/// The significant digits of a number as text has them: ± `mantissa` · 10^`exponent`.
struct Decimal {
    is_negative: bool,
    /// Wrapped around if there are more than [`MAX_DIGITS`] digits.
    mantissa: u64,
    exponent: i64,
    num_digits: usize,
    end: usize,
}

/// The powers of ten that an `f64` holds exactly.
const POWERS_F64: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Reads a number by JSON's grammar; `None` if there is none at `pos`.
#[inline]
fn read_decimal(body: &[u8], pos: usize) -> Option<Decimal> {
    let is_negative = *body.get(pos)? == b'-';
    let start = pos + usize::from(is_negative);
    let (mantissa, end) = if body.get(start + 1) == Some(&b'.') {
        (digit(body, start)?, start + 1)
    } else {
        read_whole_part(body, start)?
    };
    let mut decimal = Decimal {
        is_negative,
        mantissa,
        exponent: 0,
        num_digits: end - start,
        end,
    };
    if body.get(end) == Some(&b'.') {
        read_fraction(body, &mut decimal)?;
    }
    if let Some(b'e' | b'E') = body.get(decimal.end) {
        let (exponent, end) = read_exponent(body, decimal.end)?;
        decimal.exponent = decimal.exponent.saturating_add(exponent);
        decimal.end = end;
    }
    Some(decimal)
}

/// Reads the digits in front of the point; returns their value, wrapped around, and where they end. A zero in front
/// ends them: nothing that JSON allows may follow it.
#[inline]
fn read_whole_part(body: &[u8], start: usize) -> Option<(u64, usize)> {
    let (value, end) = read_digits(body, start, 0);
    if end == start {
        return None;
    }
    if end > start + 1 && body[start] == b'0' {
        return Some((0, start + 1));
    }
    Some((value, end))
}

/// Continues at the decimal point.
#[inline]
fn read_fraction(body: &[u8], decimal: &mut Decimal) -> Option<()> {
    let start = decimal.end + 1;
    let (mantissa, end) = read_digits(body, start, decimal.mantissa);
    let num_digits = end - start;
    decimal.mantissa = mantissa;
    decimal.num_digits += num_digits;
    decimal.exponent = -(num_digits as i64);
    decimal.end = end;
    (num_digits > 0).then_some(())
}

/// Reads from the `e` on. Exponents far beyond any float are cut short, which changes no result.
#[inline(never)]
fn read_exponent(body: &[u8], pos: usize) -> Option<(i64, usize)> {
    let mut end = pos + 1;
    let is_negative = body.get(end) == Some(&b'-');
    if let Some(b'+' | b'-') = body.get(end) {
        end += 1;
    }
    let mut exponent = digit(body, end)?.cast_signed();
    end += 1;
    while let Some(value) = digit(body, end) {
        exponent = exponent
            .saturating_mul(10)
            .saturating_add(value.cast_signed());
        end += 1;
    }
    Some((if is_negative { -exponent } else { exponent }, end))
}

impl Decimal {
    /// Returns the magnitude as an `f64` that is at most two units in the last place off, and whether it is exact.
    #[inline]
    fn near(&self) -> Option<(f64, bool)> {
        const EXACT: u64 = 1 << 53;
        let power = *POWERS_F64.get(self.exponent.unsigned_abs() as usize)?;
        // Converting is cheaper for a signed number.
        let mantissa = i64::try_from(self.mantissa).ok()? as f64;
        if self.num_digits > MAX_DIGITS {
            return None;
        }
        let near = if self.exponent < 0 {
            mantissa / power
        } else {
            mantissa * power
        };
        Some((near, self.mantissa <= EXACT))
    }
}

/// Reads a number of the most common form: one digit, a point and more digits, not all of which need be looked at to
/// know the nearest `f32`. `None` for every other, and where it is not sure.
#[inline]
fn read_common(body: &[u8], pos: usize) -> Option<(f32, usize)> {
    const SCALE: u64 = 10_u64.pow(Fraction::KEPT as u32);
    /// From here on, digits that are left out are less than [`SLACK`] in the last place of an `f64`.
    const LEAST_CUT: f64 = 1e-3;
    const SLACK: u64 = 1 << 10;

    let is_negative = *body.get(pos)? == b'-';
    let start = pos + usize::from(is_negative);
    let [whole, b'.', chars @ ..] = body
        .get(start..)?
        .first_chunk::<{ 2 + Fraction::WIDTH }>()?
    else {
        return None;
    };
    let whole = whole.wrapping_sub(b'0');
    let fraction = Fraction::read(chars)?;
    let end = start + 2 + fraction.num_digits;
    if whole > 9 || matches!(body.get(end), Some(b'e' | b'E')) {
        return None;
    }
    let mantissa = u64::from(whole) * SCALE + fraction.value;
    let near = mantissa.cast_signed() as f64 / SCALE as f64;
    let is_near_enough = fraction.num_digits <= Fraction::KEPT || near >= LEAST_CUT;
    if !is_near_enough || !is_clear(near, SLACK) {
        return None;
    }
    let value = near as f32;
    Some((if is_negative { -value } else { value }, end))
}

/// Tells whether rounding to an `f32` gives what rounding the text itself would give, for a value that is less than
/// `slack` in the last place off: where the 29 bits that an `f32` does not have are not that near to one half.
#[inline]
fn is_clear(near: f64, slack: u64) -> bool {
    let dropped = near.to_bits() & 0x1fff_ffff;
    dropped.wrapping_sub(0x1000_0000 - slack) > 2 * slack
}

impl Number for f32 {
    #[inline]
    fn read(body: &[u8], pos: usize) -> Option<(Self, usize)> {
        if let Some(read) = read_common(body, pos) {
            return Some(read);
        }
        let Some(decimal) = read_decimal(body, pos) else {
            let (value, end) = read_special(body, pos)?;
            return Some((value as Self, end));
        };
        if let Some((near, _)) = decimal.near() {
            let is_normal = near >= f64::from(Self::MIN_POSITIVE) && near < f64::from(Self::MAX);
            if is_clear(near, 3) && (is_normal || near == 0.0) {
                let value = near as Self;
                return Some((
                    if decimal.is_negative { -value } else { value },
                    decimal.end,
                ));
            }
        }
        let value = read_again(body, pos, decimal.end)?;
        Some((value, decimal.end))
    }
}

impl Number for f64 {
    #[inline]
    fn read(body: &[u8], pos: usize) -> Option<(Self, usize)> {
        let Some(decimal) = read_decimal(body, pos) else {
            return read_special(body, pos);
        };
        if let Some((value, true)) = decimal.near() {
            return Some((
                if decimal.is_negative { -value } else { value },
                decimal.end,
            ));
        }
        let value = read_again(body, pos, decimal.end)?;
        Some((value, decimal.end))
    }
}

/// Reads a number once more, by an algorithm that is right for every text.
#[inline(never)]
fn read_again<T: fast_float2::FastFloat>(body: &[u8], start: usize, end: usize) -> Option<T> {
    fast_float2::parse(&body[start..end]).ok()
}

/// Reads `NaN`, `Inf`, `Infinity` and their negatives.
#[cold]
fn read_special(body: &[u8], pos: usize) -> Option<(f64, usize)> {
    let text = body.get(pos..)?;
    let (sign, text) = text
        .strip_prefix(b"-")
        .map_or((1.0, text), |rest| (-1.0, rest));
    let words: [(&[u8], f64); 3] = [
        (b"NaN", f64::NAN),
        (b"Infinity", f64::INFINITY),
        (b"Inf", f64::INFINITY),
    ];
    let (word, value) = words.into_iter().find(|(word, _)| text.starts_with(word))?;
    Some((value * sign, body.len() - text.len() + word.len()))
}

/// Reads a whole number: a sign and a magnitude. `None` if it has a fraction or an exponent, or is beyond a `u64`.
#[inline]
fn read_whole(body: &[u8], pos: usize) -> Option<(bool, u64, usize)> {
    let is_negative = *body.get(pos)? == b'-';
    let start = pos + usize::from(is_negative);
    let (mut magnitude, end) = read_whole_part(body, start)?;
    if end - start > MAX_DIGITS {
        magnitude = std::str::from_utf8(&body[start..end]).ok()?.parse().ok()?;
    }
    if let Some(b'.' | b'e' | b'E') = body.get(end) {
        return None;
    }
    Some((is_negative, magnitude, end))
}

#[inline]
fn read_i64(body: &[u8], pos: usize) -> Option<(i64, usize)> {
    let (is_negative, magnitude, end) = read_whole(body, pos)?;
    let value = if is_negative {
        0_i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    };
    Some((value?, end))
}

#[inline]
fn read_u64(body: &[u8], pos: usize) -> Option<(u64, usize)> {
    let (is_negative, magnitude, end) = read_whole(body, pos)?;
    (!is_negative || magnitude == 0).then_some((magnitude, end))
}

impl Number for i64 {
    #[inline]
    fn read(body: &[u8], pos: usize) -> Option<(Self, usize)> {
        read_i64(body, pos)
    }
}

impl Number for u64 {
    #[inline]
    fn read(body: &[u8], pos: usize) -> Option<(Self, usize)> {
        read_u64(body, pos)
    }
}

impl Number for u32 {
    #[inline]
    fn read(body: &[u8], pos: usize) -> Option<(Self, usize)> {
        let (value, end) = read_u64(body, pos)?;
        Some((Self::try_from(value).ok()?, end))
    }
}

impl Number for i32 {
    #[inline]
    fn read(body: &[u8], pos: usize) -> Option<(Self, usize)> {
        let (value, end) = read_i64(body, pos)?;
        Some((Self::try_from(value).ok()?, end))
    }
}

/// The small types take any 32-bit number and keep its low bits, as TensorFlow Serving does: 300 becomes 44.
macro_rules! wrapping_numbers {
    ($($small:ty),*) => {$(
        impl Number for $small {
            #[inline]
            fn read(body: &[u8], pos: usize) -> Option<(Self, usize)> {
                let (value, end) = i32::read(body, pos)?;
                Some((value as Self, end))
            }
        }
    )*};
}

wrapping_numbers!(i16, i8, u8);

/// Passes a number of any kind.
pub(super) fn skip(scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
    let (body, pos) = (scanner.body, scanner.pos);
    if let Some(decimal) = read_decimal(body, pos) {
        scanner.pos = decimal.end;
        return Ok(());
    }
    if let Some((_, end)) = read_special(body, pos) {
        scanner.pos = end;
        return Ok(());
    }
    explain(body, pos)
}

/// Says what is wrong with a number that could not be read.
#[cold]
fn explain(body: &[u8], pos: usize) -> Result<(), JsonError> {
    let mut end = pos + usize::from(body.get(pos) == Some(&b'-'));
    if digit(body, end).is_none() {
        return Err(JsonError::syntax("Invalid value.", end));
    }
    let skip_digits = |mut end: usize| {
        while digit(body, end).is_some() {
            end += 1;
        }
        end
    };
    end = if body[end] == b'0' {
        end + 1
    } else {
        skip_digits(end)
    };
    if body.get(end) == Some(&b'.') {
        if digit(body, end + 1).is_none() {
            return Err(JsonError::syntax("Miss fraction part in number.", end + 1));
        }
        end = skip_digits(end + 1);
    }
    let signed = matches!(body.get(end + 1), Some(b'+' | b'-'));
    Err(JsonError::syntax(
        "Miss exponent in number.",
        end + 1 + usize::from(signed),
    ))
}
