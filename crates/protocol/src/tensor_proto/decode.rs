//! Reading a `TensorProto`.

use bytes::{Buf, Bytes, BytesMut};
use salver_tensor::{AlignedVec, DType, Shape, Tensor, TensorError};
use salver_wire::{Reader, WireError, WireType, Writer};

use super::values::{TooLarge, Values, Wanted, lies_aligned};
use super::{dtype_of, field, shape, values_field};

/// Why a `TensorProto` is not a tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorProtoError {
    /// The bytes are not a protobuf message.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The dtype is missing (0), unknown, or one that is not served.
    #[error("data type {data_type} is not supported")]
    UnsupportedDType {
        /// Its number in `tensorflow.DataType`.
        data_type: i32,
    },
    /// The dtype is given twice and differently, with elements between.
    #[error("dtype is given twice, as {first} and as {second}")]
    DTypeChanged {
        /// The first number in `tensorflow.DataType`.
        first: i32,
        /// The second one.
        second: i32,
    },
    /// An extent is negative or does not fit this machine's address space.
    #[error("dimension {axis} has size {size}")]
    InvalidDim {
        /// The axis of the extent.
        axis: usize,
        /// The extent.
        size: i64,
    },
    /// The shape has too many dimensions.
    #[error("shape has more than {max} dimensions")]
    TooManyDims {
        /// How many are allowed.
        max: usize,
    },
    /// The shape stands for more bytes than there are addresses.
    #[error("shape {0} is larger than any memory")]
    Overflow(Shape),
    /// The tensor would take more memory than the request may.
    #[error("tensor takes more than {max_bytes} bytes")]
    TooLarge {
        /// How much the request may still take, in bytes.
        max_bytes: usize,
    },
    /// `tensor_content` is not as long as dtype and shape ask for.
    #[error("tensor content: {0}")]
    ContentLength(TensorError),
    /// `tensor_content` of strings does not hold the lengths and the strings.
    #[error("tensor content does not hold {expected} strings")]
    ContentStrings {
        /// How many the shape asks for.
        expected: usize,
    },
}

/// Decodes a `TensorProto` that fills a buffer.
///
/// # Errors
/// [`TensorProtoError`]; [`TensorProtoError::TooLarge`] beyond `max_bytes` of elements (a string takes 32 bytes
/// beside its text), which is found before anything of that size is allocated.
///
/// ```
/// use salver_protocol::tensor_proto;
/// use salver_tensor::DType;
///
/// // dtype: DT_FLOAT, tensor_shape { dim { size: 3 } }, float_val: 1.0
/// let bytes = [0x08, 1, 0x12, 4, 0x12, 2, 0x08, 3, 0x2d, 0, 0, 0x80, 0x3f];
/// let tensor = tensor_proto::decode(&bytes[..], 1 << 20)?;
/// assert_eq!(tensor.dtype(), DType::F32);
/// assert_eq!(tensor.as_slice::<f32>()?, [1.0; 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn decode(buf: impl Buf, max_bytes: usize) -> Result<Tensor, TensorProtoError> {
    let mut decoder = TensorDecoder::new(max_bytes);
    decoder.merge(&mut Reader::new(buf))?;
    decoder.finish()
}

/// A tensor that is being read. What is wrong with it as a tensor is told at the end only, so that the message around
/// it can be read to its end.
#[derive(Debug)]
pub(crate) struct TensorDecoder {
    data_type: i32,
    shape: Shape,
    content: Bytes,
    values: Values,
    /// Whether elements were read or passed over for the sake of `data_type`.
    has_seen_values: bool,
    /// Lists that came before the dtype, as they came.
    deferred: BytesMut,
    max_bytes: usize,
    problem: Option<TensorProtoError>,
}

impl TensorDecoder {
    /// Returns a decoder of a tensor whose elements may take `max_bytes`.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            data_type: 0,
            shape: Shape::scalar(),
            content: Bytes::new(),
            values: Values::None,
            has_seen_values: false,
            deferred: BytesMut::new(),
            max_bytes,
            problem: None,
        }
    }

    /// Reads a message into this tensor, as protobuf merges messages.
    pub(crate) fn merge<B: Buf>(&mut self, reader: &mut Reader<B>) -> Result<(), WireError> {
        while let Some((field, wire_type)) = reader.next_field()? {
            match (field, wire_type) {
                (field::DTYPE, WireType::Varint) => {
                    let data_type = reader.varint()? as i32;
                    self.set_data_type(data_type)?;
                }
                (field::TENSOR_SHAPE, WireType::Len) => {
                    reader.message(|message| {
                        shape::merge(&mut self.shape, &mut self.problem, message)
                    })?;
                }
                (field::TENSOR_CONTENT, WireType::Len) => {
                    self.content = self.read_content(reader)?
                }
                (field::FLOAT_VAL..=field::HALF_VAL | field::UINT32_VAL | field::UINT64_VAL, _) => {
                    self.merge_values(reader, field, wire_type)?;
                }
                _ => reader.skip(field, wire_type)?,
            }
        }
        Ok(())
    }

    fn set_data_type(&mut self, data_type: i32) -> Result<(), WireError> {
        if self.has_seen_values && data_type != self.data_type {
            let (first, second) = (self.data_type, data_type);
            self.problem
                .get_or_insert(TensorProtoError::DTypeChanged { first, second });
        }
        self.data_type = data_type;
        if data_type == 0 || self.deferred.is_empty() {
            return Ok(());
        }
        let mut deferred = Reader::new(std::mem::take(&mut self.deferred).freeze());
        while let Some((field, wire_type)) = deferred.next_field()? {
            self.merge_values(&mut deferred, field, wire_type)?;
        }
        Ok(())
    }

    /// Reads the one block of elements: in place if it lies aligned in one piece, else into aligned memory.
    fn read_content<B: Buf>(&self, reader: &mut Reader<B>) -> Result<Bytes, WireError> {
        let len = reader.len_prefix()?;
        // Before the dtype is known, the strictest alignment will do.
        if lies_aligned(
            reader.chunk(),
            len,
            dtype_of(self.data_type).unwrap_or(DType::F64),
        ) {
            return reader.take(len);
        }
        let mut content = AlignedVec::<u8>::with_capacity(len);
        reader.chunks(len, |piece| content.extend_from_slice(piece))?;
        Ok(content.into_bytes())
    }

    /// Reads a field of one of the lists, or keeps it until the dtype tells whether it counts.
    fn merge_values<B: Buf>(
        &mut self,
        reader: &mut Reader<B>,
        field: u32,
        wire_type: WireType,
    ) -> Result<(), WireError> {
        if self.data_type == 0 {
            return defer(&mut self.deferred, reader, field, wire_type);
        }
        self.has_seen_values = true;
        let Some(dtype) = dtype_of(self.data_type).filter(|&dtype| values_field(dtype) == field)
        else {
            return reader.skip(field, wire_type);
        };
        if self.problem.is_some() {
            return reader.skip(field, wire_type);
        }
        let num_elements = self
            .shape
            .num_elements()
            .unwrap_or(usize::MAX)
            .min(reader.remaining());
        let wanted = Wanted {
            dtype,
            num_elements,
            max_bytes: self.max_bytes,
        };
        if self.values.merge(wanted, reader, field, wire_type)? == Err(TooLarge) {
            self.problem = Some(TensorProtoError::TooLarge {
                max_bytes: self.max_bytes,
            });
        }
        Ok(())
    }

    /// Returns the tensor.
    pub(crate) fn finish(self) -> Result<Tensor, TensorProtoError> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let unsupported = TensorProtoError::UnsupportedDType {
            data_type: self.data_type,
        };
        let dtype = dtype_of(self.data_type).ok_or(unsupported)?;
        let too_large = TensorProtoError::TooLarge {
            max_bytes: self.max_bytes,
        };
        let overflow = || TensorProtoError::Overflow(self.shape.clone());
        let num_elements = self.shape.num_elements().ok_or_else(overflow)?;
        let num_bytes = num_elements
            .checked_mul(dtype.size().unwrap_or(size_of::<Bytes>()))
            .ok_or_else(overflow)?;
        if num_bytes > self.max_bytes {
            return Err(too_large);
        }
        // A tensor without elements is not looked into, whatever is there.
        let has_content = num_elements > 0 && !self.content.is_empty();
        if dtype == DType::String {
            let strings = if has_content {
                let expected = num_elements;
                strings_of_content(&self.content, num_elements)
                    .ok_or(TensorProtoError::ContentStrings { expected })?
            } else {
                self.values.into_strings(num_elements)
            };
            return Tensor::from_strings(self.shape, strings)
                .map_err(TensorProtoError::ContentLength);
        }
        let numbers = if has_content {
            normalized(dtype, self.content)
        } else {
            self.values
                .into_numbers(num_bytes, dtype.size().unwrap_or(1))
        };
        Tensor::from_bytes(dtype, self.shape, numbers).map_err(TensorProtoError::ContentLength)
    }
}

/// Keeps a field for later, as it came.
fn defer<B: Buf>(
    deferred: &mut BytesMut,
    reader: &mut Reader<B>,
    field: u32,
    wire_type: WireType,
) -> Result<(), WireError> {
    match wire_type {
        WireType::Varint => Writer::new(deferred).varint_field(field, reader.varint()?),
        WireType::Fixed32 => Writer::new(deferred).fixed32_field(field, reader.fixed32()?),
        WireType::Fixed64 => Writer::new(deferred).fixed64_field(field, reader.fixed64()?),
        WireType::Len => {
            let len = reader.len_prefix()?;
            let mut writer = Writer::new(deferred);
            writer.message(field, len);
            reader.chunks(len, |piece| writer.raw(piece))?;
        }
        WireType::StartGroup | WireType::EndGroup => reader.skip(field, wire_type)?,
    }
    Ok(())
}

/// Makes every true element of a block of booleans 1, which a C++ program need not have done.
fn normalized(dtype: DType, content: Bytes) -> Bytes {
    if dtype != DType::Bool || content.iter().all(|&byte| byte <= 1) {
        return content;
    }
    content.iter().map(|&byte| u8::from(byte != 0)).collect()
}

/// Splits a block of strings: all lengths as varints of 32 bits, then all strings.
pub(super) fn strings_of_content(content: &Bytes, num_strings: usize) -> Option<Vec<Bytes>> {
    // Each string has at least a byte of length, so the block bounds the allocation.
    if num_strings > content.len() {
        return None;
    }
    let mut rest = content.clone();
    let mut lens = Vec::with_capacity(num_strings);
    for _ in 0..num_strings {
        let mut reader = Reader::new(&rest[..]);
        lens.push(u32::try_from(reader.varint().ok()?).ok()? as usize);
        let read = rest.len() - reader.remaining();
        rest.advance(read);
    }
    let num_bytes = lens
        .iter()
        .try_fold(0_usize, |sum, &len| sum.checked_add(len))?;
    if num_bytes != rest.len() {
        return None;
    }
    Some(lens.into_iter().map(|len| rest.split_to(len)).collect())
}
