//! The tiny models by name, in the format that an engine takes.

use salver_backend::ModelFormat;
use salver_tensor::DType;

use crate::{ModelFolder, models, saved_models};

/// One of the tiny models; what each does is said in [`models`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tiny {
    /// [`models::half_plus_two`].
    HalfPlusTwo,
    /// [`models::identity`].
    Identity(DType),
    /// [`models::add`].
    Add(DType),
    /// [`models::multi_output`].
    MultiOutput,
    /// [`models::gather`].
    Gather,
    /// [`models::not`].
    Not,
    /// [`models::fixed_batch`].
    FixedBatch,
    /// [`models::mlp`].
    Mlp,
    /// [`models::unknown_operator`].
    UnknownOperator,
    /// [`models::passthrough`].
    Passthrough,
    /// [`models::sequence_output`], or another output that cannot be served.
    OddOutput,
}

impl Tiny {
    /// Returns the model's main file.
    ///
    /// # Panics
    /// For formats that are not written here.
    #[must_use]
    pub fn bytes(self, format: ModelFormat) -> Vec<u8> {
        match format {
            ModelFormat::Onnx => self.onnx(),
            ModelFormat::SavedModel => self.saved_model(),
            ModelFormat::TfLite | ModelFormat::Python => {
                panic!("{} models are not written by this crate", format.name())
            }
        }
    }

    /// Returns a folder with the model in it.
    #[must_use]
    pub fn folder(self, format: ModelFormat) -> ModelFolder {
        ModelFolder::of(format, &self.bytes(format))
    }

    fn onnx(self) -> Vec<u8> {
        match self {
            Self::HalfPlusTwo => models::half_plus_two(),
            Self::Identity(dtype) => models::identity(dtype),
            Self::Add(dtype) => models::add(dtype),
            Self::MultiOutput => models::multi_output(),
            Self::Gather => models::gather(),
            Self::Not => models::not(),
            Self::FixedBatch => models::fixed_batch(),
            Self::Mlp => models::mlp(),
            Self::UnknownOperator => models::unknown_operator(),
            Self::Passthrough => models::passthrough(),
            Self::OddOutput => models::sequence_output(),
        }
    }

    fn saved_model(self) -> Vec<u8> {
        match self {
            Self::HalfPlusTwo => saved_models::half_plus_two(),
            Self::Identity(dtype) => saved_models::identity(dtype),
            Self::Add(dtype) => saved_models::add(dtype),
            Self::MultiOutput => saved_models::multi_output(),
            Self::Gather => saved_models::gather(),
            Self::Not => saved_models::not(),
            Self::FixedBatch => saved_models::fixed_batch(),
            Self::Mlp => saved_models::mlp(),
            Self::UnknownOperator => saved_models::unknown_operator(),
            Self::Passthrough => saved_models::passthrough(),
            Self::OddOutput => saved_models::sparse_output(),
        }
    }
}
