//! The shared libraries: opening them, their version.

use std::ffi::CStr;
use std::fmt;
use std::path::Path;

use libloading::os::unix::{Library as Opened, RTLD_GLOBAL, RTLD_LAZY};

use super::api::Api;

/// The oldest version whose strings lie in memory as they are read and written here.
const MIN_VERSION: (u32, u32) = (2, 4);

/// The open libraries. Never closed: their threads and exit handlers would outlive their code.
pub(crate) struct Library {
    api: Api,
    version: String,
}

/// Why a library cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// The system's loader refuses it.
    #[error("it cannot be opened: {0}")]
    Loader(String),
    /// It opens, but is something else, or a version without what is needed.
    #[error("it is not a TensorFlow that can be used: it has no {0}")]
    MissingFunction(&'static str),
    /// It is older than what is used of it.
    #[error("it is version {version}, and {}.{} or later is needed", MIN_VERSION.0, MIN_VERSION.1)]
    TooOld {
        /// The library's version.
        version: String,
    },
}

impl Library {
    /// Opens the libraries, the one that the other needs first.
    pub(crate) fn open(framework: Option<&Path>, main: &Path) -> Result<Self, OpenError> {
        if let Some(framework) = framework {
            std::mem::forget(open(framework)?);
        }
        let library = open(main)?;
        let api = Api::look_up(&library);
        // From here on its code stays: even one that is not used has started threads of its own.
        std::mem::forget(library);
        let api = api?;
        // SAFETY: it takes nothing and returns a static string that ends in a zero byte.
        let version = unsafe { CStr::from_ptr((api.TF_Version)()) }
            .to_string_lossy()
            .into_owned();
        if parse_version(&version) < Some(MIN_VERSION) {
            return Err(OpenError::TooOld { version });
        }
        Ok(Self { api, version })
    }

    /// Returns the library's own version, such as `2.21.0`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn api(&self) -> &Api {
        &self.api
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Opens one library so that others see its symbols: those with a model's own operators are linked against nothing.
fn open(path: &Path) -> Result<Opened, OpenError> {
    // SAFETY: loading runs the library's initialisers. The path was given by the operator or is a file that was checked
    // against known hashes when it was installed.
    unsafe { Opened::open(Some(path), RTLD_LAZY | RTLD_GLOBAL) }
        .map_err(|error| OpenError::Loader(error.to_string()))
}

/// Returns the first two numbers of a version: `2.21.0` is 2.21.
fn parse_version(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
