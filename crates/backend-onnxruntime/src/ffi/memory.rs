//! The C library's heap, which ONNX Runtime and this program share.

/// Gives memory that was freed back to the system.
///
/// glibc keeps what large models leave behind when they are unloaded, for as long as something small lies above it.
/// Does nothing on other systems.
///
/// # Blocking
/// Milliseconds, while threads that allocate may have to wait.
pub fn return_free_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: glibc's own function of this type, callable from any thread at any time; it frees nothing in use.
        let _was_any: std::ffi::c_int = unsafe { malloc_trim(0) };
    }
}
