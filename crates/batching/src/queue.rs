//! Where requests wait for an instance: the state machine that forms batches, with a lock and a clock.

mod lane;
mod leaving;
mod look;
mod pop;
mod sleep;

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use salver_backend::Signature;
use tokio::time::Instant;

use self::lane::LaneKey;
use self::leaving::Leaving;
use self::look::Looks;
use self::sleep::{Beds, Sleepers};
use crate::forecast::{self, Forecast};
use crate::former::{BatchFormer, FormerLimits};
use crate::worker::Item;
use crate::{Batch, BatchingConfig, ExecuteError, ExecutorConfig, Priority};

pub(crate) use self::lane::num_rows;

/// How often a full queue is looked through for requests that nobody waits for any more.
const SWEEP_INTERVAL: Duration = Duration::from_millis(5);

/// The largest inputs, in bytes, of a run that is expected to be as short as those before it.
pub(crate) const MAX_SMALL_BYTES: usize = 16 * 1024;

/// An instance that is taken for a run.
#[derive(Debug)]
pub(crate) struct Run {
    is_short: bool,
}

/// The queue before a model's instances. Everything done under its lock takes microseconds.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Whether any signature is unjoinable: mostly none is, and then nobody has to look which.
    has_unjoinable: AtomicBool,
    /// Where instances' threads sleep.
    beds: Beds,
    batching: Option<BatchingConfig>,
    capacity: usize,
    num_instances: usize,
    max_wait: Option<Duration>,
}

struct State {
    /// Requests that run alone are in a lane without a key.
    former: BatchFormer<Option<LaneKey>, Item>,
    is_closed: bool,
    /// Instances that nobody runs.
    num_idle: usize,
    /// Runs of instance threads that are likely to be short: who runs them asks for more.
    num_short_runs: usize,
    /// Whether an idle instance thread looks again soon, in case such a run is not short.
    is_watched: bool,
    /// How long the next watch is.
    watch: Duration,
    forecast: Forecast,
    looks: Looks,
    /// Which instances' threads sleep.
    sleepers: Sleepers,
    /// When those who have gone were last looked for.
    swept_at: Option<Instant>,
    /// Signatures that turned out not to keep rows apart.
    unjoinable: HashSet<Arc<str>>,
}

impl State {
    /// Tells whether a thread that was woken watches rather than runs what waits: it leaves short runs to who was there before,
    /// as long as nothing waits that came before its last watch, when so many requests had come.
    fn is_to_watch(&self, num_pushed: u64) -> bool {
        let first = self.former.first_number();
        !self.is_watched
            && first.is_some_and(|first| first >= num_pushed)
            && self.is_left_to_others()
    }

    /// Takes in what came of a watch that began when so many requests had come: where more came and none has waited that
    /// long, the next may be longer.
    fn has_watched(&mut self, num_pushed: u64) {
        let has_waited = self
            .former
            .first_number()
            .is_some_and(|first| first < num_pushed);
        self.watch = match has_waited || self.former.num_pushed() == num_pushed {
            true => pop::MIN_WATCH,
            false => (2 * self.watch).min(pop::MAX_WATCH),
        };
    }

    /// Lets one wait that was let in.
    fn wait_in(&mut self, key: Option<LaneKey>, num_rows: usize, item: Item) {
        let (now, priority) = (item.enqueued_at, item.batch.priority);
        self.former.push_always(now, priority, key, num_rows, item);
    }

    /// Takes an idle instance for a run of an instance thread.
    fn begin(&mut self, is_small: bool) -> Run {
        let is_short = is_small && self.forecast.is_short();
        self.num_idle -= 1;
        self.num_short_runs += usize::from(is_short);
        Run { is_short }
    }

    /// Gives an instance back whose run is over, and takes notice of how long that took, if that says something.
    fn end(&mut self, run: &Run, took: Option<Duration>) {
        if let Some(took) = took {
            self.forecast.ran(took);
        }
        self.num_idle += 1;
        self.num_short_runs -= usize::from(run.is_short);
    }

    /// Tells whether an idle instance is to be woken for what waits: not if another comes to it and somebody watches that
    /// it does.
    fn has_idle_to_wake(&self) -> bool {
        let is_seen_to = self.is_watched && self.is_left_to_others();
        self.num_idle > 0 && self.former.num_items() > 0 && !is_seen_to
    }

    /// Tells whether one that runs, or is being woken, comes to what waits about as soon as another thread wakes, which takes
    /// as long as many short runs.
    fn is_left_to_others(&self) -> bool {
        let is_coming = self.sleepers.is_any_getting_up() && self.forecast.is_short();
        (self.num_short_runs > 0 || is_coming)
            && self.forecast.wait(self.former.num_batches(), 1) <= forecast::SHORT
    }

    /// Makes room where callers have gone or are too late. Returns whether it looked, which it does now and then only.
    fn sweep(&mut self, now: Instant, leaving: &mut Leaving) -> bool {
        if self
            .swept_at
            .is_some_and(|swept_at| now < swept_at + SWEEP_INTERVAL)
        {
            return false;
        }
        self.swept_at = Some(now);
        leaving.gone.extend(self.former.take_unwanted(|item| {
            item.reply.is_closed() || item.batch.deadline.is_some_and(|deadline| deadline <= now)
        }));
        true
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("capacity", &self.capacity)
            .field("batching", &self.batching)
            .finish_non_exhaustive()
    }
}

impl Queue {
    pub(crate) fn new(config: &ExecutorConfig) -> Self {
        let capacity = config.queue_capacity.get();
        let batching = config.batching.clone();
        let unjoinable = config.unjoinable.iter().cloned().collect();
        let (num_instances, max_wait) = (config.num_instances.get(), config.max_wait);
        let config = batching.as_ref();
        let max_rows = config.map_or(1, BatchingConfig::max_run_rows);
        let limits = FormerLimits {
            max_rows,
            min_rows: config.map_or(0, |config| config.min_joined_rows.min(max_rows)),
            delay: config.map_or(Duration::ZERO, |config| config.delay),
            max_batches: config
                .and_then(|config| config.max_enqueued_batches)
                .map_or(usize::MAX, std::num::NonZero::get),
            max_items: capacity,
        };
        let state = State {
            former: BatchFormer::new(limits),
            is_closed: false,
            num_idle: num_instances,
            num_short_runs: 0,
            is_watched: false,
            watch: pop::MIN_WATCH,
            forecast: Forecast::default(),
            looks: Looks::default(),
            sleepers: Sleepers::default(),
            swept_at: None,
            unjoinable,
        };
        Self {
            has_unjoinable: AtomicBool::new(!state.unjoinable.is_empty()),
            state: Mutex::new(state),
            beds: Beds::new(num_instances),
            batching,
            capacity,
            num_instances,
            max_wait,
        }
    }

    pub(crate) fn batching(&self) -> Option<&BatchingConfig> {
        self.batching.as_ref()
    }

    /// Tells whether somebody asked for requests to be joined.
    pub(crate) fn is_batching_asked_for(&self) -> bool {
        let config = self.batching.as_ref();
        config.is_some_and(BatchingConfig::is_asked_for)
    }

    /// Returns the rows of a request that may be joined with others, where somebody asked for that.
    pub(crate) fn joinable_rows(&self, batch: &Batch) -> Option<usize> {
        let may_be = self.is_batching_asked_for() && !self.is_unjoinable(&batch.signature);
        num_rows(batch).filter(|_| may_be)
    }

    /// Lets a request wait.
    pub(crate) fn push(&self, item: Item) -> Result<(), ExecuteError> {
        self.push_parts(item, Vec::new())
    }

    /// Lets the parts of a request wait, all of them or none.
    pub(crate) fn push_parts(&self, first: Item, others: Vec<Item>) -> Result<(), ExecuteError> {
        let has_others = !others.is_empty();
        let keyed = |item: Item| (lane::key(&item.batch, self.batching.as_ref()), item);
        let first = keyed(first);
        let others: Vec<_> = others.into_iter().map(keyed).collect();
        let mut leaving = Leaving::default();
        let mut state = self.lock();
        let pushed = self.push_to(&mut state, first, others, &mut leaving);
        let is_for_idle = pushed.is_ok() && state.has_idle_to_wake();
        let woken = match (is_for_idle, has_others) {
            // Whoever ends a run looks for the next.
            (false, _) => None,
            (true, false) => state.sleepers.next(),
            (true, true) => {
                self.beds.wake_all();
                None
            }
        };
        drop(state);
        self.beds.wake(woken);
        self.see_off(leaving);
        pushed
    }

    fn push_to(
        &self,
        state: &mut State,
        (key, item): (Option<(LaneKey, usize)>, Item),
        others: Vec<(Option<(LaneKey, usize)>, Item)>,
        leaving: &mut Leaving,
    ) -> Result<(), ExecuteError> {
        if state.is_closed {
            leaving.gone.push(item);
            leaving
                .gone
                .extend(others.into_iter().map(|(_, item)| item));
            return Err(ExecuteError::Stopped);
        }
        let (key, num_rows) = self.lane(state, key);
        let mut verdict = self.admit(state, &key, num_rows, &item);
        if verdict.is_err() && state.sweep(item.enqueued_at, leaving) {
            verdict = self.admit(state, &key, num_rows, &item);
        }
        if let Err(refused) = verdict {
            leaving.gone.push(item);
            leaving
                .gone
                .extend(others.into_iter().map(|(_, item)| item));
            return Err(refused);
        }
        if state.former.num_items() >= self.capacity {
            state.sweep(item.enqueued_at, leaving);
            let displaced = state.former.make_room(item.batch.priority);
            leaving.displaced.extend(displaced);
        }
        // Whoever lets the first part in lets all of them in.
        state.wait_in(key, num_rows, item);
        for (key, item) in others {
            let (key, num_rows) = self.lane(state, key);
            state.wait_in(key, num_rows, item);
        }
        Ok(())
    }

    /// Returns the lane that a request waits in, and for how many rows it counts there.
    fn lane(&self, state: &State, key: Option<(LaneKey, usize)>) -> (Option<LaneKey>, usize) {
        let key = key.filter(|(key, _)| !state.unjoinable.contains(&key.signature.name));
        match key {
            Some((key, num_rows)) => (Some(key), num_rows),
            None => (None, self.max_rows()),
        }
    }

    /// Tells those who leave, without the lock.
    fn see_off(&self, leaving: Leaving) {
        leaving.see_off(self.capacity, self.is_batching_asked_for());
    }

    /// Lets a request wait that is run alone and never refused: a warm-up.
    pub(crate) fn push_unbounded(&self, item: Item) -> Result<(), ExecuteError> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(ExecuteError::Stopped);
        }
        let former = &mut state.former;
        // The most urgent are never displaced.
        former.push_always(
            item.enqueued_at,
            Priority::High,
            None,
            self.max_rows(),
            item,
        );
        let woken = state.sleepers.next();
        drop(state);
        self.beds.wake(woken);
        Ok(())
    }

    /// Turns away what would be answered too late, behind what is as urgent or more. What an idle instance can take never
    /// is, nor what is in the first batch that waits, so that runs go on and a forecast that was wrong is put right.
    fn admit(
        &self,
        state: &State,
        key: &Option<LaneKey>,
        num_rows: usize,
        item: &Item,
    ) -> Result<(), ExecuteError> {
        let (former, priority) = (&state.former, item.batch.priority);
        if let Some(refusal) = former.refusal(priority, key, num_rows) {
            return Err(refusal.into());
        }
        let joins = usize::from(former.would_join(priority, key, num_rows));
        let num_ahead = former.num_batches_to(priority) - joins;
        let lateness = self.lateness(state, num_ahead, item.enqueued_at, item.batch.deadline);
        lateness.map_or(Ok(()), Err)
    }

    /// Returns why a request that comes at `now` is turned away from behind so many batches, if it is.
    fn lateness(
        &self,
        state: &State,
        num_ahead: usize,
        now: Instant,
        deadline: Option<Instant>,
    ) -> Option<ExecuteError> {
        if num_ahead == 0 || state.num_idle > num_ahead {
            return None;
        }
        let wait = state.forecast.wait(num_ahead, self.num_instances);
        let answered_at = now + wait + state.forecast.run();
        let is_late = deadline.is_some_and(|deadline| answered_at > deadline);
        let is_refused = is_late || self.max_wait.is_some_and(|max| wait > max);
        is_refused.then_some(ExecuteError::WouldBeLate { wait })
    }

    /// Returns what every request of that urgency is told that comes `now`, whatever it asks.
    pub(crate) fn refusal(
        &self,
        now: impl FnOnce() -> Instant,
        deadline: Option<Instant>,
        priority: Priority,
    ) -> Option<ExecuteError> {
        let mut state = self.lock();
        if state.former.num_items() == 0 && !state.is_closed {
            return None;
        }
        let now = now();
        let mut leaving = Leaving::default();
        let mut refusal = self.refusal_of_any(&state, now, deadline, priority);
        if refusal.is_some() && state.sweep(now, &mut leaving) {
            refusal = self.refusal_of_any(&state, now, deadline, priority);
        }
        drop(state);
        self.see_off(leaving);
        refusal
    }

    /// Lets go of requests whose callers have gone or are too late, unless that was done a moment ago.
    pub(crate) fn drop_unwanted(&self, now: Instant) {
        let mut leaving = Leaving::default();
        self.lock().sweep(now, &mut leaving);
        self.see_off(leaving);
    }

    fn refusal_of_any(
        &self,
        state: &State,
        now: Instant,
        deadline: Option<Instant>,
        priority: Priority,
    ) -> Option<ExecuteError> {
        if state.is_closed {
            return Some(ExecuteError::Stopped);
        }
        if state.former.is_full_for(priority) {
            return Some(ExecuteError::QueueFull {
                capacity: self.capacity,
            });
        }
        // One that can be joined may be let into a batch that waits.
        let may_join = usize::from(self.batching.is_some());
        let num_ahead = state.former.num_batches_to(priority);
        self.lateness(state, num_ahead.saturating_sub(may_join), now, deadline)
    }

    /// Returns how many rows are run together at most.
    fn max_rows(&self) -> usize {
        let config = self.batching.as_ref();
        config.map_or(1, BatchingConfig::max_run_rows)
    }

    /// Takes an instance for a run that will be short, where nobody waits for one. It is given back by [`Self::done`].
    pub(crate) fn take_instance(&self) -> Option<Run> {
        let mut state = self.lock();
        let is_free = !state.is_closed
            && state.num_idle > 0
            && state.former.num_items() == 0
            && state.forecast.is_short();
        state.num_idle -= usize::from(is_free);
        // Who borrows it does not ask for more.
        is_free.then_some(Run { is_short: false })
    }

    /// Gives back the instance of a run that is over, and says how long it took, if that says something. Who goes on says
    /// so to [`Self::pop`] instead.
    pub(crate) fn done(&self, run: &Run, took: Option<Duration>) {
        let mut state = self.lock();
        state.end(run, took);
        let is_left = state.former.num_items() > 0;
        let woken = is_left.then(|| state.sleepers.next()).flatten();
        let is_closed = state.is_closed;
        drop(state);
        match is_closed {
            true => self.beds.wake_all(),
            false => self.beds.wake(woken),
        }
    }

    /// Takes nothing more; what waits is still run.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.former.close();
        drop(state);
        self.beds.wake_all();
    }

    /// Joins no more requests for a signature. Returns whether that is news.
    pub(crate) fn stop_joining(&self, signature: &Signature) -> bool {
        self.has_unjoinable.store(true, Ordering::Release);
        self.lock().unjoinable.insert(Arc::clone(&signature.name))
    }

    pub(crate) fn is_unjoinable(&self, signature: &Signature) -> bool {
        self.has_unjoinable.load(Ordering::Acquire)
            && self.lock().unjoinable.contains(&signature.name)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
