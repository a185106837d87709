//! What holds whatever happens, in whatever order.

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 3] = ["a", "b", "c"];
const NUM_LOAD_THREADS: usize = 2;
const MEMORY_LIMIT_BYTES: u64 = 10;

#[derive(Clone, Debug)]
enum Step {
    /// Which of versions 1 to 4 are wanted, each of which revision (which is its size too).
    Aspire {
        name: usize,
        revisions: [Option<u64>; 4],
    },
    /// The load that began at this place in the queue ends.
    EndLoad {
        idx: usize,
        result: Result<(), LoadErrorKind>,
    },
    EndUnload {
        idx: usize,
    },
    Report {
        name: usize,
        version: i64,
        is_problem: bool,
    },
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let result = prop_oneof![
        4 => Just(Ok(())),
        1 => Just(Err(LoadErrorKind::Failed)),
        1 => Just(Err(LoadErrorKind::Invalid)),
        1 => Just(Err(LoadErrorKind::ResourceExhausted)),
    ];
    let revisions = prop::array::uniform4(prop::option::of(1..4_u64));
    prop_oneof![
        3 => (0..NAMES.len(), revisions).prop_map(|(name, revisions)| Step::Aspire { name, revisions }),
        4 => (0..8_usize, result).prop_map(|(idx, result)| Step::EndLoad { idx, result }),
        3 => (0..8_usize).prop_map(|idx| Step::EndUnload { idx }),
        1 => (0..NAMES.len(), 1..5_i64, any::<bool>())
            .prop_map(|(name, version, is_problem)| Step::Report { name, version, is_problem }),
        1 => Just(Step::Wait),
    ]
}

/// The world that a core acts on, which knows what must never happen.
struct World {
    core: Core<u64>,
    now: Instant,
    is_available_preserved: bool,
    has_memory_limit: bool,
    wanted: BTreeMap<&'static str, BTreeMap<i64, u64>>,
    /// Loads under way, loaded servables, and what they take.
    loading: BTreeMap<ServableId, u64>,
    arrived: BTreeMap<ServableId, u64>,
    in_service: BTreeMap<ServableId, u64>,
    unloading: BTreeMap<ServableId, u64>,
    last_event: BTreeMap<ServableId, Event>,
}

impl World {
    fn new(is_available_preserved: bool, has_memory_limit: bool) -> Self {
        let policy: Box<dyn VersionPolicy> = match is_available_preserved {
            true => Box::new(AvailabilityPreserving),
            false => Box::new(ResourcePreserving),
        };
        let settings = Settings {
            num_load_threads: NUM_LOAD_THREADS,
            max_num_load_retries: 1,
            load_retry_interval: RETRY_INTERVAL,
            memory_limit_bytes: has_memory_limit.then_some(MEMORY_LIMIT_BYTES),
            policy,
        };
        Self {
            core: Core::new(settings),
            now: Instant::now(),
            is_available_preserved,
            has_memory_limit,
            wanted: BTreeMap::new(),
            loading: BTreeMap::new(),
            arrived: BTreeMap::new(),
            in_service: BTreeMap::new(),
            unloading: BTreeMap::new(),
            last_event: BTreeMap::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Aspire { name, revisions } => {
                let wanted = (1..)
                    .zip(revisions)
                    .filter_map(|(v, r)| Some((v, (*r)?)))
                    .collect();
                self.aspire(NAMES[*name], wanted);
            }
            Step::EndLoad { idx, result } => {
                if let Some(id) = self.loading.keys().nth(*idx).cloned() {
                    self.end_load(&id, *result);
                }
            }
            Step::EndUnload { idx } => {
                if let Some(id) = self.unloading.keys().nth(*idx).cloned() {
                    self.end_unload(&id);
                }
            }
            Step::Report {
                name,
                version,
                is_problem,
            } => {
                let problem = is_problem.then(|| LoadError::new(LoadErrorKind::Invalid, "half"));
                self.core.report(&id(NAMES[*name], *version), problem);
            }
            Step::Wait => self.now += RETRY_INTERVAL,
        }
        self.settle();
    }

    fn aspire(&mut self, name: &'static str, wanted: BTreeMap<i64, u64>) {
        let candidate = |(version, revision): (&i64, &u64)| Candidate {
            version: *version,
            revision: *revision,
            memory_bytes: *revision,
            loader: *revision,
        };
        self.core.aspire(
            &name.into(),
            wanted.iter().map(candidate).collect(),
            self.now,
        );
        self.wanted.insert(name, wanted);
    }

    fn end_load(&mut self, id: &ServableId, result: Result<(), LoadErrorKind>) {
        let memory_bytes = self.loading.remove(id).expect("under way");
        if result.is_ok() {
            self.arrived.insert(id.clone(), memory_bytes);
        }
        let result = result.map_err(|kind| LoadError::new(kind, "no"));
        self.core.loaded(id, result, self.now);
    }

    fn end_unload(&mut self, id: &ServableId) {
        self.unloading.remove(id).expect("under way");
        self.core.unloaded(id, None, self.now);
    }

    fn settle(&mut self) {
        for effect in self.core.settle(self.now) {
            self.perform(effect);
        }
        assert!(self.arrived.is_empty(), "nobody cares for what was loaded");
    }

    fn perform(&mut self, effect: Effect<u64>) {
        match effect {
            Effect::Load { id, loader, .. } => {
                assert!(!self.is_alive(&id), "{id} is there already");
                self.loading.insert(id, loader);
                assert!(self.loading.len() <= NUM_LOAD_THREADS);
                assert!(!self.has_memory_limit || self.taken_bytes() <= MEMORY_LIMIT_BYTES);
            }
            Effect::Publish(id) => {
                let memory_bytes = self.arrived.remove(&id).expect("was loaded");
                self.in_service.insert(id, memory_bytes);
            }
            Effect::Discard(id) => {
                let memory_bytes = self.arrived.remove(&id).expect("was loaded");
                self.unloading.insert(id, memory_bytes);
            }
            Effect::Retire(id) => {
                let memory_bytes = self.in_service.remove(&id).expect("was in service");
                let has_other = self.in_service.keys().any(|other| other.name == id.name);
                let is_wanted = self
                    .wanted
                    .get(&*id.name)
                    .is_some_and(|list| !list.is_empty());
                assert!(
                    has_other || !is_wanted || !self.is_available_preserved,
                    "{id} was the last"
                );
                self.unloading.insert(id, memory_bytes);
            }
            Effect::Tell(event) => self.hear(event),
            Effect::Summarize(..) => {}
        }
    }

    fn hear(&mut self, event: Event) {
        use State::{Available, End, Loading, Start, Unloading};
        let before = self.last_event.get(&event.id).map(|before| before.state);
        let is_possible = match event.state {
            Start => matches!(before, None | Some(End | Start)),
            Loading => matches!(before, Some(Start | Loading)),
            Available => matches!(before, Some(Loading)),
            Unloading => matches!(before, Some(Loading | Available)),
            End => matches!(before, Some(Start | Loading | Unloading)),
        };
        assert!(
            is_possible,
            "{} from {before:?} to {:?}",
            event.id, event.state
        );
        self.last_event.insert(event.id.clone(), event);
    }

    fn is_alive(&self, id: &ServableId) -> bool {
        let places = [
            &self.loading,
            &self.arrived,
            &self.in_service,
            &self.unloading,
        ];
        places.iter().any(|place| place.contains_key(id))
    }

    fn taken_bytes(&self) -> u64 {
        let places = [
            &self.loading,
            &self.arrived,
            &self.in_service,
            &self.unloading,
        ];
        places.iter().flat_map(|place| place.values()).sum()
    }

    /// Lets everything that is under way end well, until nothing is.
    fn calm_down(&mut self) {
        for _ in 0..1000 {
            if let Some(id) = self.loading.keys().next().cloned() {
                self.end_load(&id, Ok(()));
            } else if let Some(id) = self.unloading.keys().next().cloned() {
                self.end_unload(&id);
            } else if self.core.next_due().is_some() {
                self.now += RETRY_INTERVAL;
            } else {
                return;
            }
            self.settle();
        }
        panic!("it never comes to rest");
    }

    fn check_at_rest(&self) {
        for (name, wanted) in &self.wanted {
            let in_service: Vec<i64> = self
                .in_service
                .keys()
                .filter(|id| *id.name == **name)
                .map(|id| id.version)
                .collect();
            for version in wanted
                .keys()
                .filter(|version| !in_service.contains(version))
            {
                let last = &self.last_event[&id(name, *version)];
                let has_failed = last.state == State::End && last.error.is_some();
                assert!(
                    has_failed,
                    "{name} {version} is wanted but {:?}",
                    last.state
                );
            }
            let unwanted = in_service
                .iter()
                .filter(|version| !wanted.contains_key(version))
                .count();
            let may_stay =
                in_service.len() == 1 && !wanted.is_empty() && self.is_available_preserved;
            assert!(
                unwanted == 0 || may_stay,
                "{name}: {in_service:?} for {wanted:?}"
            );
        }
    }
}

proptest! {
    #[test]
    fn holds_its_promises_in_every_order_of_events(
        is_available_preserved: bool,
        has_memory_limit: bool,
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let mut world = World::new(is_available_preserved, has_memory_limit);
        for step in &steps {
            world.take(step);
        }
        world.calm_down();
        world.check_at_rest();
        world.wanted.clear();
        world.core.stop(world.now);
        world.settle();
        world.calm_down();
        prop_assert!(world.core.is_finished());
        prop_assert_eq!(world.taken_bytes(), 0);
        prop_assert!(world.last_event.values().all(|event| event.state == State::End));
    }
}
