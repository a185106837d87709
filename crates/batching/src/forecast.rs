//! How long a request will wait, by what runs took before.

use std::time::Duration;

/// How much one run that took longer than expected counts, as a part of one.
const SLOWER: u32 = 8;

/// How much one that took less counts: to turn away a request that could have been answered is the worse mistake.
const FASTER: u32 = 2;

/// The longest run that is called short: handing one to another thread and its answer back costs a good part of this.
pub(crate) const SHORT: Duration = Duration::from_micros(100);

/// How many runs have to be short before the next is expected to be, and how many a long one undoes.
const SHORT_RUNS: u32 = 32;

/// What is known of a model's runs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Forecast {
    /// How long one is expected to take; `None` before the first.
    run: Option<Duration>,
    /// Short runs, less what long ones undid.
    num_short: u32,
}

impl Forecast {
    /// Takes notice of a run.
    pub(crate) fn ran(&mut self, run: Duration) {
        self.run = Some(match self.run {
            None => run,
            Some(expected) if run < expected => expected - (expected - run) / FASTER,
            Some(expected) => expected + (run - expected) / SLOWER,
        });
        self.num_short = match run <= SHORT {
            true => (self.num_short + 1).min(2 * SHORT_RUNS),
            false => self.num_short.saturating_sub(SHORT_RUNS),
        };
    }

    /// Tells whether the next run will be short. One long run among many short ones does not change that: on a busy
    /// machine any run may be interrupted.
    pub(crate) fn is_short(&self) -> bool {
        self.num_short >= SHORT_RUNS && self.run() <= SHORT
    }

    /// Returns how long a request will wait before it runs, behind so many batches, while every instance is busy.
    ///
    /// Of several runs that go on, the first to end is reckoned to be through with most of its time.
    pub(crate) fn wait(&self, num_batches: usize, num_instances: usize) -> Duration {
        let Some(run) = self.run else {
            return Duration::ZERO;
        };
        let num_batches = u32::try_from(num_batches).unwrap_or(u32::MAX);
        let num_instances = u32::try_from(num_instances).unwrap_or(u32::MAX).max(1);
        run.saturating_mul(num_batches) / num_instances + run / num_instances.saturating_add(1)
    }

    /// Returns how long one run is expected to take.
    pub(crate) fn run(&self) -> Duration {
        self.run.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_slow_first_run_is_soon_forgotten_and_a_slow_single_one_counts_little() {
        let mut forecast = Forecast::default();
        assert_eq!(forecast.wait(100, 1), Duration::ZERO);
        forecast.ran(millis(1000));
        assert_eq!(forecast.run(), millis(1000));
        for _ in 0..10 {
            forecast.ran(millis(10));
        }
        assert!(forecast.run() < millis(11), "{forecast:?}");
        forecast.ran(millis(90));
        assert!(forecast.run() < millis(21), "{forecast:?}");
    }

    #[test]
    fn runs_are_short_after_many_short_ones_until_long_ones_come() {
        let short = Duration::from_micros(10);
        let mut forecast = Forecast::default();
        for _ in 0..SHORT_RUNS {
            assert!(!forecast.is_short());
            forecast.ran(short);
        }
        assert!(forecast.is_short());
        for _ in 0..SHORT_RUNS {
            forecast.ran(short);
        }
        // Interrupted once: soon forgotten.
        forecast.ran(millis(1));
        for _ in 0..3 {
            forecast.ran(short);
        }
        assert!(forecast.is_short());
        forecast.ran(millis(1));
        for _ in 0..3 {
            forecast.ran(short);
        }
        assert!(!forecast.is_short());
    }

    #[test]
    fn instances_share_what_waits() {
        let mut forecast = Forecast::default();
        forecast.ran(millis(10));
        assert_eq!(forecast.wait(0, 1), millis(5));
        assert_eq!(forecast.wait(8, 1), millis(85));
        assert_eq!(forecast.wait(8, 4), millis(22));
    }
}
