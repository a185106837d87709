//! The files that are written: when a new one begins, and what happens when the disk is full.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use salver_telemetry::{LogResult, Metrics};
use tokio::time::Instant;

use super::{Entry, LogForm, ModelLog};

/// A file that has so many bytes is followed by another.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// So is one that is so old.
const MAX_FILE_AGE: Duration = Duration::from_secs(3600);
/// What is gathered before it goes to the file, in bytes.
const BUFFER_BYTES: usize = 256 << 10;
/// How long after a failure the next attempt is made.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// What the files of a log have in common.
type Key = (LogForm, PathBuf);

/// The files that are open, and those that cannot be written.
pub(super) struct Files {
    metrics: Metrics,
    open: BTreeMap<Key, OpenFile>,
    /// When the next attempt is due.
    failed: BTreeMap<Key, Instant>,
    num_opened: u64,
}

impl Files {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            open: BTreeMap::new(),
            failed: BTreeMap::new(),
            num_opened: 0,
        }
    }

    /// Writes a request, or counts it as lost.
    pub(super) fn write(&mut self, entry: &Entry) {
        let log = &entry.log;
        let key = (log.form, log.prefix.clone());
        if self
            .failed
            .get(&key)
            .is_some_and(|due| *due > Instant::now())
        {
            self.metrics
                .count_request_log(&log.model, LogResult::Failed);
            return;
        }
        let file = match self.open.entry(key.clone()) {
            std::collections::btree_map::Entry::Occupied(file) => file.into_mut(),
            std::collections::btree_map::Entry::Vacant(vacant) => {
                self.num_opened += 1;
                match OpenFile::create(log, self.num_opened) {
                    Ok(file) => vacant.insert(file),
                    Err(error) => {
                        self.metrics
                            .count_request_log(&log.model, LogResult::Failed);
                        return self.fail(&key, &error);
                    }
                }
            }
        };
        entry.write(&mut file.buffer);
        file.unwritten.push(Arc::clone(&log.model));
        if file.buffer.len() >= BUFFER_BYTES {
            self.flush(&key);
        }
    }

    /// Writes what is gathered, and ends files that are old or long.
    pub(super) fn rest(&mut self) {
        let keys: Vec<Key> = self.open.keys().cloned().collect();
        for key in keys {
            self.flush(&key);
        }
    }

    /// Writes what is gathered and closes all files.
    pub(super) fn close(mut self) {
        self.rest();
    }

    fn flush(&mut self, key: &Key) {
        let Some(file) = self.open.get_mut(key) else {
            return;
        };
        let models = std::mem::take(&mut file.unwritten);
        let (result, outcome) = match file.flush() {
            Ok(()) => (LogResult::Written, Ok(file.is_done())),
            Err(error) => (LogResult::Failed, Err(error)),
        };
        for model in models {
            self.metrics.count_request_log(&model, result);
        }
        match outcome {
            Ok(is_done) => {
                if result == LogResult::Written && self.failed.remove(key).is_some() {
                    tracing::info!(prefix = %key.1.display(), "the request log is written again");
                }
                if is_done {
                    self.open.remove(key);
                }
            }
            Err(error) => {
                self.open.remove(key);
                self.fail(key, &error);
            }
        }
    }

    /// Tells once that a log cannot be written, and when it is tried again.
    fn fail(&mut self, key: &Key, error: &io::Error) {
        let due = Instant::now() + RETRY_INTERVAL;
        if self.failed.insert(key.clone(), due).is_none() {
            tracing::error!(
                prefix = %key.1.display(),
                %error,
                "the request log cannot be written: requests go on, what was to be logged is lost until it can"
            );
        }
    }
}

/// A file that grows.
struct OpenFile {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
    /// The models of the requests in the buffer.
    unwritten: Vec<Arc<str>>,
    num_bytes: u64,
    opened_at: Instant,
}

impl OpenFile {
    fn create(log: &ModelLog, number: u64) -> io::Result<Self> {
        if let Some(dir) = log.prefix.parent() {
            fs::create_dir_all(dir)?;
        }
        let path = path(log, number);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)?;
        Ok(Self {
            file,
            path,
            buffer: Vec::new(),
            unwritten: Vec::new(),
            num_bytes: 0,
            opened_at: Instant::now(),
        })
    }

    /// Writes the buffer; if that fails, the file ends where it ended before, with a whole record, or is gone.
    fn flush(&mut self) -> io::Result<()> {
        let result = self.file.write_all(&self.buffer);
        match result {
            Ok(()) => self.num_bytes += self.buffer.len() as u64,
            // Where even this fails, readers find a broken record at the end.
            Err(_) if self.num_bytes > 0 => drop(self.file.set_len(self.num_bytes)),
            Err(_) => drop(fs::remove_file(&self.path)),
        }
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES);
        result
    }

    fn is_done(&self) -> bool {
        self.num_bytes >= MAX_FILE_BYTES || self.opened_at.elapsed() >= MAX_FILE_AGE
    }
}

/// Returns `PREFIX-20260131T235959Z-PID-N.EXTENSION`, or that without the dash for a prefix that is a folder.
fn path(log: &ModelLog, number: u64) -> PathBuf {
    let time = utc(salver_telemetry::unix_time().as_secs());
    let (pid, extension) = (std::process::id(), log.form.extension());
    let name = format!("{time}-{pid}-{number}.{extension}");
    let prefix = log.prefix.as_os_str();
    if prefix.as_encoded_bytes().ends_with(b"/") {
        return Path::new(prefix).join(name);
    }
    let mut path = prefix.to_owned();
    path.push(format!("-{name}"));
    path.into()
}

/// Writes a moment as `20260131T235959Z`.
fn utc(unix_seconds: u64) -> String {
    let [year, month, day, hour, minute, second] = super::entry::civil(unix_seconds);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}
