//! Runs of decimal digits: their value and where they end, many digits at a time.
//!
//! Two ways, because they suit different runs. Eight at a time inside one 64-bit word is best for the few digits in front
//! of a point, and right for any run. Behind a point there are often sixteen and more, and the next number cannot be
//! looked for before the end of this one is known: two comparisons of sixteen characters each find it, and the value of
//! the first sixteen comes from a handful of vector instructions, however many of them there are.

use wide::{i16x8, u8x16};

/// As many decimal digits always fit a `u64`.
pub(super) const MAX_DIGITS: usize = 19;

const POWERS: [u64; MAX_DIGITS + 1] = {
    let mut powers = [1; MAX_DIGITS + 1];
    let mut idx = 1;
    while idx < powers.len() {
        powers[idx] = 10 * powers[idx - 1];
        idx += 1;
    }
    powers
};

const ONES: u64 = 0x0101_0101_0101_0101;

#[inline]
pub(super) fn digit(body: &[u8], pos: usize) -> Option<u64> {
    let value = body.get(pos)?.wrapping_sub(b'0');
    (value < 10).then_some(u64::from(value))
}

/// Reads digits, eight at a time; returns their value behind that of `mantissa`, wrapped around, and where they end.
#[inline]
pub(super) fn read_digits(body: &[u8], start: usize, mut mantissa: u64) -> (u64, usize) {
    let mut end = start;
    while let Some(chunk) = body.get(end..).and_then(|rest| rest.first_chunk::<8>()) {
        let (value, num_digits) = leading_digits(u64::from_le_bytes(*chunk));
        mantissa = mantissa
            .wrapping_mul(POWERS[num_digits])
            .wrapping_add(value);
        end += num_digits;
        if num_digits < 8 {
            return (mantissa, end);
        }
    }
    while let Some(value) = digit(body, end) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(value);
        end += 1;
    }
    (mantissa, end)
}

/// Returns the value and the number of the leading digits among eight characters, the first in the lowest byte.
#[inline]
fn leading_digits(word: u64) -> (u64, usize) {
    let digits = word ^ (ONES * 0x30);
    // A digit is now 0..=9. Anything else has a high bit, or gets one by adding 6; a carry only reaches bytes behind it.
    let others = (digits | digits.wrapping_add(ONES * 6)) & (ONES * 0xf0);
    let num_digits = others.trailing_zeros() as usize / 8;
    (value_of(to_the_end(digits, num_digits)), num_digits)
}

/// Moves the first bytes of a word to its end; zeros come in before them.
#[inline]
fn to_the_end(bytes: u64, num_bytes: usize) -> u64 {
    // In two steps, as a word cannot move by 64.
    let half = 32 - 4 * num_bytes;
    bytes << half << half
}

/// Returns the value of eight digits, the first in the lowest byte.
#[inline]
fn value_of(digits: u64) -> u64 {
    const MASK: u64 = 0x0000_00ff_0000_00ff;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let upper = (pairs & MASK).wrapping_mul(100 + (1_000_000 << 32));
    let lower = (pairs >> 16 & MASK).wrapping_mul(1 + (10_000 << 32));
    upper.wrapping_add(lower) >> 32
}

/// Digits behind a point.
pub(super) struct Fraction {
    /// The value of the first [`Fraction::KEPT`], in units of the last; those that are missing count as zeros.
    pub(super) value: u64,
    pub(super) num_digits: usize,
}

impl Fraction {
    /// How many digits are looked at.
    pub(super) const WIDTH: usize = 32;

    /// How many have a part in the value.
    pub(super) const KEPT: usize = 16;

    /// Reads the digits at the beginning of some characters; `None` if there are none, or so many that none ends them.
    #[inline]
    pub(super) fn read(chars: &[u8; Self::WIDTH]) -> Option<Self> {
        // Bytes are taken together as numbers below.
        if cfg!(target_endian = "big") {
            return None;
        }
        let [first, last]: [u8x16; 2] = bytemuck::cast(*chars);
        let first = first - u8x16::splat(b'0');
        let others = others(first) | others(last - u8x16::splat(b'0')) << 16;
        let num_digits = others.trailing_zeros() as usize;
        if num_digits == 0 || num_digits == Self::WIDTH {
            return None;
        }
        let kept = KEEP_FIRST[num_digits.min(Self::KEPT)];
        Some(Self {
            value: value_of_sixteen(first & u8x16::new(kept)),
            num_digits,
        })
    }
}

/// For each number of bytes, what keeps so many of sixteen, the first ones.
const KEEP_FIRST: [[u8; Fraction::KEPT]; Fraction::KEPT + 1] = {
    let mut masks = [[0; Fraction::KEPT]; Fraction::KEPT + 1];
    let mut idx = 0;
    while idx < Fraction::KEPT * (Fraction::KEPT + 1) {
        let (num_kept, at) = (idx / Fraction::KEPT, idx % Fraction::KEPT);
        if at < num_kept {
            masks[num_kept][at] = 0xff;
        }
        idx += 1;
    }
    masks
};

/// Returns a bit for each value, the first in the lowest, set where it is more than a digit can be.
#[inline]
fn others(values: u8x16) -> u32 {
    let nine = u8x16::splat(9);
    !values.max(nine).simd_eq(nine).to_bitmask() & 0xffff
}

/// Returns the value of sixteen digits.
#[inline]
fn value_of_sixteen(digits: u8x16) -> u64 {
    // In pairs, of which the lower byte has the first digit; then pairs of those, and so on.
    let digits: i16x8 = bytemuck::cast(digits);
    let twos: i16x8 = (digits * i16x8::splat(10) + (digits >> 8)) & i16x8::splat(0xff);
    let fours = twos.dot(i16x8::new([100, 1, 100, 1, 100, 1, 100, 1]));
    let [first, last]: [u64; 2] = bytemuck::cast(fours);
    // Not by `map` of an array, whose closures are left as functions where there is no link-time optimisation.
    let eight = |fours: u64| fours.wrapping_mul(1 + (10_000 << 32)) >> 32;
    eight(first) * POWERS[8] + eight(last)
}
