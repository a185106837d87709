//! TensorFlow Serving's gRPC API.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::Duration;

use prost::Message;
use salver_proto::tensorflow;
use salver_proto::tensorflow::serving;
use salver_proto::tensorflow::serving::model_service_client::ModelServiceClient;
use salver_proto::tensorflow::serving::prediction_service_client::PredictionServiceClient;
use salver_tensor::{Dim, Tensor, TensorSpec};
use tonic::transport::{Channel, Endpoint};

use crate::error::root_cause;
use crate::{
    ClientError, ClientTls, Metadata, ModelRef, Prediction, SignatureInfo, VersionChoice,
    VersionState, tensor_proto, tls,
};

/// The largest message that protobuf itself allows.
const MAX_MESSAGE_BYTES: usize = i32::MAX as usize;

/// Room for a picture in flight, so that it never waits for the other side's window.
const WINDOW_BYTES: u32 = 8 << 20;

/// A client of a server's gRPC API.
#[derive(Clone, Debug)]
pub struct GrpcClient {
    address: String,
    timeout: Duration,
    predictions: PredictionServiceClient<Channel>,
    models: ModelServiceClient<Channel>,
}

impl GrpcClient {
    /// Connects to `HOST:PORT` or `unix:PATH`.
    ///
    /// # Errors
    /// As [`GrpcClient::connect_with_tls`].
    pub async fn connect(address: &str, timeout: Duration) -> Result<Self, ClientError> {
        Self::connect_with_tls(address, timeout, &ClientTls::default()).await
    }

    /// Connects to `HOST:PORT`, to `unix:PATH`, or, secured so, to `https://HOST:PORT`.
    ///
    /// # Errors
    /// [`ClientError::Address`] for what cannot be an address; [`ClientError::Connect`] if nobody is there;
    /// [`ClientError::Insecure`] and [`ClientError::Certificates`] if the connection cannot be secured.
    pub async fn connect_with_tls(
        address: &str,
        timeout: Duration,
        tls: &ClientTls,
    ) -> Result<Self, ClientError> {
        let refuse = || {
            ClientError::Address {
            address: address.to_owned(),
            reason: "it should look like localhost:8500, https://localhost:8500 or unix:/run/salver.sock".to_owned(),
        }
        };
        let (whole, is_secure) = match address.split_once(':') {
            Some(("unix", _)) => (address.to_owned(), false),
            Some(("http", _)) => (address.to_owned(), false),
            Some(("https", _)) => (address.to_owned(), true),
            _ if address.contains("://") => return Err(refuse()),
            _ => (format!("http://{address}"), false),
        };
        let endpoint = Endpoint::from_shared(whole)
            .map_err(|_| refuse())?
            .connect_timeout(timeout)
            .timeout(timeout)
            .tcp_nodelay(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        let connected = match is_secure {
            true => endpoint.connect_with_connector(tls.grpc(timeout)?).await,
            false => endpoint.connect().await,
        };
        let channel = connected.map_err(|error| {
            tls::failure_of(address, &error).unwrap_or_else(|| ClientError::Connect {
                address: address.to_owned(),
                reason: root_cause(&error),
            })
        })?;
        let predictions = PredictionServiceClient::new(channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Self {
            address: address.to_owned(),
            timeout,
            predictions,
            models: ModelServiceClient::new(channel),
        })
    }

    /// Asks for a prediction.
    ///
    /// # Errors
    /// [`ClientError::Timeout`], or [`ClientError::Refused`] with the server's message.
    pub async fn predict(
        &self,
        model: &ModelRef,
        signature: &SignatureInfo,
        inputs: &[(&str, &Tensor)],
    ) -> Result<Prediction, ClientError> {
        let inputs = inputs
            .iter()
            .map(|(name, tensor)| ((*name).to_owned(), tensor_proto::encode(tensor)));
        let request = serving::PredictRequest {
            model_spec: Some(spec_of(model, &signature.name)),
            inputs: inputs.collect(),
            ..Default::default()
        };
        let answer = self
            .predictions
            .clone()
            .predict(request)
            .await
            .map_err(|status| self.refused(&status))?;
        let mut answer = answer.into_inner().outputs;
        // The order of the signature, where there is one, not that of the map.
        let declared = signature
            .outputs
            .iter()
            .map(|output| output.name.to_string());
        let mut names: Vec<String> = declared.filter(|name| answer.contains_key(name)).collect();
        names.extend(
            answer
                .keys()
                .filter(|name| !names.contains(name))
                .cloned()
                .collect::<Vec<_>>(),
        );
        let read = |name: String| {
            let tensor = tensor_proto::decode(&answer.remove(&name).unwrap_or_default())
                .map_err(|error| ClientError::answer(format!("output `{name}`: {error}")))?;
            Ok((name, tensor))
        };
        Ok(Prediction {
            outputs: names
                .into_iter()
                .map(read)
                .collect::<Result<_, ClientError>>()?,
        })
    }

    /// Asks what the model takes and gives.
    ///
    /// # Errors
    /// As [`GrpcClient::predict`].
    pub async fn metadata(&self, model: &ModelRef) -> Result<Metadata, ClientError> {
        const FIELD: &str = "signature_def";
        let request = serving::GetModelMetadataRequest {
            model_spec: Some(spec_of(model, "")),
            metadata_field: vec![FIELD.to_owned()],
        };
        let answer = self.predictions.clone().get_model_metadata(request).await;
        let answer = answer.map_err(|status| self.refused(&status))?.into_inner();
        let choice = answer.model_spec.and_then(|spec| spec.version_choice);
        let Some(serving::model_spec::VersionChoice::Version(version)) = choice else {
            return Err(ClientError::answer("the metadata have no version"));
        };
        let field = answer
            .metadata
            .get(FIELD)
            .ok_or_else(|| ClientError::answer("the metadata are empty"))?;
        let map =
            serving::SignatureDefMap::decode(&field.value[..]).map_err(ClientError::answer)?;
        let signatures = map.signature_def.into_iter().map(|(name, signature)| {
            Ok(SignatureInfo {
                name,
                inputs: specs_of(&signature.inputs)?,
                outputs: specs_of(&signature.outputs)?,
            })
        });
        Ok(Metadata {
            version,
            signatures: signatures.collect::<Result<_, ClientError>>()?,
        })
    }

    /// Asks for the states of all versions of a model.
    ///
    /// # Errors
    /// As [`GrpcClient::predict`].
    pub async fn status(&self, name: &str) -> Result<Vec<VersionState>, ClientError> {
        let request = serving::GetModelStatusRequest {
            model_spec: Some(spec_of(&ModelRef::latest(name), "")),
        };
        let answer = self.models.clone().get_model_status(request).await;
        let answer = answer.map_err(|status| self.refused(&status))?.into_inner();
        let states = answer
            .model_version_status
            .into_iter()
            .map(|status| VersionState {
                version: status.version,
                state: status.state().as_str_name().to_owned(),
                error_message: status
                    .status
                    .map(|status| status.error_message)
                    .unwrap_or_default(),
            });
        Ok(states.collect())
    }

    fn refused(&self, status: &tonic::Status) -> ClientError {
        if let Some(insecure) = tls::failure_of(&self.address, status) {
            return insecure;
        }
        let message = status.message().to_owned();
        match status.code() {
            // What the deadline of the channel itself gives.
            tonic::Code::Cancelled if message.contains("Timeout") => ClientError::Timeout {
                address: self.address.clone(),
                timeout: self.timeout,
            },
            // The connection ended: the server itself has no causes to tell of.
            tonic::Code::Cancelled | tonic::Code::Unknown if status.source().is_some() => {
                ClientError::Connect {
                    address: self.address.clone(),
                    reason: format!("the connection ended early: {}", root_cause(status)),
                }
            }
            code => ClientError::Refused {
                code: name_of(code).to_owned(),
                message,
            },
        }
    }
}

fn spec_of(model: &ModelRef, signature_name: &str) -> serving::ModelSpec {
    let version_choice = match &model.version {
        VersionChoice::Latest => None,
        VersionChoice::Version(version) => {
            Some(serving::model_spec::VersionChoice::Version(*version))
        }
        VersionChoice::Label(label) => Some(serving::model_spec::VersionChoice::VersionLabel(
            label.clone(),
        )),
    };
    serving::ModelSpec {
        name: model.name.clone(),
        signature_name: signature_name.to_owned(),
        version_choice,
    }
}

fn specs_of(
    tensors: &BTreeMap<String, tensorflow::TensorInfo>,
) -> Result<Vec<TensorSpec>, ClientError> {
    let spec = |(name, tensor): (&String, &tensorflow::TensorInfo)| {
        let dtype = tensor_proto::dtype_of(tensor.dtype).ok_or_else(|| {
            ClientError::answer(format!("`{name}` has the unknown dtype {}", tensor.dtype))
        })?;
        let dim = |size: i64| usize::try_from(size).map_or(Dim::Dynamic(None), Dim::Fixed);
        let dims = tensor
            .tensor_shape
            .as_ref()
            .filter(|shape| !shape.unknown_rank);
        Ok(TensorSpec::new(
            name,
            dtype,
            dims.map(|shape| shape.dim.iter().map(|axis| dim(axis.size)).collect()),
        ))
    };
    tensors.iter().map(spec).collect()
}

fn name_of(code: tonic::Code) -> &'static str {
    match code {
        tonic::Code::Ok => "OK",
        tonic::Code::Cancelled => "CANCELLED",
        tonic::Code::Unknown => "UNKNOWN",
        tonic::Code::InvalidArgument => "INVALID_ARGUMENT",
        tonic::Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        tonic::Code::NotFound => "NOT_FOUND",
        tonic::Code::AlreadyExists => "ALREADY_EXISTS",
        tonic::Code::PermissionDenied => "PERMISSION_DENIED",
        tonic::Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        tonic::Code::FailedPrecondition => "FAILED_PRECONDITION",
        tonic::Code::Aborted => "ABORTED",
        tonic::Code::OutOfRange => "OUT_OF_RANGE",
        tonic::Code::Unimplemented => "UNIMPLEMENTED",
        tonic::Code::Internal => "INTERNAL",
        tonic::Code::Unavailable => "UNAVAILABLE",
        tonic::Code::DataLoss => "DATA_LOSS",
        tonic::Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_with_what_to_start() {
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let error = GrpcClient::connect(&free.to_string(), Duration::from_secs(5))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("cannot reach {free}: ")),
            "{error}"
        );
        assert!(error.ends_with("`salver serve DIR` starts one"), "{error}");
    }

    #[tokio::test]
    async fn addresses_are_checked_before_anything_is_sent() {
        for wrong in ["grpc://h:1", "a b", ""] {
            let error = GrpcClient::connect(wrong, Duration::from_secs(5))
                .await
                .unwrap_err();
            assert!(
                matches!(error, ClientError::Address { .. }),
                "{wrong}: {error}"
            );
        }
    }
}
