//! Waiting until a server may open its ports.

use std::sync::Arc;
use std::time::Duration;

use salver_servable::{LoadError, LoadErrorKind, State};

use crate::lookup_table::{Act, Gate, PATIENCE, Tables, config};

#[test]
fn names_are_settled_by_success_failure_and_absence() {
    let mut patient = config();
    // No test lives to see the next try.
    patient.load_retry_interval = Duration::from_secs(3600);
    let tables = Tables::start_with(patient, |_| {});
    let gate = Gate::default();
    let names: Vec<Arc<str>> = ["good", "bad", "none", "slow"].map(Arc::from).into();
    assert!(
        !tables
            .manager
            .wait_first_load(&names[..1], Some(Duration::ZERO)),
        "not heard of yet"
    );
    tables
        .aspired
        .set("slow", vec![tables.acting("slow", 1, Act::wait_at(&gate))]);
    tables.set("good", &[1]);
    tables.aspired.set(
        "bad",
        vec![tables.acting("bad", 1, Act::fail(LoadErrorKind::Failed))],
    );
    tables.aspired.report(
        "none",
        1,
        Some(LoadError::new(LoadErrorKind::Invalid, "half")),
    );
    tables.set("none", &[]);
    assert!(tables.manager.wait_first_load(&names[..3], Some(PATIENCE)));
    assert!(tables.latest("good").is_ok());
    assert_eq!(
        tables.status("bad")[&1].state,
        State::Loading,
        "it will be tried again"
    );
    assert!(!tables.manager.wait_first_load(&names, Some(Duration::ZERO)));
    gate.open();
    assert!(tables.manager.wait_first_load(&names, None));
    assert!(tables.manager.wait_first_load(&[], None));
    tables.finish();
}

#[test]
fn a_shutdown_ends_the_wait() {
    let tables = Tables::start();
    let manager = tables.manager.clone();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| manager.wait_first_load(&["never".into()], None));
        tables.finish();
        assert!(!waiter.join().expect("no panic"));
    });
}
