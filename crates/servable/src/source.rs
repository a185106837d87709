//! Who says what is wanted, and the way it is said.

use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::manager::{Candidate, Inbox};
use crate::{LoadError, Loader};

/// Watches something (a folder, a store, a list) and says which versions are to be served.
pub trait Source {
    /// What loads a version of this source's.
    type Loader: Loader;

    /// Begins to watch. Every change of what is wanted goes to `aspired`, until the task is stopped.
    fn watch(self, aspired: AspiredVersions<Self::Loader>) -> SourceTask;
}

/// One version that is wanted.
#[derive(Clone, Debug)]
pub struct Aspired<L> {
    /// Its number.
    pub version: i64,
    /// Tells one content of the version from another: a hash of names, sizes and times. A failed version is tried
    /// again when it changes; one that is loaded stays as it is.
    pub revision: u64,
    /// What loads it.
    pub loader: L,
}

/// Where a source says what it wants.
///
/// Calls return at once and replace what was said before, so a source may say the same thing as often as it likes.
pub struct AspiredVersions<L: Loader> {
    inbox: Arc<Inbox<L::Servable>>,
}

impl<L: Loader> AspiredVersions<L> {
    pub(crate) fn new(inbox: Arc<Inbox<L::Servable>>) -> Self {
        Self { inbox }
    }

    /// Sets the full list of the versions of `name` that are wanted: those left out are unloaded.
    ///
    /// An empty list says that there are none, as of a model that was removed. Of two entries with one number the last
    /// one counts. After the manager was shut down the call has no effect.
    pub fn set(&self, name: &str, versions: Vec<Aspired<L>>) {
        let candidates = versions.into_iter().map(
            |Aspired {
                 version,
                 revision,
                 loader,
             }| Candidate {
                version,
                revision,
                memory_bytes: loader.estimate().memory_bytes,
                loader: Arc::new(loader) as _,
            },
        );
        self.inbox.post_aspired(name, candidates.collect());
    }

    /// Says what is wrong with a name as a whole, such as that the place of its versions is not there; `None` takes that
    /// back. What is loaded stays loaded.
    pub fn complain(&self, name: &str, problem: Option<LoadError>) {
        self.inbox.post_complaint(name, problem);
    }

    /// Says why a version that was seen is not wanted yet; `None` takes that back.
    ///
    /// The status shows it as [`State::Start`](crate::State::Start) with the error until it is taken back or the version
    /// is wanted. A version that has become whole is best put into the list first and its report taken back then, so
    /// that nobody sees it end in between. It is no list: what is loaded stays loaded.
    pub fn report(&self, name: &str, version: i64, problem: Option<LoadError>) {
        self.inbox.post_report(name, version, problem);
    }
}

impl<L: Loader> Clone for AspiredVersions<L> {
    fn clone(&self) -> Self {
        Self {
            inbox: Arc::clone(&self.inbox),
        }
    }
}

impl<L: Loader> fmt::Debug for AspiredVersions<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AspiredVersions").finish_non_exhaustive()
    }
}

/// A source at work. Dropping it stops it.
pub struct SourceTask {
    stop: Option<Box<dyn FnOnce() + Send>>,
    thread: Option<JoinHandle<()>>,
}

impl SourceTask {
    /// Makes a task of a thread that ends soon after `stop` was called.
    pub fn new(stop: impl FnOnce() + Send + 'static, thread: JoinHandle<()>) -> Self {
        Self {
            stop: Some(Box::new(stop)),
            thread: Some(thread),
        }
    }

    /// Asks the source to stop and waits until it has.
    ///
    /// What it said last remains in force.
    ///
    /// # Blocking
    /// Until the thread has ended, which is up to the source.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
        // A source may own its task in a roundabout way; a thread cannot wait for its own end.
        let thread = self
            .thread
            .take()
            .filter(|task| task.thread().id() != thread::current().id());
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a source panicked; the versions that it named last are still served");
        }
    }
}

impl Drop for SourceTask {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for SourceTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceTask")
            .field("thread", &self.thread)
            .finish_non_exhaustive()
    }
}
