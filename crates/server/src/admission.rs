//! Admission: a budget of bytes in flight, reserved as they arrive.
//!
//! A length that a peer announces reserves nothing: only bytes that are here count. Whoever holds bytes holds a
//! [`Reservation`], which gives them back when it is dropped. While a request waits for its model or runs, they are a
//! [`Share`], of which no model has more than what is left for the others. The second step of admission, a place in the
//! queue of the model that was named, is the executor's bounded queue.

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

    /// Refuses what is for a model whose requests hold more than what is free, as [`Reservation::share_of`] would.
    pub(crate) fn check_share(&self, of_model: &AtomicU64) -> Result<(), ServeError> {
        let held_bytes = of_model.load(Ordering::Relaxed);
        let free_bytes = self.free_bytes();
        match held_bytes > free_bytes {
            true => Err(ServeError::ModelShare {
                held_bytes,
                free_bytes,
            }),
            false => Ok(()),
        }
    }

    fn free_bytes(&self) -> u64 {
        self.limit_bytes.saturating_sub(self.inflight_bytes())
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
        usize::try_from(self.budget.free_bytes()).unwrap_or(usize::MAX)
    }

    /// Makes it a part of what a model's requests hold, or gives it back.
    ///
    /// The rule is that of switches whose ports share a buffer (Choudhury and Hahne, Dynamic queue length thresholds for
    /// shared-memory packet switches, 1998, with alpha = 1): who holds more than what is free gets no more. One model alone
    /// has half of the budget, and `n` that all want more have one part each in `n + 1`; the part that stays free lets in
    /// whoever comes next. A model that holds nothing may always have one request.
    pub(crate) fn share_of(self, of_model: &Arc<AtomicU64>) -> Result<Share, ServeError> {
        let held_bytes = of_model.fetch_add(self.num_bytes, Ordering::Relaxed);
        let free_bytes = self.budget.free_bytes();
        let hold = Share {
            counted_bytes: AtomicU64::new(self.num_bytes),
            of_model: Arc::clone(of_model),
            _reservation: self,
        };
        match held_bytes > free_bytes {
            true => Err(ServeError::ModelShare {
                held_bytes,
                free_bytes,
            }),
            false => Ok(hold),
        }
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

/// What a request holds that waits for its model or runs; given back on drop.
#[derive(Debug)]
pub(crate) struct Share {
    /// What is counted as its model's.
    counted_bytes: AtomicU64,
    of_model: Arc<AtomicU64>,
    _reservation: Reservation,
}

impl Share {
    /// Stops counting it as its model's, which has run: only others need the bytes now.
    pub(crate) fn give_up(&self) {
        let counted_bytes = self.counted_bytes.swap(0, Ordering::Relaxed);
        self.of_model.fetch_sub(counted_bytes, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes so many bytes for a request of a model.
    fn hold(
        budget: &Arc<ByteBudget>,
        model: &Arc<AtomicU64>,
        num_bytes: usize,
    ) -> Result<Share, ServeError> {
        let mut reservation = budget.reservation();
        reservation.grow(num_bytes)?;
        reservation.share_of(model)
    }

    #[test]
    fn a_model_leaves_as_much_to_others_as_it_holds() {
        let budget = ByteBudget::new(100);
        let (greedy, modest) = (Arc::default(), Arc::default());
        let mut holds: Vec<Share> = (0..5)
            .map(|_| hold(&budget, &greedy, 10).expect("others have as much"))
            .collect();
        let refused = hold(&budget, &greedy, 10);
        assert!(
            matches!(
                refused,
                Err(ServeError::ModelShare {
                    held_bytes: 50,
                    free_bytes: 40
                })
            ),
            "{refused:?}"
        );
        assert_eq!(budget.inflight_bytes(), 50, "what is refused is given back");
        assert_eq!(greedy.load(Ordering::Relaxed), 50);
        let others: Vec<Share> = (0..3)
            .map(|_| hold(&budget, &modest, 10).expect("it holds less than what is free"))
            .collect();
        assert!(hold(&budget, &modest, 10).is_err());
        holds.truncate(2);
        drop(others);
        assert_eq!(budget.inflight_bytes(), 20);
        holds.push(hold(&budget, &greedy, 10).expect("it holds less now"));
        drop(holds);
        assert_eq!(budget.inflight_bytes(), 0);
        assert_eq!(greedy.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_request_may_be_as_large_as_the_budget() {
        let budget = ByteBudget::new(100);
        let model = Arc::default();
        let whole = hold(&budget, &model, 100).expect("the model holds nothing");
        assert!(matches!(
            hold(&budget, &model, 0),
            Err(ServeError::ModelShare { .. })
        ));
        // With its shadows now, which are nobody's share.
        whole.give_up();
        assert_eq!(model.load(Ordering::Relaxed), 0);
        assert_eq!(budget.inflight_bytes(), 100);
        drop(whole);
        assert_eq!(model.load(Ordering::Relaxed), 0);
        assert_eq!(budget.inflight_bytes(), 0);
    }

    proptest! {
        #[test]
        fn whoever_comes_later_gets_a_part_of_what_the_greedy_left(
            num_greedy in 1..6_u64,
            num_bytes in 1..50_usize,
        ) {
            let budget = ByteBudget::new(10_000);
            let models: Vec<Arc<AtomicU64>> = (0..num_greedy).map(|_| Arc::default()).collect();
            let mut holds = Vec::new();
            let mut has_room = true;
            while has_room {
                let held = models.iter().filter_map(|model| hold(&budget, model, num_bytes).ok());
                let num_holds = holds.len();
                holds.extend(held);
                has_room = holds.len() > num_holds;
            }
            let part = 10_000 / (num_greedy + 1);
            let slack = 2 * num_greedy * num_bytes as u64;
            for model in &models {
                let held_bytes = model.load(Ordering::Relaxed);
                prop_assert!(held_bytes.abs_diff(part) <= slack, "{held_bytes}, {part}");
            }
            let latecomer = Arc::default();
            prop_assert!(hold(&budget, &latecomer, num_bytes).is_ok());
            prop_assert!(hold(&budget, &latecomer, num_bytes).is_ok());
        }
    }

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
