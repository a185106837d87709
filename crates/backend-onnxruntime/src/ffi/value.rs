//! Tensors of numbers as the library sees them: borrowed on the way in, shared on the way out.

use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

use bytes::Bytes;
use ort_sys::{ONNXTensorElementDataType, OrtValue};
use salver_tensor::Shape;

use super::library::non_null;
use super::{Error, Library, Session};

/// What tensors without elements point to: never read, but not null and aligned for every type.
static NO_ELEMENTS: [u128; 1] = [0];

/// A tensor. `'a` is the memory it may borrow.
#[derive(Debug)]
pub(crate) struct Value<'a> {
    owned: Owned,
    borrowed: PhantomData<&'a [u8]>,
}

/// The library's object, released when dropped.
#[derive(Debug)]
struct Owned {
    value: NonNull<OrtValue>,
    owner: Owner,
}

/// What must live as long as a value.
#[derive(Debug)]
enum Owner {
    Library(Arc<Library>),
    /// Results lie in the session's memory.
    Session(Arc<Session>),
}

// SAFETY: an `OrtValue` is plain data with a reference count that is atomic; it is not changed once it is filled.
unsafe impl Send for Owned {}
// SAFETY: as above; only reads are made through a shared reference.
unsafe impl Sync for Owned {}

impl<'a> Value<'a> {
    /// Returns a tensor of numbers over the caller's memory, which is only read.
    pub(crate) fn borrowed(
        library: &Arc<Library>,
        element: ONNXTensorElementDataType,
        shape: &[usize],
        bytes: &'a [u8],
    ) -> Result<Self, Error> {
        let extents = extents(shape);
        let data = if bytes.is_empty() {
            NO_ELEMENTS.as_ptr().cast()
        } else {
            bytes.as_ptr()
        };
        let mut value = ptr::null_mut();
        // SAFETY: the memory is `bytes.len()` long and outlives the value (`'a`); the library checks that this is
        // enough for the shape, and takes the pointer as mutable only because its type has no other form: inputs of
        // `Run` are not written to. The extents are an array of the length that is passed.
        let status = unsafe {
            (library.api().CreateTensorWithDataAsOrtValue)(
                library.memory_info(),
                data.cast_mut().cast(),
                bytes.len(),
                extents.as_ptr(),
                extents.len(),
                element,
                &raw mut value,
            )
        };
        library.check(status)?;
        Ok(Self::from_library(library, non_null(value)?))
    }

    pub(super) fn from_library(library: &Arc<Library>, value: NonNull<OrtValue>) -> Self {
        Self {
            owned: Owned {
                value,
                owner: Owner::Library(Arc::clone(library)),
            },
            borrowed: PhantomData,
        }
    }

    pub(super) fn from_run(session: &Arc<Session>, value: NonNull<OrtValue>) -> Self {
        Self {
            owned: Owned {
                value,
                owner: Owner::Session(Arc::clone(session)),
            },
            borrowed: PhantomData,
        }
    }

    pub(super) fn as_ptr(&self) -> *mut OrtValue {
        self.owned.value.as_ptr()
    }

    pub(super) fn library(&self) -> &Arc<Library> {
        self.owned.library()
    }

    /// Returns element type and shape.
    pub(crate) fn type_and_shape(&self) -> Result<(ONNXTensorElementDataType, Shape), Error> {
        let mut element = ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        let (mut extents, mut num_extents) = (ptr::null(), 0);
        // SAFETY: the value is alive; all three are written before they are read.
        let status = unsafe {
            (self
                .library()
                .api()
                .GetTensorElementTypeAndShapeDataReference)(
                self.as_ptr(),
                &raw mut element,
                &raw mut extents,
                &raw mut num_extents,
            )
        };
        self.library().check(status)?;
        if num_extents == 0 {
            return Ok((element, Shape::scalar()));
        }
        // SAFETY: the library returned an array of this length, which is the value's own.
        let extents = unsafe { slice::from_raw_parts(extents, num_extents) };
        // Computed shapes have no negative extents.
        let shape = extents
            .iter()
            .map(|&extent| usize::try_from(extent).unwrap_or(0))
            .collect();
        Ok((element, shape))
    }

    /// Returns the bytes of a tensor of numbers.
    pub(crate) fn bytes(&self) -> Result<&[u8], Error> {
        let (library, mut data, mut len) = (self.library(), ptr::null(), 0);
        // SAFETY: the value is alive; `len` is written before it is read.
        let status = unsafe { (library.api().GetTensorSizeInBytes)(self.as_ptr(), &raw mut len) };
        library.check(status)?;
        if len == 0 {
            return Ok(&[]);
        }
        // SAFETY: the value is alive; `data` is written before it is read.
        library.check(unsafe { (library.api().GetTensorData)(self.as_ptr(), &raw mut data) })?;
        let data = non_null(data.cast_mut())?.cast::<u8>();
        // SAFETY: the library says that so many bytes are there. They are initialised, since a kernel or the caller
        // filled them, and nobody writes to them while the value lives.
        Ok(unsafe { slice::from_raw_parts(data.as_ptr(), len) })
    }

    /// Turns a result into bytes without copying it, unless it lies in memory that was lent for the run.
    pub(crate) fn into_bytes(self, lent: &[&[u8]]) -> Result<Bytes, Error> {
        let bytes = self.bytes()?;
        let is_inside = |lent: &&[u8]| lent.as_ptr_range().contains(&bytes.as_ptr());
        let is_result = matches!(self.owned.owner, Owner::Session(_));
        if bytes.is_empty() || !is_result || lent.iter().any(is_inside) {
            return Ok(Bytes::copy_from_slice(bytes));
        }
        // The memory is the session's, which `owned` holds: nothing is borrowed any more.
        let bytes = NonNull::from(bytes);
        Ok(Bytes::from_owner(Shared {
            bytes,
            _owned: self.owned,
        }))
    }
}

impl Owned {
    fn library(&self) -> &Arc<Library> {
        match &self.owner {
            Owner::Library(library) => library,
            Owner::Session(session) => session.library(),
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: made by this library and released once; the session, if it is a result, is alive until after this.
        unsafe { (self.library().api().ReleaseValue)(self.value.as_ptr()) }
    }
}

/// A result that is in use as [`Bytes`].
struct Shared {
    bytes: NonNull<[u8]>,
    _owned: Owned,
}

// SAFETY: the bytes are those of `_owned`, which may be sent and shared, and are only read.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the bytes are the value's memory, which does not move and lives as long as `_owned`.
        unsafe { self.bytes.as_ref() }
    }
}

/// Returns a shape as the library takes it; extents of tensors that exist fit.
pub(super) fn extents(shape: &[usize]) -> Vec<i64> {
    shape
        .iter()
        .map(|&extent| i64::try_from(extent).unwrap_or(i64::MAX))
        .collect()
}
