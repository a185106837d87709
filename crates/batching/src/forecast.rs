//! How long a request will wait, by what runs took before.

use std::time::Duration;

/// How much one run that took longer than expected counts, as a part of one.
const SLOWER: u32 = 8;

/// How much one that took less counts: to turn away a request that could have been answered is the worse mistake.
const FASTER: u32 = 2;

/// What is known of a model's runs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Forecast {
    /// How long one is expected to take; `None` before the first.
    run: Option<Duration>,
}

impl Forecast {
    /// Takes notice of a run.
    pub(crate) fn ran(&mut self, run: Duration) {
        self.run = Some(match self.run {
            None => run,
            Some(expected) if run < expected => expected - (expected - run) / FASTER,
            Some(expected) => expected + (run - expected) / SLOWER,
        });
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
    fn instances_share_what_waits() {
        let mut forecast = Forecast::default();
        forecast.ran(millis(10));
        assert_eq!(forecast.wait(0, 1), millis(5));
        assert_eq!(forecast.wait(8, 1), millis(85));
        assert_eq!(forecast.wait(8, 4), millis(22));
    }
}
