//! What a model declares about one of its inputs or outputs.

use std::fmt;
use std::sync::Arc;

use crate::{DType, Shape};

/// One declared extent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// This extent and no other.
    Fixed(usize),
    /// Any extent; the model may have named it (`batch`).
    Dynamic(Option<Arc<str>>),
}

impl Dim {
    /// Tells whether an actual extent is allowed here.
    #[must_use]
    pub fn accepts(&self, extent: usize) -> bool {
        match self {
            Self::Fixed(fixed) => *fixed == extent,
            Self::Dynamic(_) => true,
        }
    }
}

/// A declared input or output of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// The name clients use (TensorFlow's alias).
    pub name: Arc<str>,
    /// The name inside the model's graph; often the same.
    pub tensor_name: Arc<str>,
    /// Element type, exactly as the model file declares it.
    pub dtype: DType,
    /// Declared extents; `None` if not even the rank is known.
    pub dims: Option<Vec<Dim>>,
}

impl TensorSpec {
    /// Returns a spec whose client name and graph name are the same.
    #[must_use]
    pub fn new(name: &str, dtype: DType, dims: Option<Vec<Dim>>) -> Self {
        let name: Arc<str> = name.into();
        Self {
            tensor_name: Arc::clone(&name),
            name,
            dtype,
            dims,
        }
    }

    /// Tells whether a tensor of this shape fits the declared extents.
    ///
    /// Servers that follow TensorFlow Serving do not ask: there only the dtype binds.
    #[must_use]
    pub fn accepts_shape(&self, shape: &Shape) -> bool {
        self.dims.as_ref().is_none_or(|dims| {
            dims.len() == shape.len()
                && dims
                    .iter()
                    .zip(shape.iter())
                    .all(|(dim, &extent)| dim.accepts(extent))
        })
    }
}

/// Writes `f32[-1,3]`; an unknown rank as `f32[?]`.
impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.dtype)?;
        match &self.dims {
            None => f.write_str("?")?,
            Some(dims) => {
                for (axis, dim) in dims.iter().enumerate() {
                    if axis > 0 {
                        f.write_str(",")?;
                    }
                    match dim {
                        Dim::Fixed(extent) => write!(f, "{extent}")?,
                        Dim::Dynamic(_) => f.write_str("-1")?,
                    }
                }
            }
        }
        f.write_str("]")
    }
}
