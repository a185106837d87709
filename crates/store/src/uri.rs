//! The address of a base path in a store.

use std::fmt;

use percent_encoding::percent_decode_str;

/// Which kind of store an address names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Amazon S3, and what speaks its API.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
    /// A web server.
    Http,
}

/// Prefixes of addresses, each with the kind of store it means.
const SCHEMES: [(&str, Scheme); 5] = [
    ("s3://", Scheme::S3),
    ("gs://", Scheme::Gcs),
    ("az://", Scheme::Azure),
    ("http://", Scheme::Http),
    ("https://", Scheme::Http),
];

/// The longest address, in bytes: beyond what any store takes for a name.
const MAX_URI_BYTES: usize = 2048;

/// The address of a base path: `s3://bucket/models/resnet`.
///
/// What it shows is free of credentials; a user and password in an `http` address are kept apart.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreUri {
    shown: String,
    scheme: Scheme,
    bucket: String,
    path: String,
    user_info: Option<String>,
}

/// Why an address is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// It begins with none of the schemes.
    #[error("expected an address that begins with s3://, gs://, az://, http:// or https://")]
    Scheme,
    /// There is nothing between `://` and the next `/`.
    #[error("`{uri}` names no bucket; wanted is {scheme}BUCKET/PATH")]
    NoBucket {
        /// The address.
        uri: String,
        /// How it begins.
        scheme: &'static str,
    },
    /// Keys and passwords have their own settings.
    #[error("`{uri}` was given with credentials in it; leave them to the environment")]
    Credentials {
        /// The address, without credentials.
        uri: String,
    },
    /// The path has a part that no folder can be called by.
    #[error("`{uri}` has a path with `{part}` in it, which names no folder")]
    Path {
        /// The address, without credentials.
        uri: String,
        /// The part.
        part: String,
    },
    /// A query or fragment would have to be repeated at every request.
    #[error("an address with `{mark}` in it cannot be a base path: there is nothing below it")]
    Query {
        /// `?` or `#`.
        mark: char,
    },
    /// It is longer than stores take.
    #[error("the address is longer than {MAX_URI_BYTES} bytes")]
    TooLong,
}

impl StoreUri {
    /// Tells whether a base path is an address and not a path of this machine.
    #[must_use]
    pub fn is_remote(text: &str) -> bool {
        split_scheme(text).is_some()
    }

    /// Reads an address.
    ///
    /// # Errors
    /// [`UriError`].
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let (prefix, scheme, rest) = split_scheme(text).ok_or(UriError::Scheme)?;
        if text.len() > MAX_URI_BYTES {
            return Err(UriError::TooLong);
        }
        if scheme == Scheme::Http
            && let Some(mark) = rest.chars().find(|mark| matches!(mark, '?' | '#'))
        {
            return Err(UriError::Query { mark });
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user_info, host) = match authority.rsplit_once('@') {
            Some((user_info, host)) => (Some(user_info), host),
            None => (None, authority),
        };
        let path = path.trim_end_matches('/');
        let shown = match path.is_empty() {
            true => format!("{prefix}{host}"),
            false => format!("{prefix}{host}/{path}"),
        };
        if host.is_empty() {
            return Err(UriError::NoBucket {
                uri: shown,
                scheme: prefix,
            });
        }
        if user_info.is_some() && scheme != Scheme::Http {
            return Err(UriError::Credentials { uri: shown });
        }
        let path = match scheme {
            Scheme::Http => percent_decode_str(path).decode_utf8_lossy().into_owned(),
            Scheme::S3 | Scheme::Gcs | Scheme::Azure => path.to_owned(),
        };
        let mut parts = path.split('/').filter(|_| !path.is_empty());
        if let Some(part) = parts.find(|part| !is_file_name(part)) {
            let part = part.escape_default().to_string();
            return Err(UriError::Path { uri: shown, part });
        }
        let bucket = match scheme {
            Scheme::Http => format!("{prefix}{host}"),
            Scheme::S3 | Scheme::Gcs | Scheme::Azure => host.to_owned(),
        };
        Ok(Self {
            shown,
            scheme,
            bucket,
            path,
            user_info: user_info.map(str::to_owned),
        })
    }

    /// Returns the kind of store.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the last part of the address, by which a model is called that nobody gave a name.
    #[must_use]
    pub fn name(&self) -> &str {
        let last = self.path.rsplit('/').next().filter(|name| !name.is_empty());
        last.unwrap_or_else(|| self.bucket.rsplit('/').next().unwrap_or_default())
    }

    /// Returns the bucket or container; of a web server, scheme and host.
    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Returns what follows the bucket, without a `/` at either end.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns user and password, as they were written.
    pub(crate) fn user_info(&self) -> Option<&str> {
        self.user_info.as_deref()
    }
}

/// Writes the address without credentials.
impl fmt::Display for StoreUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for StoreUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Tells whether a part of an object's name can be the name of a file or folder.
pub(crate) fn is_file_name(part: &str) -> bool {
    /// What file systems take for one name, in bytes.
    const MAX_NAME_BYTES: usize = 255;
    !part.is_empty()
        && part != "."
        && part != ".."
        && part.len() <= MAX_NAME_BYTES
        && !part.contains(['/', '\0'])
}

fn split_scheme(text: &str) -> Option<(&'static str, Scheme, &str)> {
    SCHEMES.iter().find_map(|(prefix, scheme)| {
        let head = text.get(..prefix.len())?;
        let is_same = head.eq_ignore_ascii_case(prefix);
        is_same.then(|| (*prefix, *scheme, &text[prefix.len()..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_bucket_a_path_and_a_name() {
        let rows = [
            ("s3://b", "s3://b", "b", "", "b"),
            ("s3://b/", "s3://b", "b", "", "b"),
            ("S3://b/m/", "s3://b/m", "b", "m", "m"),
            (
                "gs://b/models/resnet",
                "gs://b/models/resnet",
                "b",
                "models/resnet",
                "resnet",
            ),
            (
                "az://c/a b/100%",
                "az://c/a b/100%",
                "c",
                "a b/100%",
                "100%",
            ),
            (
                "http://h:8080",
                "http://h:8080",
                "http://h:8080",
                "",
                "h:8080",
            ),
            (
                "https://h/my%20model/",
                "https://h/my%20model",
                "https://h",
                "my model",
                "my model",
            ),
            ("http://me:secret@h/m", "http://h/m", "http://h", "m", "m"),
        ];
        for (text, shown, bucket, path, name) in rows {
            let uri = StoreUri::parse(text).unwrap();
            assert!(StoreUri::is_remote(text));
            assert_eq!(
                (uri.to_string().as_str(), format!("{uri:?}").as_str()),
                (shown, shown)
            );
            assert_eq!((uri.bucket(), uri.path(), uri.name()), (bucket, path, name));
        }
        let uri = StoreUri::parse("http://me:secret@h/m").unwrap();
        assert_eq!(uri.user_info(), Some("me:secret"));
    }

    #[test]
    fn what_is_no_address_says_why() {
        let long = format!("s3://b/{}", "x".repeat(3000));
        let rows = [
            ("/models", "expected an address that begins with s3://"),
            ("s3:/b/m", "expected an address"),
            (
                "s3://",
                "`s3://` names no bucket; wanted is s3://BUCKET/PATH",
            ),
            ("gs:///m", "`gs:///m` names no bucket"),
            ("s3://b/a//c", "has a path with `` in it"),
            ("s3://b/../c", "has a path with `..` in it"),
            ("http://h/%2e%2e/c", "has a path with `..` in it"),
            (
                "s3://key:secret@b/m",
                "`s3://b/m` was given with credentials in it",
            ),
            (
                "http://u:secret@h/a/./b",
                "`http://h/a/./b` has a path with `.` in it",
            ),
            ("https://h/m.onnx?sig=abc", "an address with `?` in it"),
            ("https://h/m#x", "an address with `#` in it"),
            (&long, "the address is longer than 2048 bytes"),
        ];
        for (text, expected) in rows {
            let message = StoreUri::parse(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
