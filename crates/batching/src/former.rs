//! Which requests run together, and when: a state machine without clocks, threads or tensors.
//!
//! ```text
//! push ─► lane (what may be joined) ─► batches, in order of arrival ─► poll ─► Run | WaitUntil | Idle
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How much may be joined and how much may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerLimits {
    /// Rows of one batch at most.
    pub max_rows: usize,
    /// How long a batch that is not full waits for more.
    pub delay: Duration,
    /// Batches of one lane that may wait.
    pub max_batches: usize,
    /// Requests of all lanes that may wait.
    pub max_items: usize,
}

/// Why a request may not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// So many requests wait already.
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

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision<T> {
    /// Run these together, in this order.
    Run(Vec<T>),
    /// Nothing until then, unless a request comes.
    WaitUntil(Instant),
    /// Nothing until a request comes.
    Idle,
}

/// Joins requests of a lane `K` into batches, in the order in which they come.
///
/// - A batch never holds more rows than allowed, nor requests of two lanes.
/// - Requests of a lane leave in the order in which they came; between lanes, the batch whose first request came first
///   goes first.
/// - Without a delay, whatever waits can leave at once. With one, a batch leaves when it is full, when there is another
///   behind it, or when its first request has waited for so long.
#[derive(Debug)]
pub struct BatchFormer<K, T> {
    limits: FormerLimits,
    /// Lanes in which something waits; none is empty.
    lanes: Vec<Lane<K, T>>,
    num_items: usize,
    num_batches: usize,
    num_pushed: u64,
    is_closed: bool,
}

#[derive(Debug)]
struct Lane<K, T> {
    key: K,
    batches: VecDeque<Forming<T>>,
}

/// A batch that requests may still join, if it is the last of its lane.
#[derive(Debug)]
struct Forming<T> {
    items: Vec<(usize, T)>,
    num_rows: usize,
    /// The number of its first request among all, and when it came.
    number: u64,
    first_at: Instant,
}

impl<K: Eq, T> BatchFormer<K, T> {
    /// Makes one in which nothing waits.
    #[must_use]
    pub fn new(limits: FormerLimits) -> Self {
        Self {
            limits,
            lanes: Vec::new(),
            num_items: 0,
            num_batches: 0,
            num_pushed: 0,
            is_closed: false,
        }
    }

    /// Returns how many requests wait.
    #[must_use]
    pub fn num_items(&self) -> usize {
        self.num_items
    }

    /// Returns how many batches wait.
    #[must_use]
    pub fn num_batches(&self) -> usize {
        self.num_batches
    }

    /// Returns why a request may not wait; `None` if it may.
    #[must_use]
    pub fn refusal(&self, key: &K, num_rows: usize) -> Option<Refusal> {
        let FormerLimits {
            max_rows,
            max_batches,
            max_items,
            ..
        } = self.limits;
        if num_rows > max_rows {
            return Some(Refusal::TooManyRows { num_rows, max_rows });
        }
        if self.num_items >= max_items {
            return Some(Refusal::Full { max_items });
        }
        let lane = self.lanes.iter().find(|lane| lane.key == *key);
        let num_batches = lane.map_or(0, |lane| lane.batches.len());
        let is_full = num_batches >= max_batches && !self.would_join(key, num_rows);
        is_full.then_some(Refusal::LaneFull {
            num_batches,
            max_batches,
        })
    }

    /// Tells whether a request would join a batch that waits already.
    #[must_use]
    pub fn would_join(&self, key: &K, num_rows: usize) -> bool {
        let lane = self.lanes.iter().find(|lane| lane.key == *key);
        let last = lane.and_then(|lane| lane.batches.back());
        last.is_some_and(|last| last.num_rows + num_rows <= self.limits.max_rows)
    }

    /// Lets a request wait that came at `now`, which never goes back.
    ///
    /// # Errors
    /// Why it may not, and the request.
    pub fn push(
        &mut self,
        now: Instant,
        key: K,
        num_rows: usize,
        item: T,
    ) -> Result<(), (Refusal, T)> {
        if let Some(refusal) = self.refusal(&key, num_rows) {
            return Err((refusal, item));
        }
        self.push_always(now, key, num_rows, item);
        Ok(())
    }

    /// As [`Self::push`], however many wait already. One of as many rows as a batch may have is joined by no other.
    pub fn push_always(&mut self, now: Instant, key: K, num_rows: usize, item: T) {
        let forming = Forming {
            items: Vec::new(),
            num_rows: 0,
            number: self.num_pushed,
            first_at: now,
        };
        let lane_idx = self.lanes.iter().position(|lane| lane.key == key);
        let lane_idx = lane_idx.unwrap_or_else(|| {
            let batches = VecDeque::new();
            self.lanes.push(Lane { key, batches });
            self.lanes.len() - 1
        });
        let batches = &mut self.lanes[lane_idx].batches;
        let has_room = |last: &Forming<T>| last.num_rows + num_rows <= self.limits.max_rows;
        if !batches.back().is_some_and(has_room) {
            batches.push_back(forming);
            self.num_batches += 1;
        }
        if let Some(last) = batches.back_mut() {
            last.num_rows += num_rows;
            last.items.push((num_rows, item));
        }
        self.num_pushed += 1;
        self.num_items += 1;
    }

    /// Tells what to do at `now`, which never goes back. Whoever asks is free to run a batch.
    pub fn poll(&mut self, now: Instant) -> Decision<T> {
        let mut wait_until: Option<Instant> = None;
        let mut chosen: Option<(u64, usize)> = None;
        for (lane_idx, lane) in self.lanes.iter().enumerate() {
            let Some(first) = lane.batches.front() else {
                continue;
            };
            let due = first.first_at + self.limits.delay;
            let is_due = self.is_closed
                || lane.batches.len() > 1
                || first.num_rows >= self.limits.max_rows
                || due <= now;
            if !is_due {
                wait_until = Some(wait_until.map_or(due, |until| until.min(due)));
            } else if chosen.is_none_or(|(number, _)| first.number < number) {
                chosen = Some((first.number, lane_idx));
            }
        }
        let taken = chosen.and_then(|(_, lane_idx)| self.take(lane_idx));
        match (taken, wait_until) {
            (Some(items), _) => Decision::Run(items),
            (None, Some(until)) => Decision::WaitUntil(until),
            (None, None) => Decision::Idle,
        }
    }

    /// Lets go of the requests that are of no use any more, and returns them.
    pub fn take_unwanted(&mut self, mut is_unwanted: impl FnMut(&T) -> bool) -> Vec<T> {
        let (mut num_left, mut unwanted) = (0, Vec::new());
        for lane in &mut self.lanes {
            for batch in &mut lane.batches {
                let gone = batch.items.extract_if(.., |(_, item)| is_unwanted(item));
                unwanted.extend(gone.map(|(_, item)| item));
                batch.num_rows = batch.items.iter().map(|(num_rows, _)| num_rows).sum();
                num_left += batch.items.len();
            }
            lane.batches.retain(|batch| !batch.items.is_empty());
        }
        self.lanes.retain(|lane| !lane.batches.is_empty());
        self.num_items = num_left;
        self.num_batches = self.lanes.iter().map(|lane| lane.batches.len()).sum();
        unwanted
    }

    /// Lets nothing wait for more from now on.
    pub fn close(&mut self) {
        self.is_closed = true;
    }

    fn take(&mut self, lane_idx: usize) -> Option<Vec<T>> {
        let lane = &mut self.lanes[lane_idx];
        let batch = lane.batches.pop_front();
        if lane.batches.is_empty() {
            self.lanes.swap_remove(lane_idx);
        }
        let batch = batch?;
        self.num_items -= batch.items.len();
        self.num_batches -= 1;
        Some(batch.items.into_iter().map(|(_, item)| item).collect())
    }
}

#[cfg(test)]
mod tests;
