//! The manager's thread: reads the mail, asks [`Core`] what follows, does it.

use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::core::{Core, Effect, Settings};
use super::inbox::{Inbox, Loaded, SharedLoader};
use super::unloader::Unloader;
use super::{Shared, panic_message};
use crate::{CancelToken, Event, Handle, LoadError, LoadErrorKind, ServableId};

/// The stack of a load thread, in bytes: engines walk a graph recursively while they prepare it. Only the pages that are
/// touched take memory.
const LOAD_STACK_BYTES: usize = 16 * 1024 * 1024;

/// Called with every event, on the manager's thread, without any lock held.
pub(crate) type Listener = Box<dyn Fn(&Event) + Send + Sync>;

/// What the manager's thread works with.
pub(crate) struct Driver<S> {
    core: Core<SharedLoader<S>>,
    shared: Arc<Shared<S>>,
    listener: Listener,
    unloader: Unloader<S>,
    load_threads: HashMap<ServableId, JoinHandle<()>>,
    /// The numbers of the lists that came last, of names that are not gone.
    list_numbers: HashMap<Arc<str>, u64>,
    /// What was loaded, until the core has said what becomes of it.
    arrived: HashMap<ServableId, Handle<S>>,
}

impl<S: Send + Sync + 'static> Driver<S> {
    pub(crate) fn new(
        settings: Settings,
        shared: Arc<Shared<S>>,
        unloader: Unloader<S>,
        listener: Listener,
    ) -> Self {
        Self {
            core: Core::new(settings),
            shared,
            listener,
            unloader,
            load_threads: HashMap::new(),
            list_numbers: HashMap::new(),
            arrived: HashMap::new(),
        }
    }

    /// Works until everything has been unloaded after a shutdown was asked for.
    pub(crate) fn run(mut self) {
        while !self.core.is_finished() {
            self.read_mail();
            for effect in self.core.settle(Instant::now()) {
                self.perform(effect);
            }
        }
        self.unloader.join();
        self.shared.inbox.close();
        self.shared.board.close();
    }

    fn read_mail(&mut self) {
        let due = [self.core.next_due(), self.unloader.next_due()]
            .into_iter()
            .flatten()
            .min();
        let mail = self.shared.inbox.take(due);
        let now = Instant::now();
        self.unloader.retry(now);
        for released in mail.released {
            self.unloader.submit(released);
        }
        for unloaded in mail.unloaded {
            self.core.unloaded(&unloaded.id, unloaded.error, now);
        }
        for loaded in mail.loaded {
            self.receive(loaded, now);
        }
        // Lists go before reports: a version that is wanted by now has nothing to report.
        for (name, list) in mail.aspired {
            self.core.aspire(&name, list.versions, now);
            self.list_numbers.insert(name, list.number);
        }
        for (name, problem) in mail.complaints {
            self.shared.board.complain(&name, problem);
        }
        for (id, problem) in mail.reports {
            self.core.report(&id, problem);
        }
        if mail.is_shutdown_wanted {
            self.core.stop(now);
        }
    }

    fn receive(&mut self, loaded: Loaded<S>, now: Instant) {
        let Loaded { id, result } = loaded;
        // Telling was the last thing the thread did.
        if let Some(thread) = self.load_threads.remove(&id)
            && thread.join().is_err()
        {
            tracing::error!(servable = %id, "a load thread panicked");
        }
        let result = result.map(|handle| {
            self.arrived.insert(id.clone(), handle);
        });
        self.core.loaded(&id, result, now);
    }

    fn perform(&mut self, effect: Effect<SharedLoader<S>>) {
        match effect {
            Effect::Load { id, loader, cancel } => self.start_load(id, loader, cancel),
            Effect::Publish(id) => {
                if let Some(handle) = self.arrived.remove(&id) {
                    self.shared.map.rcu(|map| map.with_version(&handle));
                }
            }
            // Without a handle it goes the way of every servable without one.
            Effect::Discard(id) => drop(self.arrived.remove(&id)),
            Effect::Retire(ServableId { name, version }) => {
                self.shared
                    .map
                    .rcu(|map| map.without_version(&name, version));
            }
            Effect::Tell(event) => {
                self.shared.board.record(&event);
                self.call_listener(&event);
            }
            Effect::Summarize(name, summary) => {
                let list_number = match summary.is_gone {
                    true => self.list_numbers.remove(&name),
                    false => self.list_numbers.get(&name).copied(),
                };
                let list_number = list_number.unwrap_or_default();
                self.shared.board.summarize(&name, summary, list_number);
            }
        }
    }

    fn start_load(&mut self, id: ServableId, loader: SharedLoader<S>, cancel: CancelToken) {
        let inbox = Arc::clone(&self.shared.inbox);
        let thread = thread::Builder::new()
            .name(load_thread_name(&id))
            .stack_size(LOAD_STACK_BYTES);
        let spawned = thread.spawn({
            let id = id.clone();
            move || load(id, loader, &cancel, &inbox)
        });
        match spawned {
            Ok(thread) => {
                self.load_threads.insert(id, thread);
            }
            Err(error) => {
                let message = format!("cannot start a thread to load with: {error}");
                let result = Err(LoadError::new(LoadErrorKind::Failed, message));
                self.shared.inbox.post_loaded(Loaded { id, result });
            }
        }
    }

    fn call_listener(&self, event: &Event) {
        let call = panic::catch_unwind(AssertUnwindSafe(|| (self.listener)(event)));
        if let Err(payload) = call {
            let reason = panic_message(&*payload);
            tracing::error!(servable = %event.id, reason, "the listener of the manager panicked");
        }
    }
}

/// The whole life of a load thread. The loader is dropped here too, since that may take its time as well.
fn load<S>(id: ServableId, loader: SharedLoader<S>, cancel: &CancelToken, inbox: &Arc<Inbox<S>>)
where
    S: Send + Sync + 'static,
{
    let attempt = panic::catch_unwind(AssertUnwindSafe(|| {
        let result = loader.load(cancel);
        drop(loader);
        result.map(|servable| Handle::new(id.clone(), servable, Arc::clone(inbox)))
    }));
    let result = attempt.unwrap_or_else(|payload| {
        let reason = panic_message(&*payload);
        Err(LoadError::new(
            LoadErrorKind::Failed,
            format!("panicked while it was loaded: {reason}"),
        ))
    });
    inbox.post_loaded(Loaded { id, result });
}

/// Thread names end at a zero byte, which no file name has; other sources may call things as they like.
fn load_thread_name(id: &ServableId) -> String {
    format!("load-{}-{}", id.name, id.version).replace('\0', "")
}
