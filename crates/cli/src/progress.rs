//! Tells a person at a terminal what is still being downloaded or loaded.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use salver_servable::{Event, ServableId, State};
use salver_store::Event as StoreEvent;

use crate::output;

/// Loads that are quicker than this need no word.
const FIRST_WORD_AFTER: Duration = Duration::from_secs(2);

/// Lines are further apart the longer a load takes: each load is told of when it is this much older.
const GROWTH: u32 = 2;

/// Watches loads and tells of the long ones until it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    watch: Arc<Watch>,
    teller: Option<JoinHandle<()>>,
}

/// What is loading, shared with whoever sees the events.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    state: Mutex<Loads>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Loads {
    running: BTreeMap<ServableId, Running>,
    downloads: BTreeMap<(String, i64), Download>,
    is_over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    since: Instant,
    next_word_after: Duration,
}

/// A version that is being fetched from a store.
#[derive(Clone, Copy, Debug)]
struct Download {
    running: Running,
    num_bytes: u64,
    total_bytes: u64,
}

impl Watch {
    /// Takes note of what a store's mirror tells.
    pub(crate) fn on_store(&self, event: &StoreEvent<'_>, now: Instant) {
        let mut loads = self.lock();
        let is_new = match event {
            StoreEvent::Downloading {
                model,
                version,
                num_bytes,
                total_bytes,
            } => {
                let num_downloads = loads.downloads.len();
                let begin = || Download {
                    running: Running {
                        since: now,
                        next_word_after: FIRST_WORD_AFTER,
                    },
                    num_bytes: 0,
                    total_bytes: 0,
                };
                let key = ((*model).to_owned(), *version);
                let download = loads.downloads.entry(key).or_insert_with(begin);
                (download.num_bytes, download.total_bytes) = (*num_bytes, *total_bytes);
                loads.downloads.len() > num_downloads
            }
            StoreEvent::Downloaded { model, version } => {
                loads.downloads.remove(&((*model).to_owned(), *version));
                false
            }
            _ => false,
        };
        drop(loads);
        if is_new {
            self.changed.notify_all();
        }
    }

    /// Takes note of a change.
    pub(crate) fn on_event(&self, event: &Event, now: Instant) {
        let mut loads = self.lock();
        match (event.state, &event.error) {
            (State::Loading, None) => {
                let running = Running {
                    since: now,
                    next_word_after: FIRST_WORD_AFTER,
                };
                loads.running.insert(event.id.clone(), running);
            }
            // With an error, the next try is waited for.
            (State::Loading, Some(_))
            | (State::Start | State::Available | State::Unloading | State::End, _) => {
                loads.running.remove(&event.id);
            }
        }
        drop(loads);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Loads> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        let mut loads = self.lock();
        while !loads.is_over {
            for line in loads.due(Instant::now()) {
                output::note(&line);
            }
            let wait = loads.next_word(Instant::now());
            loads = match wait {
                Some(wait) => {
                    self.changed
                        .wait_timeout(loads, wait)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self
                    .changed
                    .wait(loads)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl Running {
    /// Returns the age if a word is due, and puts the next one off.
    fn is_due(&mut self, now: Instant) -> Option<Duration> {
        let age = now.saturating_duration_since(self.since);
        if age < self.next_word_after {
            return None;
        }
        self.next_word_after = age * GROWTH;
        Some(age)
    }
}

impl Loads {
    /// Returns the lines that are due, and puts their next ones off.
    fn due(&mut self, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        for ((model, version), download) in &mut self.downloads {
            if download.running.is_due(now).is_some() {
                lines.push(format!(
                    "downloading {model} version {version}: {} of {} MB",
                    download.num_bytes / 1_000_000,
                    download.total_bytes / 1_000_000
                ));
            }
        }
        for (id, running) in &mut self.running {
            if let Some(age) = running.is_due(now) {
                lines.push(format!(
                    "still loading {} version {} after {} s",
                    id.name,
                    id.version,
                    age.as_secs()
                ));
            }
        }
        lines
    }

    /// Returns how long nothing will be due.
    fn next_word(&self, now: Instant) -> Option<Duration> {
        let downloads = self.downloads.values().map(|download| &download.running);
        let due = self
            .running
            .values()
            .chain(downloads)
            .map(|running| running.since + running.next_word_after)
            .min()?;
        Some(due.saturating_duration_since(now))
    }
}

impl Progress {
    /// Starts to tell, if there is somebody to tell it to.
    pub(crate) fn start(watch: Arc<Watch>, is_wanted: bool) -> std::io::Result<Self> {
        watch.lock().is_over = false;
        let teller = match is_wanted {
            true => {
                let watch = Arc::clone(&watch);
                Some(
                    thread::Builder::new()
                        .name("progress".to_owned())
                        .spawn(move || watch.tell())?,
                )
            }
            false => None,
        };
        Ok(Self { watch, teller })
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.watch.lock().is_over = true;
        self.watch.changed.notify_all();
        if let Some(teller) = self.teller.take() {
            // It cannot panic but by a poisoned standard error, and then there is nobody to tell.
            drop(teller.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(version: i64, state: State) -> Event {
        Event {
            id: ServableId {
                name: "m".into(),
                version,
            },
            state,
            error: None,
            elapsed: Duration::ZERO,
        }
    }

    #[test]
    fn long_loads_are_told_of_less_and_less_often() {
        let watch = Watch::default();
        let start = Instant::now();
        let lines_at = |seconds| watch.lock().due(start + Duration::from_secs(seconds));
        watch.on_event(&event(1, State::Loading), start);
        watch.on_event(&event(2, State::Loading), start);
        watch.on_event(&event(2, State::Available), start);
        assert!(lines_at(1).is_empty());
        assert_eq!(lines_at(2), ["still loading m version 1 after 2 s"]);
        assert!(lines_at(3).is_empty());
        assert_eq!(lines_at(4), ["still loading m version 1 after 4 s"]);
        assert_eq!(
            watch.lock().next_word(start + Duration::from_secs(5)),
            Some(Duration::from_secs(3))
        );
        watch.on_event(&event(1, State::Available), start);
        assert!(lines_at(100).is_empty());
        assert_eq!(watch.lock().next_word(start), None);
    }

    #[test]
    fn long_downloads_are_told_of_with_their_size() {
        let watch = Watch::default();
        let start = Instant::now();
        let tell = |num_bytes| {
            let event = StoreEvent::Downloading {
                model: "resnet",
                version: 1,
                num_bytes,
                total_bytes: 178_000_000,
            };
            watch.on_store(&event, start);
        };
        tell(1_000_000);
        tell(120_900_000);
        let lines_at = |seconds| watch.lock().due(start + Duration::from_secs(seconds));
        assert!(lines_at(1).is_empty());
        let expected = ["downloading resnet version 1: 120 of 178 MB"];
        assert_eq!(lines_at(2), expected);
        let event = StoreEvent::Downloaded {
            model: "resnet",
            version: 1,
        };
        watch.on_store(&event, start);
        assert!(lines_at(100).is_empty());
        assert_eq!(watch.lock().next_word(start), None);
    }
}
