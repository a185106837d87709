//! Where the files of one version of a model are.

use std::path::{Path, PathBuf};

/// What kind of model a folder or file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ModelFormat {
    /// `model.onnx`, with external data beside it or not.
    Onnx,
    /// `saved_model.pb` with `variables/` and `assets/`.
    SavedModel,
    /// `model.tflite`.
    TfLite,
    /// `model.py`.
    Python,
}

impl ModelFormat {
    /// Returns the name that messages and tables use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Onnx => "ONNX",
            Self::SavedModel => "SavedModel",
            Self::TfLite => "TensorFlow Lite",
            Self::Python => "Python",
        }
    }
}

/// One version's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFiles {
    /// What the main file is.
    pub format: ModelFormat,
    /// The folder that holds everything belonging to the version.
    pub dir: PathBuf,
    /// The main file: `model.onnx`, `saved_model.pb`, …
    pub main: PathBuf,
}

impl ModelFiles {
    /// Returns the main file's name, for messages that must not show whole paths.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.main
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// Returns an ONNX model's files from the path of its main file.
    #[must_use]
    pub fn onnx(main: &Path) -> Self {
        let dir = main.parent().unwrap_or(Path::new(".")).to_path_buf();
        Self {
            format: ModelFormat::Onnx,
            dir,
            main: main.to_path_buf(),
        }
    }
}
