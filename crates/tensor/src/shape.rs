//! Extents of a tensor.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

/// The extents of a tensor, outermost first; empty for a scalar.
///
/// Four dimensions are held in place, so shapes of the usual pictures and rows cost no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape(SmallVec<[usize; 4]>);

impl Shape {
    /// Returns the shape of a scalar.
    #[must_use]
    pub fn scalar() -> Self {
        Self::default()
    }

    /// Returns the number of elements, or `None` if it does not fit a `usize`.
    #[must_use]
    pub fn num_elements(&self) -> Option<usize> {
        self.0
            .iter()
            .try_fold(1_usize, |product, &extent| product.checked_mul(extent))
    }

    /// Returns this shape with another extent of axis 0.
    ///
    /// # Panics
    /// On a scalar, which has no axis 0.
    #[must_use]
    pub fn with_rows(&self, num_rows: usize) -> Self {
        let mut shape = self.clone();
        shape.0[0] = num_rows;
        shape
    }

    /// Appends an innermost axis.
    pub fn push(&mut self, extent: usize) {
        self.0.push(extent);
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl From<&[usize]> for Shape {
    fn from(extents: &[usize]) -> Self {
        Self(SmallVec::from_slice(extents))
    }
}

impl From<Vec<usize>> for Shape {
    fn from(extents: Vec<usize>) -> Self {
        Self(SmallVec::from_vec(extents))
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(extents: [usize; N]) -> Self {
        Self(SmallVec::from_slice(&extents))
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(extents: I) -> Self {
        Self(extents.into_iter().collect())
    }
}

/// Writes `[2,3]`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (axis, extent) in self.0.iter().enumerate() {
            if axis > 0 {
                f.write_str(",")?;
            }
            write!(f, "{extent}")?;
        }
        f.write_str("]")
    }
}
