//! When the machine stood still: a virtual machine whose host gives its processors to others, often for 100 ms at a time.
//!
//! A request that comes in such a moment says nothing of the server, and a few of them are the tail of a second. Linux
//! counts what was taken in `/proc/stat`, as `steal` of proc(5); elsewhere, and on a machine of one's own, nothing is.

use std::fs;
use std::time::{Duration, Instant};

/// A hundredth of a second, in which `/proc/stat` counts.
const TICK: Duration = Duration::from_millis(10);

/// Less than this, in ticks between two looks, is what any machine does now and then.
const LEAST_TICKS: u64 = 2;

/// How much of the time between two looks has to be gone at least: a look that was late, whatever made it so, sees more
/// of what goes on all the time.
const LEAST_PART: u32 = 2;

/// What was seen of it by looking again and again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stalls {
    last: Option<(Instant, u64)>,
    seen: Vec<(Instant, Instant)>,
}

impl Stalls {
    /// Looks; to be done every few milliseconds.
    pub(crate) fn look(&mut self) {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        self.add(Instant::now(), stolen_ticks(&stat).unwrap_or_default());
    }

    fn add(&mut self, now: Instant, ticks: u64) {
        if let Some((then, before)) = self.last.replace((now, ticks)) {
            let stolen = ticks.saturating_sub(before);
            let length = TICK * u32::try_from(stolen).unwrap_or(u32::MAX);
            if stolen >= LEAST_TICKS && length * LEAST_PART >= now - then {
                // It is counted when the processor comes back, for all the time that it was away.
                let begin = then.checked_sub(length).unwrap_or(then);
                self.seen.push((begin, now));
            }
        }
    }

    /// Returns one stall.
    #[cfg(test)]
    pub(crate) fn between(begin: Instant, end: Instant) -> Self {
        Self {
            last: None,
            seen: vec![(begin, end)],
        }
    }

    /// Tells whether the machine stood still at any time from one moment to another.
    pub(crate) fn has_any(&self, from: Instant, to: Instant) -> bool {
        self.seen
            .iter()
            .any(|&(begin, end)| begin <= to && from <= end)
    }
}

/// Reads what was taken from all processors together since the start of the machine.
fn stolen_ticks(stat: &str) -> Option<u64> {
    let all = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    all.split_whitespace().nth(7)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_the_eighth_number_of_all_processors() {
        let stat = "cpu  1 2 3 4 5 6 7 88 0 0\ncpu0 1 2 3 4 5 6 7 9 0 0\n";
        assert_eq!(stolen_ticks(stat), Some(88));
        assert_eq!(stolen_ticks("cpu 1 2 3"), None);
        assert_eq!(stolen_ticks(""), None);
    }

    #[test]
    fn a_stall_begins_as_long_before_it_is_counted_as_it_was() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut stalls = Stalls::default();
        for (millis, ticks) in [
            (500, 70),
            (510, 71),
            (520, 71),
            (530, 81),
            (540, 81),
            (740, 84),
        ] {
            stalls.add(at(millis), ticks);
        }
        for (from, to, expected) in [
            (0, 419, false),
            (0, 420, true),
            (450, 460, true),
            (530, 600, true),
            (531, 800, false),
        ] {
            assert_eq!(stalls.has_any(at(from), at(to)), expected, "{from} to {to}");
        }
    }
}
