//! Decides, listing by listing, which versions of a model are downloaded, and which are taken away.
//!
//! ```text
//! listing ─► seen twice alike? ─► candidates ─► policy ─► wanted ─► fetch … published … withdraw the others
//! ```
//!
//! A plain state machine: it is told what was listed, and what has become of downloads. Invariants: what is published
//! stays until the versions that are wanted instead are published too, or two listings in a row lack it; only what
//! two listings showed alike (or was old at the first one) is ever fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use salver_repository::VersionPolicyConfig;

use crate::listing::RemoteVersion;

/// How many listings in a row must lack a version that is published before it counts as removed.
const NUM_MISSING: u32 = 2;

/// How many listings a version may keep changing while one that is gone waits to be replaced by it.
const MAX_CHANGES: u32 = 10;

/// What one model's versions looked like, and what has become of them.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    versions: BTreeMap<i64, Tracked>,
}

#[derive(Debug, Default)]
struct Tracked {
    /// How it was listed last; `None` if it was not.
    listed: Option<Listed>,
    /// Listings in a row that lacked it.
    num_missing: u32,
    /// Content that was found not to be whole, or damaged.
    flawed: Option<String>,
    /// Content that was refused, as it was told.
    told: Option<String>,
    published: Option<String>,
}

#[derive(Debug)]
struct Listed {
    fingerprint: String,
    /// Whether its files can be mirrored: there is a main file, and all names are fit for files.
    is_possible: bool,
    is_settled: bool,
    /// Listings in a row that showed it otherwise than the one before.
    num_changes: u32,
}

/// When a listing was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Whether it is the first one that succeeded.
    pub(crate) is_first: bool,
    /// The date, to compare times of objects with.
    pub(crate) date: SystemTime,
    /// How old objects are at the first listing to count as settled.
    pub(crate) rest: Duration,
}

/// What is to be done next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    /// Versions to be downloaded.
    pub(crate) fetch: Vec<i64>,
    /// Versions to be taken away.
    pub(crate) withdraw: Vec<i64>,
}

impl Tracker {
    /// Takes note of a listing.
    ///
    /// `is_known` tells whether an earlier process published just this content, which was at rest then.
    pub(crate) fn look(
        &mut self,
        found: &BTreeMap<i64, RemoteVersion>,
        is_known: impl Fn(i64, &str) -> bool,
        look: Look,
    ) {
        for (version, remote) in found {
            let fingerprint = remote.fingerprint();
            let tracked = self.versions.entry(*version).or_default();
            let before = tracked.listed.take();
            let is_same = before
                .as_ref()
                .is_some_and(|before| before.fingerprint == fingerprint);
            let is_old = || {
                let age = look.date.duration_since(remote.newest());
                look.is_first && age.is_ok_and(|age| age >= look.rest)
            };
            let is_published = tracked.published.as_ref() == Some(&fingerprint);
            tracked.num_missing = 0;
            tracked.listed = Some(Listed {
                is_possible: remote.refusal.is_none() && remote.has_main_file(),
                is_settled: is_same || is_published || is_known(*version, &fingerprint) || is_old(),
                num_changes: match (is_same, before) {
                    (false, Some(before)) => before.num_changes + 1,
                    _ => 0,
                },
                fingerprint,
            });
        }
        for (version, tracked) in &mut self.versions {
            if !found.contains_key(version) {
                tracked.listed = None;
                tracked.num_missing = tracked.num_missing.saturating_add(1);
            }
        }
        self.versions
            .retain(|_, tracked| tracked.listed.is_some() || tracked.published.is_some());
    }

    /// Returns what is to be done to have what `policies` want.
    pub(crate) fn steps(&self, policies: &[VersionPolicyConfig]) -> Steps {
        let candidates: Vec<i64> = self
            .versions
            .iter()
            .filter(|(_, tracked)| tracked.is_candidate())
            .map(|(version, _)| *version)
            .collect();
        let wanted: BTreeSet<i64> = policies
            .iter()
            .flat_map(|policy| policy.choose(&candidates))
            .collect();
        let is_here = wanted
            .iter()
            .all(|version| self.versions[version].published.is_some());
        let is_changing = self.versions.values().any(Tracked::is_changing);
        let fetch = wanted
            .iter()
            .filter(|version| self.versions[version].is_to_be_fetched());
        let withdraw = self.versions.iter().filter(|(version, tracked)| {
            let is_gone = tracked.listed.is_none();
            let may_go = match is_gone {
                true => tracked.num_missing >= NUM_MISSING && !is_changing,
                false => !wanted.contains(version),
            };
            tracked.published.is_some() && is_here && may_go
        });
        Steps {
            fetch: fetch.copied().collect(),
            withdraw: withdraw.map(|(version, _)| *version).collect(),
        }
    }

    /// Tells whether another listing may show more of what is there now.
    pub(crate) fn is_undecided(&self) -> bool {
        self.versions.values().any(Tracked::is_changing)
            || self
                .versions
                .values()
                .any(|tracked| tracked.listed.is_none() && tracked.num_missing < NUM_MISSING)
    }

    /// Tells whether this is how a version was listed last.
    pub(crate) fn is_current(&self, version: i64, fingerprint: &str) -> bool {
        let listed = self
            .versions
            .get(&version)
            .and_then(|tracked| tracked.listed.as_ref());
        listed.is_some_and(|listed| listed.fingerprint == fingerprint)
    }

    /// Takes note of content that is published.
    pub(crate) fn published(&mut self, version: i64, fingerprint: String) {
        let tracked = self.versions.entry(version).or_default();
        tracked.flawed = None;
        tracked.published = Some(fingerprint);
    }

    /// Takes note of content that cannot be published.
    pub(crate) fn flawed(&mut self, version: i64, fingerprint: String) {
        self.versions.entry(version).or_default().flawed = Some(fingerprint);
    }

    /// Takes note of a version that is no longer published.
    pub(crate) fn withdrawn(&mut self, version: i64) {
        if let Some(tracked) = self.versions.get_mut(&version) {
            tracked.published = None;
            if tracked.listed.is_none() {
                self.versions.remove(&version);
            }
        }
    }

    /// Tells whether a refusal of this content was not told yet, and takes note that it is now.
    pub(crate) fn is_news(&mut self, version: i64, fingerprint: &str) -> bool {
        let tracked = self.versions.entry(version).or_default();
        let is_news = tracked.told.as_deref() != Some(fingerprint);
        tracked.told = Some(fingerprint.to_owned());
        is_news
    }

    /// Returns the versions that are published.
    pub(crate) fn all_published(&self) -> impl Iterator<Item = i64> {
        let published = self
            .versions
            .iter()
            .filter(|(_, tracked)| tracked.published.is_some());
        published.map(|(version, _)| *version)
    }

    /// Tells whether a version is published.
    pub(crate) fn is_published(&self, version: i64) -> bool {
        let tracked = self.versions.get(&version);
        tracked.is_some_and(|tracked| tracked.published.is_some())
    }

    /// Tells whether nothing is left to remember.
    pub(crate) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }
}

impl Tracked {
    /// Tells whether the version may be chosen: it is here, or could be.
    fn is_candidate(&self) -> bool {
        let is_gone = self.listed.is_none() && self.num_missing >= NUM_MISSING;
        self.is_to_be_fetched() || (self.published.is_some() && !is_gone)
    }

    fn is_to_be_fetched(&self) -> bool {
        self.listed.as_ref().is_some_and(|listed| {
            let is_flawed = self.flawed.as_ref() == Some(&listed.fingerprint);
            let is_published = self.published.as_ref() == Some(&listed.fingerprint);
            listed.is_possible && listed.is_settled && !is_flawed && !is_published
        })
    }

    fn is_changing(&self) -> bool {
        self.listed
            .as_ref()
            .is_some_and(|listed| !listed.is_settled && listed.num_changes <= MAX_CHANGES)
    }
}

#[cfg(test)]
mod tests;
