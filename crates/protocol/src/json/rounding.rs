//! Floats taken apart into decimal digits, rounded exactly as C's `printf` rounds.
//!
//! A value is `significand` · 2^`exponent`. Multiplied by a power of ten it has the wanted digits in front of its binary
//! point, in one 128-bit integer for every usual value; what lies behind the point says how to round, and how far the
//! rounded number is from the value says whether reading it back gives the value. Very large, very small and
//! subnormal values go through the standard library, which is slower and just as exact.

use std::fmt::LowerExp;
use std::io::Write as _;
use std::str::FromStr;

/// The precision that is tried first, in significant digits.
pub(super) const SHORT_DIGITS: usize = 6;

/// The most digits of any float.
pub(super) const MAX_DIGITS: usize = 17;

/// A float that can be taken apart.
pub(super) trait Float: Copy + PartialEq + LowerExp + FromStr {
    /// As many significant digits tell every value from every other.
    const FULL_DIGITS: usize;

    /// Returns the parts of the magnitude of a normal number.
    fn parts(self) -> Option<Parts>;

    /// Tells what kind of number it is.
    fn classify(self) -> (std::num::FpCategory, bool);
}

/// A positive normal number.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    significand: u64,
    exponent: i32,
    /// The neighbour below is then half as far away as the one above.
    is_power_of_two: bool,
}

macro_rules! floats {
    ($($float:ty, $fraction_bits:literal, $bias:literal, $full_digits:literal);* $(;)?) => {$(
        impl Float for $float {
            const FULL_DIGITS: usize = $full_digits;

            #[inline]
            fn parts(self) -> Option<Parts> {
                const HIDDEN: u64 = 1 << $fraction_bits;
                if !self.is_normal() {
                    return None;
                }
                let bits = u64::from(self.abs().to_bits());
                let fraction = bits & (HIDDEN - 1);
                Some(Parts {
                    significand: fraction | HIDDEN,
                    exponent: i32::try_from(bits >> $fraction_bits).ok()? - $bias - $fraction_bits,
                    is_power_of_two: fraction == 0,
                })
            }

            #[inline]
            fn classify(self) -> (std::num::FpCategory, bool) {
                (<$float>::classify(self), self.is_sign_negative())
            }
        }
    )*};
}

floats! {
    f32, 23, 127, 9;
    f64, 52, 1023, 17;
}

/// `digits` · 10^(`exponent` + 1 - `num_digits`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rounded {
    pub(super) digits: u64,
    pub(super) num_digits: usize,
    pub(super) exponent: i32,
}

impl Rounded {
    /// Takes digits that rounding may have given one more.
    #[inline]
    fn new(digits: u64, num_digits: usize, exponent: i32) -> Self {
        if u128::from(digits) == POWERS[num_digits] {
            return Self {
                digits: digits / 10,
                num_digits,
                exponent: exponent + 1,
            };
        }
        Self {
            digits,
            num_digits,
            exponent,
        }
    }
}

/// A number times a power of ten, as `scaled` · 2^-`shift`.
struct Scaled {
    scaled: u128,
    /// What the next float is away, in units of `scaled`.
    gap: u128,
    shift: u32,
    /// The decimal exponent of the first digit.
    exponent: i32,
}

/// Powers of ten that a significand of 53 bits can be multiplied with inside 127 bits.
const POWERS: [u128; 23] = {
    let mut powers = [1; 23];
    let mut idx = 1;
    while idx < powers.len() {
        powers[idx] = powers[idx - 1] * 10;
        idx += 1;
    }
    powers
};

/// Rounds a finite number that is not zero to six digits if those read back as the number, else to as many as always
/// do. The sign is left out.
#[inline]
pub(super) fn round<F: Float>(value: F) -> Rounded {
    value
        .parts()
        .and_then(|parts| parts.round::<F>())
        .unwrap_or_else(|| round_slowly(value))
}

impl Parts {
    /// Rounds half to even, to six digits or to all of `F`; `None` if it does not fit 128 bits.
    #[inline]
    fn round<F: Float>(self) -> Option<Rounded> {
        let Scaled {
            scaled,
            gap,
            shift,
            exponent,
        } = self.scale::<F>()?;
        let whole = (scaled >> shift) as u64;

        // The six-digit numbers around: one reads back only if it is nearer than half way to the next float, and that
        // is far less than this many units of the last digit of the full form.
        const NEAR: u64 = 64;
        let step = POWERS[F::FULL_DIGITS - SHORT_DIGITS] as u64;
        let beyond = whole % step;
        if beyond < NEAR || beyond >= step - NEAR {
            let is_above = beyond >= NEAR;
            let short = whole - beyond + if is_above { step } else { 0 };
            let distance = (u128::from(short) << shift).abs_diff(scaled);
            let gap = if self.is_power_of_two && !is_above {
                gap / 2
            } else {
                gap
            };
            let is_even = self.significand.is_multiple_of(2);
            if distance * 2 < gap || (distance * 2 == gap && is_even) {
                return Some(Rounded::new(short / step, SHORT_DIGITS, exponent));
            }
        }
        let rest = scaled - (u128::from(whole) << shift);
        let half = (1_u128 << shift) >> 1;
        let rounds_up = rest > half || (rest == half && shift > 0 && whole % 2 == 1);
        Some(Rounded::new(
            whole + u64::from(rounds_up),
            F::FULL_DIGITS,
            exponent,
        ))
    }

    /// Multiplies with the power of ten that puts all digits of `F` in front of the binary point.
    #[inline]
    fn scale<F: Float>(self) -> Option<Scaled> {
        let (significand, shift) = match u32::try_from(self.exponent) {
            Ok(exponent) if exponent < self.significand.leading_zeros() => {
                (self.significand << exponent, 0)
            }
            Ok(_) => return None,
            Err(_) => (self.significand, self.exponent.unsigned_abs()),
        };
        let floor_log2 = self.exponent + 63 - self.significand.leading_zeros().cast_signed();
        // 1233 / 4096 is the logarithm of 2, near enough to be off by one at most.
        let mut exponent = (floor_log2 * 1233) >> 12;
        let (lower, upper) = (POWERS[F::FULL_DIGITS - 1], POWERS[F::FULL_DIGITS]);
        loop {
            let power = F::FULL_DIGITS.cast_signed() - 1 - exponent as isize;
            let power = *POWERS.get(usize::try_from(power).ok()?)?;
            let scaled = u128::from(significand).checked_mul(power)?;
            let whole = scaled.checked_shr(shift)?;
            if whole >= upper {
                exponent += 1;
            } else if whole < lower {
                exponent -= 1;
            } else {
                let gap = power << self.exponent.max(0);
                return Some(Scaled {
                    scaled,
                    gap,
                    shift,
                    exponent,
                });
            }
        }
    }
}

/// Rounds any finite number by the standard library.
#[cold]
fn round_slowly<F: Float>(value: F) -> Rounded {
    let short = format_scientific(value, SHORT_DIGITS);
    match short {
        (short, true) => short,
        (_, false) => format_scientific(value, F::FULL_DIGITS).0,
    }
}

/// Rounds to a number of digits; returns too whether the result reads back as the number.
fn format_scientific<F: Float>(value: F, num_digits: usize) -> (Rounded, bool) {
    /// Sign, digits, point, `e`, sign and three digits, with some room.
    const MAX_LEN: usize = 32;
    let mut buffer = [0_u8; MAX_LEN];
    let mut rest = &mut buffer[..];
    write!(rest, "{value:.*e}", num_digits - 1).expect("the longest float fits the buffer");
    let len = MAX_LEN - rest.len();
    let text = std::str::from_utf8(&buffer[..len]).expect("numbers are ASCII");
    let (digits, exponent) = text.split_once('e').expect("the format has an exponent");
    let digits = digits.bytes().filter(u8::is_ascii_digit);
    let digits = digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    let exponent = exponent.parse().expect("an exponent is a number");
    (
        Rounded {
            digits,
            num_digits,
            exponent,
        },
        text.parse().is_ok_and(|back: F| back == value),
    )
}
