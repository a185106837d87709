//! Frees servables, on threads that are there for nothing else.
//!
//! Threads come with the work and go with it, so an idle server has none. A servable whose end takes long holds up one of
//! them. Nothing that is waiting here is ever dropped on another thread, also if no thread can be started for a while.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::inbox::{Inbox, Unloaded};
use crate::handle::Released;
use crate::{LoadError, LoadErrorKind};

/// When to try again after the system refused a thread.
const THREAD_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Frees servables on threads of its own.
pub(crate) struct Unloader<S> {
    queue: Arc<Queue<S>>,
    inbox: Arc<Inbox<S>>,
    threads: Vec<JoinHandle<()>>,
    /// Set while something waits for a thread that could not be started.
    retry_at: Option<Instant>,
}

/// Bounded by the number of servables that exist.
struct Queue<S> {
    state: Mutex<State<S>>,
}

struct State<S> {
    waiting: VecDeque<Released<S>>,
    num_threads: usize,
    max_threads: usize,
}

impl<S: Send + Sync + 'static> Unloader<S> {
    pub(crate) fn new(inbox: Arc<Inbox<S>>, max_threads: NonZeroUsize) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            num_threads: 0,
            max_threads: max_threads.get(),
        };
        let queue = Arc::new(Queue {
            state: Mutex::new(state),
        });
        Self {
            queue,
            inbox,
            threads: Vec::new(),
            retry_at: None,
        }
    }

    /// Frees a servable soon and then tells the inbox.
    pub(crate) fn submit(&mut self, released: Released<S>) {
        self.queue.lock().waiting.push_back(released);
        self.add_thread(Instant::now());
    }

    /// Starts the thread that could not be started before, if its time has come.
    pub(crate) fn retry(&mut self, now: Instant) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.add_thread(now);
        }
    }

    /// Returns when [`Unloader::retry`] is to be called.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Waits for all threads; they end when nothing is left to free.
    pub(crate) fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("an unload thread panicked");
            }
        }
    }

    fn add_thread(&mut self, now: Instant) {
        self.retry_at = None;
        self.threads.retain(|thread| !thread.is_finished());
        if !self.queue.claim_thread() {
            return;
        }
        let (queue, inbox) = (Arc::clone(&self.queue), Arc::clone(&self.inbox));
        let thread = thread::Builder::new().name("salver-unload".to_owned());
        match thread.spawn(move || queue.work_off(&inbox)) {
            Ok(thread) => self.threads.push(thread),
            Err(error) => {
                tracing::warn!(%error, "cannot start a thread to unload with");
                self.queue.lock().num_threads -= 1;
                self.retry_at = now.checked_add(THREAD_RETRY_INTERVAL);
            }
        }
    }
}

impl<S> Queue<S> {
    /// Counts one more thread in, if there is work for it and room.
    fn claim_thread(&self) -> bool {
        let mut state = self.lock();
        let is_useful = !state.waiting.is_empty() && state.num_threads < state.max_threads;
        state.num_threads += usize::from(is_useful);
        is_useful
    }

    /// Takes the next servable, or counts the calling thread out: under one lock, so that nothing is left behind.
    fn next(&self) -> Option<Released<S>> {
        let mut state = self.lock();
        let next = state.waiting.pop_front();
        state.num_threads -= usize::from(next.is_none());
        next
    }

    fn work_off(&self, inbox: &Inbox<S>) {
        while let Some(Released { id, servable }) = self.next() {
            let error = free(servable).err();
            inbox.post_unloaded(Unloaded { id, error });
        }
    }

    /// A panic while the lock was held cannot leave half a change behind: each is one insertion and one number.
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn free<S>(servable: S) -> Result<(), LoadError> {
    panic::catch_unwind(AssertUnwindSafe(|| drop(servable))).map_err(|payload| {
        let reason = super::panic_message(&*payload);
        LoadError::new(
            LoadErrorKind::Failed,
            format!("panicked while it was unloaded: {reason}"),
        )
    })
}
