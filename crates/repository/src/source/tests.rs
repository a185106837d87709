use super::*;

#[test]
fn what_was_just_written_is_looked_at_soon_whatever_the_interval() {
    let second = Duration::from_secs(1);
    let rows = [
        (Some(second / 10), second / 10),
        (Some(second), second),
        (Some(second * 3600), second),
        (Some(MAX_INTERVAL), second),
        (None, second),
    ];
    for (interval, expected) in rows {
        assert_eq!(rest(interval), expected, "{interval:?}");
        assert_eq!(pause(interval, true), Some(expected), "{interval:?}");
        assert_eq!(pause(interval, false), interval, "{interval:?}");
    }
}
