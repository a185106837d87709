//! A model that is served, and the requests for it: the same numbers in the form of each API.

use bytes::Bytes;
use salver_proto::tensorflow::serving::{ModelSpec, PredictRequest};
use salver_proto::tensorflow::{DataType, TensorProto, TensorShapeProto, tensor_shape_proto};
use serde_json::{Value, json};

/// A model, and a request for it.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// Its name.
    pub(crate) name: &'static str,
    /// The ONNX file. Its input is `x`, its output `y`.
    pub(crate) bytes: Vec<u8>,
    /// What `model.toml` says.
    pub(crate) settings: String,
    /// Whether every server runs it once at a time, in one thread; else as each does without being told.
    pub(crate) is_on_one_thread: bool,
    /// The shape of the input.
    pub(crate) shape: Vec<usize>,
    /// The values of the input.
    pub(crate) values: Vec<f32>,
}

impl Model {
    /// Returns a model that is asked with random values.
    pub(crate) fn new(name: &'static str, bytes: Vec<u8>, shape: &[usize]) -> Self {
        let mut random = fastrand::Rng::with_seed(2);
        let len = shape.iter().product();
        Self {
            name,
            bytes,
            settings: String::new(),
            is_on_one_thread: false,
            shape: shape.to_vec(),
            values: (0..len)
                .map(|_| (random.f32() * 1e5).round() / 1e5)
                .collect(),
        }
    }

    /// Returns it with other settings.
    pub(crate) fn with(mut self, settings: &str) -> Self {
        settings.clone_into(&mut self.settings);
        self
    }

    /// Returns it with one run at a time, of one request in one thread, on every server.
    pub(crate) fn on_one_thread(mut self) -> Self {
        self.is_on_one_thread = true;
        self.with("instances = 1\nthreads = 1\nbatching = false\n")
    }

    /// TensorFlow Serving's JSON rows, with the digits that Python writes of such numbers.
    pub(crate) fn rows(&self) -> Vec<u8> {
        rows(&self.shape, self.values.iter().copied().map(f64::from))
    }

    fn content(&self) -> Bytes {
        self.values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect::<Vec<u8>>()
            .into()
    }

    /// TensorFlow Serving's message.
    pub(crate) fn predict_request(&self) -> PredictRequest {
        let size = |extent: &usize| tensor_shape_proto::Dim {
            size: *extent as i64,
            ..Default::default()
        };
        let tensor = TensorProto {
            dtype: DataType::DtFloat.into(),
            tensor_shape: Some(TensorShapeProto {
                dim: self.shape.iter().map(size).collect(),
                ..Default::default()
            }),
            tensor_content: self.content(),
            ..Default::default()
        };
        PredictRequest {
            model_spec: Some(ModelSpec {
                name: self.name.to_owned(),
                ..Default::default()
            }),
            inputs: [("x".to_owned(), tensor)].into(),
            ..Default::default()
        }
    }

    /// Triton's message.
    pub(crate) fn infer_request(&self) -> ModelInferRequest {
        ModelInferRequest {
            model_name: self.name.to_owned(),
            inputs: vec![InferInputTensor {
                name: "x".to_owned(),
                datatype: "FP32".to_owned(),
                shape: self.shape.iter().map(|extent| *extent as i64).collect(),
            }],
            raw_input_contents: vec![self.content()],
        }
    }
}

/// `inference.ModelInferRequest` of the Open Inference Protocol, as far as it is needed.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ModelInferRequest {
    #[prost(string, tag = "1")]
    model_name: String,
    #[prost(message, repeated, tag = "5")]
    inputs: Vec<InferInputTensor>,
    #[prost(bytes = "bytes", repeated, tag = "7")]
    raw_input_contents: Vec<Bytes>,
}

/// `inference.ModelInferRequest.InferInputTensor`, as far as it is needed.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct InferInputTensor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    datatype: String,
    #[prost(int64, repeated, tag = "3")]
    shape: Vec<i64>,
}

/// Returns a body of JSON rows with these numbers.
pub(crate) fn rows(shape: &[usize], values: impl Iterator<Item = f64>) -> Vec<u8> {
    let mut rows: Vec<Value> = values.map(|value| json!(value)).collect();
    for extent in shape.iter().skip(1).rev() {
        rows = rows.chunks(*extent).map(|row| json!(row)).collect();
    }
    json!({ "instances": rows }).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_the_shape_and_the_digits_of_python() {
        let mut model = Model::new("x", Vec::new(), &[2, 2, 1]);
        model.values = vec![0.1, 1.0, 0.25, -3.5];
        let text = String::from_utf8(model.rows()).unwrap();
        assert_eq!(
            text,
            r#"{"instances":[[[0.10000000149011612],[1.0]],[[0.25],[-3.5]]]}"#
        );
    }
}
