//! What this machine allows the process: cores and memory.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

/// What is assumed where the system tells nothing.
const FALLBACK_MEMORY_BYTES: u64 = 2 << 30;

/// Cores and memory that the process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) num_cores: NonZeroUsize,
    /// The least of the machine's memory, the container's limit and the address-space limit.
    pub(crate) memory_bytes: u64,
}

impl Machine {
    pub(crate) fn read() -> Self {
        let read = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
        let limits = [
            meminfo_bytes(&read("/proc/meminfo")),
            cgroup_bytes(&read("/sys/fs/cgroup/memory.max")),
            cgroup_bytes(&read("/sys/fs/cgroup/memory/memory.limit_in_bytes")),
            address_space_bytes(&read("/proc/self/limits")),
        ];
        Self {
            num_cores: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            memory_bytes: limits
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(FALLBACK_MEMORY_BYTES),
        }
    }
}

fn meminfo_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Reads a cgroup's limit; `max` and version 1's huge number both mean none, and the machine's memory is less.
fn cgroup_bytes(limit: &str) -> Option<u64> {
    limit.trim().parse().ok().filter(|&bytes| bytes > 0)
}

/// Reads the soft limit of `Max address space`.
fn address_space_bytes(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_from_the_system_s_own_texts() {
        assert_eq!(
            meminfo_bytes("MemTotal:       16310052 kB\nMemFree: 1 kB\n"),
            Some(16_310_052 * 1024)
        );
        assert_eq!(meminfo_bytes(""), None);
        assert_eq!(cgroup_bytes("67108864\n"), Some(64 << 20));
        assert_eq!(cgroup_bytes("max\n"), None);
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max address space         1073741824           unlimited            bytes     \n";
        assert_eq!(address_space_bytes(limits), Some(1 << 30));
        assert_eq!(
            address_space_bytes("Max address space         unlimited  unlimited  bytes"),
            None
        );
    }
}
