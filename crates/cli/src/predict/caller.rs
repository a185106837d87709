//! Who is asked: a server over REST or gRPC, or a model in this process.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use salver_client::{
    ClientTls, GrpcClient, Metadata, ModelRef, Prediction, RestClient, SignatureInfo, request_body,
};
use salver_protocol::json::{self, Format};
use salver_tensor::Tensor;

use super::failed;
use crate::config::EngineConfig;
use crate::exit::{Exit, Failure};
use crate::local::LocalModel;

/// Somebody who predicts.
pub(crate) struct Caller {
    peer: Peer,
    model: ModelRef,
}

enum Peer {
    Rest(RestClient),
    Grpc(GrpcClient),
    Local(Box<LocalModel>),
}

impl Caller {
    pub(crate) fn rest(
        url: &str,
        model: ModelRef,
        timeout: Duration,
        tls: &ClientTls,
    ) -> Result<Self, salver_client::ClientError> {
        Ok(Self {
            peer: Peer::Rest(RestClient::with_tls(url, timeout, tls)?),
            model,
        })
    }

    pub(crate) async fn grpc(
        address: &str,
        model: ModelRef,
        timeout: Duration,
        tls: &ClientTls,
    ) -> Result<Self, salver_client::ClientError> {
        Ok(Self {
            peer: Peer::Grpc(GrpcClient::connect_with_tls(address, timeout, tls).await?),
            model,
        })
    }

    pub(crate) fn local(
        path: &Path,
        engine: Option<&str>,
        engines: &EngineConfig,
    ) -> Result<Self, Failure> {
        let local = LocalModel::open(path, engine, engines)?;
        Ok(Self {
            peer: Peer::Local(Box::new(local)),
            model: ModelRef::latest("local"),
        })
    }

    pub(crate) async fn metadata(&self) -> Result<Metadata, Failure> {
        match &self.peer {
            Peer::Rest(client) => client.metadata(&self.model).await.map_err(failed),
            Peer::Grpc(client) => client.metadata(&self.model).await.map_err(failed),
            Peer::Local(local) => Ok(local.metadata()),
        }
    }

    pub(crate) async fn predict(
        &mut self,
        signature: &SignatureInfo,
        inputs: &[(&str, &Tensor)],
    ) -> Result<Prediction, Failure> {
        match &mut self.peer {
            Peer::Rest(client) => client
                .predict(&self.model, signature, inputs)
                .await
                .map_err(failed),
            Peer::Grpc(client) => client
                .predict(&self.model, signature, inputs)
                .await
                .map_err(failed),
            Peer::Local(local) => local.predict(signature, inputs),
        }
    }

    /// Returns the answer as the REST API has it.
    pub(crate) async fn answer(
        &mut self,
        signature: &SignatureInfo,
        inputs: &[(&str, &Tensor)],
    ) -> Result<String, Failure> {
        if let Peer::Rest(client) = &self.peer {
            let body = request_body(&signature.name, inputs).map_err(failed)?;
            let answer = client
                .predict_json(&self.model, body.into())
                .await
                .map_err(failed)?;
            return Ok(String::from_utf8_lossy(&answer).into_owned());
        }
        columnar(&self.predict(signature, inputs).await?)
    }

    /// Returns the answer to a whole request body of the REST API, whoever is asked.
    pub(crate) async fn answer_body(&mut self, body: Bytes) -> Result<Bytes, Failure> {
        if let Peer::Rest(client) = &self.peer {
            return client.predict_json(&self.model, body).await.map_err(failed);
        }
        let metadata = self.metadata().await?;
        let lookup = |name: &str| {
            metadata
                .signature(name)
                .ok()
                .map(|signature| &signature.inputs[..])
        };
        let request = json::parse_predict(&body, lookup).map_err(refused)?;
        let signature = metadata
            .signature(request.signature_name.as_deref().unwrap_or_default())
            .map_err(failed)?;
        let names = signature.inputs.iter().map(|input| &*input.name);
        let inputs: Vec<(&str, &Tensor)> = names.zip(&request.inputs).collect();
        let prediction = self.predict(signature, &inputs).await?;
        Ok(write(request.format, &prediction)?.into())
    }
}

/// Writes an answer in columnar form.
pub(crate) fn columnar(prediction: &Prediction) -> Result<String, Failure> {
    let answer = write(Format::Columnar, prediction)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn write(format: Format, prediction: &Prediction) -> Result<Vec<u8>, Failure> {
    let outputs: Vec<(&str, &Tensor)> = prediction
        .outputs
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor))
        .collect();
    let mut answer = Vec::new();
    json::encode_predict(format, &outputs, &mut answer).map_err(refused)?;
    Ok(answer)
}

fn refused(error: json::JsonError) -> Failure {
    Failure::new(Exit::Failed, error)
}
