//! What requests look into: names, their versions in service, their labels.
//!
//! A map never changes; a change makes a new one that shares everything it did not touch, and swaps it in. Readers take
//! no lock and no reference to the map: they find a version, take a [`Handle`] on it and are gone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::Handle;

/// Which servable a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServableRequest<'a> {
    /// Its name.
    pub name: &'a str,
    /// Which of its versions.
    pub version: VersionChoice,
}

/// Which version of a servable a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionChoice {
    /// The highest one in service.
    Latest,
    /// This one.
    Version(i64),
    /// The one that the label stands for.
    Label(String),
}

/// Why a request finds no servable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// No version of that name is in service, and the latest was asked for.
    #[error("no version of {name} is in service")]
    UnknownModel {
        /// The name.
        name: String,
    },
    /// That version is not in service, or nothing of that name is.
    #[error("version {version} of {name} is not in service")]
    UnknownVersion {
        /// The name.
        name: String,
        /// The version that was asked for, or that the label stands for.
        version: i64,
    },
    /// That label was not given, or nothing of that name is known.
    #[error("{name} has no label {label}")]
    UnknownLabel {
        /// The name.
        name: String,
        /// The label.
        label: String,
    },
}

/// Everything in service at one moment.
#[derive(Debug)]
pub(crate) struct ServingMap<S> {
    servables: HashMap<Arc<str>, Arc<Entry<S>>>,
}

/// The versions and labels of one name. One of the two is not empty.
#[derive(Debug)]
struct Entry<S> {
    /// In ascending order.
    versions: Vec<Handle<S>>,
    labels: Arc<BTreeMap<String, i64>>,
}

impl<S> ServingMap<S> {
    pub(crate) fn new() -> Self {
        Self {
            servables: HashMap::new(),
        }
    }

    pub(crate) fn lookup(&self, request: &ServableRequest<'_>) -> Result<Handle<S>, LookupError> {
        let entry = self.servables.get(request.name);
        match &request.version {
            VersionChoice::Latest => entry
                .and_then(|entry| entry.versions.last())
                .cloned()
                .ok_or_else(|| LookupError::UnknownModel {
                    name: request.name.to_owned(),
                }),
            VersionChoice::Version(version) => find_version(entry, request.name, *version),
            VersionChoice::Label(label) => {
                let version = entry
                    .and_then(|entry| entry.labels.get(label))
                    .ok_or_else(|| LookupError::UnknownLabel {
                        name: request.name.to_owned(),
                        label: label.clone(),
                    })?;
                find_version(entry, request.name, *version)
            }
        }
    }

    /// Returns this map with one more version in service.
    pub(crate) fn with_version(&self, added: &Handle<S>) -> Self {
        let id = added.id();
        self.with_entry(&id.name, |entry| {
            let versions = entry
                .versions
                .iter()
                .filter(|v| v.id().version < id.version)
                .cloned();
            let higher = entry
                .versions
                .iter()
                .filter(|v| v.id().version > id.version)
                .cloned();
            let versions = versions.chain([added.clone()]).chain(higher).collect();
            Entry {
                versions,
                labels: Arc::clone(&entry.labels),
            }
        })
    }

    /// Returns this map with one version less.
    pub(crate) fn without_version(&self, name: &Arc<str>, version: i64) -> Self {
        self.with_entry(name, |entry| {
            let versions = entry.versions.iter().filter(|v| v.id().version != version);
            Entry {
                versions: versions.cloned().collect(),
                labels: Arc::clone(&entry.labels),
            }
        })
    }

    /// Returns this map with other labels for one name.
    pub(crate) fn with_labels(&self, name: &Arc<str>, labels: &Arc<BTreeMap<String, i64>>) -> Self {
        self.with_entry(name, |entry| Entry {
            versions: entry.versions.clone(),
            labels: Arc::clone(labels),
        })
    }

    fn with_entry(&self, name: &Arc<str>, change: impl FnOnce(&Entry<S>) -> Entry<S>) -> Self {
        let mut servables = self.servables.clone();
        let nothing = Entry {
            versions: Vec::new(),
            labels: Arc::default(),
        };
        let changed = change(servables.get(name).map_or(&nothing, |entry| entry));
        match changed.versions.is_empty() && changed.labels.is_empty() {
            true => servables.remove(name),
            false => servables.insert(Arc::clone(name), Arc::new(changed)),
        };
        Self { servables }
    }
}

fn find_version<S>(
    entry: Option<&Arc<Entry<S>>>,
    name: &str,
    version: i64,
) -> Result<Handle<S>, LookupError> {
    let versions = entry.map_or(&[][..], |entry| &entry.versions);
    match versions.binary_search_by_key(&version, |handle| handle.id().version) {
        Ok(version_idx) => Ok(versions[version_idx].clone()),
        Err(_) => Err(LookupError::UnknownVersion {
            name: name.to_owned(),
            version,
        }),
    }
}

#[cfg(test)]
mod tests;
