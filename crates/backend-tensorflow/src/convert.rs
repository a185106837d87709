//! Between tensors and TensorFlow's.

use std::sync::Arc;

use salver_backend::BackendError;
use salver_protocol::tensor_proto;
use salver_tensor::{DType, Tensor, TensorSpec};

use crate::PLATFORM;
use crate::ffi::{Error, Library, Value};

/// Returns a tensor as TensorFlow takes it: numbers are shared, strings copied.
///
/// # Errors
/// [`BackendError::InvalidInput`] if it is not of the declared dtype, or of a shape that TensorFlow has no form for.
pub(crate) fn input(
    library: &Arc<Library>,
    spec: &TensorSpec,
    tensor: &Tensor,
) -> Result<Value, BackendError> {
    let invalid = |message: String| BackendError::InvalidInput { message };
    if tensor.dtype() != spec.dtype {
        let message = format!("input `{}`: expected {spec}, got {tensor:?}", spec.name);
        return Err(invalid(message));
    }
    let data_type = tensor_proto::data_type(spec.dtype);
    let value = match (tensor.as_bytes(), tensor.as_strings()) {
        (Some(bytes), _) => Value::numbers(library, data_type, tensor.shape(), bytes),
        (None, strings) => Value::strings(library, tensor.shape(), strings.unwrap_or_default()),
    };
    value.map_err(|error| invalid(format!("input `{}`: {}", spec.name, error.message)))
}

/// Returns a result as the model declares it.
///
/// # Errors
/// [`BackendError::Engine`] if the result is not what the model declares.
pub(crate) fn output(spec: &TensorSpec, value: Value) -> Result<Tensor, BackendError> {
    let engine = |message: String| BackendError::Engine {
        platform: PLATFORM,
        message,
    };
    let actual = tensor_proto::dtype_of(value.data_type());
    if actual != Some(spec.dtype) {
        let actual = actual.map_or_else(
            || format!("data type {}", value.data_type()),
            |dtype| dtype.to_string(),
        );
        let message = format!(
            "output `{}` is declared as {} and came out as {actual}",
            spec.name, spec.dtype
        );
        return Err(engine(message));
    }
    let shape = value.shape();
    let tensor = if spec.dtype == DType::String {
        let strings = value
            .to_strings()
            .map_err(|error: Error| engine(error.message))?;
        Tensor::from_strings(shape, strings)
    } else {
        Tensor::from_bytes(spec.dtype, shape, value.into_bytes())
    };
    tensor.map_err(|error| engine(error.to_string()))
}
