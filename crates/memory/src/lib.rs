//! Asks the system for what the standard library has no call for: freed memory back, and an end without cleaning up.
//!
//! Owns three settings of the GNU C library's allocator, which do nothing on other systems, and the call that ends the
//! process at once. A crate of its own because it is the only place outside of the engines that calls C.
//!
//! Why memory: left alone, that allocator keeps blocks of up to 32 MB of unloaded models, because with every mapped block
//! that is freed it raises the size that counts as large; and it gives the end of its heap back to the system whenever
//! 128 KB of it are free, so that each request of a few megabytes has its pages zeroed anew: 3,000 page faults and half of
//! the CPU time for 10 MB. With both sizes fixed, requests find pages that are there already, and what an unloaded model
//! leaves behind is given back when it is unloaded. What is kept is kept for each heap, so there are few. Another allocator
//! would do as well, at twice the resident memory of a small server.

use std::num::NonZeroUsize;
use std::thread;

#[allow(unsafe_code, reason = "the calls to C that this crate is about")]
mod ffi;

/// Blocks of this size and more are mapped on their own, and their pages zeroed each time: more than tensors of requests
/// usually have. The most that the allocator takes.
const MAPPED_BYTES: i32 = 32 << 20;

/// How much may be free at the end of each of the heaps: a few requests of the largest blocks that are in them.
const KEPT_BYTES: i32 = 64 << 20;

/// How many heaps there are beyond one for each core. Left alone, there are eight for each.
const MORE_HEAPS: i32 = 2;

/// Fixes what counts as a large block, what is kept of a heap, and how many heaps there are. Call it first thing, before
/// threads are started.
pub fn configure() {
    ffi::set_mmap_threshold(MAPPED_BYTES);
    ffi::set_trim_threshold(KEPT_BYTES);
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    ffi::set_max_arenas(
        i32::try_from(cores)
            .unwrap_or(i32::MAX)
            .saturating_add(MORE_HEAPS),
    );
}

/// Returns the free pages of the heap to the system.
///
/// # Blocking
/// A few milliseconds for a heap of hundreds of megabytes; other threads' allocations wait meanwhile. Call it after a load
/// or an unload, never for a request.
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
