//! Replacing the list of models while the server runs.

use salver_protocol::config::{ConfigError, ModelConfig};

/// Takes a new list of models and waits until its new members can be asked.
pub trait Reload: Send + Sync {
    /// Replaces the list: models that it omits are unloaded.
    ///
    /// # Blocking
    /// Until every model that was not served before has a version AVAILABLE, or has failed with every try.
    ///
    /// # Errors
    /// [`ReloadError`]; the list before stays in force, but for [`ReloadError::NotAvailable`].
    fn reload(&self, models: Vec<ModelConfig>) -> Result<(), ReloadError>;

    /// Returns the models that are served, by name.
    ///
    /// # Blocking
    /// While a folder is looked at.
    fn models(&self) -> Vec<ServedModel>;

    /// Serves a model beside the others, or serves it differently.
    ///
    /// # Blocking
    /// Until it has a version AVAILABLE, or was tried once.
    ///
    /// # Errors
    /// [`ReloadError`]; nothing is changed, but for [`ReloadError::NotAvailable`].
    fn put(&self, model: ModelConfig) -> Result<(), ReloadError>;

    /// Serves a model no longer.
    ///
    /// # Errors
    /// [`ReloadError::Unknown`], [`ReloadError::InFolder`], [`ReloadError::InFile`].
    fn remove(&self, name: &str) -> Result<(), ReloadError>;

    /// Tells whether any models were ever named; a server that was started with an empty list waits for some.
    fn has_models(&self) -> bool;
}

/// A model that is served.
#[derive(Clone, Debug, PartialEq)]
pub struct ServedModel {
    /// What is said of it.
    pub config: ModelConfig,
    /// Where that is said.
    pub by: ServedBy,
}

/// Where it is said that a model is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServedBy {
    /// In a list, or one by one.
    List,
    /// By the folder it lies in.
    Folder,
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
    /// A base path that is meant to be an address in a store.
    #[error("{0}")]
    BasePath(String),
    /// A platform that no engine here has.
    #[error("Model {name} requests unsupported platform {platform}")]
    UnsupportedPlatform {
        /// The model.
        name: String,
        /// What it asks for.
        platform: String,
    },
    /// Another platform for a model that is served.
    #[error(
        "Illegal to change a model's platform. For model {name} platform was {before} and new platform requested is \
         {platform}"
    )]
    PlatformChanged {
        /// The model.
        name: String,
        /// What it had.
        before: String,
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
    /// A name that nothing is served under.
    #[error("there is no model named {0}")]
    Unknown(String),
    /// A name that REST addresses cannot hold.
    #[error("`{0}` cannot be a model's name: REST addresses could not hold it")]
    Name(String),
    /// A model that is served because it lies in a folder.
    #[error("model {0} lies in the folder that is served; remove it there")]
    InFolder(String),
    /// A list that a file is read again for.
    #[error("the list of models is read again and again from --model_config_file; change it there")]
    InFile,
    /// Requests cannot be logged as asked.
    #[error("{0}")]
    RequestLog(String),
    /// New models that did not load.
    #[error("{0}")]
    NotAvailable(String),
    /// Anything else that is wrong with the list.
    #[error(transparent)]
    Invalid(#[from] ConfigError),
    /// This server's models come from a folder that is watched, not from a list.
    #[error("this server does not take lists of models")]
    Unsupported,
}
