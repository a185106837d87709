//! Lookups in maps.

use super::*;
use crate::ServableId;
use crate::manager::Inbox;

struct Maps {
    inbox: Arc<Inbox<&'static str>>,
}

impl Maps {
    fn handle(&self, name: &str, version: i64, servable: &'static str) -> Handle<&'static str> {
        Handle::new(
            ServableId {
                name: name.into(),
                version,
            },
            servable,
            Arc::clone(&self.inbox),
        )
    }

    /// `a` with versions 1 and 3, label `stable` on 1 and `gone` on 2; `b` with a label only.
    fn map(&self) -> ServingMap<&'static str> {
        let labels = |pairs: &[(&str, i64)]| {
            let pairs = pairs
                .iter()
                .map(|(label, version)| ((*label).to_owned(), *version));
            Arc::new(pairs.collect())
        };
        ServingMap::new()
            .with_version(&self.handle("a", 3, "a3"))
            .with_version(&self.handle("a", 1, "a1"))
            .with_labels(&"a".into(), &labels(&[("stable", 1), ("gone", 2)]))
            .with_labels(&"b".into(), &labels(&[("stable", 1)]))
    }
}

fn maps() -> Maps {
    Maps {
        inbox: Arc::new(Inbox::new()),
    }
}

fn lookup(
    map: &ServingMap<&'static str>,
    name: &str,
    version: VersionChoice,
) -> Result<&'static str, LookupError> {
    map.lookup(&ServableRequest { name, version })
        .map(|handle| *handle)
}

#[test]
fn finds_versions_by_number_label_and_age() {
    let map = maps().map();
    let label = |label: &str| VersionChoice::Label(label.to_owned());
    let name = || "a".to_owned();
    assert_eq!(lookup(&map, "a", VersionChoice::Latest), Ok("a3"));
    assert_eq!(lookup(&map, "a", VersionChoice::Version(1)), Ok("a1"));
    assert_eq!(lookup(&map, "a", label("stable")), Ok("a1"));
    assert_eq!(
        lookup(&map, "a", VersionChoice::Version(2)),
        Err(LookupError::UnknownVersion {
            name: name(),
            version: 2
        })
    );
    assert_eq!(
        lookup(&map, "a", label("gone")),
        Err(LookupError::UnknownVersion {
            name: name(),
            version: 2
        })
    );
    assert_eq!(
        lookup(&map, "a", label("canary")),
        Err(LookupError::UnknownLabel {
            name: name(),
            label: "canary".to_owned()
        })
    );
}

#[test]
fn a_name_without_versions_is_unknown() {
    let map = maps().map();
    for name in ["b", "c"] {
        assert_eq!(
            lookup(&map, name, VersionChoice::Latest),
            Err(LookupError::UnknownModel {
                name: name.to_owned()
            })
        );
        assert_eq!(
            lookup(&map, name, VersionChoice::Version(9)),
            Err(LookupError::UnknownVersion {
                name: name.to_owned(),
                version: 9
            })
        );
    }
    let unknown = lookup(&map, "c", VersionChoice::Label("stable".to_owned()));
    assert!(matches!(unknown, Err(LookupError::UnknownLabel { .. })));
}

#[test]
fn latest_falls_back_when_the_highest_goes() {
    let map = maps().map().without_version(&"a".into(), 3);
    assert_eq!(lookup(&map, "a", VersionChoice::Latest), Ok("a1"));
}

#[test]
fn names_without_anything_are_forgotten() {
    let map = maps().map().with_labels(&"b".into(), &Arc::default());
    assert!(!map.servables.contains_key("b"));
    let map = map.with_labels(&"a".into(), &Arc::default());
    let map = map
        .without_version(&"a".into(), 1)
        .without_version(&"a".into(), 3);
    assert!(map.servables.is_empty());
}
