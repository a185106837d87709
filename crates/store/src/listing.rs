//! What the objects below a base path mean: models, versions, files. Names alone decide; nothing is opened.
//!
//! ```text
//! VERSION/…  NAME/VERSION/…  NAME/model.onnx  NAME.onnx  NAME/model.toml     as `repository` has it for folders
//! ```
//!
//! Every version comes out as the files of one folder, whatever its layout in the store is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use object_store::path::Path;
use salver_repository::{
    SETTINGS_FILE, flat_model, is_main_file, main_file_name, mark_of_model, parse_version,
};
use sha2::{Digest, Sha256};

use crate::BaseKind;
use crate::uri::is_file_name;

/// The most files that one version may have; the poller of folders takes no more either.
const MAX_FILES: usize = 10_000;

/// The deepest folder within a version; the poller of folders looks no deeper.
const MAX_DEPTH: usize = 16;

/// The largest settings file, in bytes.
const MAX_SETTINGS_BYTES: u64 = 1 << 20;

/// The name of a base path's only model, in [`Listing::models`]: its folder is the base path's own.
pub(crate) const ONLY_MODEL: &str = "";

/// The folder of a version that has none in the store.
const ONLY_VERSION_DIR: &str = "1";

/// An object as it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    /// Where it is in the store.
    pub(crate) location: Path,
    /// Its size, in bytes.
    pub(crate) num_bytes: u64,
    /// What the store calls this content: an ETag, a version, else the time it was written.
    pub(crate) stamp: String,
    /// The ETag, to be sure that what is downloaded is what was listed.
    pub(crate) etag: Option<String>,
    /// When it was written, by the store's clock.
    pub(crate) modified: SystemTime,
}

/// A file of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteFile {
    /// Its place in the version's folder.
    pub(crate) path: String,
    pub(crate) object: Object,
}

/// A version in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RemoteVersion {
    /// The name of its folder.
    pub(crate) dir: String,
    pub(crate) files: Vec<RemoteFile>,
    /// Why it cannot be mirrored.
    pub(crate) refusal: Option<String>,
}

impl RemoteVersion {
    /// Returns a value that changes whenever a name, a size or a content does.
    pub(crate) fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        for file in &self.files {
            for part in [&file.path, &file.object.stamp] {
                hasher.update((part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
            hasher.update(file.object.num_bytes.to_le_bytes());
        }
        hex(&hasher.finalize())
    }

    /// Returns when its newest file was written.
    pub(crate) fn newest(&self) -> SystemTime {
        let times = self.files.iter().map(|file| file.object.modified);
        times.max().unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Tells whether there is a file that a version begins with.
    pub(crate) fn has_main_file(&self) -> bool {
        self.files.iter().any(|file| is_main_file(&file.path))
    }
}

/// A model in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RemoteModel {
    pub(crate) settings: Option<Object>,
    pub(crate) versions: BTreeMap<i64, RemoteVersion>,
}

/// Everything below a base path that means something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Whether the base path is one model; `None` if nothing tells.
    pub(crate) is_model: Option<bool>,
    /// Models by name.
    pub(crate) models: BTreeMap<String, RemoteModel>,
}

/// Returns bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Finds out what objects mean; `objects` are named by what follows the base path.
///
/// What a base path was once found to be it stays, as it is with folders: `known` tells.
pub(crate) fn read(
    mut objects: Vec<(String, Object)>,
    kind: BaseKind,
    known: Option<bool>,
) -> Listing {
    objects.sort_by(|(left, _), (right, _)| left.cmp(right));
    drop_folder_marks(&mut objects);
    let mut top = BTreeMap::<&str, bool>::new();
    for (name, _) in &objects {
        let (first, is_dir) = name
            .split_once('/')
            .map_or((&**name, false), |(first, _)| (first, true));
        if !first.starts_with('.') {
            *top.entry(first).or_default() |= is_dir;
        }
    }
    let entries = top.iter().map(|(name, is_dir)| (*name, *is_dir));
    let is_model = match (kind, known) {
        (BaseKind::Model, _) => Some(true),
        (BaseKind::Discover, Some(known)) => Some(known),
        (BaseKind::Discover, None) if top.is_empty() => None,
        (BaseKind::Discover, None) => Some(mark_of_model(&entries).is_some()),
    };
    let has_settings = kind == BaseKind::Discover;
    let models = match is_model {
        None => BTreeMap::new(),
        Some(true) => {
            let files = objects
                .iter()
                .map(|(name, object)| (&**name, object))
                .collect();
            let model = read_model(files, has_settings);
            BTreeMap::from([(ONLY_MODEL.to_owned(), model)])
        }
        Some(false) => read_models(&objects),
    };
    Listing { is_model, models }
}

/// Leaves out the empty objects that stand for folders: those that others lie below.
fn drop_folder_marks(objects: &mut Vec<(String, Object)>) {
    let names = objects.iter().map(|(name, _)| &**name);
    let dirs: BTreeSet<String> = dirs_of(names).map(str::to_owned).collect();
    objects.retain(|(name, object)| object.num_bytes > 0 || !dirs.contains(name));
}

/// Returns every folder that some of these files lie in.
fn dirs_of<'a>(names: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    names.flat_map(|name| name.match_indices('/').map(|(end, _)| &name[..end]))
}

fn read_models(objects: &[(String, Object)]) -> BTreeMap<String, RemoteModel> {
    let mut dirs = BTreeMap::<&str, Vec<(&str, &Object)>>::new();
    let mut flat = Vec::new();
    for (name, object) in objects.iter().filter(|(name, _)| !name.starts_with('.')) {
        match name.split_once('/') {
            Some((dir, rest)) => dirs.entry(dir).or_default().push((rest, object)),
            None => flat.push((&**name, object)),
        }
    }
    let mut models: BTreeMap<String, RemoteModel> = dirs
        .into_iter()
        .filter(|(dir, _)| is_file_name(dir))
        .map(|(dir, files)| (dir.to_owned(), read_model(files, true)))
        .filter(|(_, model)| model.settings.is_some() || !model.versions.is_empty())
        .collect();
    for (file_name, _) in &flat {
        let Some((name, _)) = flat_model(file_name) else {
            continue;
        };
        let siblings = flat
            .iter()
            .filter(|(other, _)| other.starts_with(file_name));
        let version = read_flat(file_name, siblings.copied());
        let model = models.entry(name.to_owned()).or_default();
        if model.versions.is_empty() {
            model.versions = BTreeMap::from([(1, version)]);
        }
    }
    models
}

/// Reads the one version of a file that is a model; its weights lie beside it under names that begin with its own.
pub(crate) fn read_flat<'a>(
    file_name: &str,
    siblings: impl Iterator<Item = (&'a str, &'a Object)>,
) -> RemoteVersion {
    let main_name = flat_model(file_name).map_or(file_name, |(_, format)| main_file_name(format));
    let files = siblings.map(|(name, object)| {
        let path = if name == file_name { main_name } else { name };
        (path, object)
    });
    read_version(ONLY_VERSION_DIR, files)
}

fn read_model(files: Vec<(&str, &Object)>, has_settings: bool) -> RemoteModel {
    let mut model = RemoteModel::default();
    let mut dirs = BTreeMap::<i64, (&str, Vec<(&str, &Object)>)>::new();
    let mut others = Vec::new();
    for (name, object) in files {
        let in_version = name
            .split_once('/')
            .and_then(|(dir, rest)| Some((parse_version(dir)?, dir, rest)));
        match in_version {
            // Of two folders that mean one number the last by name counts: names come in their order.
            Some((version, dir, rest)) => {
                let (of, files) = dirs.entry(version).or_insert((dir, Vec::new()));
                if *of != dir {
                    (*of, *files) = (dir, Vec::new());
                }
                files.push((rest, object));
            }
            None if name == SETTINGS_FILE => {
                let is_small = object.num_bytes <= MAX_SETTINGS_BYTES;
                model.settings = Some(object.clone()).filter(|_| has_settings && is_small);
            }
            None => others.push((name, object)),
        }
    }
    model.versions = dirs
        .into_iter()
        .map(|(version, (dir, files))| (version, read_version(dir, files.into_iter())))
        .collect();
    let has_main_file = others.iter().any(|(name, _)| is_main_file(name));
    if has_main_file && !model.versions.contains_key(&1) {
        let only = read_version(ONLY_VERSION_DIR, others.into_iter());
        model.versions.insert(1, only);
    }
    model
}

fn read_version<'a>(
    dir: &str,
    files: impl Iterator<Item = (&'a str, &'a Object)>,
) -> RemoteVersion {
    let files: Vec<RemoteFile> = files
        .map(|(path, object)| RemoteFile {
            path: path.to_owned(),
            object: object.clone(),
        })
        .collect();
    RemoteVersion {
        refusal: refusal(dir, &files),
        dir: dir.to_owned(),
        files,
    }
}

/// Returns why files cannot be put into one folder.
fn refusal(dir: &str, files: &[RemoteFile]) -> Option<String> {
    if files.len() > MAX_FILES {
        return Some(format!("it has more than {MAX_FILES} files"));
    }
    if !is_file_name(dir) {
        return Some(format!(
            "`{}` cannot be a folder's name",
            dir.escape_default()
        ));
    }
    let bad = files.iter().find(|file| {
        let parts = file.path.split('/');
        parts.clone().count() > MAX_DEPTH || !parts.into_iter().all(is_file_name)
    });
    if let Some(file) = bad {
        let name = file.path.escape_default();
        return Some(format!("`{name}` cannot be the name of a file"));
    }
    let dirs: BTreeSet<&str> = dirs_of(files.iter().map(|file| &*file.path)).collect();
    let both = files.iter().find(|file| dirs.contains(&*file.path))?;
    Some(format!(
        "`{}` is an object, and there are objects below it",
        both.path.escape_default()
    ))
}

#[cfg(test)]
mod tests;
