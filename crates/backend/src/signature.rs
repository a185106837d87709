//! What a model can be asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use salver_tensor::{Tensor, TensorSpec};

/// The signature of a request that names none.
pub const DEFAULT_SIGNATURE: &str = "serving_default";

/// The method name of a signature that takes and gives plain tensors.
pub(crate) const PREDICT_METHOD: &str = "tensorflow/serving/predict";

/// One way of calling a model: named inputs, named outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// The key clients ask by.
    pub name: Arc<str>,
    /// TensorFlow's method name (`tensorflow/serving/predict`), repeated in metadata.
    pub method_name: Arc<str>,
    /// Inputs, in the order of the model file, or of their names where it has none.
    pub inputs: Vec<TensorSpec>,
    /// Outputs, in the order of the model file, or of their names where it has none.
    pub outputs: Vec<TensorSpec>,
    /// What inputs are if a request leaves them out, by the names clients use.
    pub defaults: BTreeMap<Arc<str>, Tensor>,
    /// Whether a run changes what later runs answer, as far as the model file tells. Nobody runs such a signature but a
    /// client.
    pub changes_state: bool,
}

impl Signature {
    /// Returns the one signature of a model that has no named ones (ONNX).
    #[must_use]
    pub fn serving_default(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> Self {
        Self {
            name: DEFAULT_SIGNATURE.into(),
            method_name: PREDICT_METHOD.into(),
            inputs,
            outputs,
            defaults: BTreeMap::new(),
            changes_state: false,
        }
    }

    /// Returns the position of an input by its client name.
    #[must_use]
    pub fn input_idx(&self, name: &str) -> Option<usize> {
        self.inputs.iter().position(|spec| &*spec.name == name)
    }

    /// Returns the position of an output by its client name.
    #[must_use]
    pub fn output_idx(&self, name: &str) -> Option<usize> {
        self.outputs.iter().position(|spec| &*spec.name == name)
    }
}

/// All signatures of a model, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signatures(BTreeMap<Arc<str>, Arc<Signature>>);

impl Signatures {
    /// Returns a signature; an empty name means [`DEFAULT_SIGNATURE`].
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Signature>> {
        self.0.get(if name.is_empty() {
            DEFAULT_SIGNATURE
        } else {
            name
        })
    }

    /// Iterates over the signatures in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Signature>> {
        self.0.values()
    }
}

impl FromIterator<Signature> for Signatures {
    fn from_iter<I: IntoIterator<Item = Signature>>(signatures: I) -> Self {
        Self(
            signatures
                .into_iter()
                .map(|signature| (Arc::clone(&signature.name), Arc::new(signature)))
                .collect(),
        )
    }
}
