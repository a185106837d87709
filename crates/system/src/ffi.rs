//! The calls to C.

/// Ends the process; nothing that was registered for its end is run.
#[cfg(unix)]
pub(crate) fn exit_at_once(code: i32) -> ! {
    unsafe extern "C" {
        safe fn _exit(status: std::ffi::c_int) -> !;
    }
    _exit(code)
}

#[cfg(not(unix))]
pub(crate) fn exit_at_once(code: i32) -> ! {
    std::process::exit(code)
}

/// Sets how this thread is scheduled: whether it takes a core at once where it has a right to one when it wakes, and its time
/// slice in nanoseconds, of which zero is the system's own. Does nothing where the system does not know of that, or where the
/// thread runs by other rules than most do.
#[cfg(target_os = "linux")]
pub(crate) fn set_scheduling(preempts: bool, slice_nanos: u64) {
    use std::mem::size_of;

    const SIZE: u32 = size_of::<libc::sched_attr>() as u32;
    const THIS_THREAD: libc::c_int = 0;
    const NO_FLAGS: libc::c_uint = 0;
    const OTHER: u32 = libc::SCHED_OTHER as u32;
    const BATCH: u32 = libc::SCHED_BATCH as u32;

    // SAFETY: a structure of integers, for which zeros are values.
    let mut attr: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the system writes at most so many bytes to the structure, whose size that is.
    let got = unsafe {
        libc::syscall(
            libc::SYS_sched_getattr,
            THIS_THREAD,
            &raw mut attr,
            SIZE,
            NO_FLAGS,
        )
    };
    if got != 0 || ![OTHER, BATCH].contains(&attr.sched_policy) {
        return;
    }
    attr.size = SIZE;
    attr.sched_policy = if preempts { OTHER } else { BATCH };
    attr.sched_runtime = slice_nanos;
    // SAFETY: the system reads the structure, which says how long it is. It changes how the calling thread is scheduled and
    // nothing else; whether it did so makes no difference but to latencies.
    unsafe {
        libc::syscall(
            libc::SYS_sched_setattr,
            THIS_THREAD,
            &raw const attr,
            NO_FLAGS,
        )
    };
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn set_scheduling(_preempts: bool, _slice_nanos: u64) {}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod gnu {
    use std::ffi::c_int;

    /// `M_TRIM_THRESHOLD` of `malloc.h`.
    const M_TRIM_THRESHOLD: c_int = -1;

    /// `M_MMAP_THRESHOLD` of `malloc.h`.
    const M_MMAP_THRESHOLD: c_int = -3;

    /// `M_ARENA_MAX` of `malloc.h`.
    const M_ARENA_MAX: c_int = -8;

    unsafe extern "C" {
        fn mallopt(param: c_int, value: c_int) -> c_int;
        fn malloc_trim(pad: usize) -> c_int;
    }

    pub(crate) fn set_mmap_threshold(num_bytes: i32) {
        set(M_MMAP_THRESHOLD, num_bytes);
    }

    pub(crate) fn set_trim_threshold(num_bytes: i32) {
        set(M_TRIM_THRESHOLD, num_bytes);
    }

    pub(crate) fn set_max_arenas(num_arenas: i32) {
        set(M_ARENA_MAX, num_arenas);
    }

    fn set(param: c_int, value: i32) {
        // SAFETY: takes two integers and changes a setting of the allocator, under its own lock. The answer says only
        // whether the value was accepted, and those that are given here are within the documented ranges.
        unsafe { mallopt(param, value) };
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

    pub(crate) fn set_trim_threshold(_num_bytes: i32) {}

    pub(crate) fn set_max_arenas(_num_arenas: i32) {}

    pub(crate) fn trim() {}
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) use gnu::{set_max_arenas, set_mmap_threshold, set_trim_threshold, trim};
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) use other::{set_max_arenas, set_mmap_threshold, set_trim_threshold, trim};
