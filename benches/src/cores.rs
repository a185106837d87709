//! How far apart two cores are.
//!
//! A virtual machine's host moves its cores about, at times to where they share no cache: what one has written then takes
//! the other several times as long to read, for seconds. Servers whose threads share more are slowed down more, so two
//! turns are only to be compared if the cores were as far apart in both.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const NUM_TRIPS: u32 = 200;

/// How often so many trips are made.
const NUM_TRIES: usize = 50;

/// Returns how long a value takes from one core to another and back, at best; `None` where the system does not keep threads
/// to a core, or there is only one.
pub(crate) fn round_trip() -> Option<Duration> {
    let (here, there) = two_cores()?;
    let (ball, is_over) = (AtomicU32::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let is_there = stay_on(there);
            while is_there && !is_over.load(Ordering::Relaxed) {
                let number = ball.load(Ordering::Acquire);
                if number % 2 == 1 {
                    ball.store(number.wrapping_add(1), Ordering::Release);
                }
            }
            // Whoever waits for it is let go.
            is_over.store(true, Ordering::Relaxed);
        });
        let thrower = scope.spawn(|| {
            let best = stay_on(here)
                .then(|| (0..NUM_TRIES).filter_map(|_| trips(&ball, &is_over)).min())
                .flatten();
            is_over.store(true, Ordering::Relaxed);
            best
        });
        let best = thrower.join().ok().flatten()?;
        Some(best / NUM_TRIPS)
    })
}

/// Throws an odd number again and again, and waits each time until it is an even one; `None` if nobody throws back.
fn trips(ball: &AtomicU32, is_over: &AtomicBool) -> Option<Duration> {
    let begin = Instant::now();
    for _ in 0..NUM_TRIPS {
        let number = ball.load(Ordering::Relaxed).wrapping_add(1);
        ball.store(number, Ordering::Release);
        while ball.load(Ordering::Acquire) == number {
            if is_over.load(Ordering::Relaxed) {
                return None;
            }
            std::hint::spin_loop();
        }
    }
    Some(begin.elapsed())
}

/// Returns the first two cores that this process may use.
#[cfg(target_os = "linux")]
fn two_cores() -> Option<(usize, usize)> {
    use nix::sched::{CpuSet, sched_getaffinity};
    use nix::unistd::Pid;

    let allowed = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let mut cores = (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or(false));
    Some((cores.next()?, cores.next()?))
}

/// Keeps this thread to a core; returns whether it can.
#[cfg(target_os = "linux")]
fn stay_on(core: usize) -> bool {
    use nix::sched::{CpuSet, sched_setaffinity};
    use nix::unistd::Pid;

    let mut only = CpuSet::new();
    only.set(core).is_ok() && sched_setaffinity(Pid::from_raw(0), &only).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn two_cores() -> Option<(usize, usize)> {
    None
}

#[cfg(not(target_os = "linux"))]
fn stay_on(_: usize) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_takes_some_time_to_another_core_and_back() {
        assert_eq!(round_trip().is_some(), two_cores().is_some());
        assert!(round_trip().is_none_or(|took| took > Duration::ZERO));
    }
}
