//! Whether an instance that has run out of work looks for more once again before it sleeps.
//!
//! ```text
//! a short run ends, nothing waits ─► let other threads go first ─► look ─► run what has come, or sleep
//! ```
//!
//! Under many small requests the next one is being read by then, and nobody has to wake a thread for it, which costs as
//! much as several such runs. Where requests come one by one a look is in vain; where other work keeps the cores busy it
//! takes longer than being woken would. So an instance looks as long as that pays, and otherwise tries it now and then.

use std::time::Duration;

/// A look that took longer says that other work keeps the cores busy.
const MAX_LOOK: Duration = Duration::from_micros(500);

/// What is lost by looks in vain before they end, in looks.
const MAX_CREDIT: u32 = 8;

/// Looks are tried again after so many times without: seldom enough for a quantile of 99 not to see it.
const NUM_BETWEEN_TRIALS: u32 = 256;

/// What looks of the instances of a model were worth lately.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// Looks that may still be in vain.
    credit: u32,
    /// Times without a look since the last one.
    num_without: u32,
}

impl Looks {
    /// Tells whether to look now.
    pub(super) fn begin(&mut self) -> bool {
        let is_due = self.credit > 0 || self.num_without >= NUM_BETWEEN_TRIALS;
        self.num_without = if is_due { 0 } else { self.num_without + 1 };
        is_due
    }

    /// Takes in what came of a look.
    pub(super) fn end(&mut self, has_found: bool, took: Duration) {
        self.credit = match has_found {
            _ if took > MAX_LOOK => self.credit / 2,
            true => (self.credit + 2).min(MAX_CREDIT),
            false => self.credit.saturating_sub(1),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_micros(3);

    /// Ends that many runs, with looks where they are due; returns how many there were.
    fn num_looks(looks: &mut Looks, num_ends: u32, has_found: bool, took: Duration) -> u32 {
        let mut num_looks = 0;
        for _ in 0..num_ends {
            if looks.begin() {
                looks.end(has_found, took);
                num_looks += 1;
            }
        }
        num_looks
    }

    #[test]
    fn looks_go_on_while_they_find_something() {
        let mut looks = Looks::default();
        assert_eq!(num_looks(&mut looks, 256, true, QUICK), 0);
        assert_eq!(num_looks(&mut looks, 1_000, true, QUICK), 1_000);
        assert_eq!(num_looks(&mut looks, 100, false, QUICK), MAX_CREDIT);
        assert_eq!(num_looks(&mut looks, 10 * 257, false, QUICK), 10);
    }

    #[test]
    fn looks_that_take_long_end_whatever_they_find() {
        let mut looks = Looks::default();
        assert_eq!(num_looks(&mut looks, 300, true, QUICK), 300 - 256);
        assert_eq!(num_looks(&mut looks, 100, true, MAX_LOOK * 2), 4);
        assert_eq!(num_looks(&mut looks, 10 * 257, true, MAX_LOOK * 2), 10);
    }
}
