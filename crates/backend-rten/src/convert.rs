//! Between the dtypes that a model declares and those that rten has.
//!
//! | declared | in rten |
//! |---|---|
//! | f32, i32, i8, u8 | the same, borrowed on the way in and taken over on the way out |
//! | i64 | i32; a value that does not fit is an error |
//! | bool | i32, 0 or 1 |

use rten::{Value, ValueOrView, ValueView};
use rten_tensor::Layout;
use salver_backend::BackendError;
use salver_tensor::{DType, Element, Shape, Tensor, TensorError, TensorSpec};

use crate::PLATFORM;

/// Tells whether a declared input or output can be of a dtype.
pub(crate) fn is_served(dtype: DType) -> bool {
    matches!(
        dtype,
        DType::F32 | DType::I32 | DType::I8 | DType::U8 | DType::I64 | DType::Bool
    )
}

/// Returns a tensor as rten takes it.
///
/// # Errors
/// [`BackendError::InvalidInput`] if its dtype is not the declared one or a value does not fit.
pub(crate) fn input<'a>(
    spec: &TensorSpec,
    tensor: &'a Tensor,
) -> Result<ValueOrView<'a>, BackendError> {
    let invalid = |message: String| BackendError::InvalidInput { message };
    if tensor.dtype() != spec.dtype {
        return Err(invalid(format!(
            "input `{}`: expected {spec}, got {tensor:?}",
            spec.name
        )));
    }
    match spec.dtype {
        DType::F32 => borrowed::<f32>(tensor),
        DType::I32 => borrowed::<i32>(tensor),
        DType::I8 => borrowed::<i8>(tensor),
        DType::U8 => borrowed::<u8>(tensor),
        DType::I64 => owned(tensor, narrowed(&spec.name, tensor)?),
        DType::Bool => {
            let bytes = tensor.as_bytes().map_or(&[][..], |bytes| bytes);
            owned(
                tensor,
                bytes.iter().map(|&byte| i32::from(byte != 0)).collect(),
            )
        }
        other => Err(format!("{other} is not served")),
    }
    .map_err(|error| invalid(format!("input `{}`: {error}", spec.name)))
}

fn borrowed<'a, T: Element>(tensor: &'a Tensor) -> Result<ValueOrView<'a>, String>
where
    ValueView<'a>: From<rten_tensor::TensorView<'a, T>>,
{
    let elements = tensor.as_slice::<T>().map_err(|error| error.to_string())?;
    let view =
        ValueView::from_shape(&tensor.shape()[..], elements).map_err(|error| error.to_string())?;
    Ok(view.into())
}

fn owned(tensor: &Tensor, elements: Vec<i32>) -> Result<ValueOrView<'static>, String> {
    let value =
        Value::from_shape(&tensor.shape()[..], elements).map_err(|error| error.to_string())?;
    Ok(value.into())
}

/// Returns 64-bit integers in 32 bits.
fn narrowed(name: &str, tensor: &Tensor) -> Result<Vec<i32>, BackendError> {
    let invalid = |message: String| BackendError::InvalidInput { message };
    let wide = tensor
        .as_slice::<i64>()
        .map_err(|error| invalid(error.to_string()))?;
    let narrow = |(idx, &value): (usize, &i64)| {
        i32::try_from(value).map_err(|_| {
            invalid(format!(
                "input `{name}`: element {idx} is {value}; the engine {PLATFORM} computes in 32-bit integers, from {} to {}",
                i32::MIN,
                i32::MAX
            ))
        })
    };
    wide.iter().enumerate().map(narrow).collect()
}

/// Returns a result as the model declares it.
///
/// # Errors
/// [`BackendError::Engine`] if the engine's result is not what the model declares.
pub(crate) fn output(spec: &TensorSpec, value: Value) -> Result<Tensor, BackendError> {
    let actual = value.dtype();
    let tensor = match (spec.dtype, value) {
        (DType::F32, Value::FloatTensor(tensor)) => taken(tensor),
        (DType::I32, Value::Int32Tensor(tensor)) => taken(tensor),
        (DType::I8, Value::Int8Tensor(tensor)) => taken(tensor),
        (DType::U8, Value::UInt8Tensor(tensor)) => taken(tensor),
        (DType::I64, Value::Int32Tensor(tensor)) => {
            let shape = shape(&tensor);
            Tensor::from_vec(
                shape,
                tensor.into_data().into_iter().map(i64::from).collect(),
            )
        }
        (DType::Bool, Value::Int32Tensor(tensor)) => {
            let shape = shape(&tensor);
            let bytes: Vec<_> = tensor
                .into_data()
                .into_iter()
                .map(|value| u8::from(value != 0))
                .collect();
            Tensor::from_bytes(DType::Bool, shape, bytes.into())
        }
        _ => {
            let message = format!(
                "output `{}` is declared as {} and came out as {actual}",
                spec.name, spec.dtype
            );
            return Err(BackendError::Engine {
                platform: PLATFORM,
                message,
            });
        }
    };
    tensor.map_err(|error| BackendError::Engine {
        platform: PLATFORM,
        message: error.to_string(),
    })
}

fn taken<T: Element>(tensor: rten_tensor::Tensor<T>) -> Result<Tensor, TensorError> {
    let shape = shape(&tensor);
    Tensor::from_vec(shape, tensor.into_data())
}

fn shape<T>(tensor: &rten_tensor::Tensor<T>) -> Shape {
    tensor.shape().iter().copied().collect()
}
