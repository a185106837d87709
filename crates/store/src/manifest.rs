//! What a base path held when it was last mirrored, as a file: enough to serve it again while its store is away.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cache::Blob;

/// The form of the file; others are not read.
const FORMAT: u32 = 1;

/// What a base path held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: u32,
    /// The address, for people.
    uri: String,
    /// Whether the base path is one model.
    pub(crate) is_model: Option<bool>,
    /// Models by name.
    pub(crate) models: BTreeMap<String, KnownModel>,
}

/// A model of a base path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownModel {
    /// Its settings file, with what the store called it.
    pub(crate) settings: Option<(String, KnownFile)>,
    /// Versions that were published.
    pub(crate) versions: BTreeMap<i64, KnownVersion>,
}

/// A version that was published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownVersion {
    pub(crate) fingerprint: String,
    /// The name of its folder.
    pub(crate) dir: String,
    pub(crate) files: Vec<KnownFile>,
}

/// A file with its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownFile {
    /// Its place in the version's folder.
    pub(crate) path: String,
    pub(crate) sha256: String,
    pub(crate) num_bytes: u64,
}

impl KnownFile {
    pub(crate) fn new(path: &str, blob: Blob) -> Self {
        Self {
            path: path.to_owned(),
            sha256: blob.sha256,
            num_bytes: blob.num_bytes,
        }
    }

    pub(crate) fn blob(&self) -> Blob {
        Blob {
            sha256: self.sha256.clone(),
            num_bytes: self.num_bytes,
        }
    }
}

impl Manifest {
    pub(crate) fn new(uri: &str) -> Self {
        Self {
            format: FORMAT,
            uri: uri.to_owned(),
            is_model: None,
            models: BTreeMap::new(),
        }
    }

    /// Reads a manifest; one that is missing or damaged is none.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let manifest: Self = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        (manifest.format == FORMAT).then_some(manifest)
    }

    /// Returns the manifest as the bytes of its file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names and numbers have a form in JSON")
    }

    /// Returns the hashes of every content.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &str> {
        self.models.values().flat_map(|model| {
            let settings = model.settings.iter().map(|(_, file)| file);
            let files = model.versions.values().flat_map(|version| &version.files);
            settings.chain(files).map(|file| file.sha256.as_str())
        })
    }
}
