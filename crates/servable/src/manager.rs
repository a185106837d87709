//! Brings what is loaded in line with what is wanted, and lets requests find it.
//!
//! ```text
//! source ─┐                    ┌─► Core (decides) ─► [Effect]
//! loads ──┼─► Inbox ─► Driver ─┤                        │
//! unloads ┘   (thread salver-manager)                   ├─► load thread, one per load
//!                                                       ├─► serving map (arc-swap) ◄── Manager::handle
//!                                                       ├─► status board ◄── Manager::status
//!                                                       └─► listener
//! last handle ─► Inbox ─► Driver ─► unload threads
//! ```

mod core;
mod driver;
mod inbox;
mod unloader;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

pub(crate) use self::core::Candidate;
pub(crate) use self::inbox::Inbox;

use self::core::Settings;
use self::driver::Driver;
use self::unloader::Unloader;
use crate::map::ServingMap;
use crate::state::board::StatusBoard;
use crate::{
    AspiredVersions, Event, Handle, LoadError, Loader, LookupError, Patience, ServableId,
    ServableRequest, VersionPolicy, VersionStatus,
};

/// How a [`Manager`] goes about its work.
#[derive(Debug)]
pub struct ManagerConfig {
    /// How many loads may run at once. Names take turns.
    pub num_load_threads: NonZeroUsize,
    /// How many servables may be freed at once.
    pub num_unload_threads: NonZeroUsize,
    /// How often a failed load is tried again after the first failure.
    pub max_num_load_retries: u32,
    /// How long to wait before each of these tries. No thread waits with it.
    pub load_retry_interval: Duration,
    /// How much memory all servables together may take, as their loaders estimate it. A version that would exceed it
    /// waits for unloads under way, and else is refused until memory comes free.
    pub memory_limit_bytes: Option<u64>,
    /// In which order versions come and go.
    pub policy: Box<dyn VersionPolicy>,
}

/// Manages servables of one type. Clones are the same manager.
///
/// When the last clone is dropped everything is unloaded as by [`Manager::shutdown`], but nobody waits for it.
pub struct Manager<S> {
    shared: Arc<Shared<S>>,
    /// Goes with the last clone.
    owner: Arc<Owner<S>>,
}

/// A moment in the sequence of lists that sources have set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListMark(u64);

/// What the manager's thread and everyone else have in common.
pub(crate) struct Shared<S> {
    map: ArcSwap<ServingMap<S>>,
    board: StatusBoard,
    inbox: Arc<Inbox<S>>,
}

/// Ends the manager's thread.
struct Owner<S> {
    inbox: Arc<Inbox<S>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<S: Send + Sync + 'static> Manager<S> {
    /// Starts a manager, and returns it with the end that a [`Source`](crate::Source) talks to.
    ///
    /// `listener` is called with every change of a version's state, in order, on the manager's thread, while no lock is
    /// held. It may ask the manager anything, but everything waits for it: it should be quick and must not call
    /// [`Manager::shutdown`] or [`Manager::wait_first_load`].
    ///
    /// # Panics
    /// If the system has no thread left.
    pub fn start<L: Loader<Servable = S>>(
        config: ManagerConfig,
        listener: Box<dyn Fn(&Event) + Send + Sync>,
    ) -> (Self, AspiredVersions<L>) {
        let inbox = Arc::new(Inbox::new());
        let shared = Arc::new(Shared {
            map: ArcSwap::from_pointee(ServingMap::new()),
            board: StatusBoard::default(),
            inbox: Arc::clone(&inbox),
        });
        let settings = Settings {
            num_load_threads: config.num_load_threads.get(),
            max_num_load_retries: config.max_num_load_retries,
            load_retry_interval: config.load_retry_interval,
            memory_limit_bytes: config.memory_limit_bytes,
            policy: config.policy,
        };
        let unloader = Unloader::new(Arc::clone(&inbox), config.num_unload_threads);
        let driver = Driver::new(settings, Arc::clone(&shared), unloader, listener);
        let thread = thread::Builder::new()
            .name("salver-manager".to_owned())
            .spawn(move || driver.run())
            .expect("a process that starts up can have one more thread");
        let owner = Owner {
            inbox: Arc::clone(&inbox),
            thread: Mutex::new(Some(thread)),
        };
        (
            Self {
                shared,
                owner: Arc::new(owner),
            },
            AspiredVersions::new(inbox),
        )
    }

    /// Finds the servable that a request is for. Takes no lock and waits for nobody.
    ///
    /// # Errors
    /// [`LookupError`] tells which part of the request names nothing that is in service.
    pub fn handle(&self, request: &ServableRequest<'_>) -> Result<Handle<S>, LookupError> {
        self.shared.map.load().lookup(request)
    }

    /// Returns the versions of a name, the highest first; `None` if nothing was ever heard of it.
    ///
    /// Versions that have ended stay on the list; of many, the last 64.
    pub fn status(&self, name: &str) -> Option<Vec<VersionStatus>> {
        self.shared.board.status(name)
    }

    /// Returns the versions of every name, as [`Manager::status`] does.
    pub fn statuses(&self) -> BTreeMap<Arc<str>, Vec<VersionStatus>> {
        self.shared.board.statuses()
    }

    /// Returns what is wrong with a name as a whole, as its source says.
    pub fn complaint(&self, name: &str) -> Option<LoadError> {
        self.shared.board.complaint(name)
    }

    /// Returns every name of which something is wanted, and whether a version of it is in service.
    pub fn availability(&self) -> BTreeMap<Arc<str>, bool> {
        self.shared.board.availability()
    }

    /// Sets all labels of a name. In force when the call returns, for versions that are not in service too.
    pub fn set_labels(&self, name: &str, labels: BTreeMap<String, i64>) {
        let (name, labels) = (Arc::from(name), Arc::new(labels));
        self.shared.map.rcu(|map| map.with_labels(&name, &labels));
    }

    /// Waits until every version that is wanted of each of `names` is in service or has failed once, or none is known to
    /// be wanted. Returns whether that came about within `timeout`.
    ///
    /// # Blocking
    /// Until then; without a time-out perhaps for ever.
    pub fn wait_first_load(&self, names: &[Arc<str>], timeout: Option<Duration>) -> bool {
        let board = &self.shared.board;
        board.wait_settled(names, 0, Patience::FirstTry, timeout)
    }

    /// Returns the present moment, for [`Manager::wait_load_after`].
    pub fn list_mark(&self) -> ListMark {
        ListMark(self.shared.inbox.num_lists())
    }

    /// Waits as [`Manager::wait_first_load`] does for what comes of lists that were set after `mark`: a name that had
    /// ended before is not taken for settled.
    ///
    /// # Blocking
    /// Until then; without a time-out perhaps for ever.
    pub fn wait_load_after(
        &self,
        mark: ListMark,
        names: &[Arc<str>],
        patience: Patience,
        timeout: Option<Duration>,
    ) -> bool {
        let board = &self.shared.board;
        board.wait_settled(names, mark.0, patience, timeout)
    }

    /// Takes everything out of service at once, unloads it, and ends the manager. Returns what had not ended by
    /// `deadline`: versions still held by a request, or whose load or unload takes longer.
    ///
    /// # Blocking
    /// Until everything has ended or the deadline has come.
    pub fn shutdown(&self, deadline: Instant) -> Vec<ServableId> {
        self.shared.inbox.post_shutdown();
        if !self.shared.board.wait_closed(deadline) {
            return self.shared.board.unended();
        }
        self.owner.join();
        Vec::new()
    }
}

impl<S> Owner<S> {
    /// Waits for the manager's thread, which has nothing left to do.
    fn join(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the manager's thread panicked");
        }
    }
}

impl<S> Drop for Owner<S> {
    fn drop(&mut self) {
        self.inbox.post_shutdown();
    }
}

impl<S> Clone for Manager<S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            owner: Arc::clone(&self.owner),
        }
    }
}

impl<S> fmt::Debug for Manager<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("statuses", &self.shared.board.statuses())
            .finish_non_exhaustive()
    }
}

/// Returns what a panic had to say.
fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given")
}
