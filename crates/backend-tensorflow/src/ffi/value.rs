//! Tensors as TensorFlow sees them: shared memory both ways, but for strings.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use aligned_vec::{AVec, ConstAlign};
use bytes::Bytes;
use salver_backend::ErrorCode;
use salver_tensor::Shape;

use super::api::{Deallocator, TF_Tensor};
use super::session::count;
use super::status::Error;
use super::tstring::TString;
use super::{Library, Session};

/// `TF_STRING`.
const STRING: c_int = 7;

/// The address alignment that kernels insist on, in bytes: they end the process over strings that lie otherwise.
const ALIGNMENT: usize = 64;

/// The most dimensions that TensorFlow has a form for: with more it ends the process.
const MAX_DIMS: usize = 254;

/// What tensors without elements point to: never read, but not null and aligned for every kernel.
#[repr(align(64))]
struct NoElements([u8; ALIGNMENT]);

static NO_ELEMENTS: NoElements = NoElements([0; ALIGNMENT]);

/// A tensor; its memory goes when nobody uses it any more, in TensorFlow or here.
#[derive(Debug)]
pub(crate) struct Value {
    tensor: NonNull<TF_Tensor>,
    library: Arc<Library>,
    /// Whether later runs may write to the memory.
    is_changing: bool,
}

// SAFETY: a `TF_Tensor` is plain data with a reference count that is atomic; it is not changed once it is filled.
unsafe impl Send for Value {}
// SAFETY: as above; only reads are made through a shared reference.
unsafe impl Sync for Value {}

impl Value {
    /// Returns a tensor of numbers in memory that is shared, and copied only if it is not aligned as TensorFlow asks.
    pub(crate) fn numbers(
        library: &Arc<Library>,
        data_type: c_int,
        shape: &[usize],
        bytes: &Bytes,
    ) -> Result<Self, Error> {
        let len = bytes.len();
        let data = match len {
            0 => NO_ELEMENTS.0.as_ptr(),
            _ => bytes.as_ptr(),
        };
        let data = data.cast_mut().cast();
        let owner = Box::new(bytes.clone());
        Self::new(
            library,
            data_type,
            shape,
            (data, len),
            owner,
            drop_owner::<Bytes>,
        )
    }

    /// Returns a tensor of strings, any bytes in them; there are as many as the shape says.
    pub(crate) fn strings(
        library: &Arc<Library>,
        shape: &[usize],
        strings: &[Bytes],
    ) -> Result<Self, Error> {
        let mut owner = Box::new(Strings(AVec::with_capacity(ALIGNMENT, strings.len())));
        for string in strings {
            let string = TString::new(string).ok_or_else(|| Error {
                code: ErrorCode::ResourceExhausted,
                message: format!("no memory for a string of {} bytes", string.len()),
            })?;
            owner.0.push(string);
        }
        let data = match strings.len() {
            0 => NO_ELEMENTS.0.as_ptr().cast_mut().cast(),
            _ => owner.0.as_mut_ptr().cast(),
        };
        let len = size_of_val(owner.0.as_slice());
        Self::new(
            library,
            STRING,
            shape,
            (data, len),
            owner,
            drop_owner::<Strings>,
        )
    }

    /// Makes a tensor over memory that belongs to `owner`, which `drop_owner` drops.
    fn new<T>(
        library: &Arc<Library>,
        data_type: c_int,
        shape: &[usize],
        (data, len): (*mut c_void, usize),
        owner: Box<T>,
        drop_owner: Deallocator,
    ) -> Result<Self, Error> {
        let extents = extents(shape)?;
        let num_extents = count(extents.len())?;
        // SAFETY: the memory is `len` bytes long and stays where it is until the owner is dropped, which TensorFlow
        // does once, when it needs the tensor no more, or before it returns null. It takes the pointer as mutable only
        // because its type has no other form: it does not write to memory that is not its own. The extents are an array
        // of the length that is passed; their number and sizes are such that TensorFlow takes them.
        let tensor = unsafe {
            (library.api().TF_NewTensor)(
                data_type,
                extents.as_ptr(),
                num_extents,
                data,
                len,
                drop_owner,
                Box::into_raw(owner).cast(),
            )
        };
        Ok(Self {
            tensor: NonNull::new(tensor).ok_or_else(|| Error {
                code: ErrorCode::InvalidArgument,
                message: format!("{len} bytes are not a tensor of the shape {shape:?}"),
            })?,
            library: Arc::clone(library),
            is_changing: false,
        })
    }

    pub(super) fn of_run(session: &Session, tensor: NonNull<TF_Tensor>) -> Self {
        Self {
            tensor,
            library: Arc::clone(session.library()),
            is_changing: session.has_reference_variables(),
        }
    }

    pub(super) fn as_ptr(&self) -> *mut TF_Tensor {
        self.tensor.as_ptr()
    }

    /// Returns the element type's number in `tensorflow.DataType`.
    pub(crate) fn data_type(&self) -> c_int {
        // SAFETY: the tensor is alive.
        unsafe { (self.library.api().TF_TensorType)(self.as_ptr()) }
    }

    pub(crate) fn shape(&self) -> Shape {
        let api = self.library.api();
        // SAFETY: the tensor is alive.
        let num_dims = unsafe { (api.TF_NumDims)(self.as_ptr()) };
        (0..num_dims)
            .map(|axis| {
                // SAFETY: the tensor is alive and has this axis.
                let extent = unsafe { (api.TF_Dim)(self.as_ptr(), axis) };
                // Computed shapes have no negative extents.
                usize::try_from(extent).unwrap_or(0)
            })
            .collect()
    }

    /// Returns the bytes of a tensor of numbers, or the array of its strings.
    fn bytes(&self) -> &[u8] {
        let api = self.library.api();
        // SAFETY: the tensor is alive.
        let (data, len) = unsafe {
            (
                (api.TF_TensorData)(self.as_ptr()),
                (api.TF_TensorByteSize)(self.as_ptr()),
            )
        };
        if data.is_null() || len == 0 {
            return &[];
        }
        // SAFETY: TensorFlow says that so many bytes are there. They are initialised, since a kernel or the caller
        // filled them, and live as long as the tensor. Nobody writes to them, or they are copied at once, as
        // TensorFlow's own servers do.
        unsafe { slice::from_raw_parts(data.cast(), len) }
    }

    /// Turns a result into bytes without copying it, unless it may lie in a variable's memory.
    pub(crate) fn into_bytes(self) -> Bytes {
        let bytes = self.bytes();
        if bytes.is_empty() || self.is_changing {
            return Bytes::copy_from_slice(bytes);
        }
        Bytes::from_owner(Shared(self))
    }

    /// Returns the strings of a tensor of strings; they share one buffer.
    pub(crate) fn to_strings(&self) -> Result<Vec<Bytes>, Error> {
        if self.data_type() != STRING {
            return Err(Error::no_output());
        }
        let bytes = self.bytes();
        let num_strings = bytes.len() / size_of::<TString>();
        if num_strings == 0 {
            return Ok(Vec::new());
        }
        // SAFETY: a tensor of this type is an array of strings, aligned for any type, which kernels have filled; they
        // live as long as the tensor.
        let strings =
            unsafe { slice::from_raw_parts(bytes.as_ptr().cast::<TString>(), num_strings) };
        let num_bytes = strings.iter().map(|string| string.as_bytes().len()).sum();
        let mut content = Vec::with_capacity(num_bytes);
        let mut ends = Vec::with_capacity(num_strings);
        for string in strings {
            content.extend_from_slice(string.as_bytes());
            ends.push(content.len());
        }
        let content = Bytes::from(content);
        let starts = [0].into_iter().chain(ends.iter().copied());
        Ok(starts
            .zip(&ends)
            .map(|(start, &end)| content.slice(start..end))
            .collect())
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: made by this library and released once.
        unsafe { (self.library.api().TF_DeleteTensor)(self.as_ptr()) }
    }
}

/// A result that is in use as [`Bytes`].
struct Shared(Value);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// The strings of a tensor.
struct Strings(AVec<TString, ConstAlign<ALIGNMENT>>);

/// Drops what a tensor's memory belongs to.
unsafe extern "C" fn drop_owner<T>(_data: *mut c_void, _len: usize, owner: *mut c_void) {
    // SAFETY: the pointer came out of a box of this type, and this is called once for each tensor.
    drop(unsafe { Box::from_raw(owner.cast::<T>()) });
}

/// Returns a shape as TensorFlow takes it.
fn extents(shape: &[usize]) -> Result<Vec<i64>, Error> {
    let invalid = |message: String| Error {
        code: ErrorCode::InvalidArgument,
        message,
    };
    if shape.len() > MAX_DIMS {
        let num_dims = shape.len();
        return Err(invalid(format!(
            "its shape has {num_dims} dimensions; {MAX_DIMS} are the most there can be"
        )));
    }
    shape
        .iter()
        .map(|&extent| {
            i64::try_from(extent)
                .map_err(|_| invalid(format!("an extent of {extent} is too large")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_that_would_end_the_process_are_refused() {
        assert_eq!(extents(&[2, 0]), Ok(vec![2, 0]));
        assert!(extents(&[1; MAX_DIMS]).is_ok());
        assert!(extents(&[1; MAX_DIMS + 1]).is_err());
        assert!(extents(&[0, usize::MAX]).is_err());
    }
}
