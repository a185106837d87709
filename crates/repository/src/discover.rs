//! Finds the models in a folder and every mistake in it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Problem;
use crate::layout::{self, Entry, EntryKind};
use crate::settings::{self, ModelSettings};

/// The configuration of a model in a Triton repository.
const TRITON_CONFIG: &str = "config.pbtxt";

/// Where a model's versions are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ModelBase {
    /// A folder whose folders with numbers for names are versions; without any, it may itself be version 1.
    VersionDirs(PathBuf),
    /// A file that is version 1.
    Flat(PathBuf),
}

impl ModelBase {
    /// Returns the folder or file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::VersionDirs(path) | Self::Flat(path) => path,
        }
    }
}

/// A model to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelEntry {
    /// The name clients ask by.
    pub name: Arc<str>,
    /// Where its versions are.
    pub base: ModelBase,
    /// What its `model.toml` says.
    pub settings: ModelSettings,
}

/// What is in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The models, by name.
    pub entries: Vec<ModelEntry>,
    /// Every mistake.
    pub problems: Vec<Problem>,
}

/// Finds the models of a folder: it is one model, or a folder of models, or a flat model file.
///
/// A model whose settings have mistakes is left out of the entries; a folder of models may be empty.
#[must_use]
pub fn discover(root: &Path) -> Discovery {
    let found = match find(root, None) {
        Ok(found) => found,
        Err(error) => {
            let problem = Problem::new(root, format!("cannot be read: {error}"));
            let problem = match error.kind() {
                io::ErrorKind::NotFound => problem.with_remedy("check the path"),
                _ => problem,
            };
            return Discovery {
                entries: Vec::new(),
                problems: vec![problem],
            };
        }
    };
    let mut discovery = Discovery {
        entries: Vec::new(),
        problems: found.problems,
    };
    for model in found.models {
        match model.settings {
            Ok(settings) => {
                discovery.entries.push(ModelEntry {
                    name: model.name,
                    base: model.base,
                    settings,
                });
            }
            Err(problems) => discovery.problems.extend(problems),
        }
    }
    discovery.problems.sort();
    discovery
}

/// A model in a folder, whether its settings are right or not.
#[derive(Clone, Debug)]
pub(crate) struct FoundModel {
    pub(crate) name: Arc<str>,
    pub(crate) base: ModelBase,
    pub(crate) settings: Result<ModelSettings, Vec<Problem>>,
}

/// What is in a folder that can be read.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) models: Vec<FoundModel>,
    pub(crate) problems: Vec<Problem>,
    /// Files that others configure their servers by, and that mean nothing here yet.
    pub(crate) ignored: Vec<PathBuf>,
    /// What kind of folder it is; `None` if that is still open, for there is nothing in it.
    pub(crate) kind: Option<FolderKind>,
}

/// Whether a folder is a model or holds models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FolderKind {
    /// It is one model.
    Model,
    /// Its entries are models.
    Models,
}

/// Finds the models of a folder.
///
/// With `known_kind`, the folder stays of that kind, and what speaks against it is a problem: no stray entry makes one
/// model of a folder of models that are being served.
///
/// # Errors
/// If the folder cannot be read, which says nothing about what is in it.
pub(crate) fn find(root: &Path, known_kind: Option<FolderKind>) -> io::Result<Found> {
    if !std::fs::metadata(root)?.is_dir() {
        return Ok(find_file(root));
    }
    let entries = layout::list(root)?;
    let names = entries
        .iter()
        .map(|entry| (entry.name.as_str(), entry.is_dir()));
    let mark = layout::mark_of_model(&names).map(str::to_owned);
    let kind = match (known_kind, &mark) {
        (Some(FolderKind::Models), Some(_)) if !holds_named_models(&entries) => FolderKind::Model,
        (Some(kind), _) => kind,
        (None, Some(_)) => FolderKind::Model,
        (None, None) => FolderKind::Models,
    };
    let mut found = match kind {
        FolderKind::Model => find_one(root, &entries)?,
        FolderKind::Models => find_many(&entries),
    };
    let objection = match (kind, mark) {
        (FolderKind::Models, Some(mark)) => Some((
            format!("`{mark}` makes it look like one model; it stays a folder of models"),
            format!("move `{mark}` elsewhere, or start the server anew"),
        )),
        (FolderKind::Model, None) if holds_named_models(&entries) => Some((
            "looks like a folder of models; it stays one model".to_owned(),
            "put version folders into it, or start the server anew".to_owned(),
        )),
        _ => None,
    };
    let objection =
        objection.map(|(message, remedy)| Problem::new(root, message).with_remedy(remedy));
    found.problems.extend(objection);
    let is_known = known_kind.is_some() || found.models.iter().any(|model| model.settings.is_ok());
    found.kind = is_known.then_some(kind);
    Ok(found)
}

/// Tells whether there are models in a folder of models, other than folders that may as well be versions of one.
fn holds_named_models(entries: &[Entry]) -> bool {
    let found = find_many(entries);
    let mut names = found.models.iter().map(|model| &model.name);
    names.any(|name| layout::parse_version(name).is_none())
}

fn find_file(file: &Path) -> Found {
    let file_name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut found = Found::default();
    match layout::flat_model(&file_name) {
        Some((name, _)) => found.add(
            name,
            ModelBase::Flat(file.to_path_buf()),
            Ok(ModelSettings::default()),
        ),
        None => found.problems.push(
            Problem::new(file, "is not a model file")
                .with_remedy("give a folder, or a file that ends in .onnx or .tflite"),
        ),
    }
    found
}

/// The folder is one model, named as the folder is.
fn find_one(root: &Path, entries: &[Entry]) -> io::Result<Found> {
    let mut found = Found::default();
    let whole_path;
    let name = match root.file_name() {
        // A link has the name that it was given, whatever it points to today.
        Some(name) => name,
        None => {
            whole_path = root.canonicalize()?;
            whole_path.file_name().unwrap_or_default()
        }
    };
    let name = name.to_string_lossy();
    found
        .problems
        .extend(entries.iter().filter_map(Entry::problem));
    found.problems.extend(nested_models(entries));
    found.problems.extend(same_versions(entries));
    found.add(
        &name,
        ModelBase::VersionDirs(root.to_path_buf()),
        settings::read(root),
    );
    Ok(found)
}

/// Each folder and each model file of the folder is a model.
fn find_many(entries: &[Entry]) -> Found {
    let mut found = Found::default();
    for entry in entries {
        let flat = layout::flat_model(&entry.name);
        let dir = || ModelBase::VersionDirs(entry.path.clone());
        let file = || ModelBase::Flat(entry.path.clone());
        // What cannot be read is kept as a model that is there, so that what is loaded of it stays.
        match (&entry.kind, flat) {
            (EntryKind::Dir, _) => match find_in_dir(entry) {
                Ok(Some((settings, problems))) => {
                    found.problems.extend(problems);
                    found.add(&entry.name, dir(), settings);
                }
                Ok(None) => {}
                Err(error) => {
                    let problem = Problem::new(&entry.path, format!("cannot be read: {error}"));
                    found.add(&entry.name, dir(), Err(vec![problem]));
                }
            },
            (EntryKind::File, Some((name, _))) => {
                found.add(name, file(), Ok(ModelSettings::default()));
            }
            (EntryKind::File, None) => {}
            (EntryKind::Unreadable(_), Some((name, _))) => {
                found.add(name, file(), Err(entry.problem().into_iter().collect()));
            }
            (EntryKind::Unreadable(_), None) => {
                found.add(
                    &entry.name,
                    dir(),
                    Err(entry.problem().into_iter().collect()),
                );
            }
        }
    }
    found
}

/// The settings of a model folder, and what is wrong with the folder.
type InDir = (Result<ModelSettings, Vec<Problem>>, Vec<Problem>);

/// Looks into a folder of a folder of models; `None` if it is no model and does not look like one.
fn find_in_dir(dir: &Entry) -> io::Result<Option<InDir>> {
    let entries = layout::list(&dir.path)?;
    let has_versions = entries.iter().any(|entry| entry.version().is_some());
    let has_settings = entries
        .iter()
        .any(|entry| entry.name == settings::FILE_NAME);
    if has_versions || has_settings || layout::main_file(&dir.path).is_some() {
        let mut problems = same_versions(&entries);
        problems.extend(entries.iter().filter_map(Entry::problem));
        return Ok(Some((settings::read(&dir.path), problems)));
    }
    let problems: Vec<Problem> = near_misses(&entries).collect();
    if problems.is_empty() {
        return Ok(None);
    }
    Ok(Some((Err(problems), Vec::new())))
}

/// Points at what was surely meant to be a model, but is not where models are looked for.
fn near_misses(entries: &[Entry]) -> impl Iterator<Item = Problem> {
    entries.iter().filter_map(|entry| {
        if entry.is_dir() {
            let files = layout::main_file(&entry.path)?;
            let message = format!(
                "holds {} but its name is not a version number",
                files.file_name()
            );
            return Some(
                Problem::new(&entry.path, message)
                    .with_remedy("rename the folder, for example to 1"),
            );
        }
        let (_, format) = layout::flat_model(&entry.name)?;
        let wanted = match format {
            salver_backend::ModelFormat::TfLite => "model.tflite",
            _ => "model.onnx",
        };
        let remedy =
            format!("move it to 1/{wanted}, or one folder up to serve it under its own name");
        Some(Problem::new(&entry.path, format!("is not named {wanted}")).with_remedy(remedy))
    })
}

/// Points at folders beside version folders that look like models themselves.
fn nested_models(entries: &[Entry]) -> Vec<Problem> {
    entries
        .iter()
        .filter(|entry| entry.is_dir() && entry.version().is_none())
        .filter(|entry| {
            layout::main_file(&entry.path).is_some()
                || entry.path.join(settings::FILE_NAME).is_file()
        })
        .map(|entry| {
            Problem::new(&entry.path, "is a model beside the versions of another")
                .with_remedy("move it out, or rename it to a version number")
        })
        .collect()
}

/// Points at folders that mean the same version: `1` and `001`.
fn same_versions(entries: &[Entry]) -> Vec<Problem> {
    let mut by_version = std::collections::BTreeMap::<i64, &Entry>::new();
    let mut problems = Vec::new();
    for entry in entries {
        let Some(version) = entry.version() else {
            continue;
        };
        if let Some(other) = by_version.insert(version, entry) {
            let message = format!("is version {version}, and so is `{}`", entry.name);
            let remedy = format!(
                "remove one of them; `{}` is the one that counts",
                entry.name
            );
            problems.push(Problem::new(&other.path, message).with_remedy(remedy));
        }
    }
    problems
}

impl Found {
    /// Adds a model, unless its name cannot be asked for or is taken.
    fn add(&mut self, name: &str, base: ModelBase, settings: Result<ModelSettings, Vec<Problem>>) {
        if name.is_empty() || name.contains(['/', ':']) {
            let message = format!("`{name}` cannot be a model's name");
            let problem = Problem::new(base.path(), message);
            self.problems
                .push(problem.with_remedy("rename it, without `:` and `/`"));
            return;
        }
        if let Some(other) = self.models.iter().find(|other| &*other.name == name) {
            let message = format!(
                "is a second model named `{name}`, beside {}",
                other.base.path().display()
            );
            self.problems
                .push(Problem::new(base.path(), message).with_remedy("rename one of them"));
            return;
        }
        let triton_config = base.path().join(TRITON_CONFIG);
        if triton_config.is_file() {
            self.ignored.push(triton_config);
        }
        self.models.push(FoundModel {
            name: name.into(),
            base,
            settings,
        });
    }
}

#[cfg(test)]
mod tests;
