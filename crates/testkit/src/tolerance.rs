//! How far a result may be from what is expected.

use salver_tensor::{DType, Tensor};

/// A named tolerance. Dtype and shape are always exact, and so are values that are not floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// The same bits.
    Exact,
    /// So many representable numbers apart.
    Ulp(u32),
    /// `|actual - expected| <= atol + rtol * |expected|`.
    Close {
        /// The relative part.
        rtol: f64,
        /// The absolute part.
        atol: f64,
    },
}

impl Tolerance {
    /// Compares two tensors.
    ///
    /// # Errors
    /// A sentence that names the first difference.
    pub fn check(self, actual: &Tensor, expected: &Tensor) -> Result<(), String> {
        if (actual.dtype(), actual.shape()) != (expected.dtype(), expected.shape()) {
            return Err(format!("expected {expected:?}, got {actual:?}"));
        }
        match expected.dtype() {
            DType::F32 if self != Self::Exact => {
                let number = |tensor: &Tensor| tensor.as_slice::<f32>().map(<[f32]>::to_vec);
                let (actual, expected) = (number(actual), number(expected));
                let (actual, expected) = (actual.expect("f32"), expected.expect("f32"));
                self.check_all(actual.iter().zip(&expected).map(|(a, e)| {
                    let ulp = ordered(*a).abs_diff(ordered(*e));
                    (f64::from(*a), f64::from(*e), u64::from(ulp))
                }))
            }
            DType::F64 if self != Self::Exact => {
                let (actual, expected) = (actual.as_slice::<f64>(), expected.as_slice::<f64>());
                let (actual, expected) = (actual.expect("f64"), expected.expect("f64"));
                self.check_all(actual.iter().zip(expected).map(|(a, e)| (*a, *e, u64::MAX)))
            }
            _ if actual == expected => Ok(()),
            _ => Err(format!("values of {expected:?} differ")),
        }
    }

    fn check_all(self, triples: impl Iterator<Item = (f64, f64, u64)>) -> Result<(), String> {
        for (idx, (actual, expected, ulp)) in triples.enumerate() {
            let is_close = match self {
                Self::Exact => actual == expected,
                Self::Ulp(max) => ulp <= u64::from(max),
                Self::Close { rtol, atol } => {
                    (actual - expected).abs() <= atol + rtol * expected.abs()
                }
            };
            let are_nan = actual.is_nan() && expected.is_nan();
            if !(is_close || are_nan) {
                return Err(format!(
                    "element {idx}: expected {expected} within {self:?}, got {actual}"
                ));
            }
        }
        Ok(())
    }
}

/// Maps floats to integers that are in the same order and next to each other where the floats are.
fn ordered(value: f32) -> i32 {
    let bits = value.to_bits().cast_signed();
    if bits < 0 {
        i32::MIN.wrapping_sub(bits)
    } else {
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_tell_near_from_far() {
        let one = Tensor::from_vec([1], vec![1.0_f32]).expect("fits");
        let next =
            Tensor::from_vec([1], vec![f32::from_bits(1.0_f32.to_bits() + 1)]).expect("fits");
        let two = Tensor::from_vec([1], vec![2.0_f32]).expect("fits");
        assert!(Tolerance::Exact.check(&one, &one).is_ok());
        assert!(Tolerance::Exact.check(&next, &one).is_err());
        assert!(Tolerance::Ulp(1).check(&next, &one).is_ok());
        assert!(Tolerance::Ulp(1).check(&two, &one).is_err());
        assert!(
            Tolerance::Close {
                rtol: 1e-6,
                atol: 0.0
            }
            .check(&next, &one)
            .is_ok()
        );
        let signed_zeros =
            [0.0_f32, -0.0].map(|zero| Tensor::from_vec([1], vec![zero]).expect("fits"));
        assert!(
            Tolerance::Ulp(0)
                .check(&signed_zeros[0], &signed_zeros[1])
                .is_ok()
        );
    }
}
