//! What an instance's thread does between two runs.
//!
//! ```text
//! a run ends ─► run what waits ─► look once more ─► sleep ─► woken: run what waits,
//!                                                            or watch while another thread does
//! ```

use std::mem;
use std::sync::MutexGuard;
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use super::{MAX_SMALL_BYTES, Queue, Run, State};
use crate::former::{Decision, Together};
use crate::worker::Item;

/// How long a thread watches that others run what waits. A request may wait for two watches beside an idle instance, where a
/// run was expected to be short and is not: for the one in which it came and for a whole one.
pub(super) const MIN_WATCH: Duration = Duration::from_millis(1);

/// The same where watches were in vain: each is a thread that is woken, among the others, for nothing.
pub(super) const MAX_WATCH: Duration = Duration::from_millis(4);

impl Queue {
    /// Waits for what to run next, and for an instance; `None` when the queue is closed and empty. `who` is which of the
    /// instances' threads this is; `ended` is its last run and how long that took, if that says something: as it asks for
    /// more at once, nobody else has to be woken for what came meanwhile.
    pub(crate) fn pop(
        &self,
        who: usize,
        ended: Option<(Run, Option<Duration>)>,
    ) -> Option<(Together<Item>, Run)> {
        let mut state = self.lock();
        if let Some((run, took)) = ended {
            state.end(&run, took);
            if state.is_closed {
                self.beds.wake_all();
            }
        }
        let (mut has_looked, mut num_pushed) = (false, 0);
        // Once it has slept in vain, others have run later.
        let mut is_last = true;
        loop {
            if state.num_idle == 0 {
                state = self.sleep(who, state, mem::take(&mut is_last), None);
                continue;
            }
            if !is_last && state.is_to_watch(num_pushed) {
                (state, num_pushed) = self.watch(who, state, false);
                continue;
            }
            let now = Instant::now();
            match state.former.poll(now) {
                Decision::Run(items) => {
                    let num_bytes: usize = items.iter().map(|item| item.num_bytes).sum();
                    let run = state.begin(num_bytes <= MAX_SMALL_BYTES);
                    if state.has_idle_to_wake() {
                        // Somebody else has to look after what is left, however long it still waits.
                        self.beds.wake(state.sleepers.next());
                    }
                    return Some((items, run));
                }
                Decision::WaitUntil(until) => {
                    let left = until.saturating_duration_since(now);
                    state = self.sleep(who, state, mem::take(&mut is_last), Some(left));
                }
                Decision::Idle if state.is_closed => return None,
                Decision::Idle
                    if !has_looked && state.forecast.is_short() && state.looks.begin() =>
                {
                    has_looked = true;
                    state = self.look(state, now);
                }
                Decision::Idle if state.num_short_runs > 0 && !state.is_watched => {
                    (state, num_pushed) = self.watch(who, state, mem::take(&mut is_last));
                }
                Decision::Idle => state = self.sleep(who, state, mem::take(&mut is_last), None),
            }
        }
    }

    /// Sleeps until there is something to do, or so long at most.
    fn sleep<'a>(
        &'a self,
        who: usize,
        mut state: MutexGuard<'a, State>,
        is_last: bool,
        most: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        state.sleepers.lie_down(who, is_last);
        let mut state = self.beds.sleep(who, state, most);
        state.sleepers.get_up(who);
        state
    }

    /// Sees to it that others come to what waits: sleeps for as long as it may take them. Returns how many requests had come
    /// when that began.
    fn watch<'a>(
        &'a self,
        who: usize,
        mut state: MutexGuard<'a, State>,
        is_last: bool,
    ) -> (MutexGuard<'a, State>, u64) {
        let (num_pushed, length) = (state.former.num_pushed(), state.watch);
        state.is_watched = true;
        let mut state = self.sleep(who, state, is_last, Some(length));
        state.is_watched = false;
        state.has_watched(num_pushed);
        (state, num_pushed)
    }

    /// Lets other threads go first, and looks what has come; as during a run that will be short, nobody is woken for it.
    fn look<'a>(&'a self, mut state: MutexGuard<'a, State>, now: Instant) -> MutexGuard<'a, State> {
        state.num_short_runs += 1;
        drop(state);
        thread::yield_now();
        let mut state = self.lock();
        state.num_short_runs -= 1;
        let has_found = state.former.num_items() > 0;
        state.looks.end(has_found, now.elapsed());
        state
    }
}
