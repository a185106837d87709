//! Between tensors and the library's values.

use std::sync::Arc;

use salver_backend::BackendError;
use salver_tensor::{DType, Tensor, TensorSpec};

use crate::PLATFORM;
use crate::ffi::{ElementType, Error, Library, Value};

/// Returns the library's number for a dtype, or `None` if it computes nothing with it.
pub(crate) fn element_type(dtype: DType) -> Option<ElementType> {
    Some(match dtype {
        DType::Bool => ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
        DType::U8 => ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
        DType::U16 => ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
        DType::U32 => ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
        DType::U64 => ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
        DType::I8 => ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
        DType::I16 => ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
        DType::I32 => ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
        DType::I64 => ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        DType::F16 => ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        DType::BF16 => ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
        DType::F32 => ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        DType::F64 => ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
        DType::String => ElementType::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING,
        DType::Complex64 | DType::Complex128 => return None,
    })
}

/// Returns a tensor as the library takes it: numbers are borrowed, strings copied.
///
/// # Errors
/// [`BackendError::InvalidInput`] if it is not of the declared dtype.
pub(crate) fn input<'a>(
    library: &Arc<Library>,
    spec: &TensorSpec,
    tensor: &'a Tensor,
) -> Result<Value<'a>, BackendError> {
    let element = element_type(spec.dtype).filter(|_| tensor.dtype() == spec.dtype);
    let Some(element) = element else {
        let message = format!("input `{}`: expected {spec}, got {tensor:?}", spec.name);
        return Err(BackendError::InvalidInput { message });
    };
    let value = match (tensor.as_bytes(), tensor.as_strings()) {
        (Some(bytes), _) => Value::borrowed(library, element, tensor.shape(), bytes),
        (None, strings) => Value::strings(library, tensor.shape(), strings.unwrap_or_default()),
    };
    value.map_err(|error| BackendError::InvalidInput {
        message: format!("input `{}`: {}", spec.name, error.message),
    })
}

/// Returns a result as the model declares it. `lent` is the memory of the inputs.
///
/// # Errors
/// [`BackendError::Engine`] if the result is not what the model declares.
pub(crate) fn output(
    spec: &TensorSpec,
    value: Value<'_>,
    lent: &[&[u8]],
) -> Result<Tensor, BackendError> {
    let engine = |message: String| BackendError::Engine {
        platform: PLATFORM,
        message,
    };
    let failed = |error: Error| engine(error.message);
    let (element, shape) = value.type_and_shape().map_err(failed)?;
    if element_type(spec.dtype) != Some(element) {
        let message = format!(
            "output `{}` is declared as {} and came out as {element:?}",
            spec.name, spec.dtype
        );
        return Err(engine(message));
    }
    let tensor = if spec.dtype == DType::String {
        let num_strings = shape.num_elements().unwrap_or(0);
        Tensor::from_strings(shape, value.to_strings(num_strings).map_err(failed)?)
    } else {
        Tensor::from_bytes(spec.dtype, shape, value.into_bytes(lent).map_err(failed)?)
    };
    tensor.map_err(|error| engine(error.to_string()))
}
