//! The way from requests to the thread that writes.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use salver_telemetry::{LogResult, Metrics};

use super::Entry;
use super::files::Files;

/// The most requests that wait to be written: some tenths of a second of a busy server.
const MAX_ENTRIES: usize = 1024;
/// The most that their tensors take, in bytes; a single larger one is taken if it is alone.
const MAX_BYTES: usize = 64 << 20;
/// How often open files are looked at while nothing is written.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// Requests that wait to be written.
pub(super) struct Queue {
    metrics: Metrics,
    sender: OnceLock<SyncSender<Message>>,
    waiting_bytes: Arc<AtomicUsize>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Entry(Box<Entry>),
    Stop,
}

impl Queue {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            sender: OnceLock::new(),
            waiting_bytes: Arc::default(),
            thread: Mutex::default(),
        }
    }

    /// Starts the thread unless it runs; it is not started again once it was stopped.
    pub(super) fn start(&self) -> io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if self.sender.get().is_some() {
            return Ok(());
        }
        let (sender, receiver) = mpsc::sync_channel(MAX_ENTRIES);
        let writer = Writer {
            receiver,
            waiting_bytes: Arc::clone(&self.waiting_bytes),
            files: Files::new(self.metrics.clone()),
        };
        let name = thread::Builder::new().name("salver-log".to_owned());
        *thread = Some(name.spawn(move || writer.run())?);
        self.sender.get_or_init(|| sender);
        Ok(())
    }

    /// Takes in a request, or drops it if there is no room.
    pub(super) fn push(&self, entry: Entry) {
        let Some(sender) = self.sender.get() else {
            return;
        };
        let (model, num_bytes) = (Arc::clone(&entry.log.model), entry.num_bytes());
        let before = self.waiting_bytes.fetch_add(num_bytes, Ordering::Relaxed);
        let has_room = before == 0 || before.saturating_add(num_bytes) <= MAX_BYTES;
        if has_room {
            match sender.try_send(Message::Entry(Box::new(entry))) {
                Ok(()) => return,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
        }
        self.waiting_bytes.fetch_sub(num_bytes, Ordering::Relaxed);
        self.metrics.count_request_log(&model, LogResult::Dropped);
    }

    /// Ends the thread once it has written what waits.
    pub(super) fn stop(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(sender), Some(thread)) = (self.sender.get(), thread.take()) else {
            return;
        };
        // If the thread is gone, there is nobody left to tell.
        if sender.send(Message::Stop).is_ok() && thread.join().is_err() {
            tracing::error!("the thread that writes request logs had died of a panic");
        }
    }
}

/// What the thread works with.
struct Writer {
    receiver: Receiver<Message>,
    waiting_bytes: Arc<AtomicUsize>,
    files: Files,
}

impl Writer {
    fn run(mut self) {
        loop {
            let mut next = match self.receiver.recv_timeout(IDLE_INTERVAL) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // What came in the meantime is written together.
            while let Some(message) = next {
                match message {
                    Message::Entry(entry) => self.write(&entry),
                    Message::Stop => return self.files.close(),
                }
                next = self.receiver.try_recv().ok();
            }
            self.files.rest();
        }
    }

    fn write(&mut self, entry: &Entry) {
        self.files.write(entry);
        self.waiting_bytes
            .fetch_sub(entry.num_bytes(), Ordering::Relaxed);
    }
}
