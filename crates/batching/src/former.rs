//! Which requests run together, and when: a state machine without clocks, threads or tensors.
//!
//! ```text
//! push ─► lane (urgency, what may be joined) ─► batches, in order of arrival ─► poll ─► Run | WaitUntil | Idle
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use smallvec::{SmallVec, smallvec};
use tokio::time::Instant;

use crate::Priority;

/// How much may be joined and how much may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerLimits {
    /// Rows of one batch at most.
    pub max_rows: usize,
    /// Rows of which a batch is worth running together; the requests of one of fewer run one at a time.
    pub min_rows: usize,
    /// How long a batch that is not full waits for more.
    pub delay: Duration,
    /// Batches of one lane that may wait.
    pub max_batches: usize,
    /// Requests of all lanes that may wait; a more urgent one takes the place of a less urgent one.
    pub max_items: usize,
}

/// Why a request may not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// So many requests wait already that are as urgent.
    Full {
        /// How many may wait.
        max_items: usize,
    },
    /// So many batches of its lane wait already, and it fits into none.
    LaneFull {
        /// How many wait.
        num_batches: usize,
        /// How many may wait.
        max_batches: usize,
    },
    /// It is larger than a batch.
    TooManyRows {
        /// Its rows.
        num_rows: usize,
        /// Rows of a batch at most.
        max_rows: usize,
    },
}

/// Requests that run together; most run alone.
pub type Together<T> = SmallVec<[T; 1]>;

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision<T> {
    /// Run these together, in this order.
    Run(Together<T>),
    /// Nothing until then, unless a request comes.
    WaitUntil(Instant),
    /// Nothing until a request comes.
    Idle,
}

/// How many requests a batch holds without memory of its own.
const FEW: usize = 4;

/// The most batches that an empty lane's memory is kept for.
const MAX_SPARE: usize = 16;

/// Joins requests of one urgency and one kind `K` (a lane) into batches, in the order in which they come.
///
/// - A batch never holds more rows than allowed, nor requests of two lanes; nor several of fewer rows than are worth it.
/// - Of the batches that may leave, one of the most urgent goes first; of these, the one whose first request came first.
///   Requests of a lane leave in the order in which they came.
/// - Without a delay, whatever waits can leave at once. With one, a batch leaves when it is full, when there is another
///   behind it, or when its first request has waited for so long.
/// - Nothing gains urgency by waiting: what is less urgent waits for as long as more urgent requests come.
#[derive(Debug)]
pub struct BatchFormer<K, T> {
    limits: FormerLimits,
    /// Lanes in which something waits; none is empty.
    lanes: Vec<Lane<K, T>>,
    /// What waits, by urgency.
    waiting: [Waiting; Priority::ALL.len()],
    num_pushed: u64,
    /// The memory of a lane that has become empty, for the next one.
    spare: Option<VecDeque<Forming<T>>>,
    is_closed: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    num_items: usize,
    num_batches: usize,
}

#[derive(Debug)]
struct Lane<K, T> {
    priority: Priority,
    key: K,
    batches: VecDeque<Forming<T>>,
}

impl<K, T> Lane<K, T> {
    /// Returns the number of its last request among all.
    fn last_number(&self) -> Option<u64> {
        let last = self.batches.back()?.items.last()?;
        Some(last.number)
    }
}

/// A batch that requests may still join, if it is the last of its lane.
#[derive(Debug)]
struct Forming<T> {
    /// A few wait often where runs are short, and take no memory elsewhere.
    items: SmallVec<[Numbered<T>; FEW]>,
    num_rows: usize,
    /// The number of its first request among all, and when the first came that ever was in it.
    number: u64,
    first_at: Instant,
}

impl<T> Forming<T> {
    /// Takes the first of several requests if they have too few rows to run together.
    fn split_first(&mut self, min_rows: usize) -> Option<T> {
        if self.num_rows >= min_rows || self.items.len() < 2 {
            return None;
        }
        let first = self.items.remove(0);
        self.num_rows -= first.num_rows;
        self.number = self.items[0].number;
        Some(first.item)
    }
}

/// A request that waits.
#[derive(Debug)]
struct Numbered<T> {
    number: u64,
    num_rows: usize,
    item: T,
}

impl<K: Eq, T> BatchFormer<K, T> {
    /// Makes one in which nothing waits.
    #[must_use]
    pub fn new(limits: FormerLimits) -> Self {
        Self {
            limits,
            lanes: Vec::new(),
            waiting: Default::default(),
            num_pushed: 0,
            spare: None,
            is_closed: false,
        }
    }

    /// Returns how many requests wait.
    #[must_use]
    pub fn num_items(&self) -> usize {
        self.num_items_to(Priority::Low)
    }

    /// Returns how many batches wait.
    #[must_use]
    pub fn num_batches(&self) -> usize {
        self.num_batches_to(Priority::Low)
    }

    /// Returns how many batches wait that are as urgent or more: those that go before one that comes now.
    #[must_use]
    pub fn num_batches_to(&self, priority: Priority) -> usize {
        let waiting = &self.waiting[..=priority as usize];
        waiting.iter().map(|waiting| waiting.num_batches).sum()
    }

    fn num_items_to(&self, priority: Priority) -> usize {
        let waiting = &self.waiting[..=priority as usize];
        waiting.iter().map(|waiting| waiting.num_items).sum()
    }

    /// Tells whether no request of that urgency may wait, of whatever kind.
    #[must_use]
    pub fn is_full_for(&self, priority: Priority) -> bool {
        self.num_items_to(priority) >= self.limits.max_items
    }

    /// Returns why a request may not wait; `None` if it may, perhaps in the place of less urgent ones.
    #[must_use]
    pub fn refusal(&self, priority: Priority, key: &K, num_rows: usize) -> Option<Refusal> {
        let FormerLimits {
            max_rows,
            max_batches,
            max_items,
            ..
        } = self.limits;
        if num_rows > max_rows {
            return Some(Refusal::TooManyRows { num_rows, max_rows });
        }
        if self.is_full_for(priority) {
            return Some(Refusal::Full { max_items });
        }
        let num_batches = self
            .lane(priority, key)
            .map_or(0, |lane| lane.batches.len());
        let is_full = num_batches >= max_batches && !self.would_join(priority, key, num_rows);
        is_full.then_some(Refusal::LaneFull {
            num_batches,
            max_batches,
        })
    }

    /// Tells whether a request would join a batch that waits already.
    #[must_use]
    pub fn would_join(&self, priority: Priority, key: &K, num_rows: usize) -> bool {
        let last = self
            .lane(priority, key)
            .and_then(|lane| lane.batches.back());
        last.is_some_and(|last| last.num_rows + num_rows <= self.limits.max_rows)
    }

    fn lane(&self, priority: Priority, key: &K) -> Option<&Lane<K, T>> {
        let mut lanes = self.lanes.iter();
        lanes.find(|lane| lane.priority == priority && lane.key == *key)
    }

    /// Lets a request wait that came at `now`, which never goes back. Returns those whose places were taken.
    ///
    /// # Errors
    /// Why it may not, and the request.
    pub fn push(
        &mut self,
        now: Instant,
        priority: Priority,
        key: K,
        num_rows: usize,
        item: T,
    ) -> Result<Vec<T>, (Refusal, T)> {
        if let Some(refusal) = self.refusal(priority, &key, num_rows) {
            return Err((refusal, item));
        }
        let displaced = self.make_room(priority);
        self.push_always(now, priority, key, num_rows, item);
        Ok(displaced)
    }

    /// As [`Self::push`], however many wait already. One of as many rows as a batch may have is joined by no other.
    pub fn push_always(
        &mut self,
        now: Instant,
        priority: Priority,
        key: K,
        num_rows: usize,
        item: T,
    ) {
        let number = self.num_pushed;
        let forming = Forming {
            items: SmallVec::new(),
            num_rows: 0,
            number,
            first_at: now,
        };
        let is_its_lane = |lane: &Lane<K, T>| lane.priority == priority && lane.key == key;
        let lane_idx = self.lanes.iter().position(is_its_lane);
        let lane_idx = lane_idx.unwrap_or_else(|| {
            self.lanes.push(Lane {
                priority,
                key,
                batches: self.spare.take().unwrap_or_default(),
            });
            self.lanes.len() - 1
        });
        let waiting = &mut self.waiting[priority as usize];
        let batches = &mut self.lanes[lane_idx].batches;
        let has_room = |last: &Forming<T>| last.num_rows + num_rows <= self.limits.max_rows;
        if !batches.back().is_some_and(has_room) {
            batches.push_back(forming);
            waiting.num_batches += 1;
        }
        if let Some(last) = batches.back_mut() {
            last.num_rows += num_rows;
            last.items.push(Numbered {
                number,
                num_rows,
                item,
            });
        }
        self.num_pushed += 1;
        waiting.num_items += 1;
    }

    /// Lets go of less urgent requests until one of that urgency may wait: of the least urgent, the youngest first. Returns
    /// them; there are none unless all places are taken.
    pub fn make_room(&mut self, priority: Priority) -> Vec<T> {
        let mut displaced = Vec::new();
        while self.num_items() >= self.limits.max_items {
            let Some(item) = self.take_youngest_after(priority) else {
                break;
            };
            displaced.push(item);
        }
        displaced
    }

    fn take_youngest_after(&mut self, priority: Priority) -> Option<T> {
        let lanes = self.lanes.iter().enumerate();
        let (lane_idx, _) = lanes
            .filter(|(_, lane)| lane.priority > priority)
            .max_by_key(|(_, lane)| (lane.priority, lane.last_number()))?;
        let lane = &mut self.lanes[lane_idx];
        let waiting = &mut self.waiting[lane.priority as usize];
        let batch = lane.batches.back_mut()?;
        let youngest = batch.items.pop()?;
        waiting.num_items -= 1;
        batch.num_rows -= youngest.num_rows;
        if batch.items.is_empty() {
            lane.batches.pop_back();
            waiting.num_batches -= 1;
        }
        if lane.batches.is_empty() {
            self.lanes.swap_remove(lane_idx);
        }
        Some(youngest.item)
    }

    /// Tells what to do at `now`, which never goes back. Whoever asks is free to run a batch.
    pub fn poll(&mut self, now: Instant) -> Decision<T> {
        let mut wait_until: Option<Instant> = None;
        let mut chosen: Option<((Priority, u64), usize)> = None;
        for (lane_idx, lane) in self.lanes.iter().enumerate() {
            let Some(first) = lane.batches.front() else {
                continue;
            };
            let due = first.first_at + self.limits.delay;
            let is_due = self.is_closed
                || lane.batches.len() > 1
                || first.num_rows >= self.limits.max_rows
                || due <= now;
            let turn = (lane.priority, first.number);
            if !is_due {
                wait_until = Some(wait_until.map_or(due, |until| until.min(due)));
            } else if chosen.is_none_or(|(earliest, _)| turn < earliest) {
                chosen = Some((turn, lane_idx));
            }
        }
        let taken = chosen.and_then(|(_, lane_idx)| self.take(lane_idx));
        match (taken, wait_until) {
            (Some(items), _) => Decision::Run(items),
            (None, Some(until)) => Decision::WaitUntil(until),
            (None, None) => Decision::Idle,
        }
    }

    /// Returns how many requests have ever come: the number of the next.
    pub(crate) fn num_pushed(&self) -> u64 {
        self.num_pushed
    }

    /// Returns the number of the one that has waited longest, or a smaller one.
    pub(crate) fn first_number(&self) -> Option<u64> {
        let firsts = self.lanes.iter().filter_map(|lane| lane.batches.front());
        firsts.map(|first| first.number).min()
    }

    /// Lets go of the requests that are of no use any more, and returns them.
    pub fn take_unwanted(&mut self, mut is_unwanted: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut unwanted = Vec::new();
        self.waiting = Default::default();
        for lane in &mut self.lanes {
            let waiting = &mut self.waiting[lane.priority as usize];
            for batch in &mut lane.batches {
                let items = std::mem::take(&mut batch.items).into_iter();
                let (gone, left): (SmallVec<[_; FEW]>, _) =
                    items.partition(|waiting| is_unwanted(&waiting.item));
                unwanted.extend(gone.into_iter().map(|gone| gone.item));
                batch.items = left;
                batch.num_rows = batch.items.iter().map(|left| left.num_rows).sum();
                waiting.num_items += batch.items.len();
            }
            lane.batches.retain(|batch| !batch.items.is_empty());
            waiting.num_batches += lane.batches.len();
        }
        self.lanes.retain(|lane| !lane.batches.is_empty());
        unwanted
    }

    /// Lets nothing wait for more from now on.
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    fn take(&mut self, lane_idx: usize) -> Option<Together<T>> {
        let lane = &mut self.lanes[lane_idx];
        let waiting = &mut self.waiting[lane.priority as usize];
        if let Some(first) = lane.batches.front_mut()?.split_first(self.limits.min_rows) {
            waiting.num_items -= 1;
            return Some(smallvec![first]);
        }
        let batch = lane.batches.pop_front();
        if lane.batches.is_empty() {
            let Lane { batches, .. } = self.lanes.swap_remove(lane_idx);
            self.spare = Some(batches).filter(|batches| batches.capacity() <= MAX_SPARE);
        }
        let batch = batch?;
        waiting.num_items -= batch.items.len();
        waiting.num_batches -= 1;
        Some(batch.items.into_iter().map(|taken| taken.item).collect())
    }
}

#[cfg(test)]
mod tests;
