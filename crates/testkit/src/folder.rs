//! A model version's folder that goes away with the test.

use std::fs;
use std::path::{Path, PathBuf};

use salver_backend::{ModelFiles, ModelFormat};
use tempfile::TempDir;

/// A temporary folder with a model in it.
#[derive(Debug)]
pub struct ModelFolder {
    dir: TempDir,
    format: ModelFormat,
}

impl ModelFolder {
    /// Makes a folder whose `model.onnx` has these bytes.
    ///
    /// # Panics
    /// If the folder or the file cannot be written.
    #[must_use]
    pub fn with_model(bytes: &[u8]) -> Self {
        Self::of(ModelFormat::Onnx, bytes)
    }

    /// Makes a folder whose main file has these bytes.
    ///
    /// # Panics
    /// If the folder or the file cannot be written.
    #[must_use]
    pub fn of(format: ModelFormat, bytes: &[u8]) -> Self {
        let dir = TempDir::new().expect("a temporary folder can be made");
        let folder = Self { dir, format };
        folder.write(main_file(format), bytes);
        folder
    }

    /// Writes a file, with the folders above it.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("it has a folder")).expect("folders can be made");
        fs::write(path, bytes).expect("files can be written");
    }

    /// Returns the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the model file.
    #[must_use]
    pub fn main(&self) -> PathBuf {
        self.path().join(main_file(self.format))
    }

    /// Returns what a backend is given.
    #[must_use]
    pub fn files(&self) -> ModelFiles {
        ModelFiles {
            format: self.format,
            dir: self.path().to_path_buf(),
            main: self.main(),
        }
    }
}

fn main_file(format: ModelFormat) -> &'static str {
    match format {
        ModelFormat::Onnx => "model.onnx",
        ModelFormat::SavedModel => "saved_model.pb",
        ModelFormat::TfLite => "model.tflite",
        ModelFormat::Python => "model.py",
    }
}
