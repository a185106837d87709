//! Requests that leave the queue without having run.

use tokio::time::Instant;

use crate::ExecuteError;
use crate::worker::Item;

/// Those that leave; told and freed once the queue's lock is free.
#[derive(Default)]
pub(super) struct Leaving {
    /// Whose callers have gone, or whose time is up.
    pub(super) gone: Vec<Item>,
    /// Whose places more urgent ones have taken.
    pub(super) displaced: Vec<Item>,
}

impl Leaving {
    /// Tells whoever still waits for them, out of a queue of such a capacity.
    pub(super) fn see_off(self, capacity: usize, is_batching_asked_for: bool) {
        if self.gone.is_empty() && self.displaced.is_empty() {
            return;
        }
        let now = Instant::now();
        for mut item in self.gone {
            item.is_wanted(now, is_batching_asked_for);
        }
        for item in self.displaced {
            item.refuse(ExecuteError::QueueFull { capacity });
        }
    }
}
