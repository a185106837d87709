//! A model that looks at its input and answers with a single number.

use std::sync::Arc;

use salver_backend::{
    Backend, BackendError, EngineStatus, Inputs, Instance, Model, ModelConfig, ModelFiles,
    ModelFormat, Outputs, Requested, Signature, Signatures,
};
use salver_tensor::{DType, Dim, Tensor, TensorSpec};

use crate::in_process::Server;

pub(crate) const MODEL: &str = "sink";
pub(crate) const INPUT: &str = "image";
const OUTPUT: &str = "sum";

/// Serves it.
pub(crate) fn serve() -> Server {
    Server::start(Arc::new(Sink), &[(MODEL, "")], 64 << 20).0
}

/// The engine of this test.
struct Sink;

impl Backend for Sink {
    fn platform(&self) -> &'static str {
        "sink"
    }

    fn formats(&self) -> &'static [ModelFormat] {
        &[ModelFormat::Onnx]
    }

    fn status(&self) -> EngineStatus {
        EngineStatus {
            version: Some("1".to_owned()),
            library: None,
            note: String::new(),
        }
    }

    fn supports(&self, _files: &ModelFiles) -> Result<(), BackendError> {
        Ok(())
    }

    fn load(
        &self,
        _files: &ModelFiles,
        _config: &ModelConfig,
    ) -> Result<Box<dyn Model>, BackendError> {
        let dims = vec![
            Dim::Dynamic(None),
            Dim::Fixed(224),
            Dim::Fixed(224),
            Dim::Fixed(3),
        ];
        let inputs = vec![TensorSpec::new(INPUT, DType::F32, Some(dims))];
        let outputs = vec![TensorSpec::new(
            OUTPUT,
            DType::F32,
            Some(vec![Dim::Fixed(1)]),
        )];
        let signatures = [Signature::serving_default(inputs, outputs)]
            .into_iter()
            .collect();
        Ok(Box::new(SinkModel { signatures }))
    }
}

struct SinkModel {
    signatures: Signatures,
}

impl Model for SinkModel {
    fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    fn instance(&self) -> Result<Box<dyn Instance>, BackendError> {
        Ok(Box::new(SinkInstance))
    }
}

struct SinkInstance;

impl Instance for SinkInstance {
    fn run(
        &mut self,
        inputs: &Inputs<'_>,
        _outputs: &Requested<'_>,
    ) -> Result<Outputs, BackendError> {
        let elements = inputs.tensors[0]
            .as_slice::<f32>()
            .expect("the server checks dtypes");
        let sum: f32 = elements.iter().sum();
        Ok(vec![Tensor::from_vec([1], vec![sum]).expect("one element")])
    }
}
