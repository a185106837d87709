//! Replacing the list of models while the server runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Which versions of a model are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadVersions {
    /// What the model's own settings say; the latest if they say nothing.
    Default,
    /// The latest so many.
    Latest(u32),
    /// All there are.
    All,
    /// Just these.
    Specific(Vec<i64>),
}

/// One model of a new list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadModel {
    /// The name clients use.
    pub name: String,
    /// The folder of its version folders.
    pub base_path: PathBuf,
    /// Versions to serve.
    pub versions: ReloadVersions,
    /// Names of versions.
    pub labels: BTreeMap<String, i64>,
}

/// Takes a new list of models and waits until its new members can be asked.
pub trait Reload: Send + Sync {
    /// Replaces the list: models that it omits are unloaded.
    ///
    /// # Blocking
    /// Until every model that was not served before has a version AVAILABLE, or has failed.
    ///
    /// # Errors
    /// [`ReloadError`]; the list before stays in force, but for [`ReloadError::NotAvailable`].
    fn reload(&self, models: Vec<ReloadModel>) -> Result<(), ReloadError>;
}

/// Why a new list of models was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// The request holds no list of models.
    #[error(
        "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
    )]
    NotAList,
    /// One name twice.
    #[error("Illegal to list model {0} multiple times in config list")]
    Duplicate(String),
    /// A base path that is not absolute.
    #[error("Expected model {name} to have an absolute path or URI; got base_path()={base_path}")]
    RelativePath {
        /// The model.
        name: String,
        /// Its path.
        base_path: String,
    },
    /// A platform that no engine here has.
    #[error("Model {name} requests unsupported platform {platform}")]
    UnsupportedPlatform {
        /// The model.
        name: String,
        /// What it asks for.
        platform: String,
    },
    /// A label on a version that is not loaded.
    #[error(
        "Request to assign label to version {version} of model {name}, which is not currently available for inference"
    )]
    LabelUnavailable {
        /// The model.
        name: String,
        /// The version.
        version: i64,
    },
    /// New models that did not load.
    #[error("{0}")]
    NotAvailable(String),
    /// Anything else that is wrong with the list.
    #[error("{0}")]
    Invalid(String),
    /// This server's models come from a folder that is watched, not from a list.
    #[error("this server does not take lists of models")]
    Unsupported,
}
