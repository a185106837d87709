//! A model's outputs as classes and values, held to the form that clients count on.

use bytes::Bytes;
use salver_tensor::{DType, Shape, Tensor};

use crate::tensor_proto::data_type_name;

/// The answer to one question about each row.
#[derive(Clone, Copy, Debug)]
pub enum Results<'a> {
    /// Of `Classify`.
    Classifications(Classifications<'a>),
    /// Of `Regress`.
    Regressions(Regressions<'a>),
}

/// Labels, scores or both for each class of each row.
#[derive(Clone, Copy, Debug)]
pub struct Classifications<'a> {
    labels: Option<&'a [Bytes]>,
    scores: Option<&'a [f32]>,
    num_rows: usize,
    num_classes: usize,
}

/// One value for each row.
#[derive(Clone, Copy, Debug)]
pub struct Regressions<'a> {
    pub(crate) values: &'a [f32],
}

/// Why a model's outputs are no answer; in TensorFlow Serving's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultError {
    /// Classes or scores do not have one line of them for each row.
    #[error("Expected Tensor shape: [batch_size num_classes] but got {0}")]
    NotRows(Shape),
    /// Classes or scores of another dtype.
    #[error(
        "Expected {output} Tensor of {}. Got: {}",
        data_type_name(*expected),
        data_type_name(*actual)
    )]
    DType {
        /// `classes` or `scores`.
        output: &'static str,
        /// The one dtype it may have.
        expected: DType,
        /// The one it has.
        actual: DType,
    },
    /// Classes or scores for more or fewer rows than were sent.
    #[error("Expected {output} output batch size of {expected}. Got: {actual}")]
    NumRows {
        /// `classes` or `scores`.
        output: &'static str,
        /// Rows of the request.
        expected: usize,
        /// Rows of the output.
        actual: usize,
    },
    /// Not as many scores as classes.
    #[error(
        "Tensors class and score should match in dim_size(1). Got {num_classes} vs. {num_scores}"
    )]
    NumClasses {
        /// Classes of a row.
        num_classes: usize,
        /// Scores of a row.
        num_scores: usize,
    },
    /// Values that are not one for each row.
    #[error(
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {0}"
    )]
    NotValues(Shape),
    /// Values for more or fewer rows than were sent.
    #[error("Input batch size did not match output batch size: {expected} vs. {actual}")]
    NumValues {
        /// Rows of the request.
        expected: usize,
        /// Rows of the output.
        actual: usize,
    },
    /// Values of another dtype than DT_FLOAT.
    #[error("Expected output Tensor of DT_FLOAT.  Got: {}", data_type_name(*.0))]
    ValuesDType(DType),
}

impl<'a> Classifications<'a> {
    /// Reads the outputs `classes` and `scores`, of which a model may have either or both.
    ///
    /// # Shapes
    /// Both are `[B, C]`: `num_rows` rows, as many classes in each.
    ///
    /// # Errors
    /// [`ResultError`], of classes first.
    pub fn new(
        classes: Option<&'a Tensor>,
        scores: Option<&'a Tensor>,
        num_rows: usize,
    ) -> Result<Self, ResultError> {
        let num_labels = classes
            .map(|classes| num_columns("classes", classes, DType::String, num_rows))
            .transpose()?;
        let num_scores = scores
            .map(|scores| num_columns("scores", scores, DType::F32, num_rows))
            .transpose()?;
        if let (Some(num_classes), Some(num_scores)) = (num_labels, num_scores)
            && num_classes != num_scores
        {
            return Err(ResultError::NumClasses {
                num_classes,
                num_scores,
            });
        }
        Ok(Self {
            labels: classes.and_then(Tensor::as_strings),
            scores: scores.and_then(floats),
            num_rows,
            num_classes: num_labels.or(num_scores).unwrap_or_default(),
        })
    }

    /// Iterates over the rows, each an iterator over its classes: label and score, empty and 0 where there is none.
    pub(crate) fn rows(
        self,
    ) -> impl ExactSizeIterator<Item = impl ExactSizeIterator<Item = (&'a [u8], f32)> + Clone> {
        (0..self.num_rows).map(move |row_idx| {
            let start = row_idx * self.num_classes;
            (start..start + self.num_classes).map(move |idx| {
                let label = self.labels.map_or(&[][..], |labels| &labels[idx]);
                (label, self.scores.map_or(0.0, |scores| scores[idx]))
            })
        })
    }
}

/// Checks an output of a classification; returns the number of classes in a row.
fn num_columns(
    output: &'static str,
    tensor: &Tensor,
    expected: DType,
    num_rows: usize,
) -> Result<usize, ResultError> {
    let &[actual_rows, num_columns] = &tensor.shape()[..] else {
        return Err(ResultError::NotRows(tensor.shape().clone()));
    };
    if tensor.dtype() != expected {
        return Err(ResultError::DType {
            output,
            expected,
            actual: tensor.dtype(),
        });
    }
    if actual_rows != num_rows {
        return Err(ResultError::NumRows {
            output,
            expected: num_rows,
            actual: actual_rows,
        });
    }
    Ok(num_columns)
}

impl<'a> Regressions<'a> {
    /// Reads the output `outputs`.
    ///
    /// # Shapes
    /// `[B]` or `[B, 1]` for `num_rows` rows.
    ///
    /// # Errors
    /// [`ResultError`].
    pub fn new(outputs: &'a Tensor, num_rows: usize) -> Result<Self, ResultError> {
        let (&[actual] | &[actual, 1]) = &outputs.shape()[..] else {
            return Err(ResultError::NotValues(outputs.shape().clone()));
        };
        if actual != num_rows {
            return Err(ResultError::NumValues {
                expected: num_rows,
                actual,
            });
        }
        let values = floats(outputs).ok_or(ResultError::ValuesDType(outputs.dtype()))?;
        Ok(Self { values })
    }
}

fn floats(tensor: &Tensor) -> Option<&[f32]> {
    tensor.as_slice().ok()
}
