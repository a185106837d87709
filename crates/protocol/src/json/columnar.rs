//! `inputs`: one value for the only input, or an object with one value per input.

use salver_tensor::{Shape, Tensor, TensorSpec};

use super::error::JsonError;
use super::nested::Nested;
use super::scanner::Scanner;
use super::values::values_of;
use super::{MAX_RANK, base64, halves};

/// Parses the value of `inputs`, where the scanner stands; one tensor per input, in the order of `specs`.
///
/// # Shapes
/// As the lists are nested: a single element is a scalar, and no axis is added.
pub(super) fn parse(
    scanner: &mut Scanner<'_>,
    specs: &[TensorSpec],
) -> Result<Vec<Tensor>, JsonError> {
    let mut nested = Nested::new(MAX_RANK);
    if base64::is_plain_object(scanner) {
        return parse_object(scanner, &mut nested, specs);
    }
    let [spec] = specs else {
        return Err(JsonError::InvalidArgument(
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per \
             tensorinfo_map"
                .to_owned(),
        ));
    };
    parse_tensor(scanner, &mut nested, spec).map(|tensor| vec![tensor])
}

/// Takes one member per input; others are ignored, and of members of the same name all but the first.
fn parse_object(
    scanner: &mut Scanner<'_>,
    nested: &mut Nested,
    specs: &[TensorSpec],
) -> Result<Vec<Tensor>, JsonError> {
    let mut tensors: Vec<Option<Tensor>> = vec![None; specs.len()];
    // The middle of the body is not that of the first list.
    scanner.helper = scanner.helper.take().filter(|_| specs.len() == 1);
    let mut member = scanner.first_member()?;
    while let Some(key) = member {
        let spec_idx = specs
            .iter()
            .position(|spec| spec.name.as_bytes() == key.as_ref());
        match spec_idx {
            Some(spec_idx) if tensors[spec_idx].is_none() => {
                tensors[spec_idx] = Some(parse_tensor(scanner, nested, &specs[spec_idx])?);
            }
            _ => scanner.skip_value()?,
        }
        member = scanner.next_member()?;
    }
    let missing = |spec: &TensorSpec| {
        JsonError::InvalidArgument(format!(
            "Missing named input: {} in 'inputs' object.",
            spec.name
        ))
    };
    let inputs = tensors.into_iter().zip(specs);
    inputs
        .map(|(tensor, spec)| tensor.ok_or_else(|| missing(spec)))
        .collect()
}

fn parse_tensor(
    scanner: &mut Scanner<'_>,
    nested: &mut Nested,
    spec: &TensorSpec,
) -> Result<Tensor, JsonError> {
    if let Some(tensor) = halves::parse(scanner, spec) {
        return Ok(tensor);
    }
    let mut values = values_of(spec.dtype);
    nested.parse(scanner, values.as_mut())?;
    values.finish(Shape::from(nested.dims())).map_err(|error| {
        JsonError::InvalidArgument(format!("input `{}` of 'inputs': {error}", spec.name))
    })
}
