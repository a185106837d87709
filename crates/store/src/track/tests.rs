use std::num::NonZeroUsize;

use object_store::path::Path;

use super::*;
use crate::listing::{Object, RemoteFile};

const REST: Duration = Duration::from_secs(10);

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Returns a version of one main file, written at 100 s.
fn version(stamp: &str) -> RemoteVersion {
    let object = Object {
        location: Path::from("x"),
        num_bytes: 1,
        stamp: stamp.to_owned(),
        etag: None,
        modified: at(100),
    };
    RemoteVersion {
        dir: "1".to_owned(),
        files: vec![RemoteFile {
            path: "model.onnx".to_owned(),
            object,
        }],
        refusal: None,
    }
}

fn latest(count: usize) -> VersionPolicyConfig {
    VersionPolicyConfig::Latest(NonZeroUsize::new(count).unwrap())
}

/// Takes listings one after the other, each `version:stamp …`, and writes what each leads to: `+` for what is fetched
/// (and published at once, unless its stamp is `bad` or `lost`), `-` for what is withdrawn.
fn check(policy: &VersionPolicyConfig, first_at: u64, rows: &[(&str, &str)]) {
    let mut tracker = Tracker::default();
    for (idx, (listed, expected)) in rows.iter().enumerate() {
        let found: BTreeMap<i64, RemoteVersion> = listed
            .split_whitespace()
            .map(|text| text.split_once(':').unwrap())
            .map(|(number, stamp)| (number.parse().unwrap(), version(stamp)))
            .collect();
        let look = Look {
            is_first: idx == 0,
            date: at(first_at),
            rest: REST,
        };
        tracker.look(&found, |_, _| false, look);
        let mut done = Vec::new();
        // What is flawed makes room for another choice.
        loop {
            let steps = tracker.steps(std::slice::from_ref(policy));
            let mut has_moved = false;
            for number in steps.fetch {
                let listed = &found[&number];
                let fingerprint = listed.fingerprint();
                match listed.files[0].object.stamp.as_str() {
                    "lost" => {}
                    "bad" => {
                        tracker.flawed(number, fingerprint);
                        has_moved = true;
                    }
                    _ => {
                        done.push(format!("+{number}"));
                        tracker.published(number, fingerprint);
                        has_moved = true;
                    }
                }
            }
            for number in steps.withdraw {
                done.push(format!("-{number}"));
                tracker.withdrawn(number);
                has_moved = true;
            }
            if !has_moved {
                break;
            }
        }
        assert_eq!(done.join(" "), *expected, "listing {idx}: {listed}");
    }
}

#[test]
fn a_version_is_fetched_once_two_listings_agree() {
    let policy = latest(1);
    check(&policy, 200, &[("1:a", "+1"), ("1:a", "")]);
    check(&policy, 105, &[("1:a", ""), ("1:a", "+1"), ("1:a", "")]);
    // Clocks that disagree prove nothing.
    check(&policy, 50, &[("1:a", ""), ("1:a", "+1")]);
    check(
        &policy,
        200,
        &[("", ""), ("1:a", ""), ("1:b", ""), ("1:b", "+1")],
    );
}

#[test]
fn the_new_version_is_here_before_the_old_one_goes() {
    check(
        &latest(1),
        200,
        &[
            ("1:a", "+1"),
            ("1:a 2:a", ""),
            ("1:a 2:a", "+2 -1"),
            ("1:a 2:a", ""),
        ],
    );
    check(
        &latest(1),
        200,
        &[
            ("1:a", "+1"),
            ("1:a 2:lost", ""),
            ("1:a 2:lost", ""),
            ("1:a 2:b", ""),
            ("1:a 2:b", "+2 -1"),
        ],
    );
    check(
        &latest(2),
        200,
        &[
            ("1:a 2:a 3:a", "+2 +3"),
            ("1:a 2:a", ""),
            ("1:a 2:a", "+1 -3"),
        ],
    );
}

#[test]
fn a_flawed_version_takes_nobodys_place() {
    check(
        &latest(1),
        200,
        &[
            ("1:a 2:bad", "+1"),
            ("1:a 2:bad", ""),
            ("1:a 2:good", ""),
            ("1:a 2:good", "+2 -1"),
        ],
    );
    // In place too: what was published goes on.
    check(
        &latest(1),
        200,
        &[
            ("1:a", "+1"),
            ("1:bad", ""),
            ("1:bad", ""),
            ("1:c", ""),
            ("1:c", "+1"),
        ],
    );
}

#[test]
fn what_is_gone_is_withdrawn_at_the_second_listing_without_it() {
    let all = VersionPolicyConfig::All;
    check(
        &all,
        200,
        &[
            ("1:a 2:a", "+1 +2"),
            ("2:a", ""),
            ("2:a", "-1"),
            ("", ""),
            ("", "-2"),
        ],
    );
    check(
        &all,
        200,
        &[("1:a", "+1"), ("", ""), ("1:a", ""), ("", ""), ("1:a", "")],
    );
    // Replaced by hand: the new version is waited for, if it is on its way.
    check(
        &latest(1),
        200,
        &[
            ("1:a", "+1"),
            ("2:a", ""),
            ("2:b", ""),
            ("2:c", ""),
            ("2:c", "+2 -1"),
        ],
    );
    check(
        &latest(1),
        200,
        &[("1:a", "+1"), ("2:bad", ""), ("2:bad", "-1")],
    );
}

#[test]
fn policies_choose_among_what_is_there() {
    let specific = VersionPolicyConfig::Specific(vec![1, 7]);
    check(
        &specific,
        200,
        &[("1:a 2:a 3:a", "+1"), ("1:a 7:a", ""), ("1:a 7:a", "+7")],
    );
    check(
        &VersionPolicyConfig::All,
        200,
        &[("1:a 2:bad 3:a", "+1 +3")],
    );
    let both = [latest(1), specific];
    let mut tracker = Tracker::default();
    let found = [1, 2, 3].map(|number| (number, version("a"))).into();
    let look = Look {
        is_first: true,
        date: at(200),
        rest: REST,
    };
    tracker.look(&found, |_, _| false, look);
    assert_eq!(tracker.steps(&both).fetch, [1, 3]);
}

#[test]
fn what_an_earlier_process_published_needs_no_rest() {
    let mut tracker = Tracker::default();
    let look = Look {
        is_first: true,
        date: at(101),
        rest: REST,
    };
    let known = version("a").fingerprint();
    tracker.look(
        &[(1, version("a")), (2, version("b"))].into(),
        |_, fingerprint| fingerprint == known,
        look,
    );
    assert_eq!(tracker.steps(&[latest(1)]).fetch, [1]);
    assert!(tracker.is_undecided());
}

#[test]
fn a_version_that_never_rests_is_not_waited_for_for_ever() {
    let mut rows = vec![("1:a".to_owned(), "+1")];
    rows.extend((0..=MAX_CHANGES).map(|idx| (format!("2:{idx}"), "")));
    rows.push(("2:x".to_owned(), "-1"));
    let rows: Vec<(&str, &str)> = rows
        .iter()
        .map(|(listed, expected)| (&**listed, *expected))
        .collect();
    check(&latest(1), 200, &rows);
}
