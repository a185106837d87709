//! The calls to C.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod gnu {
    use std::ffi::c_int;

    /// `M_MMAP_THRESHOLD` of `malloc.h`.
    const M_MMAP_THRESHOLD: c_int = -3;

    unsafe extern "C" {
        fn mallopt(param: c_int, value: c_int) -> c_int;
        fn malloc_trim(pad: usize) -> c_int;
    }

    pub(crate) fn set_mmap_threshold(num_bytes: i32) {
        // SAFETY: takes two integers and changes a setting of the allocator, under its own lock. The answer says only
        // whether the value was accepted, and this one is within the documented range.
        unsafe { mallopt(M_MMAP_THRESHOLD, num_bytes) };
    }

    pub(crate) fn trim() {
        // SAFETY: takes an integer; may be called at any time from any thread. The answer says only whether there was
        // anything to release.
        unsafe { malloc_trim(0) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod other {
    pub(crate) fn set_mmap_threshold(_num_bytes: i32) {}

    pub(crate) fn trim() {}
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) use gnu::{set_mmap_threshold, trim};
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) use other::{set_mmap_threshold, trim};
