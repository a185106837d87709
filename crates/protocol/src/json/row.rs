//! `instances`: a list with one value, or one object of values, per row of the batch.

use salver_tensor::{Shape, Tensor, TensorSpec};

use super::error::JsonError;
use super::excerpt::excerpt;
use super::nested::Nested;
use super::outline::document_error;
use super::scanner::Scanner;
use super::values::{RunEnd, Values, values_of};
use super::{MAX_RANK, base64, halves};

/// Parses the value of `instances`, where the scanner stands; one tensor per input, in the order of `specs`.
///
/// # Shapes
/// All instances have one shape per input; the number of instances becomes axis 0.
pub(super) fn parse(
    scanner: &mut Scanner<'_>,
    specs: &[TensorSpec],
) -> Result<Vec<Tensor>, JsonError> {
    if scanner.peek() != Some(b'[') {
        return Err(document_error(
            scanner.body,
            "Expecting 'instances' to be an list/array",
        ));
    }
    if let [spec] = specs
        && let Some(tensor) = halves::parse(scanner, spec)
    {
        return Ok(vec![tensor]);
    }
    if !scanner.first_element() {
        return Err(document_error(
            scanner.body,
            "No values in 'instances' array",
        ));
    }
    if base64::is_plain_object(scanner) {
        return parse_objects(scanner, specs);
    }
    let [spec] = specs else {
        return Err(JsonError::InvalidArgument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per \
             tensorinfo_map"
                .to_owned(),
        ));
    };
    parse_plain(scanner, spec).map(|tensor| vec![tensor])
}

/// One input over all instances.
struct Column<'s> {
    spec: &'s TensorSpec,
    values: Box<dyn Values>,
    nested: Nested,
    /// What the first instance had; the others must have the same.
    first: Option<Item>,
}

/// Number of elements and extents of one instance of one input.
struct Item {
    size: usize,
    dims: Vec<usize>,
}

impl<'s> Column<'s> {
    fn new(spec: &'s TensorSpec) -> Self {
        Self {
            spec,
            values: values_of(spec.dtype),
            nested: Nested::new(MAX_RANK - 1),
            first: None,
        }
    }

    /// Takes the value of one instance.
    fn take(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        let before = self.values.len();
        self.nested.parse(scanner, self.values.as_mut())?;
        let (size, dims) = (self.values.len() - before, self.nested.dims());
        let Some(first) = &self.first else {
            self.first = Some(Item {
                size,
                dims: dims.to_vec(),
            });
            return Ok(());
        };
        if first.size != size {
            return Err(JsonError::InvalidArgument(format!(
                "Expecting tensor size: {} but got: {size}",
                first.size
            )));
        }
        if first.dims != dims {
            return Err(JsonError::InvalidArgument(format!(
                "Expecting shape {} but got: {}",
                Shape::from(first.dims.as_slice()),
                Shape::from(dims)
            )));
        }
        Ok(())
    }

    /// Takes instances as long as each is one element, if those so far were; returns how many.
    fn take_scalars(
        &mut self,
        scanner: &mut Scanner<'_>,
        row: usize,
    ) -> Result<(usize, RunEnd), JsonError> {
        let before = self.values.len();
        let end = self.values.take_run(scanner);
        let num_rows = self.values.len() - before;
        self.first.get_or_insert(Item {
            size: 1,
            dims: Vec::new(),
        });
        let end = end.map_err(|error| error.within(&place(row + num_rows)))?;
        Ok((num_rows, end))
    }

    fn is_scalar(&self) -> bool {
        self.first
            .as_ref()
            .is_none_or(|first| first.dims.is_empty())
    }

    fn finish(self, num_rows: usize) -> Result<Tensor, JsonError> {
        let dims = self.first.map(|first| first.dims).unwrap_or_default();
        let shape: Shape = std::iter::once(num_rows).chain(dims).collect();
        self.values.finish(shape).map_err(|error| {
            JsonError::InvalidArgument(format!(
                "input `{}` of 'instances': {error}",
                self.spec.name
            ))
        })
    }
}

fn place(row: usize) -> String {
    format!("Failed to process element: {row} of 'instances' list.")
}

/// A list of values for the only input.
fn parse_plain(scanner: &mut Scanner<'_>, spec: &TensorSpec) -> Result<Tensor, JsonError> {
    let mut column = Column::new(spec);
    let mut row = 0;
    loop {
        let is_bracket = matches!(scanner.peek(), Some(b'[' | b'{'));
        if !is_bracket && column.is_scalar() {
            let (num_rows, end) = column.take_scalars(scanner, row)?;
            row += num_rows;
            if end == RunEnd::List {
                break;
            }
            continue;
        }
        let start = scanner.pos;
        column
            .take(scanner)
            .map_err(|error| plain_error(error, row, &Scanner::at(scanner.body, start)))?;
        row += 1;
        if !scanner.next_element()? {
            break;
        }
    }
    scanner.pos += 1;
    column.finish(row)
}

/// The instance at the scanner could not be taken: either it is an object, or `error` says why.
#[cold]
fn plain_error(error: JsonError, row: usize, scanner: &Scanner<'_>) -> JsonError {
    if base64::is_plain_object(scanner) {
        return JsonError::InvalidArgument(format!(
            "Expecting value/list but got object at item {row} of input list"
        ));
    }
    error.within(&place(row))
}

/// A list of objects that have one member per input each.
fn parse_objects(
    scanner: &mut Scanner<'_>,
    specs: &[TensorSpec],
) -> Result<Vec<Tensor>, JsonError> {
    let mut columns: Vec<_> = specs.iter().map(Column::new).collect();
    // How many rows each column has; which says too whether it has the present one.
    let mut num_rows = vec![0; columns.len()];
    let mut row = 0;
    loop {
        if !base64::is_plain_object(scanner) {
            return Err(JsonError::InvalidArgument(format!(
                "Expecting object but got list at item {row} of input list"
            )));
        }
        let start = scanner.pos;
        parse_object(scanner, &mut columns, &mut num_rows, row)?;
        row += 1;
        if num_rows.iter().any(|&num_rows| num_rows != row) {
            return Err(keys_error(
                &Scanner::at(scanner.body, start),
                row - 1,
                specs,
            ));
        }
        if !scanner.next_element()? {
            break;
        }
    }
    scanner.pos += 1;
    columns
        .into_iter()
        .map(|column| column.finish(row))
        .collect()
}

/// Takes the members of one instance, in any order; of members of the same name the first.
fn parse_object(
    scanner: &mut Scanner<'_>,
    columns: &mut [Column<'_>],
    num_rows: &mut [usize],
    row: usize,
) -> Result<(), JsonError> {
    let mut expected_idx = 0;
    let mut member = scanner.first_member()?;
    while let Some(key) = member {
        let is_named = |column: &Column<'_>| column.spec.name.as_bytes() == key.as_ref();
        // Clients write every instance in one order, often the signature's.
        let column_idx = match columns.get(expected_idx) {
            Some(column) if is_named(column) => Some(expected_idx),
            _ => columns.iter().position(is_named),
        };
        let place = || {
            let key = String::from_utf8_lossy(&key);
            format!("Failed to process element: {row} key: {key} of 'instances' list.")
        };
        let Some(column_idx) = column_idx else {
            let key = String::from_utf8_lossy(&key);
            let error = format!("JSON object: does not have named input: {key}");
            return Err(JsonError::InvalidArgument(error).within(&place()));
        };
        if num_rows[column_idx] > row {
            scanner.skip_value()?;
        } else {
            columns[column_idx]
                .take(scanner)
                .map_err(|error| error.within(&place()))?;
            num_rows[column_idx] += 1;
        }
        expected_idx = column_idx + 1;
        member = scanner.next_member()?;
    }
    Ok(())
}

/// An instance lacks a member; the scanner stands at it.
#[cold]
fn keys_error(scanner: &Scanner<'_>, row: usize, specs: &[TensorSpec]) -> JsonError {
    let mut names: Vec<&str> = specs.iter().map(|spec| &*spec.name).collect();
    names.sort_unstable();
    JsonError::InvalidArgument(format!(
        "Failed to process element: {row} of 'instances' list. JSON object: {} keys must be equal to: {}",
        excerpt(scanner.body, scanner.pos),
        names.join(",")
    ))
}
