//! TensorFlow Serving's REST API.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use salver_protocol::tensor_proto;
use salver_tensor::{DType, Dim, Tensor, TensorSpec};
use serde::Deserialize;

use crate::error::{causes, root_cause};
use crate::tls::{self, Connector};
use crate::{
    ClientError, ClientTls, Metadata, ModelRef, Prediction, SignatureInfo, VersionChoice,
    VersionState, json,
};

/// What a model's name may hold in an address as it is.
const NAME: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A client of a server's REST API.
#[derive(Clone, Debug)]
pub struct RestClient {
    base: String,
    timeout: Duration,
    http: Client<Connector, Full<Bytes>>,
}

impl RestClient {
    /// Returns a client; connects with the first request.
    ///
    /// # Errors
    /// As [`RestClient::with_tls`].
    pub fn new(url: &str, timeout: Duration) -> Result<Self, ClientError> {
        Self::with_tls(url, timeout, &ClientTls::default())
    }

    /// Returns a client that secures connections to `https` addresses so.
    ///
    /// # Errors
    /// [`ClientError::Address`] unless `url` is `http[s]://HOST[:PORT]`, with a path before `/v1` or not;
    /// [`ClientError::Certificates`] for those that cannot be used.
    pub fn with_tls(url: &str, timeout: Duration, tls: &ClientTls) -> Result<Self, ClientError> {
        let refuse = |reason: &str| ClientError::Address {
            address: url.to_owned(),
            reason: reason.to_owned(),
        };
        let whole = if url.contains("://") {
            url.to_owned()
        } else {
            format!("http://{url}")
        };
        let uri: Uri = whole
            .parse()
            .map_err(|_| refuse("it should look like http://localhost:8501"))?;
        let is_secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refuse("it should begin with http:// or https://")),
        };
        let base = whole
            .trim_end_matches('/')
            .trim_end_matches("/v1")
            .to_owned();
        let connector = tls.rest(is_secure, timeout)?;
        Ok(Self {
            base,
            timeout,
            http: Client::builder(TokioExecutor::new()).build(connector),
        })
    }

    /// Sends a body as it is to `:predict` and returns the answer as it came.
    ///
    /// # Errors
    /// [`ClientError::Connect`], [`ClientError::Timeout`], or [`ClientError::Refused`] with the server's message.
    pub async fn predict_json(&self, model: &ModelRef, body: Bytes) -> Result<Bytes, ClientError> {
        self.call(Method::POST, &format!("{}:predict", path_of(model)), body)
            .await
    }

    /// Asks for a prediction.
    ///
    /// # Errors
    /// As [`RestClient::predict_json`]; [`ClientError::NotInJson`] for inputs that JSON has no form for.
    pub async fn predict(
        &self,
        model: &ModelRef,
        signature: &SignatureInfo,
        inputs: &[(&str, &Tensor)],
    ) -> Result<Prediction, ClientError> {
        let body = json::request_body(&signature.name, inputs)?;
        let answer = self.predict_json(model, body.into()).await?;
        Ok(Prediction {
            outputs: json::decode_response(&answer, &signature.outputs)?,
        })
    }

    /// Asks what the model takes and gives.
    ///
    /// # Errors
    /// As [`RestClient::predict_json`].
    pub async fn metadata(&self, model: &ModelRef) -> Result<Metadata, ClientError> {
        let path = format!("{}/metadata", path_of(model));
        let answer = self.call(Method::GET, &path, Bytes::new()).await?;
        let answer: MetadataAnswer =
            serde_json::from_slice(&answer).map_err(ClientError::answer)?;
        answer.try_into()
    }

    /// Asks for the states of all versions of a model.
    ///
    /// # Errors
    /// As [`RestClient::predict_json`].
    pub async fn status(&self, name: &str) -> Result<Vec<VersionState>, ClientError> {
        let path = path_of(&ModelRef::latest(name));
        let answer = self.call(Method::GET, &path, Bytes::new()).await?;
        let answer: StatusAnswer = serde_json::from_slice(&answer).map_err(ClientError::answer)?;
        answer
            .model_version_status
            .into_iter()
            .map(VersionAnswer::into_state)
            .collect()
    }

    async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| ClientError::Address {
                address: self.base.clone(),
                reason: error.to_string(),
            })?;
        let (status, answer) = tokio::time::timeout(self.timeout, self.exchange(request))
            .await
            .map_err(|_| ClientError::Timeout {
                address: self.base.clone(),
                timeout: self.timeout,
            })??;
        match status.is_success() {
            true => Ok(answer),
            false => Err(ClientError::Refused {
                code: status.to_string(),
                message: message_of(&answer),
            }),
        }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let response = self.http.request(request).await.map_err(|error| {
            match tls::failure_of(&self.base, &error) {
                Some(insecure) => insecure,
                None if error.is_connect() => ClientError::Connect {
                    address: self.base.clone(),
                    reason: root_cause(&error),
                },
                None => ClientError::answer(causes(&error)),
            }
        })?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| ClientError::answer(causes(&error)))?;
        Ok((status, body.to_bytes()))
    }
}

fn path_of(model: &ModelRef) -> String {
    let encode = |text| utf8_percent_encode(text, NAME).to_string();
    let name = encode(&model.name);
    match &model.version {
        VersionChoice::Latest => format!("/v1/models/{name}"),
        VersionChoice::Version(version) => format!("/v1/models/{name}/versions/{version}"),
        VersionChoice::Label(label) => format!("/v1/models/{name}/labels/{}", encode(label)),
    }
}

/// Returns the message of an error answer, or the answer itself if it has none.
fn message_of(answer: &[u8]) -> String {
    #[derive(Deserialize)]
    struct ErrorAnswer {
        error: String,
    }
    match serde_json::from_slice::<ErrorAnswer>(answer) {
        Ok(answer) => answer.error,
        Err(_) => String::from_utf8_lossy(answer).trim().to_owned(),
    }
}

#[derive(Deserialize)]
struct StatusAnswer {
    #[serde(default)]
    model_version_status: Vec<VersionAnswer>,
}

#[derive(Deserialize)]
struct VersionAnswer {
    version: String,
    state: String,
    #[serde(default)]
    status: ErrorStatus,
}

#[derive(Default, Deserialize)]
struct ErrorStatus {
    #[serde(default)]
    error_message: String,
}

impl VersionAnswer {
    fn into_state(self) -> Result<VersionState, ClientError> {
        let version = self.version.parse().map_err(ClientError::answer)?;
        Ok(VersionState {
            version,
            state: self.state,
            error_message: self.status.error_message,
        })
    }
}

#[derive(Deserialize)]
struct MetadataAnswer {
    model_spec: SpecAnswer,
    metadata: SignatureDefAnswer,
}

#[derive(Deserialize)]
struct SpecAnswer {
    version: String,
}

#[derive(Deserialize)]
struct SignatureDefAnswer {
    signature_def: SignatureMapAnswer,
}

#[derive(Deserialize)]
struct SignatureMapAnswer {
    signature_def: BTreeMap<String, SignatureAnswer>,
}

#[derive(Deserialize)]
struct SignatureAnswer {
    #[serde(default)]
    inputs: BTreeMap<String, TensorAnswer>,
    #[serde(default)]
    outputs: BTreeMap<String, TensorAnswer>,
}

#[derive(Deserialize)]
struct TensorAnswer {
    dtype: String,
    #[serde(default)]
    tensor_shape: ShapeAnswer,
}

#[derive(Default, Deserialize)]
struct ShapeAnswer {
    #[serde(default)]
    dim: Vec<DimAnswer>,
    #[serde(default)]
    unknown_rank: bool,
}

#[derive(Deserialize)]
struct DimAnswer {
    size: String,
}

impl TryFrom<MetadataAnswer> for Metadata {
    type Error = ClientError;

    fn try_from(answer: MetadataAnswer) -> Result<Self, ClientError> {
        let version = answer
            .model_spec
            .version
            .parse()
            .map_err(ClientError::answer)?;
        let signatures =
            answer
                .metadata
                .signature_def
                .signature_def
                .into_iter()
                .map(|(name, signature)| {
                    let specs =
                        |tensors: BTreeMap<String, TensorAnswer>| -> Result<Vec<_>, ClientError> {
                            tensors.into_iter().map(into_spec).collect()
                        };
                    Ok(SignatureInfo {
                        name,
                        inputs: specs(signature.inputs)?,
                        outputs: specs(signature.outputs)?,
                    })
                });
        Ok(Self {
            version,
            signatures: signatures.collect::<Result<_, ClientError>>()?,
        })
    }
}

fn into_spec((name, tensor): (String, TensorAnswer)) -> Result<TensorSpec, ClientError> {
    let dtype = dtype_of(&tensor.dtype).ok_or_else(|| {
        ClientError::answer(format!("`{name}` has the unknown dtype {}", tensor.dtype))
    })?;
    let dim = |dim: DimAnswer| {
        let size: i64 = dim.size.parse().map_err(ClientError::answer)?;
        Ok(usize::try_from(size).map_or(Dim::Dynamic(None), Dim::Fixed))
    };
    let dims = match tensor.tensor_shape.unknown_rank {
        true => None,
        false => Some(
            tensor
                .tensor_shape
                .dim
                .into_iter()
                .map(dim)
                .collect::<Result<_, ClientError>>()?,
        ),
    };
    Ok(TensorSpec::new(&name, dtype, dims))
}

/// Reads the name of a dtype as metadata has it: `DT_FLOAT`.
fn dtype_of(name: &str) -> Option<DType> {
    DType::ALL
        .into_iter()
        .find(|&dtype| tensor_proto::data_type_name(dtype) == name)
}

#[cfg(test)]
mod tests;
