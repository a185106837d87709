//! What the board remembers.

use super::*;
use crate::LoadErrorKind;

fn event(name: &str, version: i64, state: State, error: Option<&str>) -> Event {
    Event {
        id: ServableId {
            name: name.into(),
            version,
        },
        state,
        error: error.map(|message| LoadError::new(LoadErrorKind::Failed, message)),
        elapsed: Duration::ZERO,
    }
}

fn error_of(board: &StatusBoard) -> Option<String> {
    let status = board.status("m").expect("known").remove(0);
    status.error.map(|error| error.message)
}

#[test]
fn lists_versions_from_the_highest_down() {
    let board = StatusBoard::default();
    for version in [2, -1, 10] {
        board.record(&event("m", version, State::Start, None));
    }
    let statuses = board.status("m").expect("known");
    assert_eq!(
        statuses
            .iter()
            .map(|status| status.version)
            .collect::<Vec<_>>(),
        [10, 2, -1]
    );
    assert_eq!(board.status("n"), None);
    assert_eq!(
        board
            .statuses()
            .keys()
            .map(|name| &**name)
            .collect::<Vec<_>>(),
        ["m"]
    );
}

#[test]
fn the_last_error_stands_until_the_version_is_available() {
    let board = StatusBoard::default();
    board.record(&event("m", 1, State::Loading, None));
    assert_eq!(error_of(&board), None);
    board.record(&event("m", 1, State::Loading, Some("first")));
    board.record(&event("m", 1, State::Loading, None));
    assert_eq!(error_of(&board).as_deref(), Some("first"));
    board.record(&event("m", 1, State::Available, None));
    assert_eq!(error_of(&board), None);
}

#[test]
fn only_the_last_ended_versions_are_remembered() {
    let board = StatusBoard::default();
    let num_versions = i64::try_from(MAX_ENDED_VERSIONS).expect("small") + 10;
    board.record(&event("m", 0, State::Available, None));
    for version in 1..=num_versions {
        board.record(&event("m", version, State::End, None));
    }
    let versions: Vec<i64> = board
        .status("m")
        .expect("known")
        .iter()
        .map(|s| s.version)
        .collect();
    assert_eq!(versions.len(), MAX_ENDED_VERSIONS + 1);
    assert_eq!(versions.first(), Some(&num_versions));
    assert_eq!(
        versions.last(),
        Some(&0),
        "a version that has not ended is never forgotten"
    );
}

#[test]
fn only_the_last_gone_names_are_remembered() {
    let board = StatusBoard::default();
    let gone = NameSummary {
        is_settled: true,
        is_decided: true,
        is_gone: true,
    };
    for number in 0..MAX_GONE_NAMES + 2 {
        let name: Arc<str> = format!("m{number}").into();
        board.record(&event(&name, 1, State::End, None));
        board.summarize(&name, gone, 1);
        // Gone twice counts once.
        board.summarize(&name, gone, 1);
    }
    assert_eq!(board.statuses().len(), MAX_GONE_NAMES);
    assert_eq!(board.status("m1"), None);
    assert!(board.status("m2").is_some());
}

#[test]
fn waiting_ends_when_the_manager_does() {
    let board = StatusBoard::default();
    let names = [Arc::from("m")];
    let wait = |timeout| board.wait_settled(&names, 0, Patience::FirstTry, timeout);
    assert!(!wait(Some(Duration::ZERO)));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| wait(None));
        board.close();
        assert!(!waiter.join().expect("no panic"));
    });
    board.summarize(&names[0], SETTLED, 1);
    assert!(wait(None));
}

const SETTLED: NameSummary = NameSummary {
    is_settled: true,
    is_decided: true,
    is_gone: false,
};

#[test]
fn waiting_is_for_a_list_that_came_after_and_for_the_last_try_if_it_is_told_so() {
    let board = StatusBoard::default();
    let names = [Arc::from("m")];
    let wait = |after, patience| board.wait_settled(&names, after, patience, Some(Duration::ZERO));
    let tried_once = NameSummary {
        is_decided: false,
        ..SETTLED
    };
    board.summarize(&names[0], tried_once, 7);
    assert!(wait(6, Patience::FirstTry));
    assert!(!wait(7, Patience::FirstTry));
    assert!(!wait(6, Patience::LastTry));
    let one_answers = NameSummary {
        is_settled: false,
        ..SETTLED
    };
    board.summarize(&names[0], one_answers, 8);
    assert!(!wait(7, Patience::FirstTry));
    assert!(wait(7, Patience::LastTry));
    board.summarize(&names[0], SETTLED, 9);
    assert!(wait(8, Patience::LastTry));
}

#[test]
fn names_without_a_version_in_service_are_told_of_until_they_are_gone() {
    let board = StatusBoard::default();
    let (name, missing): (Arc<str>, Arc<str>) = ("m".into(), "missing".into());
    board.record(&event("m", 1, State::Available, None));
    board.summarize(&name, SETTLED, 1);
    let problem = LoadError::new(crate::LoadErrorKind::NotFound, "there is nothing");
    board.complain(&missing, Some(problem.clone()));
    assert_eq!(board.complaint("missing"), Some(problem));
    let expected = BTreeMap::from([(Arc::clone(&name), true), (Arc::clone(&missing), false)]);
    assert_eq!(board.availability(), expected);
    board.complain(&missing, None);
    let gone = NameSummary {
        is_gone: true,
        ..SETTLED
    };
    board.summarize(&name, gone, 2);
    assert_eq!(board.availability(), BTreeMap::new());
}
