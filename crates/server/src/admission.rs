//! Admission: a budget of bytes in flight, reserved as they arrive.
//!
//! A length that a peer announces reserves nothing: only bytes that are here count. Whoever holds bytes holds a
//! [`Reservation`], which gives them back when it is dropped. The second step of admission, a place in the queue of
//! the model that was named, is the executor's bounded queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::status::ServeError;

/// A limit on the request and response bytes that are in memory at once.
#[derive(Debug)]
pub(crate) struct ByteBudget {
    limit_bytes: u64,
    inflight_bytes: AtomicU64,
}

impl ByteBudget {
    pub(crate) fn new(limit_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            limit_bytes,
            inflight_bytes: AtomicU64::new(0),
        })
    }

    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    pub(crate) fn inflight_bytes(&self) -> u64 {
        self.inflight_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn reservation(self: &Arc<Self>) -> Reservation {
        Reservation {
            budget: Arc::clone(self),
            num_bytes: 0,
            sibling_bytes: 0,
        }
    }
}

/// Bytes of the budget that belong to one request; given back on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: Arc<ByteBudget>,
    num_bytes: u64,
    /// What the same request had reserved elsewhere when this reservation was made.
    sibling_bytes: u64,
}

impl Reservation {
    /// Takes more bytes, or refuses and takes none.
    pub(crate) fn grow(&mut self, num_bytes: usize) -> Result<(), ServeError> {
        let num_bytes = num_bytes as u64;
        let before = self
            .budget
            .inflight_bytes
            .fetch_add(num_bytes, Ordering::Relaxed);
        if before.saturating_add(num_bytes) > self.budget.limit_bytes {
            self.budget
                .inflight_bytes
                .fetch_sub(num_bytes, Ordering::Relaxed);
            return Err(self.refusal(num_bytes, before));
        }
        self.num_bytes += num_bytes;
        Ok(())
    }

    /// Counts bytes that exist already and cannot be refused (an answer), so that new requests are.
    pub(crate) fn hold(&mut self, num_bytes: usize) {
        self.budget
            .inflight_bytes
            .fetch_add(num_bytes as u64, Ordering::Relaxed);
        self.num_bytes += num_bytes as u64;
    }

    /// Returns an empty reservation of the same budget for the same request.
    pub(crate) fn sibling(&self) -> Self {
        let mut sibling = self.budget.reservation();
        sibling.sibling_bytes = self.num_bytes;
        sibling
    }

    /// Gives back what is held beyond `num_bytes`.
    pub(crate) fn shrink_to(&mut self, num_bytes: usize) {
        let surplus = self.num_bytes.saturating_sub(num_bytes as u64);
        self.budget
            .inflight_bytes
            .fetch_sub(surplus, Ordering::Relaxed);
        self.num_bytes -= surplus;
    }

    /// Makes it what is in memory in truth, more or less than was reserved.
    pub(crate) fn settle(&mut self, num_bytes: usize) {
        self.shrink_to(num_bytes);
        self.hold(num_bytes - usize::try_from(self.num_bytes).unwrap_or(num_bytes));
    }

    /// Takes over the bytes of another reservation of the same budget.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        self.num_bytes += std::mem::take(&mut other.num_bytes);
    }

    /// Returns how many more bytes this request could take now.
    pub(crate) fn remaining(&self) -> usize {
        let remaining = self
            .budget
            .limit_bytes
            .saturating_sub(self.budget.inflight_bytes());
        usize::try_from(remaining).unwrap_or(usize::MAX)
    }

    fn refusal(&self, num_bytes: u64, inflight_bytes: u64) -> ServeError {
        let limit_bytes = self.budget.limit_bytes;
        if self.sibling_bytes + self.num_bytes + num_bytes > limit_bytes {
            return ServeError::TooLarge { limit_bytes };
        }
        ServeError::NoRoom {
            inflight_bytes,
            limit_bytes,
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget
            .inflight_bytes
            .fetch_sub(self.num_bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_given_back_on_drop() {
        let budget = ByteBudget::new(100);
        let mut first = budget.reservation();
        first.grow(60).expect("fits");
        let mut second = budget.reservation();
        assert!(matches!(
            second.grow(41),
            Err(ServeError::NoRoom {
                inflight_bytes: 60,
                limit_bytes: 100
            })
        ));
        assert!(matches!(
            second.grow(101),
            Err(ServeError::TooLarge { limit_bytes: 100 })
        ));
        assert_eq!(second.remaining(), 40);
        second.grow(40).expect("fits exactly");
        drop(first);
        assert_eq!(budget.inflight_bytes(), 40);
        second.shrink_to(10);
        assert_eq!(budget.inflight_bytes(), 10);
        drop(second);
        assert_eq!(budget.inflight_bytes(), 0);
    }

    #[test]
    fn answers_are_counted_even_beyond_the_limit() {
        let budget = ByteBudget::new(10);
        let mut answer = budget.reservation();
        answer.hold(50);
        assert_eq!(answer.remaining(), 0);
        assert!(budget.reservation().grow(1).is_err());
        drop(answer);
        assert!(budget.reservation().grow(1).is_ok());
    }
}
