//! Lists of models: `ModelServerConfig`.

use std::collections::BTreeMap;

use salver_proto::tensorflow::serving::file_system_storage_path_source_config::ServableVersionPolicy;
use salver_proto::tensorflow::serving::file_system_storage_path_source_config::servable_version_policy::{
    All, Latest, PolicyChoice, Specific,
};
use salver_proto::tensorflow::serving::model_server_config::Config;
use salver_proto::tensorflow::serving::{
    ModelConfig as ModelProto, ModelConfigList, ModelServerConfig, ModelType,
};

use super::LoggingConfig;
use super::logging;
use super::text::{self, TextError};

const MESSAGE: &str = "tensorflow.serving.ModelServerConfig";

/// The platform of a model that names none.
pub const TENSORFLOW_PLATFORM: &str = "tensorflow";

/// One model of a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelConfig {
    /// The name clients use.
    pub name: String,
    /// Where its version folders are: a path or an address.
    pub base_path: String,
    /// What runs it: [`TENSORFLOW_PLATFORM`], or another name that the server knows.
    pub platform: String,
    /// Which versions are served.
    pub versions: VersionPolicy,
    /// Names of versions.
    pub labels: BTreeMap<String, i64>,
    /// Logging of its requests; `None` for none.
    pub logging: Option<LoggingConfig>,
}

/// Which versions of a model are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum VersionPolicy {
    /// What the model's own settings say; the latest if they say nothing.
    #[default]
    Default,
    /// The latest so many; 0 means one.
    Latest(u32),
    /// All there are.
    All,
    /// Just these.
    Specific(Vec<i64>),
}

/// What a `model_config_file` holds.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelsFile {
    /// Nothing, as an empty file does.
    Nothing,
    /// A list, which may be empty.
    List(Vec<ModelConfig>),
}

/// What is wrong with a list of models, in TensorFlow Serving's words where it has some.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is not in the text format.
    #[error(transparent)]
    Text(#[from] TextError),
    /// It is not a message.
    #[error("the request is not a valid tensorflow.serving.ReloadConfigRequest: {0}")]
    Message(String),
    /// Two platforms for one model.
    #[error(
        "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform, \
         model name is {0}"
    )]
    TwoPlatforms(String),
    /// A `model_type` other than TensorFlow.
    #[error("ModelServerConfig::model_type choice {0} not supported.")]
    ModelType(i32),
    /// `custom_model_config`.
    #[error("custom_model_config is not supported; list the models in model_config_list")]
    Custom,
}

/// Reads the text of a `model_config_file`.
///
/// # Errors
/// [`ConfigError`], with line and column if the text is not what it should be.
pub fn parse_models(text: &str) -> Result<ModelsFile, ConfigError> {
    let file: ModelServerConfig = text::parse(MESSAGE, text)?;
    match file.config {
        None => Ok(ModelsFile::Nothing),
        Some(Config::ModelConfigList(list)) => read(list).map(ModelsFile::List),
        Some(Config::CustomModelConfig(_)) => Err(ConfigError::Custom),
    }
}

/// Writes models as the text of a `model_config_file`.
#[must_use]
pub fn print_models(models: &[ModelConfig]) -> String {
    let list = ModelConfigList {
        config: models.iter().map(write).collect(),
    };
    let file = ModelServerConfig {
        config: Some(Config::ModelConfigList(list)),
    };
    text::print(MESSAGE, &file)
}

pub(super) fn read(list: ModelConfigList) -> Result<Vec<ModelConfig>, ConfigError> {
    list.config.into_iter().map(read_model).collect()
}

fn read_model(proto: ModelProto) -> Result<ModelConfig, ConfigError> {
    let platform = platform(&proto)?;
    let choice = proto
        .model_version_policy
        .and_then(|policy| policy.policy_choice);
    let versions = match choice {
        None => VersionPolicy::Default,
        Some(PolicyChoice::Latest(latest)) => VersionPolicy::Latest(latest.num_versions),
        Some(PolicyChoice::All(_)) => VersionPolicy::All,
        Some(PolicyChoice::Specific(specific)) => VersionPolicy::Specific(specific.versions),
    };
    Ok(ModelConfig {
        name: proto.name,
        base_path: proto.base_path,
        platform,
        versions,
        labels: proto.version_labels,
        logging: proto.logging_config.map(logging::read),
    })
}

/// Returns what a model is to be run by; TensorFlow Serving wants it said, here it goes without saying.
fn platform(proto: &ModelProto) -> Result<String, ConfigError> {
    #[allow(deprecated, reason = "old files have it")]
    let model_type = proto.model_type;
    let is_named = !proto.model_platform.is_empty();
    match ModelType::try_from(model_type) {
        Ok(ModelType::Unspecified) if is_named => Ok(proto.model_platform.clone()),
        Ok(ModelType::Unspecified) => Ok(TENSORFLOW_PLATFORM.to_owned()),
        _ if is_named => Err(ConfigError::TwoPlatforms(proto.name.clone())),
        Ok(ModelType::Tensorflow) => Ok(TENSORFLOW_PLATFORM.to_owned()),
        Ok(ModelType::Other) | Err(_) => Err(ConfigError::ModelType(model_type)),
    }
}

fn write(model: &ModelConfig) -> ModelProto {
    let choice = match &model.versions {
        VersionPolicy::Default => None,
        VersionPolicy::Latest(num_versions) => Some(PolicyChoice::Latest(Latest {
            num_versions: *num_versions,
        })),
        VersionPolicy::All => Some(PolicyChoice::All(All {})),
        VersionPolicy::Specific(versions) => Some(PolicyChoice::Specific(Specific {
            versions: versions.clone(),
        })),
    };
    ModelProto {
        name: model.name.clone(),
        base_path: model.base_path.clone(),
        model_platform: model.platform.clone(),
        model_version_policy: choice.map(|choice| ServableVersionPolicy {
            policy_choice: Some(choice),
        }),
        version_labels: model.labels.clone(),
        logging_config: model.logging.as_ref().map(logging::write),
        ..ModelProto::default()
    }
}

#[cfg(test)]
mod tests;
