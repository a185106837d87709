//! `HandleReloadConfigRequest`: a new list of models, and counters to be told of.

use bytes::{Buf, BytesMut};
use prost::Message;
use salver_proto::tensorflow::serving::metric::ValueIncrease;
use salver_proto::tensorflow::serving::model_server_config::Config;
use salver_proto::tensorflow::serving::{
    Metric, ReloadConfigRequest, ReloadConfigResponse, StatusProto,
};

use super::models::{self, ConfigError, ModelConfig};

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct ReloadRequest {
    /// The new list; `None` if the request holds something else, or nothing.
    pub models: Option<Vec<ModelConfig>>,
    /// Names of counters whose growth is to be told.
    pub metric_names: Vec<String>,
}

/// Reads a `ReloadConfigRequest`.
///
/// # Errors
/// [`ConfigError`], if it is no such message or a model's platform makes no sense.
pub fn decode_reload(message: impl Buf) -> Result<ReloadRequest, ConfigError> {
    let request = ReloadConfigRequest::decode(message)
        .map_err(|error| ConfigError::Message(error.to_string()))?;
    let models = match request.config.and_then(|config| config.config) {
        Some(Config::ModelConfigList(list)) => Some(models::read(list)?),
        Some(Config::CustomModelConfig(_)) | None => None,
    };
    Ok(ReloadRequest {
        models,
        metric_names: request.metric_names,
    })
}

/// Appends the answer to a request that was done, with the growth of each counter.
pub fn encode_reload_response(increases: &[(String, i64)], out: &mut BytesMut) {
    let metric = increases.iter().map(|(name, increase)| Metric {
        name: name.clone(),
        value_increase: Some(ValueIncrease::Int64ValueIncrease(*increase)),
    });
    let response = ReloadConfigResponse {
        status: Some(StatusProto {
            error_code: 0,
            error_message: String::new(),
        }),
        metric: metric.collect(),
    };
    out.reserve(response.encoded_len());
    response
        .encode(out)
        .expect("a buffer that grows has room for every message");
}
