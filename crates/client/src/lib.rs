//! Clients of a model server: TensorFlow Serving's REST and gRPC APIs.
//!
//! Owns the calls of one request and its answer, in terms of tensors. Does not own retries, balancing, arguments or
//! printing; what a model takes is asked of the server ([`Metadata`]), never assumed.
//!
//! ```no_run
//! # async fn example() -> Result<(), salver_client::ClientError> {
//! use std::time::Duration;
//! use salver_client::{ModelRef, RestClient};
//! use salver_tensor::Tensor;
//!
//! let client = RestClient::new("http://localhost:8501", Duration::from_secs(10))?;
//! let model = ModelRef::latest("half_plus_two");
//! let metadata = client.metadata(&model).await?;
//! let signature = metadata.signature("")?;
//! let x = Tensor::from_vec([3], vec![1.0_f32, 2.0, 5.0]).expect("three elements");
//! let prediction = client.predict(&model, signature, &[("x", &x)]).await?;
//! println!("{:?}", prediction.outputs);
//! # Ok(())
//! # }
//! ```

mod error;
mod grpc;
mod json;
mod model;
mod rest;
mod tensor_proto;
mod tls;

pub use error::ClientError;
pub use grpc::GrpcClient;
pub use json::request_body;
pub use model::{Metadata, ModelRef, Prediction, SignatureInfo, VersionChoice, VersionState};
pub use rest::RestClient;
pub use tls::{ClientTls, Identity};
