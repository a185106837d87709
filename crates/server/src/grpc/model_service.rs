//! `ModelService`.

use std::sync::Arc;

use bytes::BytesMut;
use prost::Message as _;
use salver_proto::tensorflow::serving::GetModelStatusRequest;
use salver_protocol::config::{self, ModelConfig};
use salver_protocol::metadata as wire;

use super::{Message, message_buffer, model_spec};
use crate::app::App;
use crate::infer;
use crate::reload::{Reload, ReloadError};
use crate::status::ServeError;

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
    let request = config::decode_reload(message).map_err(ReloadError::from)?;
    let models = request.models.ok_or(ReloadError::NotAList)?;
    let reload = app.reload.clone().ok_or(ReloadError::Unsupported)?;
    let names = request.metric_names;
    let before = counters(app, &names);
    apply(app, reload, models).await?;
    let growth = counters(app, &names).into_iter().zip(before);
    let increases: Vec<(String, i64)> = names
        .into_iter()
        .zip(growth.map(|(after, before)| after.wrapping_sub(before)))
        .collect();
    let mut encoded = message_buffer();
    config::encode_reload_response(&increases, &mut encoded);
    Ok(encoded)
}

/// Returns where counters stand; one that there is none of stands at 0.
fn counters(app: &App, names: &[String]) -> Vec<i64> {
    match names.is_empty() {
        true => Vec::new(),
        false => app.metrics.first_values(names),
    }
}

async fn apply(
    app: &App,
    reload: Arc<dyn Reload>,
    models: Vec<ModelConfig>,
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
