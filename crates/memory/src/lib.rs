//! Asks the system's allocator to give freed memory back.
//!
//! Owns two settings of the GNU C library's allocator and nothing else; on other systems both functions do nothing. A
//! crate of its own because it is the only place outside of the engines that calls C.
//!
//! Why: that allocator maps large blocks on their own and unmaps them when they are freed, but with every such block
//! that is freed it raises the size that counts as large, up to 32 MB. Weights of 1 to 32 MB then stay resident after
//! their model has been unloaded. A fixed size keeps models apart from the heap; what is left is trimmed after an
//! unload. Another allocator would do as well, at twice the resident memory of a small server.

#[allow(unsafe_code, reason = "the two calls to C that this crate is about")]
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
