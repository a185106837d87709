//! What is asked for and what is answered, whatever the API.

use std::fmt;

use salver_tensor::{Tensor, TensorSpec};

use crate::ClientError;

const DEFAULT_SIGNATURE: &str = "serving_default";

/// Which version of a model is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VersionChoice {
    /// The highest one that is loaded.
    #[default]
    Latest,
    /// This one.
    Version(i64),
    /// The one that has this label.
    Label(String),
}

/// A model on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelRef {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: VersionChoice,
}

impl ModelRef {
    /// Returns the latest version of a model.
    #[must_use]
    pub fn latest(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: VersionChoice::Latest,
        }
    }
}

/// Writes `digits`, `digits:2` or `digits@stable`.
impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.version {
            VersionChoice::Latest => Ok(()),
            VersionChoice::Version(version) => write!(f, ":{version}"),
            VersionChoice::Label(label) => write!(f, "@{label}"),
        }
    }
}

/// One way of calling a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureInfo {
    /// The name to ask for.
    pub name: String,
    /// Inputs, by name.
    pub inputs: Vec<TensorSpec>,
    /// Outputs, by name.
    pub outputs: Vec<TensorSpec>,
}

/// What a server tells about a loaded model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The version that the choice meant.
    pub version: i64,
    /// The signatures, by name.
    pub signatures: Vec<SignatureInfo>,
}

impl Metadata {
    /// Returns a signature; an empty name means `serving_default`.
    ///
    /// # Errors
    /// [`ClientError::UnknownSignature`] names those there are.
    pub fn signature(&self, name: &str) -> Result<&SignatureInfo, ClientError> {
        let name = if name.is_empty() {
            DEFAULT_SIGNATURE
        } else {
            name
        };
        self.signatures
            .iter()
            .find(|signature| signature.name == name)
            .ok_or_else(|| {
                let known: Vec<_> = self
                    .signatures
                    .iter()
                    .map(|signature| signature.name.as_str())
                    .collect();
                ClientError::UnknownSignature {
                    name: name.to_owned(),
                    known: known.join(", "),
                }
            })
    }
}

/// The state of one version on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionState {
    /// The version.
    pub version: i64,
    /// `START`, `LOADING`, `AVAILABLE`, `UNLOADING` or `END`.
    pub state: String,
    /// What went wrong; empty if nothing did.
    pub error_message: String,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Outputs, by name.
    pub outputs: Vec<(String, Tensor)>,
}
