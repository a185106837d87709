//! `ModelService`.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::BytesMut;
use prost::Message as _;
use salver_proto::tensorflow::serving::file_system_storage_path_source_config::servable_version_policy::PolicyChoice;
use salver_proto::tensorflow::serving::model_server_config::Config;
use salver_proto::tensorflow::serving::{
    GetModelStatusRequest, ModelConfig, ReloadConfigRequest, ReloadConfigResponse, StatusProto,
};
use salver_protocol::metadata as wire;

use super::{Message, message_buffer, model_spec};
use crate::app::App;
use crate::infer;
use crate::reload::{Reload, ReloadError, ReloadModel, ReloadVersions};
use crate::status::ServeError;

/// The platforms of a `ModelConfig` that mean "whatever engine can run it".
const PLATFORMS: [&str; 2] = ["", "tensorflow"];

/// Returns the states of a model's versions.
pub(super) fn status(app: &App, message: Message) -> Result<BytesMut, ServeError> {
    let request = GetModelStatusRequest::decode(message).map_err(|error| ServeError::Protobuf {
        message: "tensorflow.serving.GetModelStatusRequest",
        reason: error.to_string(),
    })?;
    let spec = request.model_spec.ok_or(ServeError::MissingModelSpec)?;
    let (name, version) = model_spec::read(spec);
    let states = infer::states(app, &name, &version)?;
    let mut encoded = message_buffer();
    wire::encode_status(&states, &mut encoded);
    Ok(encoded)
}

/// Replaces the list of models.
pub(super) async fn reload(app: &App, message: Message) -> Result<BytesMut, ServeError> {
    let request = ReloadConfigRequest::decode(message).map_err(|error| ServeError::Protobuf {
        message: "tensorflow.serving.ReloadConfigRequest",
        reason: error.to_string(),
    })?;
    let Some(Config::ModelConfigList(list)) = request.config.and_then(|config| config.config)
    else {
        return Err(ReloadError::NotAList.into());
    };
    let models = list
        .config
        .into_iter()
        .map(model)
        .collect::<Result<Vec<_>, _>>()?;
    let reload = app.reload.clone().ok_or(ReloadError::Unsupported)?;
    apply(app, reload, models).await?;
    let answer = ReloadConfigResponse {
        status: Some(StatusProto {
            error_code: 0,
            error_message: String::new(),
        }),
        metric: vec![],
    };
    let mut encoded = message_buffer();
    encoded.reserve(answer.encoded_len());
    answer
        .encode(&mut encoded)
        .map_err(|error| ServeError::Internal(error.to_string()))?;
    Ok(encoded)
}

async fn apply(
    app: &App,
    reload: Arc<dyn Reload>,
    models: Vec<ReloadModel>,
) -> Result<(), ServeError> {
    let turn = Arc::clone(&app.reload_turn).acquire_owned().await;
    let turn = turn.map_err(|error| ServeError::Internal(error.to_string()))?;
    let task = tokio::task::spawn_blocking(move || {
        let result = reload.reload(models);
        drop(turn);
        result
    });
    let result = task
        .await
        .map_err(|error| ServeError::Internal(format!("reload failed: {error}")))?;
    Ok(result?)
}

fn model(config: ModelConfig) -> Result<ReloadModel, ReloadError> {
    if !PLATFORMS.contains(&config.model_platform.as_str()) {
        return Err(ReloadError::UnsupportedPlatform {
            name: config.name,
            platform: config.model_platform,
        });
    }
    let base_path = PathBuf::from(&config.base_path);
    if !base_path.is_absolute() {
        return Err(ReloadError::RelativePath {
            name: config.name,
            base_path: config.base_path,
        });
    }
    let policy = config
        .model_version_policy
        .and_then(|policy| policy.policy_choice);
    let versions = match policy {
        None => ReloadVersions::Default,
        Some(PolicyChoice::Latest(latest)) => ReloadVersions::Latest(latest.num_versions),
        Some(PolicyChoice::All(_)) => ReloadVersions::All,
        Some(PolicyChoice::Specific(specific)) => ReloadVersions::Specific(specific.versions),
    };
    Ok(ReloadModel {
        name: config.name,
        base_path,
        versions,
        labels: config.version_labels.into_iter().collect(),
    })
}
