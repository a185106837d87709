//! From a source to a request.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};

use salver_servable::{
    Aspired, LoadError, LoadErrorKind, LookupError, Manager, ServableRequest, Source, State,
    VersionChoice,
};

use crate::lookup_table::{Act, Gate, ListSource, LookupTable, Tables, config};

#[test]
fn a_source_is_served_and_goes_on_being_served_after_it_stopped() {
    let tables = Tables::start();
    let (sender, lists) = mpsc::sync_channel(1);
    let sender = Arc::new(Mutex::new(Some(sender)));
    let task = ListSource {
        lists,
        sender: Arc::clone(&sender),
    }
    .watch(tables.aspired.clone());
    let list = ("m".to_owned(), tables.plain("m", &[1, 2]));
    sender
        .lock()
        .expect("no panic")
        .as_ref()
        .expect("open")
        .send(list)
        .expect("watched");
    for version in [1, 2] {
        tables.wait_for("m", version, State::Available);
    }
    task.stop();
    let table = tables.latest("m").expect("in service");
    assert_eq!(
        (table.get("version"), table.get("one"), table.get("two")),
        (Some(2), Some(1), None)
    );
    assert_eq!(table.id().to_string(), "{name: m version: 2}");
    drop(table);
    let expected = [State::Start, State::Loading, State::Available];
    assert_eq!(tables.states("m", 1), expected);
    tables.finish();
}

#[test]
fn requests_name_versions_and_labels() {
    let tables = Tables::start();
    tables.set("m", &[1, 2]);
    for version in [1, 2] {
        tables.wait_for("m", version, State::Available);
    }
    let ask = |version| {
        let found = tables
            .manager
            .handle(&ServableRequest { name: "m", version });
        found.map(|table| table.get("version").expect("every table has it"))
    };
    let label = || VersionChoice::Label("stable".to_owned());
    assert_eq!(ask(VersionChoice::Version(1)), Ok(1));
    assert!(matches!(
        ask(label()),
        Err(LookupError::UnknownLabel { .. })
    ));
    tables
        .manager
        .set_labels("m", BTreeMap::from([("stable".to_owned(), 1)]));
    assert_eq!(ask(label()), Ok(1));
    tables
        .manager
        .set_labels("m", BTreeMap::from([("stable".to_owned(), 2)]));
    assert_eq!(ask(label()), Ok(2));
    tables.set("m", &[1]);
    tables.wait_for("m", 2, State::End);
    assert_eq!(
        ask(label()),
        Err(LookupError::UnknownVersion {
            name: "m".to_owned(),
            version: 2
        })
    );
    tables.finish();
}

#[test]
fn a_slow_load_holds_up_no_other() {
    let tables = Tables::start();
    let gate = Gate::default();
    tables
        .aspired
        .set("slow", vec![tables.acting("slow", 1, Act::wait_at(&gate))]);
    gate.wait_for_arrival();
    for version in 1..=3 {
        tables.set("quick", &[version]);
        tables.wait_for("quick", version, State::Available);
    }
    assert_eq!(tables.status("slow")[&1].state, State::Loading);
    gate.open();
    tables.wait_for("slow", 1, State::Available);
    tables.finish();
}

#[test]
fn a_failed_load_is_tried_again_and_its_error_is_shown() {
    let tables = Tables::start();
    let num_tries = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&num_tries);
    let third_time_lucky = Act::new(move |_| match counter.fetch_add(1, Ordering::SeqCst) {
        0 => Err(LoadError::new(LoadErrorKind::Failed, "not yet")),
        1 => panic!("not yet either"),
        _ => Ok(()),
    });
    tables
        .aspired
        .set("m", vec![tables.acting("m", 1, third_time_lucky)]);
    tables.wait_for("m", 1, State::Available);
    assert_eq!(num_tries.load(Ordering::SeqCst), 3);
    assert_eq!(tables.status("m")[&1].error, None);
    let errors: Vec<String> = tables.journal.write(|pages| {
        let errors = pages.events.iter().filter_map(|event| event.error.as_ref());
        errors.map(ToString::to_string).collect()
    });
    assert_eq!(
        errors,
        ["not yet", "panicked while it was loaded: not yet either"]
    );
    tables.finish();
}

#[test]
fn a_bad_version_leaves_the_old_one_and_its_neighbours_in_service() {
    let tables = Tables::start();
    tables.set("m", &[1]);
    tables.wait_for("m", 1, State::Available);
    for (version, act) in [(2, Act::fail(LoadErrorKind::Invalid)), (3, Act::panic())] {
        tables
            .aspired
            .set("m", vec![tables.acting("m", version, act)]);
        let end = tables.wait_for("m", version, State::End);
        assert_eq!(tables.status("m")[&version].error, end.error);
        assert!(end.error.is_some());
        assert_eq!(
            tables.latest("m").expect("in service").get("version"),
            Some(1)
        );
    }
    // A failed version is loaded once its content has changed.
    let mended = tables.loader("m", 3, Act::none(), Act::none());
    tables.aspired.set(
        "m",
        vec![Aspired {
            version: 3,
            revision: 1,
            loader: mended,
        }],
    );
    tables.wait_for("m", 3, State::Available);
    tables.wait_for("m", 1, State::End);
    assert_eq!(
        tables.latest("m").expect("in service").get("version"),
        Some(3)
    );
    tables.finish();
}

#[test]
fn a_load_that_is_no_longer_wanted_is_told_so() {
    let tables = Tables::start();
    let gate = Gate::default();
    let act = Act::new({
        let gate = gate.clone();
        move |cancel| {
            gate.pass();
            match cancel.is_cancelled() {
                true => Err(LoadError::new(LoadErrorKind::Cancelled, "gave up")),
                false => Ok(()),
            }
        }
    });
    tables.aspired.set("m", vec![tables.acting("m", 1, act)]);
    gate.wait_for_arrival();
    tables.set("m", &[2]);
    // Version 2 is ready after the list was taken up, so the first load has been cancelled by then.
    tables.wait_for("m", 2, State::Available);
    gate.open();
    let end = tables.wait_for("m", 1, State::End);
    assert_eq!(end.error.expect("cancelled").kind, LoadErrorKind::Cancelled);
    tables.finish();
}

#[test]
fn a_version_that_is_not_whole_shows_why() {
    let tables = Tables::start();
    let half = LoadError::new(LoadErrorKind::Invalid, "half of it is missing");
    tables.set("m", &[1]);
    tables.aspired.report("m", 2, Some(half.clone()));
    tables.wait_for("m", 2, State::Start);
    let status = &tables.status("m")[&2];
    assert_eq!((status.state, &status.error), (State::Start, &Some(half)));
    tables.set("m", &[2]);
    tables.aspired.report("m", 2, None);
    tables.wait_for("m", 2, State::Available);
    assert_eq!(tables.status("m")[&2].error, None);
    tables.finish();
}

#[test]
fn the_listener_may_ask_the_manager_and_may_panic() {
    static MANAGER: OnceLock<Manager<LookupTable>> = OnceLock::new();
    let tables = Tables::start_with(config(), |event| {
        let manager = MANAGER.wait();
        let status = manager
            .status(&event.id.name)
            .expect("told after it was noted");
        assert_eq!(status[0].state, event.state);
        let is_found = manager
            .handle(&ServableRequest {
                name: &event.id.name,
                version: VersionChoice::Latest,
            })
            .is_ok();
        assert_eq!(
            is_found,
            event.state == State::Available,
            "{:?}",
            event.state
        );
        manager.set_labels(&event.id.name, BTreeMap::from([("asked".to_owned(), 1)]));
        panic!("a listener's own affair");
    });
    MANAGER.set(tables.manager.clone()).expect("set once");
    tables.set("m", &[1]);
    tables.wait_for("m", 1, State::Available);
    tables.set("m", &[]);
    tables.wait_for("m", 1, State::End);
    assert_eq!(
        tables.states("m", 1),
        [
            State::Start,
            State::Loading,
            State::Available,
            State::Unloading,
            State::End
        ]
    );
    tables.finish();
}
