//! Is a version's copy finished?
//!
//! Two things are asked: whether names, sizes and times of its files have stopped changing ([`Scan`]), which the poller
//! compares over time; and whether the main file is as long as it declares itself to be ([`check_structure`]), which
//! unmasks a copy that was killed or keeps the times of its source.

mod saved_model;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use salver_backend::onnx::{self, OnnxError};
use salver_backend::{ModelFiles, ModelFormat};
use salver_servable::{LoadError, LoadErrorKind};

use crate::layout::{self, Place};

/// The most files and folders that one version may have: a bound on the work of a poll, far above real models.
const MAX_ENTRIES: usize = 10_000;

/// The deepest folder that is looked into, so that a link to a parent ends.
const MAX_DEPTH: usize = 16;

/// Where TensorFlow Lite files have their mark, and what it is.
const TFLITE_MARK: (std::ops::Range<usize>, &[u8]) = (4..8, b"TFL3");

/// What a look at a version's files told, without opening them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// A hash of the place and of all names, sizes and times of modification.
    pub(crate) fingerprint: u64,
    /// The latest time of modification.
    pub(crate) newest: SystemTime,
    /// The size of all files together.
    pub(crate) num_bytes: u64,
}

/// Looks at the files of a version.
///
/// # Errors
/// If a folder cannot be read, or there are more than [`MAX_ENTRIES`] files.
pub(crate) fn scan(place: &Place) -> io::Result<Scan> {
    let mut scanner = Scanner {
        hasher: DefaultHasher::new(),
        scan: Scan {
            fingerprint: 0,
            newest: SystemTime::UNIX_EPOCH,
            num_bytes: 0,
        },
        num_entries: 0,
    };
    place.path().hash(&mut scanner.hasher);
    match place {
        Place::Dir(dir) => scanner.dir(dir, 0)?,
        Place::ModelDir(dir) => scanner.model_dir(dir)?,
        Place::File(file, _) => {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let dir = file.parent().unwrap_or(Path::new("."));
            scanner.siblings(dir, &name)?;
        }
    }
    Ok(Scan {
        fingerprint: scanner.hasher.finish(),
        ..scanner.scan
    })
}

struct Scanner {
    hasher: DefaultHasher,
    scan: Scan,
    num_entries: usize,
}

impl Scanner {
    fn dir(&mut self, dir: &Path, depth: usize) -> io::Result<()> {
        if depth > MAX_DEPTH {
            return Err(io::Error::other(format!(
                "folders are nested deeper than {MAX_DEPTH}"
            )));
        }
        for path in sorted(dir)? {
            self.entry(&path, depth)?;
        }
        Ok(())
    }

    fn model_dir(&mut self, dir: &Path) -> io::Result<()> {
        for path in sorted(dir)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if layout::parse_version(&name).is_none() {
                self.entry(&path, 0)?;
            }
        }
        Ok(())
    }

    fn siblings(&mut self, dir: &Path, prefix: &str) -> io::Result<()> {
        for path in sorted(dir)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(prefix) && path.is_file() {
                self.entry(&path, 0)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, depth: usize) -> io::Result<()> {
        self.num_entries += 1;
        if self.num_entries > MAX_ENTRIES {
            return Err(io::Error::other(format!(
                "there are more than {MAX_ENTRIES} files"
            )));
        }
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            // It vanished since it was listed, or is a link to nothing: either way it is not a file of the version.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        path.file_name().hash(&mut self.hasher);
        depth.hash(&mut self.hasher);
        if metadata.is_dir() {
            return self.dir(path, depth + 1);
        }
        let modified = metadata.modified()?;
        (metadata.len(), modified).hash(&mut self.hasher);
        self.scan.newest = self.scan.newest.max(modified);
        self.scan.num_bytes += metadata.len();
        Ok(())
    }
}

fn sorted(dir: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    let mut paths = std::fs::read_dir(dir)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort_unstable();
    Ok(paths)
}

/// Why a version's files cannot be served as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// There is none of the files that a version begins with.
    NoMainFile,
    /// Something is missing. It may come without a change of the files that are scanned: weights beside a flat model.
    Incomplete(String),
    /// The files are damaged, and stay so until they change.
    Malformed(String),
    /// They could not be read just now.
    Unreadable(String),
}

impl Flaw {
    /// Tells whether the same files may be found without it at another time.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::NoMainFile | Self::Incomplete(_) | Self::Unreadable(_) => true,
            Self::Malformed(_) => false,
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            Self::NoMainFile => format!("has none of {}", layout::main_file_names()),
            Self::Incomplete(message) | Self::Malformed(message) | Self::Unreadable(message) => {
                message.clone()
            }
        }
    }
}

impl From<&Flaw> for LoadError {
    fn from(flaw: &Flaw) -> Self {
        Self {
            kind: match flaw {
                Flaw::NoMainFile => LoadErrorKind::NotFound,
                Flaw::Incomplete(_) | Flaw::Malformed(_) => LoadErrorKind::Invalid,
                Flaw::Unreadable(_) => LoadErrorKind::Failed,
            },
            message: flaw.message(),
        }
    }
}

/// Tells whether the folder of a version holds all that belongs to it.
///
/// Says nothing of whether its files are still changing.
///
/// # Errors
/// What is missing or wrong; [`LoadErrorKind::Failed`] if the files could not be read.
pub fn check_version(dir: &Path) -> Result<(), LoadError> {
    let files = Place::Dir(dir.to_path_buf())
        .files()
        .ok_or(Flaw::NoMainFile);
    files
        .and_then(|files| check_structure(&files))
        .map_err(|flaw| LoadError::from(&flaw))
}

/// Tells whether a version's main file is all there, going by what it says of itself, and the files that it names.
///
/// # Errors
/// What is missing or wrong.
pub(crate) fn check_structure(files: &ModelFiles) -> Result<(), Flaw> {
    let flaw = match files.format {
        ModelFormat::Onnx => Ok(flaw_of_onnx(files)),
        ModelFormat::SavedModel => saved_model::flaw(files),
        ModelFormat::TfLite => flaw_of_tflite(files),
        ModelFormat::Python => Ok(None),
    };
    match flaw {
        Ok(None) => Ok(()),
        Ok(Some(flaw)) => Err(flaw),
        Err(error) => {
            let message = format!("{} cannot be read: {error}", files.file_name());
            Err(Flaw::Unreadable(message))
        }
    }
}

fn flaw_of_onnx(files: &ModelFiles) -> Option<Flaw> {
    Some(match onnx::read(&files.main) {
        Ok(_) => return None,
        Err(OnnxError::Incomplete {
            file,
            actual_bytes: 0,
            ..
        }) if file != files.file_name() => {
            Flaw::Incomplete(format!("{file}, which holds weights, is missing"))
        }
        Err(OnnxError::Incomplete {
            file,
            expected_bytes,
            actual_bytes,
        }) => Flaw::Incomplete(format!(
            "{file} is incomplete: {} of {} bytes are here",
            grouped(actual_bytes),
            grouped(expected_bytes)
        )),
        // Space that was reserved for a copy reads as zeros: that is damage, too.
        Err(error @ OnnxError::Malformed { .. }) => Flaw::Malformed(error.to_string()),
        Err(error @ OnnxError::Unreadable { .. }) => Flaw::Unreadable(error.to_string()),
    })
}

/// Writes a number with a comma before every third digit: `178,000,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (digit_idx, digit) in digits.chars().enumerate() {
        if digit_idx > 0 && (digits.len() - digit_idx).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A flatbuffer does not say how long it is; only its mark can be looked at.
fn flaw_of_tflite(files: &ModelFiles) -> io::Result<Option<Flaw>> {
    let mut head = Vec::with_capacity(TFLITE_MARK.0.end);
    let file = std::fs::File::open(&files.main)?;
    io::Read::read_to_end(
        &mut io::Read::take(file, TFLITE_MARK.0.end as u64),
        &mut head,
    )?;
    let is_marked = head.get(TFLITE_MARK.0) == Some(TFLITE_MARK.1);
    Ok((!is_marked).then(|| {
        let message = format!("{} is not a TensorFlow Lite file", files.file_name());
        Flaw::Malformed(message)
    }))
}

#[cfg(test)]
mod tests;
