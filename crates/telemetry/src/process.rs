//! What the operating system knows of this process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Linux's page size on every platform Salver is built for, but for a few arm64 kernels.
///
/// Reading the true one needs a system call that std does not offer; `/proc/self/smaps_rollup` is the exact source and
/// costs a walk over all mappings, so it is not read at every scrape.
const PAGE_BYTES: u64 = 4096;

/// Returns the physical memory that the process holds, in bytes; `None` where the system does not say.
pub(crate) fn resident_memory_bytes() -> Option<u64> {
    match std::fs::read_to_string("/proc/self/status") {
        Ok(status) => parse_status(&status),
        Err(_) => parse_statm(&std::fs::read_to_string("/proc/self/statm").ok()?),
    }
}

/// Reads the `VmRSS:    1234 kB` line of `/proc/self/status`, which needs no page size.
fn parse_status(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Reads the second number of `/proc/self/statm`: resident pages.
fn parse_statm(statm: &str) -> Option<u64> {
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(PAGE_BYTES)
}

/// Returns the time since 1970, for what people read; zero if the clock stands before that.
#[must_use]
pub fn unix_time() -> Duration {
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_status() {
        let rows = [
            (
                "Name:\tsalver\nVmRSS:\t   7168 kB\nThreads:\t3\n",
                Some(7168 * 1024),
            ),
            ("VmRSS:\t kB\n", None),
            ("VmRSS: 99999999999999999999 kB", None),
            ("", None),
        ];
        for (status, expected) in rows {
            assert_eq!(parse_status(status), expected, "{status:?}");
        }
    }

    #[test]
    fn reads_statm() {
        let rows = [
            ("1000 250 100 1 0 80 0\n", Some(250 * 4096)),
            ("1000", None),
            ("", None),
            ("a b c", None),
            ("1 18446744073709551615", None),
        ];
        for (statm, expected) in rows {
            assert_eq!(parse_statm(statm), expected, "{statm:?}");
        }
    }
}
