//! Three settings of the GNU C library's allocator, and free memory back to the system. On other systems nothing is done.
//!
//! Left alone, that allocator keeps blocks of up to 32 MB of unloaded models, because with every mapped block
//! that is freed it raises the size that counts as large; and it gives the end of its heap back to the system whenever
//! 128 KB of it are free, so that each request of a few megabytes has its pages zeroed anew: 3,000 page faults and half of
//! the CPU time for 10 MB. With both sizes fixed, requests find pages that are there already; what they leave behind is
//! given back once the process rests. What is kept is kept for each heap, so there are few. Another allocator would do as
//! well, at twice the resident memory of a small server.
//!
//! A model's weights would lie in the same heaps, and to give them back beside requests would keep these waiting: for each
//! heap in turn, all allocations wait until all of its free pages have been returned, 20 ms for ResNet101's 180 MB. So while
//! a model is loaded smaller blocks are mapped on their own ([`map_blocks`]): each goes when it is freed.

use std::hint;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::ffi;

/// Blocks of this size and more are mapped on their own, and their pages zeroed each time: more than tensors of requests
/// usually have. The most that the allocator takes.
const MAPPED_BYTES: i32 = 32 << 20;

/// The same while a model is loaded: less than most weights have, and more than tensors of small requests.
const LOADING_MAPPED_BYTES: i32 = 256 << 10;

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

/// For as long as one lives, smaller blocks are mapped on their own, whoever asks for them.
#[derive(Debug)]
pub struct MappedBlocks(());

/// How many [`MappedBlocks`] live.
static NUM_MAPPING: Mutex<usize> = Mutex::new(0);

/// Has blocks mapped on their own that stay for as long as a model does, so that each goes back to the system when it is
/// freed. Blocks of requests are mapped meanwhile too, at the price of having their pages zeroed.
pub fn map_blocks() -> MappedBlocks {
    let mut num_mapping = NUM_MAPPING.lock().unwrap_or_else(PoisonError::into_inner);
    if *num_mapping == 0 {
        ffi::set_mmap_threshold(LOADING_MAPPED_BYTES);
    }
    *num_mapping += 1;
    MappedBlocks(())
}

impl Drop for MappedBlocks {
    fn drop(&mut self) {
        let mut num_mapping = NUM_MAPPING.lock().unwrap_or_else(PoisonError::into_inner);
        *num_mapping -= 1;
        if *num_mapping == 0 {
            ffi::set_mmap_threshold(MAPPED_BYTES);
        }
    }
}

fn num_heaps() -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cores.saturating_add(MORE_HEAPS)
}

/// Returns all free pages of the heaps to the system, what is kept at the end of each for the next requests as well.
///
/// There is no call for the latter: the allocator looks at the end of a heap when a large block in it is freed. So as many
/// threads as it takes for every heap to have one free such a block.
///
/// # Blocking
/// A millisecond for every 10 MB or so, in which other threads' allocations wait, and for some threads to start and end. Call
/// it while the process rests.
pub fn release() {
    if cfg!(all(target_os = "linux", target_env = "gnu")) {
        ffi::set_trim_threshold(0);
        // Heaps whose threads have ended are given out first, then all of them in turn.
        trim_ends(2 * num_heaps());
        ffi::set_trim_threshold(KEPT_BYTES);
    }
    ffi::trim();
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
