//! The bare handlers: `bare HTTP_PORT GRPC_PORT [default-windows]` answers the benchmarks' requests with as little as
//! Rust allows.
//!
//! axum reads the JSON with serde, tonic the same messages of TensorFlow Serving with prost; `half` is y = 0.5 x + 2,
//! `picture` the mean of each of three channels, `large` the first value. No model, no engine, no checks: what a server
//! could be at best. HTTP/2 is set as ours is, or left as tonic has it.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, bail};
use axum::routing::{get, post};
use axum::{Json, Router};
use salver_proto::tensorflow::serving::prediction_service_server::{
    PredictionService, PredictionServiceServer,
};
use salver_proto::tensorflow::serving::{
    ClassificationRequest, ClassificationResponse, GetModelMetadataRequest,
    GetModelMetadataResponse, MultiInferenceRequest, MultiInferenceResponse, PredictRequest,
    PredictResponse, RegressionRequest, RegressionResponse,
};
use salver_proto::tensorflow::{DataType, TensorProto, TensorShapeProto, tensor_shape_proto};
use serde::{Deserialize, Serialize};
use tonic::{Response, Status};

const NUM_CHANNELS: usize = 3;

/// HTTP/2's windows and its largest frame, as in `server::connection`.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
const MAX_FRAME_BYTES: u32 = 256 << 10;

#[derive(Deserialize)]
struct Rows {
    instances: Vec<f32>,
}

#[derive(Serialize)]
struct Predictions {
    predictions: Vec<f32>,
}

async fn half(Json(rows): Json<Rows>) -> Json<Predictions> {
    Json(Predictions {
        predictions: half_plus_two(rows.instances),
    })
}

fn half_plus_two(mut values: Vec<f32>) -> Vec<f32> {
    for value in &mut values {
        *value = 0.5 * *value + 2.0;
    }
    values
}

fn channel_means(values: &[f32]) -> Vec<f32> {
    let mut sums = [0.0_f32; NUM_CHANNELS];
    for pixel in values.chunks_exact(NUM_CHANNELS) {
        for (sum, value) in sums.iter_mut().zip(pixel) {
            *sum += value;
        }
    }
    let num_pixels = (values.len() / NUM_CHANNELS) as f32;
    sums.map(|sum| sum / num_pixels).to_vec()
}

struct Bare;

#[tonic::async_trait]
impl PredictionService for Bare {
    async fn predict(
        &self,
        request: tonic::Request<PredictRequest>,
    ) -> Result<Response<PredictResponse>, Status> {
        let PredictRequest {
            model_spec,
            mut inputs,
            ..
        } = request.into_inner();
        let x = inputs
            .remove("x")
            .ok_or_else(|| Status::invalid_argument("no x"))?;
        let (chunks, _) = x.tensor_content.as_chunks::<4>();
        let values: Vec<f32> = chunks
            .iter()
            .map(|chunk| f32::from_le_bytes(*chunk))
            .collect();
        let name = model_spec.as_ref().map_or("", |spec| spec.name.as_str());
        let (y, shape) = match name {
            "picture" => (channel_means(&values), vec![1, NUM_CHANNELS as i64]),
            "large" => (values.into_iter().take(1).collect(), vec![1, 1]),
            _ => (half_plus_two(values), vec![chunks.len() as i64]),
        };
        let dim = |size: i64| tensor_shape_proto::Dim {
            size,
            ..Default::default()
        };
        let y = TensorProto {
            dtype: DataType::DtFloat.into(),
            tensor_shape: Some(TensorShapeProto {
                dim: shape.into_iter().map(dim).collect(),
                ..Default::default()
            }),
            float_val: y,
            ..Default::default()
        };
        Ok(Response::new(PredictResponse {
            model_spec,
            outputs: [("y".to_owned(), y)].into(),
        }))
    }

    async fn classify(
        &self,
        _: tonic::Request<ClassificationRequest>,
    ) -> Result<Response<ClassificationResponse>, Status> {
        Err(Status::unimplemented("Predict only"))
    }

    async fn regress(
        &self,
        _: tonic::Request<RegressionRequest>,
    ) -> Result<Response<RegressionResponse>, Status> {
        Err(Status::unimplemented("Predict only"))
    }

    async fn multi_inference(
        &self,
        _: tonic::Request<MultiInferenceRequest>,
    ) -> Result<Response<MultiInferenceResponse>, Status> {
        Err(Status::unimplemented("Predict only"))
    }

    async fn get_model_metadata(
        &self,
        _: tonic::Request<GetModelMetadataRequest>,
    ) -> Result<Response<GetModelMetadataResponse>, Status> {
        Err(Status::unimplemented("Predict only"))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    const USAGE: &str = "usage: bare HTTP_PORT GRPC_PORT [default-windows]";
    let mut arguments = std::env::args().skip(1);
    let mut port = || {
        let port = arguments.next().context(USAGE)?;
        port.parse::<u16>().context("a port is a number")
    };
    let (http_port, grpc_port) = (port()?, port()?);
    let has_windows = match arguments.next().as_deref() {
        None => true,
        Some("default-windows") => false,
        Some(_) => bail!(USAGE),
    };
    let app = Router::new()
        .route("/ready", get(async || "ready"))
        .route("/v1/models/{model}", post(half));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, http_port)).await?;
    let rest = async { axum::serve(listener, app).await.context("REST") };
    let service = PredictionServiceServer::new(Bare).max_decoding_message_size(64 << 20);
    let set = |value: u32| has_windows.then_some(value);
    let grpc = async {
        tonic::transport::Server::builder()
            .initial_stream_window_size(set(STREAM_WINDOW_BYTES))
            .initial_connection_window_size(set(CONNECTION_WINDOW_BYTES))
            .max_frame_size(set(MAX_FRAME_BYTES))
            .tcp_nodelay(true)
            .add_service(service)
            .serve(SocketAddr::from((Ipv4Addr::LOCALHOST, grpc_port)))
            .await
            .context("gRPC")
    };
    tokio::try_join!(rest, grpc)?;
    Ok(())
}
