//! Which of the instances' threads is woken when there is work: the one that ran last.
//!
//! What it ran with is still in its core's cache, and it stays the only one as long as it keeps up: two that took turns
//! would carry the model, the queue and the requests from core to core.

use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::Duration;

/// Threads that sleep. A part of what the lock protects.
#[derive(Debug, Default)]
pub(super) struct Sleepers {
    /// The one to be woken next at the end.
    asleep: Vec<usize>,
    /// How many were taken out to be woken and do not have the lock yet.
    num_getting_up: usize,
}

impl Sleepers {
    /// Adds one; it is the next if it `is_last` of all to have run, else the last of all to be woken.
    pub(super) fn lie_down(&mut self, who: usize, is_last: bool) {
        let place = if is_last { self.asleep.len() } else { 0 };
        self.asleep.insert(place, who);
    }

    /// Takes notice that one is awake; it is still there unless [`Self::next`] took it out.
    pub(super) fn get_up(&mut self, who: usize) {
        match self.asleep.iter().position(|sleeper| *sleeper == who) {
            Some(place) => drop(self.asleep.remove(place)),
            None => self.num_getting_up -= 1,
        }
    }

    /// Takes out the one to be woken; whoever asks wakes it.
    pub(super) fn next(&mut self) -> Option<usize> {
        let next = self.asleep.pop();
        self.num_getting_up += usize::from(next.is_some());
        next
    }

    /// Tells whether any is being woken.
    pub(super) fn is_any_getting_up(&self) -> bool {
        self.num_getting_up > 0
    }
}

/// Where the threads sleep, each in a place of its own.
#[derive(Debug)]
pub(super) struct Beds(Box<[Condvar]>);

impl Beds {
    pub(super) fn new(num_threads: usize) -> Self {
        Self((0..num_threads).map(|_| Condvar::new()).collect())
    }

    /// Sleeps until it is woken, or so long at most.
    pub(super) fn sleep<'a, T>(
        &self,
        who: usize,
        guard: MutexGuard<'a, T>,
        most: Option<Duration>,
    ) -> MutexGuard<'a, T> {
        let bed = &self.0[who];
        match most {
            None => bed.wait(guard).unwrap_or_else(PoisonError::into_inner),
            Some(most) => {
                let waited = bed.wait_timeout(guard, most);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// Wakes one, if there was one.
    pub(super) fn wake(&self, who: Option<usize>) {
        if let Some(who) = who {
            self.0[who].notify_one();
        }
    }

    pub(super) fn wake_all(&self) {
        for bed in &self.0 {
            bed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_to_run_is_woken_first_and_one_that_slept_in_vain_last() {
        let mut sleepers = Sleepers::default();
        sleepers.lie_down(0, true);
        sleepers.lie_down(1, true);
        sleepers.lie_down(2, false);
        sleepers.lie_down(3, true);
        sleepers.get_up(1);
        assert!(!sleepers.is_any_getting_up(), "its time was up");
        assert_eq!([sleepers.next(), sleepers.next()], [Some(3), Some(0)]);
        sleepers.get_up(0);
        assert!(sleepers.is_any_getting_up());
        sleepers.get_up(3);
        assert!(!sleepers.is_any_getting_up());
        sleepers.lie_down(0, false);
        assert_eq!([sleepers.next(), sleepers.next()], [Some(2), Some(0)]);
        assert_eq!(sleepers.next(), None);
    }
}
