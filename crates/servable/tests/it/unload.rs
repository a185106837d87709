//! The end of servables: when, where, and whom it holds up.

use std::time::{Duration, Instant};

use salver_servable::{
    Aspired, AvailabilityPreserving, LookupError, ManagerConfig, ResourcePreserving, State,
};

use crate::lookup_table::{Act, Gate, PATIENCE, Tables, config, id};

#[test]
fn a_version_lives_as_long_as_its_last_handle() {
    let tables = Tables::start();
    tables.set("m", &[1]);
    tables.wait_for("m", 1, State::Available);
    let handle = tables.latest("m").expect("in service");
    let another = handle.clone();
    tables.set("m", &[]);
    tables.wait_for("m", 1, State::Unloading);
    assert!(matches!(
        tables.latest("m"),
        Err(LookupError::UnknownModel { .. })
    ));
    drop(handle);
    assert_eq!(
        another.get("version"),
        Some(1),
        "still there for whom has it"
    );
    assert_eq!(tables.status("m")[&1].state, State::Unloading);
    drop(another);
    tables.wait_for("m", 1, State::End);
    tables.journal.write(|pages| {
        assert_eq!(pages.dropped, [(id("m", 1), "salver-unload".to_owned())]);
    });
    tables.finish();
}

#[test]
fn a_slow_request_holds_up_nothing_but_its_own_version() {
    let tables = Tables::start();
    tables.set("a", &[1]);
    tables.wait_for("a", 1, State::Available);
    let slow = tables.latest("a").expect("in service");
    for version in 2..=4 {
        tables.set("a", &[version]);
        tables.wait_for("a", version, State::Available);
        tables.set("b", &[version]);
        tables.wait_for("b", version, State::Available);
    }
    for version in 2..=3 {
        tables.wait_for("a", version, State::End);
        tables.wait_for("b", version, State::End);
    }
    assert_eq!(tables.status("a")[&1].state, State::Unloading);
    assert_eq!(slow.get("version"), Some(1));
    drop(slow);
    tables.wait_for("a", 1, State::End);
    tables.finish();
}

#[test]
fn a_version_wanted_again_comes_back_after_its_end() {
    let tables = Tables::start();
    tables.set("m", &[1]);
    tables.wait_for("m", 1, State::Available);
    let handle = tables.latest("m").expect("in service");
    tables.set("m", &[]);
    tables.wait_for("m", 1, State::Unloading);
    tables.set("m", &[1]);
    // The list has been taken up when the next one has had its effect.
    tables.set("n", &[1]);
    tables.wait_for("n", 1, State::Available);
    assert_eq!(tables.status("m")[&1].state, State::Unloading);
    drop(handle);
    tables.wait_for("m", 1, State::Available);
    assert_eq!(tables.journal.write(|pages| pages.num_made), 3);
    tables.finish();
}

#[test]
fn an_unload_that_hangs_holds_up_no_other() {
    let tables = Tables::start();
    let gate = Gate::default();
    let stuck = tables.loader("stuck", 1, Act::none(), Act::wait_at(&gate));
    tables.aspired.set(
        "stuck",
        vec![Aspired {
            version: 1,
            revision: 0,
            loader: stuck,
        }],
    );
    tables.wait_for("stuck", 1, State::Available);
    tables.set("stuck", &[]);
    gate.wait_for_arrival();
    tables.set("m", &[1]);
    tables.wait_for("m", 1, State::Available);
    tables.set("m", &[]);
    tables.wait_for("m", 1, State::End);
    assert_eq!(tables.status("stuck")[&1].state, State::Unloading);
    gate.open();
    tables.finish();
}

#[test]
fn a_panic_in_an_unload_ends_it_with_an_error() {
    let tables = Tables::start();
    let loader = tables.loader("m", 1, Act::none(), Act::panic());
    tables.aspired.set(
        "m",
        vec![Aspired {
            version: 1,
            revision: 0,
            loader,
        }],
    );
    tables.wait_for("m", 1, State::Available);
    tables.set("m", &[]);
    let end = tables.wait_for("m", 1, State::End);
    let message = end.error.expect("it failed").to_string();
    assert_eq!(message, "panicked while it was unloaded: it was told to");
    tables.finish();
}

#[test]
fn policies_decide_whether_both_are_there_at_once() {
    let check = |config: ManagerConfig, expected: &[&str]| {
        let tables = Tables::start_with(config, |_| {});
        tables.set("m", &[1]);
        tables.wait_for("m", 1, State::Available);
        tables.set("m", &[2]);
        tables.wait_for("m", 2, State::Available);
        tables.wait_for("m", 1, State::End);
        let order: Vec<String> = tables.journal.write(|pages| {
            let is_end = |state| matches!(state, State::Available | State::Unloading);
            let events = pages.events.iter().filter(|event| is_end(event.state));
            events
                .map(|event| format!("{} {:?}", event.id.version, event.state))
                .collect()
        });
        assert_eq!(order, expected);
        tables.finish();
    };
    let keeping = ManagerConfig {
        policy: Box::new(AvailabilityPreserving),
        ..config()
    };
    check(keeping, &["1 Available", "2 Available", "1 Unloading"]);
    let sparing = ManagerConfig {
        policy: Box::new(ResourcePreserving),
        ..config()
    };
    check(sparing, &["1 Available", "1 Unloading", "2 Available"]);
}

#[test]
fn a_shutdown_names_what_is_still_held() {
    let tables = Tables::start();
    tables.set("a", &[1]);
    tables.set("b", &[1]);
    tables.wait_for("a", 1, State::Available);
    tables.wait_for("b", 1, State::Available);
    let handle = tables.latest("a").expect("in service");
    let manager = tables.manager.clone();
    // The second one ends at once, but perhaps not within no time.
    let stragglers = manager.shutdown(Instant::now());
    assert!(stragglers.contains(&id("a", 1)), "{stragglers:?}");
    tables.wait_for("b", 1, State::End);
    assert_eq!(
        manager.shutdown(Instant::now() + Duration::from_millis(1)),
        [id("a", 1)]
    );
    assert!(tables.latest("b").is_err());
    tables.set("c", &[1]);
    drop(handle);
    tables.finish();
    assert_eq!(manager.shutdown(Instant::now()), []);
    assert_eq!(
        manager.status("c"),
        None,
        "after the shutdown nothing is taken up"
    );
}

#[test]
fn a_manager_that_is_dropped_unloads_everything() {
    let Tables {
        manager,
        aspired,
        journal,
    } = {
        let tables = Tables::start();
        tables.set("m", &[1]);
        tables.wait_for("m", 1, State::Available);
        tables
    };
    drop(manager);
    journal.wait("the unload", |pages| {
        pages.dropped == [(id("m", 1), "salver-unload".to_owned())]
    });
    aspired.set("m", Vec::new());
}

#[test]
fn a_shutdown_gives_up_on_a_load_that_does_not_end() {
    let tables = Tables::start();
    let gate = Gate::default();
    tables
        .aspired
        .set("m", vec![tables.acting("m", 1, Act::wait_at(&gate))]);
    gate.wait_for_arrival();
    assert_eq!(tables.manager.shutdown(Instant::now()), [id("m", 1)]);
    gate.open();
    assert_eq!(tables.manager.shutdown(Instant::now() + PATIENCE), []);
    assert_eq!(tables.states("m", 1).last(), Some(&State::End));
    tables.finish();
}
