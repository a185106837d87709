//! A second, trivial servable, and the scaffolding to watch its life.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use salver_servable::{
    Aspired, AspiredVersions, AvailabilityPreserving, CancelToken, Event, Handle, LoadError,
    LoadErrorKind, Loader, LookupError, Manager, ManagerConfig, Resources, ServableId,
    ServableRequest, Source, SourceTask, State, VersionChoice, VersionStatus,
};

/// How long a test waits for something that comes at once unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What is served: words and numbers.
pub(crate) struct LookupTable {
    pub(crate) id: ServableId,
    entries: HashMap<&'static str, i64>,
    is_alive: AtomicBool,
    unload: Act,
    journal: Arc<Journal>,
}

impl LookupTable {
    /// Returns the number that stands for a word.
    pub(crate) fn get(&self, word: &str) -> Option<i64> {
        assert!(
            self.is_alive.load(Ordering::SeqCst),
            "{} was unloaded under a request",
            self.id
        );
        self.entries.get(word).copied()
    }
}

impl Drop for LookupTable {
    fn drop(&mut self) {
        assert!(
            self.is_alive.swap(false, Ordering::SeqCst),
            "{} was dropped twice",
            self.id
        );
        let thread = thread::current().name().unwrap_or_default().to_owned();
        self.journal
            .write(|pages| pages.dropped.push((self.id.clone(), thread)));
        let act = self.unload.clone();
        act.run(&CancelToken::new())
            .expect("an unload has no result");
    }
}

/// Something that a load or an unload does on its way.
#[derive(Clone)]
pub(crate) struct Act(Arc<ActFn>);

type ActFn = dyn Fn(&CancelToken) -> Result<(), LoadError> + Send + Sync;

impl Act {
    pub(crate) fn new(
        act: impl Fn(&CancelToken) -> Result<(), LoadError> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(act))
    }

    /// Nothing special.
    pub(crate) fn none() -> Self {
        Self::new(|_| Ok(()))
    }

    pub(crate) fn fail(kind: LoadErrorKind) -> Self {
        Self::new(move |_| Err(LoadError::new(kind, "it was told to")))
    }

    pub(crate) fn panic() -> Self {
        Self::new(|_| panic!("it was told to"))
    }

    /// Waits until the gate is opened.
    pub(crate) fn wait_at(gate: &Gate) -> Self {
        let gate = gate.clone();
        Self::new(move |_| {
            gate.pass();
            Ok(())
        })
    }

    fn run(&self, cancel: &CancelToken) -> Result<(), LoadError> {
        (self.0)(cancel)
    }
}

/// Holds up whoever comes until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    state: Arc<(Mutex<GateState>, Condvar)>,
}

#[derive(Default)]
struct GateState {
    is_open: bool,
    num_arrived: usize,
}

impl Gate {
    pub(crate) fn open(&self) {
        self.state.0.lock().expect("no panic inside").is_open = true;
        self.state.1.notify_all();
    }

    /// Waits until somebody stands at the gate.
    pub(crate) fn wait_for_arrival(&self) {
        self.wait(|state| state.num_arrived > 0);
    }

    pub(crate) fn pass(&self) {
        self.state.0.lock().expect("no panic inside").num_arrived += 1;
        self.state.1.notify_all();
        self.wait(|state| state.is_open);
    }

    fn wait(&self, is_over: impl Fn(&GateState) -> bool) {
        let guard = self.state.0.lock().expect("no panic inside");
        let waited = self
            .state
            .1
            .wait_timeout_while(guard, PATIENCE, |state| !is_over(state));
        let (_guard, timeout) = waited.expect("no panic inside");
        assert!(
            !timeout.timed_out(),
            "nobody came to the gate, or nobody opened it"
        );
    }
}

/// Makes a table that knows its own version.
pub(crate) struct TableLoader {
    id: ServableId,
    memory_bytes: u64,
    load: Act,
    unload: Act,
    journal: Arc<Journal>,
}

impl Loader for TableLoader {
    type Servable = LookupTable;

    fn estimate(&self) -> Resources {
        Resources {
            memory_bytes: self.memory_bytes,
        }
    }

    fn load(&self, cancel: &CancelToken) -> Result<LookupTable, LoadError> {
        self.load.run(cancel)?;
        self.journal.write(|pages| pages.num_made += 1);
        Ok(LookupTable {
            id: self.id.clone(),
            entries: HashMap::from([("version", self.id.version), ("one", 1)]),
            is_alive: AtomicBool::new(true),
            unload: self.unload.clone(),
            journal: Arc::clone(&self.journal),
        })
    }
}

/// A source of lists that come through a channel: no files anywhere.
pub(crate) struct ListSource {
    pub(crate) lists: mpsc::Receiver<(String, Vec<Aspired<TableLoader>>)>,
    /// Closes the channel, so that the thread ends.
    pub(crate) sender: Arc<Mutex<Option<ListSender>>>,
}

pub(crate) type ListSender = mpsc::SyncSender<(String, Vec<Aspired<TableLoader>>)>;

impl Source for ListSource {
    type Loader = TableLoader;

    fn watch(self, aspired: AspiredVersions<TableLoader>) -> SourceTask {
        let Self { lists, sender } = self;
        let thread = thread::spawn(move || {
            for (name, list) in lists {
                aspired.set(&name, list);
            }
        });
        SourceTask::new(
            move || drop(sender.lock().expect("no panic inside").take()),
            thread,
        )
    }
}

/// Everything that happened.
#[derive(Default)]
pub(crate) struct Journal {
    pages: Mutex<Pages>,
    has_changed: Condvar,
}

#[derive(Default)]
pub(crate) struct Pages {
    pub(crate) events: Vec<Event>,
    pub(crate) num_made: usize,
    /// Tables that were dropped, and on which threads.
    pub(crate) dropped: Vec<(ServableId, String)>,
}

impl Journal {
    pub(crate) fn write<R>(&self, write: impl FnOnce(&mut Pages) -> R) -> R {
        let result = write(&mut self.pages.lock().expect("no panic inside"));
        self.has_changed.notify_all();
        result
    }

    /// Waits until it reads as expected.
    pub(crate) fn wait(&self, what: &str, is_over: impl Fn(&Pages) -> bool) {
        let guard = self.pages.lock().expect("no panic inside");
        let waited = self
            .has_changed
            .wait_timeout_while(guard, PATIENCE, |pages| !is_over(pages));
        let (pages, timeout) = waited.expect("no panic inside");
        assert!(
            !timeout.timed_out(),
            "still waiting for {what}; events: {:#?}",
            pages.events
        );
    }
}

/// A manager of tables.
pub(crate) struct Tables {
    pub(crate) manager: Manager<LookupTable>,
    pub(crate) aspired: AspiredVersions<TableLoader>,
    pub(crate) journal: Arc<Journal>,
}

pub(crate) fn config() -> ManagerConfig {
    ManagerConfig {
        num_load_threads: NonZeroUsize::new(2).expect("not zero"),
        num_unload_threads: NonZeroUsize::new(8).expect("not zero"),
        max_num_load_retries: 2,
        load_retry_interval: Duration::ZERO,
        memory_limit_bytes: None,
        policy: Box::new(AvailabilityPreserving),
    }
}

impl Tables {
    pub(crate) fn start() -> Self {
        Self::start_with(config(), |_| {})
    }

    /// As [`Tables::start`], with a listener of the test's behind the journal's own.
    pub(crate) fn start_with(
        config: ManagerConfig,
        listener: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Self {
        let journal = Arc::new(Journal::default());
        let writer = Arc::clone(&journal);
        let (manager, aspired) = Manager::start(
            config,
            Box::new(move |event| {
                writer.write(|pages| pages.events.push(event.clone()));
                listener(event);
            }),
        );
        Self {
            manager,
            aspired,
            journal,
        }
    }

    pub(crate) fn loader(&self, name: &str, version: i64, load: Act, unload: Act) -> TableLoader {
        let journal = Arc::clone(&self.journal);
        TableLoader {
            id: id(name, version),
            memory_bytes: 0,
            load,
            unload,
            journal,
        }
    }

    /// Returns versions that load and unload without ado.
    pub(crate) fn plain(&self, name: &str, versions: &[i64]) -> Vec<Aspired<TableLoader>> {
        versions
            .iter()
            .map(|version| self.acting(name, *version, Act::none()))
            .collect()
    }

    pub(crate) fn acting(&self, name: &str, version: i64, load: Act) -> Aspired<TableLoader> {
        Aspired {
            version,
            revision: 0,
            loader: self.loader(name, version, load, Act::none()),
        }
    }

    pub(crate) fn set(&self, name: &str, versions: &[i64]) {
        self.aspired.set(name, self.plain(name, versions));
    }

    pub(crate) fn latest(&self, name: &str) -> Result<Handle<LookupTable>, LookupError> {
        self.manager.handle(&ServableRequest {
            name,
            version: VersionChoice::Latest,
        })
    }

    /// Waits until the last event of a version is this.
    pub(crate) fn wait_for(&self, name: &str, version: i64, state: State) -> Event {
        let id = id(name, version);
        let last = |pages: &Pages| {
            pages
                .events
                .iter()
                .rev()
                .find(|event| event.id == id)
                .cloned()
        };
        self.journal.wait(&format!("{id} {state:?}"), |pages| {
            last(pages).is_some_and(|event| event.state == state)
        });
        self.journal.write(|pages| last(pages)).expect("just seen")
    }

    /// Returns the states that a version went through.
    pub(crate) fn states(&self, name: &str, version: i64) -> Vec<State> {
        let id = id(name, version);
        self.journal.write(|pages| {
            let own = pages.events.iter().filter(|event| event.id == id);
            own.map(|event| event.state).collect()
        })
    }

    pub(crate) fn status(&self, name: &str) -> BTreeMap<i64, VersionStatus> {
        let statuses = self.manager.status(name).unwrap_or_default();
        statuses
            .into_iter()
            .map(|status| (status.version, status))
            .collect()
    }

    /// Ends the manager and checks that every table that was made was dropped once, where it should be.
    pub(crate) fn finish(self) {
        assert_eq!(self.manager.shutdown(Instant::now() + PATIENCE), []);
        self.journal.write(|pages| {
            assert_eq!(
                pages.dropped.len(),
                pages.num_made,
                "each table is dropped once"
            );
            for (id, thread) in &pages.dropped {
                assert_eq!(
                    thread, "salver-unload",
                    "{id} was dropped on the wrong thread"
                );
            }
        });
    }
}

pub(crate) fn id(name: &str, version: i64) -> ServableId {
    ServableId {
        name: name.into(),
        version,
    }
}
