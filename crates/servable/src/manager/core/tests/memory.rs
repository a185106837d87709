//! What the memory limit does.

use super::*;

#[test]
fn a_version_without_room_is_refused_and_the_old_one_goes_on() {
    let mut scene = Scene::with(|settings| settings.memory_limit_bytes = Some(100));
    scene.aspire_as("m", &[(1, 0, 60)]);
    scene.loaded("m", 1);
    let refusal = "needs 60 bytes of memory, but 60 of the 100 allowed bytes are taken";
    let lines = scene.aspire_as("m", &[(2, 0, 60)]);
    assert_eq!(
        lines,
        ["m/2 Start".to_owned(), format!("m/2 End: {refusal}")]
    );
    assert!(scene.is_settled("m"));
    // Smaller ones are not held up.
    assert_eq!(
        scene.aspire_as("n", &[(1, 0, 40)]),
        ["n/1 Start", "n/1 Loading", "n/1 load"]
    );
    // Memory that comes free is offered to the one that was refused, if it is enough.
    assert_eq!(
        scene.failed("n", 1, LoadErrorKind::Invalid),
        ["n/1 End: Invalid"]
    );
}

#[test]
fn memory_that_comes_free_goes_to_whom_it_was_refused() {
    let mut scene = Scene::with(|settings| settings.memory_limit_bytes = Some(100));
    scene.aspire_as("a", &[(1, 0, 60)]);
    scene.aspire_as("b", &[(1, 0, 60)]);
    scene.aspire_as("c", &[(1, 0, 101)]);
    let lines = scene.failed("a", 1, LoadErrorKind::Invalid);
    assert_eq!(
        lines,
        ["a/1 End: Invalid", "b/1 Start", "b/1 Loading", "b/1 load"]
    );
    scene.loaded("b", 1);
    scene.aspire_as("a", &[(1, 7, 60)]);
    scene.aspire("b", &[]);
    let lines = scene.unloaded("b", 1);
    assert_eq!(lines, ["b/1 End", "a/1 Start", "a/1 Loading", "a/1 load#7"]);
}

#[test]
fn a_load_waits_for_an_unload_that_makes_room() {
    let mut scene = Scene::with(|settings| settings.memory_limit_bytes = Some(100));
    scene.aspire_as("a", &[(1, 0, 60)]);
    scene.loaded("a", 1);
    scene.aspire("a", &[]);
    assert_eq!(scene.aspire_as("b", &[(1, 0, 60)]), ["b/1 Start"]);
    assert!(!scene.is_settled("b"), "it is waiting, it has not failed");
    // Others that fit pass it.
    assert_eq!(
        scene.aspire_as("c", &[(1, 0, 40)]).last().expect("a line"),
        "c/1 load"
    );
    // What can never fit does not wait.
    let too_large = scene.aspire_as("d", &[(1, 0, 101)]);
    assert!(
        too_large[1].starts_with("d/1 End: needs 101"),
        "{too_large:?}"
    );
    assert_eq!(
        scene.unloaded("a", 1),
        ["a/1 End", "b/1 Loading", "b/1 load"]
    );
}
