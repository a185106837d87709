//! Where parsed elements go: one growing buffer per input, of the dtype that the signature declares.

use std::any::Any;

use bytes::Bytes;
use salver_tensor::{AlignedVec, DType, Shape, Tensor, TensorError};

use super::JsonError;
use super::base64;
use super::excerpt::excerpt;
use super::numbers::Number;
use super::scanner::Scanner;
use super::strings;
use crate::tensor_proto::dtype_word;

/// Elements of one dtype in the order in which the body has them.
pub(super) trait Values: Any {
    /// Returns the number of elements so far.
    fn len(&self) -> usize;

    /// Takes one element, which must be no list.
    fn take_one(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError>;

    /// Takes elements and the commas between them as long as they are neither list nor object.
    fn take_run(&mut self, scanner: &mut Scanner<'_>) -> Result<RunEnd, JsonError>;

    /// Returns an empty buffer for another thread that reads what follows, where the elements are numbers.
    fn sibling(&self) -> Option<Box<dyn Values + Send>> {
        None
    }

    /// Takes the elements of a sibling; returns whether it is one.
    fn append(&mut self, _sibling: Box<dyn Values + Send>) -> bool {
        false
    }

    /// Makes the tensor.
    fn finish(self: Box<Self>, shape: Shape) -> Result<Tensor, TensorError>;
}

/// What stopped a run of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// The `]` of the list, not passed yet.
    List,
    /// An element that is a list or an object.
    Bracket,
}

/// Returns an empty buffer for elements of a dtype.
pub(super) fn values_of(dtype: DType) -> Box<dyn Values> {
    match dtype {
        DType::Bool => Box::<Bools>::default(),
        DType::U8 => Box::new(Numbers::<u8>::new()),
        DType::U32 => Box::new(Numbers::<u32>::new()),
        DType::U64 => Box::new(Numbers::<u64>::new()),
        DType::I8 => Box::new(Numbers::<i8>::new()),
        DType::I16 => Box::new(Numbers::<i16>::new()),
        DType::I32 => Box::new(Numbers::<i32>::new()),
        DType::I64 => Box::new(Numbers::<i64>::new()),
        DType::F32 => Box::new(Numbers::<f32>::new()),
        DType::F64 => Box::new(Numbers::<f64>::new()),
        DType::String => Box::<Strings>::default(),
        DType::U16 | DType::F16 | DType::BF16 | DType::Complex64 | DType::Complex128 => {
            Box::new(Unsupported { dtype })
        }
    }
}

/// The value here is none of this dtype, or no value at all.
#[cold]
pub(super) fn type_error(scanner: &mut Scanner<'_>, dtype: DType) -> JsonError {
    let (first, start) = (scanner.peek(), scanner.pos);
    if let Err(syntax) = scanner.skip_value() {
        return syntax;
    }
    JsonError::InvalidArgument(format!(
        "JSON Value: {} Type: {} is not of expected type: {}",
        excerpt(scanner.body, start),
        type_word(first),
        dtype_word(dtype)
    ))
}

/// Returns what messages call a value that begins so.
pub(super) fn type_word(first: Option<u8>) -> &'static str {
    match first {
        Some(b'n') => "Null",
        Some(b'f') => "False",
        Some(b't') => "True",
        Some(b'{') => "Object",
        Some(b'[') => "Array",
        Some(b'"') => "String",
        _ => "Number",
    }
}

/// Repeats `take_one` over a run.
#[inline]
fn take_each(
    scanner: &mut Scanner<'_>,
    mut take_one: impl FnMut(&mut Scanner<'_>) -> Result<(), JsonError>,
) -> Result<RunEnd, JsonError> {
    loop {
        if let Some(b'[' | b'{') = scanner.peek() {
            return Ok(RunEnd::Bracket);
        }
        take_one(scanner)?;
        if !scanner.next_element()? {
            return Ok(RunEnd::List);
        }
    }
}

/// Numbers, in the memory that becomes the tensor's.
struct Numbers<T: Number> {
    elements: AlignedVec<T>,
    capacity: usize,
    /// Where in the body the first element was.
    start: usize,
}

/// The first allocation, in elements: small, since an input may hold a single value.
const FIRST_CAPACITY: usize = 16;

/// A digit and the comma behind it.
const MIN_ELEMENT_BYTES: usize = 2;

impl<T: Number> Numbers<T> {
    fn new() -> Self {
        Self {
            elements: AlignedVec::with_capacity(0),
            capacity: 0,
            start: 0,
        }
    }

    #[inline]
    fn push(&mut self, element: T, pos: usize, body_len: usize) {
        if self.elements.len() == self.capacity {
            self.grow(pos, body_len);
        }
        self.elements.push(element);
    }

    /// Makes room for as many elements as the rest of the body holds if they are as long as those so far, but at least
    /// doubles; never for more than it can hold at all.
    #[cold]
    fn grow(&mut self, pos: usize, body_len: usize) {
        let (len, rest) = (self.elements.len(), body_len - pos);
        let more = match (pos - self.start).checked_div(len) {
            None => {
                self.start = pos;
                FIRST_CAPACITY
            }
            Some(mean_bytes) => (rest / mean_bytes.max(MIN_ELEMENT_BYTES) + 1).max(len),
        };
        self.reserve(more.min(rest / MIN_ELEMENT_BYTES + 1));
    }

    /// Moves to memory with room for `more` elements.
    fn reserve(&mut self, more: usize) {
        self.capacity = self.elements.len() + more;
        let mut elements = AlignedVec::with_capacity(self.capacity);
        elements.extend_from_slice(self.elements.as_slice());
        self.elements = elements;
    }

    /// Ends a run where no number starts.
    #[cold]
    fn no_number(&self, scanner: &mut Scanner<'_>) -> Result<RunEnd, JsonError> {
        match scanner.peek() {
            Some(b'[' | b'{') => Ok(RunEnd::Bracket),
            _ => Err(type_error(scanner, T::DTYPE)),
        }
    }
}

impl<T: Number> Values for Numbers<T> {
    fn len(&self) -> usize {
        self.elements.len()
    }

    fn take_one(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        let Some((element, end)) = T::read(scanner.body, scanner.pos) else {
            return Err(type_error(scanner, T::DTYPE));
        };
        self.push(element, scanner.pos, scanner.body.len());
        scanner.pos = end;
        Ok(())
    }

    fn take_run(&mut self, scanner: &mut Scanner<'_>) -> Result<RunEnd, JsonError> {
        let body = scanner.body;
        let mut pos = scanner.pos;
        // What was between the last two numbers: a comma, or a comma and a space. Only compared, never computed with, so
        // that the next number can be read before this one is done.
        let mut is_spaced = false;
        loop {
            if let Some((element, end)) = T::read(body, pos) {
                self.push(element, pos, body.len());
                if body.get(end) == Some(&b',') && (body.get(end + 1) == Some(&b' ')) == is_spaced {
                    pos = end + if is_spaced { 2 } else { 1 };
                    continue;
                }
                scanner.pos = end;
                if !scanner.next_element()? {
                    return Ok(RunEnd::List);
                }
                is_spaced = scanner.pos == end + 2;
            } else {
                scanner.pos = pos;
                scanner.skip_space();
                if scanner.pos == pos {
                    return self.no_number(scanner);
                }
            }
            pos = scanner.pos;
        }
    }

    fn sibling(&self) -> Option<Box<dyn Values + Send>> {
        Some(Box::new(Self::new()))
    }

    fn append(&mut self, sibling: Box<dyn Values + Send>) -> bool {
        let sibling: Box<dyn Any> = sibling;
        let Ok(sibling) = sibling.downcast::<Self>() else {
            return false;
        };
        if self.capacity < self.elements.len() + sibling.elements.len() {
            self.reserve(sibling.elements.len());
        }
        self.elements.extend_from_slice(sibling.elements.as_slice());
        true
    }

    fn finish(mut self: Box<Self>, shape: Shape) -> Result<Tensor, TensorError> {
        // The guess of how many elements follow is far off where another input follows instead.
        if self.capacity / 2 > self.elements.len() + FIRST_CAPACITY {
            self.reserve(0);
        }
        Tensor::from_aligned(shape, self.elements)
    }
}

/// Booleans, a byte each.
#[derive(Default)]
struct Bools(Vec<u8>);

impl Values for Bools {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn take_one(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        match scanner.peek() {
            Some(b't') => {
                scanner.word("true")?;
                self.0.push(1);
            }
            Some(b'f') => {
                scanner.word("false")?;
                self.0.push(0);
            }
            _ => return Err(type_error(scanner, DType::Bool)),
        }
        Ok(())
    }

    fn take_run(&mut self, scanner: &mut Scanner<'_>) -> Result<RunEnd, JsonError> {
        take_each(scanner, |scanner| self.take_one(scanner))
    }

    fn finish(self: Box<Self>, shape: Shape) -> Result<Tensor, TensorError> {
        Tensor::from_bytes(DType::Bool, shape, self.0.into())
    }
}

/// Strings, one behind the other in one piece of memory.
#[derive(Default)]
struct Strings {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Values for Strings {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn take_one(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        match scanner.peek() {
            Some(b'"') => {
                let span = scanner.string()?;
                strings::decode_into(scanner.body, span, &mut self.text);
            }
            Some(b'{') => {
                let Some((span, end)) = base64::find(scanner) else {
                    return Err(base64_error(scanner));
                };
                base64::decode_into(scanner.body, span, &mut self.text)?;
                scanner.pos = end;
            }
            _ => return Err(type_error(scanner, DType::String)),
        }
        self.ends.push(self.text.len());
        Ok(())
    }

    fn take_run(&mut self, scanner: &mut Scanner<'_>) -> Result<RunEnd, JsonError> {
        take_each(scanner, |scanner| self.take_one(scanner))
    }

    fn finish(self: Box<Self>, shape: Shape) -> Result<Tensor, TensorError> {
        let text = Bytes::from(self.text);
        let mut start = 0;
        let strings = self
            .ends
            .iter()
            .map(|&end| text.slice(std::mem::replace(&mut start, end)..end));
        Tensor::from_strings(shape, strings.collect())
    }
}

/// An object where bytes were wanted, but not one that stands for bytes.
#[cold]
fn base64_error(scanner: &mut Scanner<'_>) -> JsonError {
    let start = scanner.pos;
    if let Err(syntax) = scanner.skip_value() {
        return syntax;
    }
    let value = excerpt(scanner.body, start);
    JsonError::InvalidArgument(format!(
        "JSON Value: {value} not formatted correctly for base64 data"
    ))
}

/// Elements that JSON has no form for; a tensor without elements is still possible.
struct Unsupported {
    dtype: DType,
}

impl Values for Unsupported {
    fn len(&self) -> usize {
        0
    }

    fn take_one(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        let start = scanner.pos;
        if scanner.peek() == Some(b'{') {
            return Err(type_error(scanner, self.dtype));
        }
        scanner.skip_value()?;
        Err(JsonError::Unimplemented(format!(
            "Conversion of JSON Value: {} to type: {}",
            excerpt(scanner.body, start),
            dtype_word(self.dtype)
        )))
    }

    fn take_run(&mut self, scanner: &mut Scanner<'_>) -> Result<RunEnd, JsonError> {
        take_each(scanner, |scanner| self.take_one(scanner))
    }

    fn finish(self: Box<Self>, shape: Shape) -> Result<Tensor, TensorError> {
        Tensor::from_bytes(self.dtype, shape, Bytes::new())
    }
}
