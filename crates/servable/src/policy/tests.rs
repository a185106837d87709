//! Policies as tables.

use super::*;

/// Reads `1:ready 2:new+`: a version, its phase, and `+` if it is wanted.
fn snapshots(text: &str) -> Vec<VersionSnapshot> {
    let read = |word: &str| {
        let (version, phase) = word.split_once(':').expect("version:phase");
        let is_aspired = phase.ends_with('+');
        let phase = match phase.trim_end_matches('+') {
            "new" => Phase::New,
            "loading" => Phase::Loading,
            "ready" => Phase::Ready,
            "unloading" => Phase::Unloading,
            "failed" => Phase::Failed,
            other => panic!("no phase {other}"),
        };
        VersionSnapshot {
            version: version.parse().expect("a number"),
            phase,
            is_aspired,
        }
    };
    text.split_whitespace().map(read).collect()
}

fn check(policy: &dyn VersionPolicy, rows: &[(&str, Option<Action>)]) {
    for (text, expected) in rows {
        assert_eq!(policy.next(&snapshots(text)), *expected, "{text}");
    }
}

#[test]
fn availability_preserving_takes_no_version_down_without_a_successor() {
    use Action::{Load, Unload};
    check(
        &AvailabilityPreserving,
        &[
            ("", None),
            ("1:new+", Some(Load(1))),
            ("1:new+ 2:new+ 3:new+", Some(Load(3))),
            ("1:new+ 3:loading+", Some(Load(1))),
            ("1:ready+", None),
            // A new version first loads, then the old one goes.
            ("1:ready 2:new+", Some(Load(2))),
            ("1:ready 2:loading+", None),
            ("1:ready 2:ready+", Some(Unload(1))),
            ("1:unloading 2:ready+", None),
            // A failed successor is none.
            ("1:ready 2:failed+", None),
            ("1:ready 2:failed+ 3:new+", Some(Load(3))),
            // Nothing wanted: everything goes, the lowest first.
            ("1:ready 2:ready", Some(Unload(1))),
            ("2:ready", Some(Unload(2))),
            ("1:loading 2:unloading", None),
            // One unwanted version is enough to stay in service.
            ("1:ready 2:ready 3:new+", Some(Unload(1))),
            ("1:unloading 2:ready 3:new+", Some(Load(3))),
            ("1:loading 2:ready 3:loading+", None),
            // A version that unloads cannot take over.
            ("1:ready 2:unloading+", None),
            // A lower version may take over too: a roll-back.
            ("1:ready+ 2:ready", Some(Unload(2))),
            ("1:new+ 2:ready", Some(Load(1))),
            // What is unwanted and new is not loaded.
            ("1:new", None),
            ("1:failed 2:failed", None),
        ],
    );
}

#[test]
fn resource_preserving_makes_room_first() {
    use Action::{Load, Unload};
    check(
        &ResourcePreserving,
        &[
            ("", None),
            ("1:new+ 2:new+", Some(Load(2))),
            ("1:new+ 2:ready+", Some(Load(1))),
            ("1:ready 2:new+", Some(Unload(1))),
            ("1:ready 2:ready 3:new+", Some(Unload(1))),
            ("1:unloading 2:ready 3:new+", Some(Unload(2))),
            ("1:unloading 2:new+", None),
            ("1:unloading+ 2:new+", None),
            ("1:loading 2:new+", None),
            ("1:loading+ 2:new+", Some(Load(2))),
            ("1:failed 2:new+", Some(Load(2))),
            ("1:failed+ 2:new+", Some(Load(2))),
            ("1:ready", Some(Unload(1))),
            ("1:failed+ 2:failed", None),
        ],
    );
}

/// All combinations of three versions, in every phase, wanted or not.
fn all_triples() -> impl Iterator<Item = Vec<VersionSnapshot>> {
    const PHASES: [Phase; 5] = [
        Phase::New,
        Phase::Loading,
        Phase::Ready,
        Phase::Unloading,
        Phase::Failed,
    ];
    (0..1000_usize).map(|code| {
        [code % 10, code / 10 % 10, code / 100]
            .iter()
            .zip(1..)
            .map(|(choice, version)| VersionSnapshot {
                version,
                phase: PHASES[choice / 2],
                is_aspired: choice % 2 == 1,
            })
            .collect()
    })
}

#[test]
fn steps_always_fit() {
    let policies: [&dyn VersionPolicy; 2] = [&AvailabilityPreserving, &ResourcePreserving];
    for (policy, versions) in policies
        .iter()
        .flat_map(|p| all_triples().map(move |v| (p, v)))
    {
        let of = |version| {
            versions
                .iter()
                .find(|v| v.version == version)
                .expect("known")
        };
        match policy.next(&versions) {
            None => {}
            Some(Action::Load(version)) => {
                let chosen = of(version);
                assert!(
                    chosen.is_aspired && chosen.phase == Phase::New,
                    "{versions:?}"
                );
            }
            Some(Action::Unload(version)) => {
                let chosen = of(version);
                assert!(
                    !chosen.is_aspired && chosen.phase == Phase::Ready,
                    "{versions:?}"
                );
            }
        }
    }
}

#[test]
fn availability_preserving_never_unloads_the_last_ready_version_while_one_is_wanted() {
    for versions in all_triples().filter(|versions| versions.iter().any(|v| v.is_aspired)) {
        let num_ready = versions.iter().filter(|v| v.phase == Phase::Ready).count();
        if matches!(
            AvailabilityPreserving.next(&versions),
            Some(Action::Unload(_))
        ) {
            assert!(num_ready > 1, "{versions:?}");
        }
    }
}
