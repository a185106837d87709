//! Asks the system for what the standard library has no call for: freed memory back ([`memory`]), which thread has a core
//! first ([`scheduling`]), the CPU time that was used, and an end without cleaning up.
//!
//! A crate of its own because it is the only place outside of the engines that calls C.

#[allow(unsafe_code, reason = "the calls to C that this crate is about")]
mod ffi;
pub mod memory;
pub mod scheduling;

use std::time::Duration;

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
