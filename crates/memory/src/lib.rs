//! Asks the system for what the standard library has no call for: freed memory back, the CPU time that was used, and an end
//! without cleaning up.
//!
//! Owns three settings of the GNU C library's allocator, which do nothing on other systems, and the call that ends the
//! process at once. A crate of its own because it is the only place outside of the engines that calls C.
//!
//! Why memory: left alone, that allocator keeps blocks of up to 32 MB of unloaded models, because with every mapped block
//! that is freed it raises the size that counts as large; and it gives the end of its heap back to the system whenever
//! 128 KB of it are free, so that each request of a few megabytes has its pages zeroed anew: 3,000 page faults and half of
//! the CPU time for 10 MB. With both sizes fixed, requests find pages that are there already, and what an unloaded model
//! leaves behind is given back when it is unloaded, what a burst of requests does once the process rests. What is kept is
//! kept for each heap, so there are few. Another allocator would do as well, at twice the resident memory of a small server.

use std::hint;
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

#[allow(unsafe_code, reason = "the calls to C that this crate is about")]
mod ffi;

/// Blocks of this size and more are mapped on their own, and their pages zeroed each time: more than tensors of requests
/// usually have. The most that the allocator takes.
const MAPPED_BYTES: i32 = 32 << 20;

/// How much may be free at the end of each of the heaps: a few requests of the largest blocks that are in them.
const KEPT_BYTES: i32 = 64 << 20;

/// How many heaps there are beyond one for each core. Left alone, there are eight for each.
const MORE_HEAPS: usize = 2;

/// The smallest block, by far, upon whose freeing the allocator looks at the end of the heap that it was in.
const TRIMMING_BYTES: usize = 128 << 10;

/// The stack of a thread that only frees such a block.
const STACK_BYTES: usize = 64 << 10;

/// Fixes what counts as a large block, what is kept of a heap, and how many heaps there are. Call it first thing, before
/// threads are started.
pub fn configure() {
    ffi::set_mmap_threshold(MAPPED_BYTES);
    ffi::set_trim_threshold(KEPT_BYTES);
    ffi::set_max_arenas(i32::try_from(num_heaps()).unwrap_or(i32::MAX));
}

fn num_heaps() -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cores.saturating_add(MORE_HEAPS)
}

/// Returns the free pages of the heaps to the system, but for what is kept at the end of each.
///
/// # Blocking
/// A few milliseconds for a heap of hundreds of megabytes; other threads' allocations wait meanwhile. Call it after a load
/// or an unload, never for a request.
pub fn release_free_memory() {
    ffi::trim();
}

/// Returns all free pages to the system, what is kept at the end of each heap for the next requests as well.
///
/// There is no call for that: the allocator looks at the end of a heap when a large block in it is freed. So as many threads
/// as it takes for every heap to have one free such a block.
///
/// # Blocking
/// As [`release_free_memory`], and for some threads to start and end. Call it while the process rests.
pub fn release_all_memory() {
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        ffi::set_trim_threshold(0);
        // Heaps whose threads have ended are given out first, then all of them in turn.
        trim_ends(2 * num_heaps());
        ffi::set_trim_threshold(KEPT_BYTES);
    }
    release_free_memory();
}

/// Frees a block in the heap of this thread, and in those of others for as long as this one has its own.
fn trim_ends(num_others: usize) {
    drop(hint::black_box(Vec::<u8>::with_capacity(TRIMMING_BYTES)));
    if num_others > 0 {
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        // Where the system has no thread left, the other heaps keep what they have.
        let next = thread.spawn(move || trim_ends(num_others - 1));
        drop(next.map(thread::JoinHandle::join));
    }
}

/// Returns the CPU time of all threads since the process was started; zero where the system does not say.
#[must_use]
pub fn cpu_time() -> Duration {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::try_from(time).unwrap_or_default()
    }
    #[cfg(not(unix))]
    Duration::ZERO
}

/// Ends the process at once, with this exit code.
///
/// For when threads of an engine are busy and will not stop: the usual way out runs what the engine's library has
/// registered for the end of the process, which frees what those threads use, and the process crashes instead of ending.
pub fn exit_at_once(code: i32) -> ! {
    ffi::exit_at_once(code)
}
