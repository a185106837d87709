//! Which thread has a core first when all are busy: three settings of Linux's scheduler. On other systems nothing is done.

use std::time::Duration;

use crate::ffi;

/// The time slice of a thread whose work takes less: the shortest that Linux takes.
const SHORT_SLICE: Duration = Duration::from_micros(100);

/// How soon a thread is to have a core when all are busy. None gets more time than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At once, where it has used less than its share, for a tenth of a millisecond at a time: a request is read while a model
    /// computes on all cores.
    Prompt,
    /// When its turn comes: a thread that computes does not push aside the one that woke it, which would then wait for the
    /// scheduler's next tick, milliseconds later. Meanwhile that one may find more to be computed.
    Patient,
}

/// Chooses the pace of this thread, and of those that it starts. Linux has heeded time slices since 6.12.
pub fn set_pace(pace: Pace) {
    let slice = match pace {
        Pace::Prompt => SHORT_SLICE,
        // The system's own.
        Pace::Patient => Duration::ZERO,
    };
    let nanos = u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX);
    ffi::set_scheduling(pace == Pace::Prompt, nanos);
}

/// By how much a thread is nicer that gives way: it gets a tenth of what another does where both want a core.
#[cfg(target_os = "linux")]
const GIVING_WAY: i32 = 10;

/// Lets others have the core first, for good: this thread and those that it starts. What they do takes as long as ever where
/// cores are free.
pub fn give_way() {
    // Whoever may not do so, or already does as far as can be, goes on as before.
    #[cfg(target_os = "linux")]
    rustix::process::nice(GIVING_WAY).ok();
}
