//! What can go wrong with a store, in words without credentials.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::{Options, UriError};

/// The longest that a store's own words may be, in bytes: some answer with a page.
const MAX_REASON_BYTES: usize = 400;

/// Why a base path cannot be mirrored just now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The address is none.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// A setting is wrong or missing.
    #[error("the settings for this store are wrong: {reason}")]
    Settings {
        /// What is wrong with them.
        reason: String,
    },
    /// There is no such bucket or object.
    #[error("it is not there: {reason}")]
    NotFound {
        /// What the store said.
        reason: String,
    },
    /// The credentials are missing, or do not suffice.
    #[error("access is denied: {reason}; check the credentials")]
    Denied {
        /// What the store said.
        reason: String,
    },
    /// The store could not be reached, or said something else.
    #[error("the store cannot be read: {reason}")]
    Unavailable {
        /// What it or the system said.
        reason: String,
    },
    /// An object is no longer as it was listed.
    #[error("`{object}` changed while it was downloaded")]
    Changed {
        /// Its name.
        object: String,
    },
    /// There is more than a base path may hold.
    #[error("there are more than {max} objects below it; name a path deeper down")]
    TooMany {
        /// What it may hold.
        max: usize,
    },
    /// The cache folder is full.
    #[error(
        "no space is left in {}; free some, or choose another folder by SALVER_CACHE_DIR",
        dir.display()
    )]
    Full {
        /// The folder.
        dir: PathBuf,
    },
    /// The cache folder cannot be used.
    #[error("{}: {reason}", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

impl StoreError {
    pub(crate) fn disk(path: impl Into<PathBuf>, error: &io::Error) -> Self {
        let path = path.into();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { dir: path },
            _ => Self::Disk {
                path,
                reason: error.to_string(),
            },
        }
    }

    /// Says what kept a store from being read.
    pub(crate) fn unavailable(error: &dyn Error, options: &Options) -> Self {
        let reason = reason(error, options);
        Self::Unavailable { reason }
    }

    /// Says what a store said.
    pub(crate) fn of_store(error: &object_store::Error, options: &Options) -> Self {
        use object_store::Error as Said;
        let reason = reason(error, options);
        match error {
            Said::NotFound { .. } => Self::NotFound { reason },
            Said::PermissionDenied { .. } | Said::Unauthenticated { .. } => Self::Denied { reason },
            Said::Precondition { path, .. } | Said::NotModified { path, .. } => Self::Changed {
                object: path.clone(),
            },
            Said::UnknownConfigurationKey { .. } => Self::Settings { reason },
            _ => Self::Unavailable { reason },
        }
    }
}

/// Returns the innermost of an error's causes, which says most in the fewest words.
fn reason(error: &dyn Error, options: &Options) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let words: Vec<String> = innermost
        .to_string()
        .split_whitespace()
        .map(without_query)
        .collect();
    let mut text = words.join(" ");
    for secret in secrets(options) {
        text = text.replace(secret, "***");
    }
    let end = text.floor_char_boundary(MAX_REASON_BYTES);
    text.truncate(end);
    text
}

/// Cuts the query off an address: signatures are part of it.
fn without_query(word: &str) -> String {
    match word.split_once('?') {
        Some((address, _)) if address.contains("://") => format!("{address}?…"),
        _ => word.to_owned(),
    }
}

/// Returns the settings whose values nobody may read.
fn secrets(options: &Options) -> impl Iterator<Item = &str> {
    /// Shorter ones are no secrets, and would be found in any text.
    const MIN_SECRET_BYTES: usize = 6;
    const MARKS: [&str; 6] = ["KEY", "SECRET", "TOKEN", "PASSWORD", "SAS", "CREDENTIAL"];
    let is_secret = |name: &str| MARKS.iter().any(|mark| name.contains(mark));
    let values = options.0.iter().filter(move |(name, _)| is_secret(name));
    values
        .map(|(_, value)| value.as_str())
        .filter(|value| value.len() >= MIN_SECRET_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, options: &[(&str, &str)]) -> String {
        let options = options
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let error = object_store::Error::Generic {
            store: "S3",
            source: text.into(),
        };
        StoreError::of_store(&error, &Options(options.collect())).to_string()
    }

    #[test]
    fn what_a_store_says_is_told_without_credentials() {
        let options = [
            ("AWS_SECRET_ACCESS_KEY", "hunter2hunter2"),
            ("AWS_REGION", "eu-west-1"),
        ];
        let rows = [
            (
                "connection\n  refused",
                "the store cannot be read: connection refused",
            ),
            (
                "the key hunter2hunter2 in eu-west-1",
                "the store cannot be read: the key *** in eu-west-1",
            ),
            (
                "GET https://a.blob/c?sig=abc failed",
                "the store cannot be read: GET https://a.blob/c?… failed",
            ),
            ("why? because", "the store cannot be read: why? because"),
        ];
        for (text, expected) in rows {
            assert_eq!(of(text, &options), expected);
        }
        assert!(of(&"é".repeat(1000), &[]).len() < 500);
    }

    #[test]
    fn a_full_disk_is_told_from_other_trouble() {
        let of = |kind: io::ErrorKind| StoreError::disk("/c", &kind.into()).to_string();
        assert_eq!(
            of(io::ErrorKind::StorageFull),
            "no space is left in /c; free some, or choose another folder by SALVER_CACHE_DIR"
        );
        assert_eq!(of(io::ErrorKind::PermissionDenied), "/c: permission denied");
    }
}
