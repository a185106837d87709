//! Many threads at once.

use std::collections::VecDeque;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use salver_servable::{ServableRequest, State, VersionChoice};

use crate::lookup_table::Tables;

const NUM_READERS: usize = 8;
const NUM_VERSIONS: i64 = 200;

/// Readers never stop while 200 versions come and go; one is always wanted and in service.
#[test]
fn no_lookup_fails_while_versions_change_places() {
    let tables = Tables::start();
    tables.set("m", &[1]);
    tables.wait_for("m", 1, State::Available);
    let is_over = AtomicBool::new(false);
    let num_lookups = AtomicUsize::new(0);
    thread::scope(|scope| {
        for reader_idx in 0..NUM_READERS {
            let (tables, is_over, num_lookups) = (&tables, &is_over, &num_lookups);
            scope.spawn(move || {
                let mut newest = 0;
                // Some hold on to a handle for a while, as slow requests do.
                let mut held = VecDeque::new();
                while !is_over.load(Ordering::Relaxed) {
                    let table = tables.latest("m").expect("one is always in service");
                    let version = table.get("version").expect("alive");
                    assert!(version >= newest, "back from {newest} to {version}");
                    newest = version;
                    held.push_back(table);
                    if held.len() > reader_idx {
                        held.pop_front();
                    }
                    num_lookups.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for version in 2..=NUM_VERSIONS {
            tables.set("m", &[version]);
            tables.wait_for("m", version, State::Available);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(num_lookups.load(Ordering::Relaxed) > NUM_READERS);
    assert_eq!(tables.journal.write(|pages| pages.num_made), 200);
    for version in 1..NUM_VERSIONS {
        tables.wait_for("m", version, State::End);
    }
    tables.finish();
}

/// The last handle is dropped by any of several threads, at the very moment when the version is taken out of service.
#[test]
fn the_last_handle_may_go_at_any_moment() {
    const NUM_ROUNDS: i64 = 300;
    const NUM_HOLDERS: usize = 4;
    let tables = Tables::start();
    let start = Barrier::new(NUM_HOLDERS + 1);
    thread::scope(|scope| {
        for _ in 0..NUM_HOLDERS {
            scope.spawn(|| {
                for version in 1..=NUM_ROUNDS {
                    start.wait();
                    let request = ServableRequest {
                        name: "m",
                        version: VersionChoice::Version(version),
                    };
                    // Found or not: that is the race. What is found is whole.
                    while let Ok(table) = tables.manager.handle(&request) {
                        let clone = table.clone();
                        drop(table);
                        assert_eq!(clone.get("version"), Some(version));
                    }
                }
            });
        }
        for version in 1..=NUM_ROUNDS {
            tables.set("m", &[version]);
            tables.wait_for("m", version, State::Available);
            start.wait();
            tables.set("m", &[]);
            tables.wait_for("m", version, State::End);
        }
    });
    tables.finish();
}

/// Lists of several names come from several threads, each the last word on its own name.
#[test]
fn many_sources_each_get_what_they_wanted_last() {
    let tables = Tables::start();
    let names = ["a", "b", "c", "d"];
    thread::scope(|scope| {
        for name in names {
            let tables = &tables;
            scope.spawn(move || {
                for round in 0..100_i64 {
                    let wanted: Vec<i64> = (1..=4).filter(|v| (round * 7 + v) % 3 != 0).collect();
                    tables.set(name, &wanted);
                }
                tables.set(name, &[2, 9]);
            });
        }
    });
    for name in names {
        tables.wait_for(name, 2, State::Available);
        tables.wait_for(name, 9, State::Available);
        tables.journal.wait("the others to end", |_| {
            let statuses = tables.status(name);
            statuses
                .values()
                .all(|s| matches!(s.version, 2 | 9) || s.state == State::End)
        });
        assert_eq!(
            tables.latest(name).expect("in service").get("version"),
            Some(9)
        );
    }
    tables.finish();
}
