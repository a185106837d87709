//! Gives back what a busy time leaves behind: once the process rests, the free pages of its heap.
//!
//! ```text
//! a second of work ─► pages are owed ─► some quiet seconds in a row ─► given back, nothing owed
//! ```
//!
//! While there is work the pages stay, so that the next request finds them: what is free at the height of a burst is used
//! a moment later. Work is CPU time, so that nothing is counted for it on the request path.

use std::convert::Infallible;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

/// How often is looked.
const INTERVAL: Duration = Duration::from_secs(1);

/// The CPU time between two looks from which the process counts as busy: that of a thousand small requests. Probes, scrapes
/// and looks at folders stay far below it.
const BUSY: Duration = Duration::from_millis(20);

/// Quiet looks in a row after which pages go: longer than the pauses of a load that comes in bursts.
const NUM_LOOKS: u32 = 5;

/// Gives pages back again and again, for as long as it is polled.
pub(crate) async fn release_when_quiet() -> Infallible {
    let mut rest = Rest::default();
    let mut looks = interval(INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if rest.look(salver_system::cpu_time()) {
            tracing::debug!("at rest: free memory is given back");
            // A thread that ends badly has given nothing back; there is nothing to be done about it.
            drop(spawn_blocking(salver_system::memory::release).await);
        }
    }
}

/// Tells when a busy time is over.
#[derive(Debug, Default)]
struct Rest {
    /// The CPU time at the last look.
    work: Duration,
    /// Quiet looks since the last busy one; `None` if there was none, or if its pages were given back.
    num_quiet: Option<u32>,
}

impl Rest {
    /// Takes in all the CPU time so far, and returns whether pages are to be given back now.
    fn look(&mut self, work: Duration) -> bool {
        let done = work.saturating_sub(self.work);
        self.work = work;
        self.num_quiet = match self.num_quiet {
            _ if done >= BUSY => Some(0),
            Some(num_quiet) => Some(num_quiet + 1),
            None => None,
        };
        if self.num_quiet < Some(NUM_LOOKS) {
            return false;
        }
        self.num_quiet = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks once for each number of milliseconds worked; returns at which looks pages went.
    fn released_at(worked: &[u64]) -> Vec<usize> {
        let (mut rest, mut work) = (Rest::default(), Duration::ZERO);
        let mut released = Vec::new();
        for (look, millis) in worked.iter().enumerate() {
            work += Duration::from_millis(*millis);
            if rest.look(work) {
                released.push(look);
            }
        }
        released
    }

    #[test]
    fn pages_go_once_after_a_busy_time() {
        let rows: [(&[u64], &[usize]); 6] = [
            (&[0, 0, 0, 0, 0, 0, 0, 0, 0], &[]),
            (&[500, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[5]),
            // Probes are not work.
            (&[500, 1, 2, 1, 3, 1, 2], &[5]),
            (&[19, 19, 19, 19, 19, 19, 19], &[]),
            // Bursts with pauses are one busy time.
            (&[500, 0, 0, 0, 0, 500, 0, 0, 0, 0, 0, 0], &[10]),
            (&[20, 0, 0, 0, 0, 0, 900, 0, 0, 0, 0, 0, 0], &[5, 11]),
        ];
        for (worked, expected) in rows {
            assert_eq!(released_at(worked), expected, "{worked:?}");
        }
    }
}
