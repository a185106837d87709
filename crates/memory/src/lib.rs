//! Asks the system for what the standard library has no call for: freed memory back, and an end without cleaning up.
//!
//! Owns two settings of the GNU C library's allocator, which do nothing on other systems, and the call that ends the
//! process at once. A crate of its own because it is the only place outside of the engines that calls C.
//!
//! Why memory: that allocator maps large blocks on their own and unmaps them when they are freed, but with every such block
//! that is freed it raises the size that counts as large, up to 32 MB. Weights of 1 to 32 MB then stay resident after
//! their model has been unloaded. A fixed size keeps models apart from the heap; what is left is trimmed after an
//! unload. Another allocator would do as well, at twice the resident memory of a small server.

#[allow(unsafe_code, reason = "the calls to C that this crate is about")]
mod ffi;

/// Blocks of this size and more are mapped on their own: weights are, tensors of single requests are not, because a
/// fresh mapping costs its requests the zeroing of its pages.
const MAPPED_BYTES: i32 = 4 << 20;

/// Fixes what counts as a large block. Call it first thing, before threads are started.
pub fn configure() {
    ffi::set_mmap_threshold(MAPPED_BYTES);
}

/// Returns the free pages of the heap to the system.
///
/// # Blocking
/// A few milliseconds for a heap of hundreds of megabytes; other threads' allocations wait meanwhile. Call it after an
/// unload, never for a request.
pub fn release_free_memory() {
    ffi::trim();
}

/// Ends the process at once, with this exit code.
///
/// For when threads of an engine are busy and will not stop: the usual way out runs what the engine's library has
/// registered for the end of the process, which frees what those threads use, and the process crashes instead of ending.
pub fn exit_at_once(code: i32) -> ! {
    ffi::exit_at_once(code)
}
