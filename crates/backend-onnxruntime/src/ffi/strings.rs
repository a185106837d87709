//! Tensors of strings. The library has its own copies of them, on the way in and on the way out.

use std::ptr;
use std::sync::Arc;

use bytes::Bytes;
use ort_sys::ONNXTensorElementDataType;

use super::library::non_null;
use super::value::extents;
use super::{Error, Library, Value};

impl Value<'static> {
    /// Returns a tensor of strings, any bytes in them; there are as many as the shape says.
    pub(crate) fn strings(
        library: &Arc<Library>,
        shape: &[usize],
        strings: &[Bytes],
    ) -> Result<Self, Error> {
        let (api, extents) = (library.api(), extents(shape));
        let (mut allocator, mut value) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: `allocator` is written before it is read; it is a static of the library's.
        library.check(unsafe { (api.GetAllocatorWithDefaultOptions)(&raw mut allocator) })?;
        // SAFETY: the extents are an array of the length that is passed; `value` is written before it is read.
        let status = unsafe {
            (api.CreateTensorAsOrtValue)(
                allocator,
                extents.as_ptr(),
                extents.len(),
                ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING,
                &raw mut value,
            )
        };
        library.check(status)?;
        let value = Self::from_library(library, non_null(value)?);
        for (idx, string) in strings.iter().enumerate() {
            let mut buffer = ptr::null_mut();
            // SAFETY: the value is alive and not shared yet; the library checks the index; `buffer` is written before
            // it is read.
            let status = unsafe {
                (api.GetResizedStringTensorElementBuffer)(
                    value.as_ptr(),
                    idx,
                    string.len(),
                    &raw mut buffer,
                )
            };
            library.check(status)?;
            let buffer = non_null(buffer)?.cast::<u8>();
            // SAFETY: the library made room for exactly this many bytes, apart from the string's own memory.
            unsafe { ptr::copy_nonoverlapping(string.as_ptr(), buffer.as_ptr(), string.len()) };
        }
        Ok(value)
    }
}

impl Value<'_> {
    /// Returns the strings of a tensor of so many strings; they share one buffer.
    pub(crate) fn to_strings(&self, num_strings: usize) -> Result<Vec<Bytes>, Error> {
        if num_strings == 0 {
            return Ok(Vec::new());
        }
        let (library, mut num_bytes) = (self.library(), 0);
        // SAFETY: the value is alive; `num_bytes` is written before it is read.
        library.check(unsafe {
            (library.api().GetStringTensorDataLength)(self.as_ptr(), &raw mut num_bytes)
        })?;
        let mut content = vec![0_u8; num_bytes];
        let mut offsets = vec![0_usize; num_strings];
        // SAFETY: both buffers have the lengths that are passed, and the library checks that they are the right ones.
        let status = unsafe {
            (library.api().GetStringTensorContent)(
                self.as_ptr(),
                content.as_mut_ptr().cast(),
                content.len(),
                offsets.as_mut_ptr(),
                offsets.len(),
            )
        };
        library.check(status)?;
        let content = Bytes::from(content);
        let ends = offsets.iter().skip(1).copied().chain([num_bytes]);
        Ok(offsets
            .iter()
            .zip(ends)
            .map(|(&start, end)| content.slice(start..end))
            .collect())
    }
}
