//! Tables of what happens and what follows from it. Time is a number.

mod memory;
mod properties;
mod reports;

use super::*;
use crate::{AvailabilityPreserving, ResourcePreserving};

const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// A core, the time, and what it has said so far.
struct Scene {
    core: Core<u64>,
    now: Instant,
    tokens: BTreeMap<String, CancelToken>,
}

impl Scene {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(adjust: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            num_load_threads: 4,
            max_num_load_retries: 2,
            load_retry_interval: RETRY_INTERVAL,
            memory_limit_bytes: None,
            policy: Box::new(AvailabilityPreserving),
        };
        adjust(&mut settings);
        Self {
            core: Core::new(settings),
            now: Instant::now(),
            tokens: BTreeMap::new(),
        }
    }

    /// `m` wants these versions, of revision 0, of one byte each.
    fn aspire(&mut self, name: &str, versions: &[i64]) -> Vec<String> {
        let list: Vec<_> = versions.iter().map(|version| (*version, 0, 1)).collect();
        self.aspire_as(name, &list)
    }

    /// As [`Scene::aspire`], with versions, revisions and bytes.
    fn aspire_as(&mut self, name: &str, list: &[(i64, u64, u64)]) -> Vec<String> {
        let candidate = |&(version, revision, memory_bytes): &(i64, u64, u64)| Candidate {
            version,
            revision,
            memory_bytes,
            loader: revision,
        };
        self.core
            .aspire(&name.into(), list.iter().map(candidate).collect(), self.now);
        self.settle()
    }

    fn report(&mut self, name: &str, version: i64, problem: Option<&str>) -> Vec<String> {
        let problem = problem.map(|message| LoadError::new(LoadErrorKind::Invalid, message));
        self.core.report(&id(name, version), problem);
        self.settle()
    }

    fn loaded(&mut self, name: &str, version: i64) -> Vec<String> {
        self.core.loaded(&id(name, version), Ok(()), self.now);
        self.settle()
    }

    fn failed(&mut self, name: &str, version: i64, kind: LoadErrorKind) -> Vec<String> {
        let error = LoadError::new(kind, format!("{kind:?}"));
        self.core.loaded(&id(name, version), Err(error), self.now);
        self.settle()
    }

    fn unloaded(&mut self, name: &str, version: i64) -> Vec<String> {
        self.core.unloaded(&id(name, version), None, self.now);
        self.settle()
    }

    fn wait(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        self.settle()
    }

    fn settle(&mut self) -> Vec<String> {
        let effects = self.core.settle(self.now);
        effects
            .into_iter()
            .filter_map(|effect| self.line(effect))
            .collect()
    }

    /// Writes an effect as `m/1 does this`.
    fn line(&mut self, effect: Effect<u64>) -> Option<String> {
        let short = |id: &ServableId| format!("{}/{}", id.name, id.version);
        Some(match effect {
            Effect::Load {
                id,
                loader: 0,
                cancel,
            } => {
                self.tokens.insert(short(&id), cancel);
                format!("{} load", short(&id))
            }
            Effect::Load {
                id,
                loader: revision,
                ..
            } => format!("{} load#{revision}", short(&id)),
            Effect::Publish(id) => format!("{} publish", short(&id)),
            Effect::Discard(id) => format!("{} discard", short(&id)),
            Effect::Retire(id) => format!("{} retire", short(&id)),
            Effect::Tell(Event {
                id,
                state,
                error: None,
                ..
            }) => format!("{} {state:?}", short(&id)),
            Effect::Tell(Event {
                id,
                state,
                error: Some(error),
                ..
            }) => {
                format!("{} {state:?}: {error}", short(&id))
            }
            Effect::Summarize(..) => return None,
        })
    }

    fn summary(&self, name: &str) -> Option<NameSummary> {
        self.core.servables.get(name).map(Servable::summary)
    }

    fn is_settled(&self, name: &str) -> bool {
        self.summary(name).is_some_and(|summary| summary.is_settled)
    }
}

fn id(name: &str, version: i64) -> ServableId {
    ServableId {
        name: name.into(),
        version,
    }
}

const CANCELLED: &str = "loading was cancelled: the version is no longer wanted";

#[test]
fn a_version_comes_and_goes() {
    let mut scene = Scene::new();
    assert_eq!(
        scene.aspire("m", &[1]),
        ["m/1 Start", "m/1 Loading", "m/1 load"]
    );
    assert!(!scene.is_settled("m"));
    assert_eq!(scene.loaded("m", 1), ["m/1 publish", "m/1 Available"]);
    assert!(scene.is_settled("m"));
    assert!(
        scene.aspire("m", &[1]).is_empty(),
        "nothing new, nothing to do"
    );
    assert_eq!(scene.aspire("m", &[]), ["m/1 retire", "m/1 Unloading"]);
    assert_eq!(scene.unloaded("m", 1), ["m/1 End"]);
    assert!(scene.core.servables.is_empty());
    assert_eq!(scene.core.next_due(), None, "idle, it waits for nothing");
}

#[test]
fn a_new_version_takes_over_when_it_is_ready() {
    let mut scene = Scene::new();
    scene.aspire("m", &[1]);
    scene.loaded("m", 1);
    assert_eq!(
        scene.aspire("m", &[2]),
        ["m/2 Start", "m/2 Loading", "m/2 load"]
    );
    assert_eq!(
        scene.loaded("m", 2),
        [
            "m/2 publish",
            "m/2 Available",
            "m/1 retire",
            "m/1 Unloading"
        ]
    );
}

#[test]
fn resource_preserving_waits_until_the_old_version_is_gone() {
    let mut scene = Scene::with(|settings| settings.policy = Box::new(ResourcePreserving));
    scene.aspire("m", &[1]);
    scene.loaded("m", 1);
    assert_eq!(
        scene.aspire("m", &[2]),
        ["m/2 Start", "m/1 retire", "m/1 Unloading"]
    );
    assert_eq!(
        scene.unloaded("m", 1),
        ["m/1 End", "m/2 Loading", "m/2 load"]
    );
}

#[test]
fn a_failure_is_tried_again_and_takes_nothing_down() {
    let mut scene = Scene::new();
    scene.aspire("m", &[1]);
    scene.loaded("m", 1);
    scene.aspire("m", &[2]);
    for _ in 0..2 {
        assert_eq!(
            scene.failed("m", 2, LoadErrorKind::Failed),
            ["m/2 Loading: Failed"]
        );
        assert_eq!(scene.core.next_due(), Some(scene.now + RETRY_INTERVAL));
        assert!(
            scene
                .wait(RETRY_INTERVAL - Duration::from_nanos(1))
                .is_empty()
        );
        assert_eq!(
            scene.wait(Duration::from_nanos(1)),
            ["m/2 Loading", "m/2 load"]
        );
    }
    assert_eq!(
        scene.failed("m", 2, LoadErrorKind::Failed),
        ["m/2 End: Failed"]
    );
    assert_eq!(scene.core.next_due(), None);
    assert!(
        scene.aspire("m", &[2]).is_empty(),
        "the same revision is not tried again"
    );
    // Rolled back: nothing happens to the version that was there all along.
    assert!(scene.aspire("m", &[1]).is_empty());
    assert!(scene.wait(RETRY_INTERVAL).is_empty());
}

#[test]
fn what_cannot_get_better_is_tried_again_only_when_it_changes() {
    for kind in [LoadErrorKind::Invalid, LoadErrorKind::Unsupported] {
        let mut scene = Scene::new();
        scene.aspire("m", &[1]);
        assert_eq!(scene.failed("m", 1, kind), [format!("m/1 End: {kind:?}")]);
        assert!(scene.is_settled("m"));
        assert!(scene.wait(RETRY_INTERVAL * 10).is_empty());
        let again = scene.aspire_as("m", &[(1, 7, 1)]);
        assert_eq!(again, ["m/1 Start", "m/1 Loading", "m/1 load#7"]);
        assert_eq!(scene.loaded("m", 1), ["m/1 publish", "m/1 Available"]);
    }
}

#[test]
fn a_new_revision_does_not_wait_for_the_next_try_and_has_all_tries() {
    let mut scene = Scene::with(|settings| settings.max_num_load_retries = 1);
    scene.aspire("m", &[1]);
    scene.failed("m", 1, LoadErrorKind::NotFound);
    assert_eq!(
        scene.aspire_as("m", &[(1, 7, 1)]),
        ["m/1 Loading", "m/1 load#7"]
    );
    assert_eq!(
        scene.failed("m", 1, LoadErrorKind::Failed),
        ["m/1 Loading: Failed"]
    );
    assert_eq!(scene.wait(RETRY_INTERVAL), ["m/1 Loading", "m/1 load#7"]);
    assert_eq!(
        scene.failed("m", 1, LoadErrorKind::Failed),
        ["m/1 End: Failed"]
    );
}

#[test]
fn content_that_changes_under_a_load_is_loaded_anew() {
    let mut scene = Scene::new();
    scene.aspire("m", &[1]);
    assert!(
        scene.aspire_as("m", &[(1, 7, 1)]).is_empty(),
        "the load goes on"
    );
    assert_eq!(scene.loaded("m", 1), ["m/1 Unloading", "m/1 discard"]);
    assert_eq!(
        scene.unloaded("m", 1),
        ["m/1 End", "m/1 Start", "m/1 Loading", "m/1 load#7"]
    );
    scene.aspire_as("m", &[(1, 8, 1)]);
    let failed = scene.failed("m", 1, LoadErrorKind::Invalid);
    assert_eq!(
        failed,
        ["m/1 Loading: Invalid", "m/1 Loading", "m/1 load#8"]
    );
}

#[test]
fn a_loaded_version_ignores_a_new_revision() {
    let mut scene = Scene::new();
    scene.aspire("m", &[1]);
    scene.loaded("m", 1);
    assert!(scene.aspire_as("m", &[(1, 7, 1)]).is_empty());
}

#[test]
fn a_version_that_is_left_out_ends_wherever_it_is() {
    // Waiting for a thread.
    let mut scene = Scene::with(|settings| settings.num_load_threads = 1);
    scene.aspire("m", &[1, 2]);
    assert_eq!(scene.aspire("m", &[2]), [format!("m/1 End: {CANCELLED}")]);
    // Loading, and it fails.
    assert!(scene.aspire("m", &[]).is_empty());
    assert!(scene.tokens["m/2"].is_cancelled());
    let failed = scene.failed("m", 2, LoadErrorKind::Cancelled);
    assert_eq!(failed, [format!("m/2 End: {CANCELLED}")]);
    // Loading, and it succeeds all the same.
    scene.aspire("m", &[3]);
    scene.aspire("m", &[]);
    assert_eq!(scene.loaded("m", 3), ["m/3 Unloading", "m/3 discard"]);
    assert_eq!(scene.unloaded("m", 3), ["m/3 End"]);
    // Waiting for the next try.
    scene.aspire("m", &[4]);
    scene.failed("m", 4, LoadErrorKind::Failed);
    assert_eq!(scene.aspire("m", &[]), [format!("m/4 End: {CANCELLED}")]);
    assert_eq!(scene.core.next_due(), None);
    // Failed for good: its end was told.
    scene.aspire("m", &[5]);
    scene.failed("m", 5, LoadErrorKind::Invalid);
    assert!(scene.aspire("m", &[]).is_empty());
    assert!(scene.core.servables.is_empty());
}

#[test]
fn a_version_that_is_wanted_again_is_loaded_after_its_end() {
    let mut scene = Scene::new();
    scene.aspire("m", &[1]);
    scene.loaded("m", 1);
    scene.aspire("m", &[]);
    assert!(
        scene.aspire("m", &[1]).is_empty(),
        "it is still being unloaded"
    );
    assert_eq!(
        scene.unloaded("m", 1),
        ["m/1 End", "m/1 Start", "m/1 Loading", "m/1 load"]
    );
    // Cancelled and wanted again before the load has noticed.
    scene.aspire("m", &[]);
    assert!(scene.aspire("m", &[1]).is_empty());
    let failed = scene.failed("m", 1, LoadErrorKind::Cancelled);
    let end = format!("m/1 End: {CANCELLED}");
    assert_eq!(failed, [&end, "m/1 Start", "m/1 Loading", "m/1 load"]);
    // The same, but the load never noticed: what it made is what is wanted.
    scene.aspire("m", &[]);
    scene.aspire("m", &[1]);
    assert_eq!(scene.loaded("m", 1), ["m/1 publish", "m/1 Available"]);
}

#[test]
fn names_take_turns_at_the_load_threads() {
    let mut scene = Scene::with(|settings| settings.num_load_threads = 1);
    scene.aspire("a", &[1, 2, 3]);
    scene.aspire("b", &[1, 2]);
    scene.aspire("c", &[1]);
    let mut order = vec!["a/3 load".to_owned()];
    for (name, version) in [("a", 3), ("b", 2), ("c", 1), ("a", 2), ("b", 1), ("a", 1)] {
        let lines = scene.loaded(name, version);
        order.extend(lines.into_iter().filter(|line| line.ends_with("load")));
    }
    assert_eq!(
        order,
        [
            "a/3 load", "b/2 load", "c/1 load", "a/2 load", "b/1 load", "a/1 load"
        ]
    );
}

#[test]
fn a_retry_gives_its_thread_to_others_meanwhile() {
    let mut scene = Scene::with(|settings| settings.num_load_threads = 1);
    scene.aspire("a", &[1]);
    scene.aspire("b", &[1]);
    let failed = scene.failed("a", 1, LoadErrorKind::Failed);
    assert_eq!(failed, ["a/1 Loading: Failed", "b/1 Loading", "b/1 load"]);
}

#[test]
fn a_name_without_versions_is_settled() {
    let mut scene = Scene::new();
    scene.report("m", 1, Some("half"));
    scene.aspire("m", &[]);
    assert!(scene.is_settled("m"));
    // Every version counts, not just the first that fails.
    scene.aspire("n", &[1, 2]);
    scene.failed("n", 2, LoadErrorKind::Failed);
    assert!(!scene.is_settled("n"));
    scene.failed("n", 1, LoadErrorKind::Failed);
    assert!(scene.is_settled("n"), "tries go on behind");
}

#[test]
fn one_version_in_service_decides_a_name_and_does_not_settle_it() {
    let mut scene = Scene::new();
    scene.aspire("m", &[1, 2]);
    scene.loaded("m", 2);
    let is_decided = |scene: &Scene| scene.summary("m").is_some_and(|summary| summary.is_decided);
    assert!(is_decided(&scene) && !scene.is_settled("m"));
    scene.loaded("m", 1);
    assert!(is_decided(&scene) && scene.is_settled("m"));
}

#[test]
fn stopping_ends_everything_and_takes_no_more() {
    let mut scene = Scene::with(|settings| settings.num_load_threads = 1);
    scene.aspire("a", &[1]);
    scene.loaded("a", 1);
    scene.aspire("b", &[1, 2]);
    scene.report("c", 1, Some("half"));
    scene.core.stop(scene.now);
    let end = format!("b/1 End: {CANCELLED}");
    assert_eq!(
        scene.settle(),
        ["a/1 retire", "a/1 Unloading", &end, "c/1 End"]
    );
    assert!(scene.aspire("a", &[2]).is_empty());
    assert!(scene.report("c", 1, Some("half")).is_empty());
    scene.unloaded("a", 1);
    assert!(!scene.core.is_finished());
    scene.failed("b", 2, LoadErrorKind::Cancelled);
    assert!(scene.core.is_finished());
}

#[test]
fn events_tell_how_long_the_state_before_lasted() {
    let mut scene = Scene::new();
    scene.aspire("m", &[1]);
    scene.now += Duration::from_secs(3);
    scene.core.loaded(&id("m", 1), Ok(()), scene.now);
    let available = scene
        .core
        .settle(scene.now)
        .into_iter()
        .find_map(|effect| match effect {
            Effect::Tell(event) if event.state == State::Available => Some(event),
            _ => None,
        });
    assert_eq!(available.expect("told").elapsed, Duration::from_secs(3));
}
