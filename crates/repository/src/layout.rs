//! Where the files of a model and of its versions lie.
//!
//! ```text
//! NAME/VERSION/{model.onnx | saved_model.pb[txt] | model.tflite | model.py}     versions in folders
//! NAME/{model.onnx | saved_model.pb | …}                                  a folder that is version 1 itself, if it has no folder `1`
//! NAME.onnx  NAME.tflite                                                  a file that is version 1
//! ```

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use salver_backend::{ModelFiles, ModelFormat};

use crate::{ModelBase, Problem, settings};

/// Main files by their names, the one that is faster to run first.
const MAIN_FILES: [(&str, ModelFormat); 5] = [
    ("model.onnx", ModelFormat::Onnx),
    ("saved_model.pb", ModelFormat::SavedModel),
    ("saved_model.pbtxt", ModelFormat::SavedModel),
    ("model.tflite", ModelFormat::TfLite),
    ("model.py", ModelFormat::Python),
];

/// The version of a main file whose place names none.
const ONLY_VERSION: i64 = 1;

/// A version on disk, whole or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundVersion {
    pub(crate) version: i64,
    pub(crate) place: Place,
}

/// Where a version's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Everything below a folder.
    Dir(PathBuf),
    /// Everything below a model's folder but the folders of its other versions.
    ModelDir(PathBuf),
    /// A file, and those beside it whose names begin with its own: external weights.
    File(PathBuf, ModelFormat),
}

impl Place {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Dir(path) | Self::ModelDir(path) | Self::File(path, _) => path,
        }
    }

    /// Returns the files of the version, or `None` if it has no main file.
    pub(crate) fn files(&self) -> Option<ModelFiles> {
        match self {
            Self::Dir(dir) | Self::ModelDir(dir) => main_file(dir),
            Self::File(main, format) => {
                let dir = main.parent().unwrap_or(Path::new(".")).to_path_buf();
                Some(ModelFiles {
                    format: *format,
                    dir,
                    main: main.clone(),
                })
            }
        }
    }
}

/// An entry of a folder, hidden ones left out.
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) kind: EntryKind,
}

/// What an entry of a folder is.
pub(crate) enum EntryKind {
    Dir,
    File,
    /// A link in a circle, or without permission: this says nothing about the other entries.
    Unreadable(io::Error),
}

impl Entry {
    pub(crate) fn is_dir(&self) -> bool {
        matches!(self.kind, EntryKind::Dir)
    }

    /// Returns the version that the entry holds; it does as well while it cannot be read.
    pub(crate) fn version(&self) -> Option<i64> {
        match self.kind {
            EntryKind::File => None,
            EntryKind::Dir | EntryKind::Unreadable(_) => parse_version(&self.name),
        }
    }

    /// Returns what keeps the entry from being read.
    pub(crate) fn problem(&self) -> Option<Problem> {
        match &self.kind {
            EntryKind::Dir | EntryKind::File => None,
            EntryKind::Unreadable(error) => {
                Some(Problem::new(&self.path, format!("cannot be read: {error}")))
            }
        }
    }
}

/// Lists a folder in the order of names. What vanishes meanwhile is left out, and so are names that are not UTF-8.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(OsStr::to_str).map(str::to_owned) else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        let kind = match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => EntryKind::Dir,
            Ok(_) => EntryKind::File,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => EntryKind::Unreadable(error),
        };
        entries.push(Entry { path, name, kind });
    }
    entries.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(entries)
}

/// Returns the version that a folder's name means, if it is a number.
#[must_use]
pub fn parse_version(name: &str) -> Option<i64> {
    name.parse().ok()
}

/// Returns the files of a folder that holds a main file.
pub(crate) fn main_file(dir: &Path) -> Option<ModelFiles> {
    MAIN_FILES.iter().find_map(|(name, format)| {
        let main = dir.join(name);
        main.is_file().then(|| ModelFiles {
            format: *format,
            dir: dir.to_path_buf(),
            main,
        })
    })
}

/// Returns the names of all main files, for messages.
pub(crate) fn main_file_names() -> String {
    MAIN_FILES.map(|(name, _)| name).join(", ")
}

/// Returns the name of the main file of a version that is one file, and under which it may lie in a version's folder.
#[must_use]
pub fn main_file_name(format: ModelFormat) -> &'static str {
    let mut names = MAIN_FILES.iter();
    names
        .find(|(_, of)| *of == format)
        .map_or("model", |(name, _)| name)
}

/// Tells whether a file of this name is what a version begins with.
#[must_use]
pub fn is_main_file(name: &str) -> bool {
    MAIN_FILES.iter().any(|(main, _)| *main == name)
}

/// Returns the name of an entry by which a folder is one model and not a folder of models: a version, a main file,
/// settings. Entries are names, and whether they are folders.
pub fn mark_of_model<'a>(
    entries: &(impl Iterator<Item = (&'a str, bool)> + Clone),
) -> Option<&'a str> {
    let files = || entries.clone().filter(|(_, is_dir)| !is_dir);
    let version = entries
        .clone()
        .find(|(name, is_dir)| *is_dir && parse_version(name).is_some());
    let num_flat = files()
        .filter(|(name, _)| flat_model(name).is_some())
        .count();
    let main = || {
        let main = files().find(|(name, _)| is_main_file(name));
        main.filter(|_| num_flat <= 1)
    };
    let settings = || files().find(|(name, _)| *name == settings::FILE_NAME);
    let mark = version.or_else(main).or_else(settings);
    mark.map(|(name, _)| name)
}

/// Returns the model's name and format if a file is a flat model.
#[must_use]
pub fn flat_model(file_name: &str) -> Option<(&str, ModelFormat)> {
    let (name, extension) = file_name.rsplit_once('.')?;
    let format = match extension {
        "onnx" => ModelFormat::Onnx,
        "tflite" => ModelFormat::TfLite,
        _ => return None,
    };
    (!name.is_empty()).then_some((name, format))
}

/// Lists the versions of a model, ascending; of two folders that mean one number, the last by name counts.
///
/// # Errors
/// If the folder cannot be read; a flat file that is gone is an error of kind `NotFound`.
pub(crate) fn versions(base: &ModelBase) -> io::Result<Vec<FoundVersion>> {
    match base {
        ModelBase::Flat(file) => {
            std::fs::metadata(file)?;
            let file_name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let format = flat_model(file_name).map_or(ModelFormat::Onnx, |(_, format)| format);
            let place = Place::File(file.clone(), format);
            Ok(vec![FoundVersion {
                version: ONLY_VERSION,
                place,
            }])
        }
        ModelBase::VersionDirs(dir) => {
            let mut found: Vec<FoundVersion> = list(dir)?
                .into_iter()
                .filter_map(|entry| {
                    Some(FoundVersion {
                        version: entry.version()?,
                        place: Place::Dir(entry.path),
                    })
                })
                .collect();
            found.reverse();
            found.sort_by_key(|found| found.version);
            found.dedup_by_key(|found| found.version);
            // It stays when version 2 comes, which may take long to be copied.
            let position = found.binary_search_by_key(&ONLY_VERSION, |found| found.version);
            if let (Err(position), Some(_)) = (position, main_file(dir)) {
                let only = FoundVersion {
                    version: ONLY_VERSION,
                    place: Place::ModelDir(dir.clone()),
                };
                found.insert(position, only);
            }
            Ok(found)
        }
    }
}
