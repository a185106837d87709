//! Versions that were seen but are not wanted yet.

use super::*;

#[test]
fn reports_show_until_they_are_taken_back_or_the_version_is_wanted() {
    let mut scene = Scene::new();
    assert_eq!(scene.report("m", 1, Some("half")), ["m/1 Start: half"]);
    assert!(scene.report("m", 1, Some("half")).is_empty(), "told once");
    assert_eq!(scene.report("m", 1, Some("most")), ["m/1 Start: most"]);
    assert!(!scene.is_settled("m"), "there was no list yet");
    assert_eq!(scene.report("m", 1, None), ["m/1 End"]);
    assert!(scene.report("m", 1, None).is_empty());
    scene.report("m", 1, Some("half"));
    assert_eq!(
        scene.aspire("m", &[1]),
        ["m/1 Start", "m/1 Loading", "m/1 load"]
    );
    assert!(scene.report("m", 1, None).is_empty());
}

#[test]
fn a_report_on_a_loaded_version_waits_for_its_end() {
    let mut scene = Scene::new();
    scene.aspire("m", &[1]);
    scene.loaded("m", 1);
    assert!(scene.report("m", 1, Some("torn")).is_empty());
    assert_eq!(scene.aspire("m", &[]), ["m/1 retire", "m/1 Unloading"]);
    assert_eq!(scene.unloaded("m", 1), ["m/1 End", "m/1 Start: torn"]);
}
