//! Decides, look by look, which versions are offered.
//!
//! ```text
//! poll_once(now) ─► models found ─► versions found ─► settled? whole? ─► policy ─► [Change]
//! ```
//!
//! A plain state machine over the file system: it is told the time and returns what has changed, so tests grow a copy
//! step by step without waiting. Invariant: the same files give no change, however often they are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use salver_backend::ModelFiles;
use salver_servable::{LoadError, LoadErrorKind};

use crate::discover::{self, FolderKind, Found, FoundModel};
use crate::{ModelBase, ModelSettings, Problem, RequestLogSettings, Root, Split, layout};

mod version;

use version::Tracked;

/// When a look is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// Never goes back; measures how long files have rested.
    pub(crate) steady: Instant,
    /// Comparable with the times of files.
    pub(crate) wall: SystemTime,
}

/// A version that is to be served, and all it takes to load it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) version: i64,
    /// Changes whenever loading it again may have another outcome.
    pub(crate) revision: u64,
    pub(crate) fingerprint: u64,
    pub(crate) num_bytes: u64,
    pub(crate) files: ModelFiles,
    pub(crate) place: layout::Place,
}

/// What a look found different from the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// These versions, and no others, are to be served.
    Offer {
        name: Arc<str>,
        settings: ModelSettings,
        offers: Vec<Offer>,
    },
    /// The labels of a model.
    Labels {
        name: Arc<str>,
        labels: BTreeMap<String, i64>,
    },
    /// What is wrong with a model as a whole; `None` once that is over.
    Complaint {
        name: Arc<str>,
        problem: Option<LoadError>,
    },
    /// Which requests of a model are to be logged.
    RequestLog {
        name: Arc<str>,
        request_log: Option<RequestLogSettings>,
    },
    /// How the requests of a model are shared out.
    Split {
        name: Arc<str>,
        split: Option<Box<Split>>,
    },
    /// Why a version that is there is not offered; `None` once that is over.
    Report {
        name: Arc<str>,
        version: i64,
        problem: Option<LoadError>,
    },
    /// A mistake to be logged.
    Problem(Problem),
    /// A file that means nothing here yet.
    Ignored(PathBuf),
}

/// Looks at the roots and remembers what it saw.
#[derive(Debug)]
pub(crate) struct Poller {
    roots: Vec<Root>,
    /// How long files must rest to count as finished.
    rest: Duration,
    defaults: ModelSettings,
    models: BTreeMap<Arc<str>, Model>,
    /// Problems that were told and still stand.
    known_problems: BTreeSet<Problem>,
    /// Files that mean nothing, as of the last look.
    known_ignored: BTreeSet<PathBuf>,
    /// Roots that were read at least once.
    looked_at: Vec<Root>,
    /// What kinds of folders the roots were when something was first found in them. They stay that.
    kinds: BTreeMap<PathBuf, FolderKind>,
}

/// What is remembered of a model.
#[derive(Debug)]
struct Model {
    /// The root that it was found in: while that cannot be read, the model stays.
    root_path: PathBuf,
    settings: ModelSettings,
    versions: BTreeMap<i64, Tracked>,
    /// Versions and revisions as they were offered last; `None` before the first time.
    offered: Option<Vec<(i64, u64)>>,
    labels: BTreeMap<String, i64>,
    /// What was said to be wrong with it and still stands.
    complaint: Option<LoadError>,
    request_log: Option<RequestLogSettings>,
    split: Option<Box<Split>>,
}

/// What one look collects.
struct Look {
    now: Now,
    /// Whether the root at hand is read for the first time.
    is_first: bool,
    changes: Vec<Change>,
    /// Reports taken back: told last, when the version is on the list already.
    withdrawn: Vec<Change>,
    problems: BTreeSet<Problem>,
    ignored: BTreeSet<PathBuf>,
}

impl Poller {
    pub(crate) fn new(roots: Vec<Root>, rest: Duration, defaults: ModelSettings) -> Self {
        Self {
            roots,
            rest,
            defaults,
            models: BTreeMap::new(),
            known_problems: BTreeSet::new(),
            known_ignored: BTreeSet::new(),
            looked_at: Vec::new(),
            kinds: BTreeMap::new(),
        }
    }

    /// Looks elsewhere from now on. What is offered is told again: who sets roots waits for it.
    pub(crate) fn set_roots(&mut self, roots: Vec<Root>) {
        for model in self.models.values_mut() {
            model.offered = None;
        }
        self.looked_at.retain(|root| roots.contains(root));
        self.kinds
            .retain(|path, _| roots.iter().any(|root| root.path() == path));
        self.roots = roots;
    }

    /// Tells whether some files may still be changing, so that another look is needed to know.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.models
            .values()
            .flat_map(|model| model.versions.values())
            .any(Tracked::is_unsettled)
    }

    /// Takes one look and returns what has changed since the last.
    pub(crate) fn poll_once(&mut self, now: Now) -> Vec<Change> {
        let mut look = Look {
            now,
            is_first: false,
            changes: Vec::new(),
            withdrawn: Vec::new(),
            problems: BTreeSet::new(),
            ignored: BTreeSet::new(),
        };
        let mut seen = BTreeSet::new();
        for root in self.roots.clone() {
            match find(&root, self.kinds.get(root.path()).copied()) {
                Ok(found) => {
                    if let Some(kind) = found.kind {
                        self.kinds.insert(root.path().to_path_buf(), kind);
                    }
                    look.is_first = !self.looked_at.contains(&root);
                    self.look_at_root(&root, found, &mut seen, &mut look);
                    if look.is_first {
                        self.looked_at.push(root);
                    }
                }
                Err(error) => {
                    let problem = Problem::new(root.path(), format!("cannot be read: {error}"));
                    look.problems.insert(problem);
                    let kept = self
                        .models
                        .iter()
                        .filter(|(_, model)| model.root_path == root.path());
                    seen.extend(kept.map(|(name, _)| Arc::clone(name)));
                }
            }
        }
        self.forget_others(&seen, &mut look);
        self.tell_new_problems(look)
    }

    fn look_at_root(
        &mut self,
        root: &Root,
        found: Found,
        seen: &mut BTreeSet<Arc<str>>,
        look: &mut Look,
    ) {
        look.problems.extend(found.problems);
        look.ignored.extend(found.ignored);
        for model in found.models {
            if !seen.insert(Arc::clone(&model.name)) {
                let message = format!("a model named `{}` is served already", model.name);
                look.problems
                    .insert(Problem::new(model.base.path(), message));
                continue;
            }
            self.look_at_model(root.path(), model, look);
        }
    }

    fn look_at_model(&mut self, root_path: &Path, found: FoundModel, look: &mut Look) {
        let FoundModel {
            name,
            base,
            settings,
        } = found;
        let known = self.models.get(&name);
        let settings = match (settings, known) {
            (Ok(settings), _) => settings.or(&self.defaults),
            (Err(problems), known) => {
                look.problems.extend(problems);
                match known {
                    // What was said before still holds, and the model goes on.
                    Some(model) => model.settings.clone(),
                    None => return,
                }
            }
        };
        let versions = layout::versions(&base);
        let model = self
            .models
            .entry(Arc::clone(&name))
            .or_insert_with(|| Model {
                root_path: root_path.to_path_buf(),
                settings: ModelSettings::default(),
                versions: BTreeMap::new(),
                offered: None,
                labels: BTreeMap::new(),
                complaint: None,
                request_log: None,
                split: None,
            });
        root_path.clone_into(&mut model.root_path);
        model.settings = settings;
        let complaint = complaint(&versions);
        match versions {
            Ok(versions) => model.look_at_versions(&name, versions, self.rest, look),
            // What is known stays as it is; of a new model it is known that nothing can be offered.
            Err(error) => {
                let problem = Problem::new(base.path(), format!("cannot be read: {error}"));
                look.problems.insert(problem);
            }
        }
        model.complain(&name, complaint, look);
        model.offer(&name, &base, look);
    }

    /// Withdraws the models that are no longer there.
    fn forget_others(&mut self, seen: &BTreeSet<Arc<str>>, look: &mut Look) {
        self.models.retain(|name, model| {
            if seen.contains(name) {
                return true;
            }
            for (version, tracked) in &mut model.versions {
                look.withdrawn
                    .extend(tracked.withdraw_report(name, *version));
            }
            model.complain(name, None, look);
            let settings = model.settings.clone();
            look.changes.push(Change::Offer {
                name: Arc::clone(name),
                settings,
                offers: Vec::new(),
            });
            if !model.labels.is_empty() {
                let labels = BTreeMap::new();
                look.withdrawn.push(Change::Labels {
                    name: name.clone(),
                    labels,
                });
            }
            if model.request_log.is_some() {
                look.withdrawn.push(Change::RequestLog {
                    name: name.clone(),
                    request_log: None,
                });
            }
            if model.split.is_some() {
                look.withdrawn.push(Change::Split {
                    name: name.clone(),
                    split: None,
                });
            }
            false
        });
    }

    /// What is to be logged is told when it comes up, and again only after it had gone.
    fn tell_new_problems(&mut self, look: Look) -> Vec<Change> {
        let Look {
            mut changes,
            withdrawn,
            problems,
            ignored,
            ..
        } = look;
        changes.extend(withdrawn);
        let new = problems.difference(&self.known_problems).cloned();
        changes.extend(new.map(Change::Problem));
        let newly_ignored = ignored.difference(&self.known_ignored).cloned();
        changes.extend(newly_ignored.map(Change::Ignored));
        self.known_problems = problems;
        self.known_ignored = ignored;
        changes
    }
}

impl Model {
    fn look_at_versions(
        &mut self,
        name: &Arc<str>,
        found: Vec<layout::FoundVersion>,
        rest: Duration,
        look: &mut Look,
    ) {
        let is_there: BTreeSet<i64> = found.iter().map(|found| found.version).collect();
        self.versions.retain(|version, tracked| {
            let is_kept = is_there.contains(version);
            if !is_kept {
                look.withdrawn
                    .extend(tracked.withdraw_report(name, *version));
            }
            is_kept
        });
        for layout::FoundVersion { version, place } in found {
            let tracked = self.versions.entry(version).or_default();
            tracked.look(&place, look.now, rest, look.is_first);
            match tracked.report(name, version) {
                Some(taken_back @ Change::Report { problem: None, .. }) => {
                    look.withdrawn.push(taken_back);
                }
                report => look.changes.extend(report),
            }
            look.problems.extend(tracked.complaint(&place));
        }
    }

    fn complain(&mut self, name: &Arc<str>, complaint: Option<LoadError>, look: &mut Look) {
        if self.complaint == complaint {
            return;
        }
        self.complaint.clone_from(&complaint);
        look.changes.push(Change::Complaint {
            name: Arc::clone(name),
            problem: complaint,
        });
    }

    fn offer(&mut self, name: &Arc<str>, base: &ModelBase, look: &mut Look) {
        let whole: Vec<i64> = self
            .versions
            .iter()
            .filter(|(_, tracked)| tracked.offer.is_some())
            .map(|(version, _)| *version)
            .collect();
        let policy = self.settings.version_policy.clone().unwrap_or_default();
        if let crate::VersionPolicyConfig::Specific(wanted) = &policy {
            let missing = wanted
                .iter()
                .filter(|version| !self.versions.contains_key(version));
            look.problems.extend(missing.map(|version| {
                Problem::new(
                    base.path(),
                    format!("has no version {version}, which is asked for"),
                )
            }));
        }
        let offers: Vec<Offer> = policy
            .choose(&whole)
            .iter()
            .filter_map(|version| self.versions[version].offer_with(*version, &self.settings))
            .collect();
        // Nothing is known yet of a model whose only versions were seen a moment ago. Nor is the first offer complete while
        // one that belongs to it was: the start would be over, and the latest version another, before it is looked at.
        let there: Vec<i64> = self.versions.keys().copied().collect();
        let wanted = policy.choose(&there);
        let is_undecided = |version: &i64| self.versions[version].is_undecided();
        let is_incomplete = self.offered.is_none() && wanted.iter().any(is_undecided);
        if is_incomplete || (offers.is_empty() && there.iter().any(is_undecided)) {
            return;
        }
        // Before the versions: the first request that one of them could answer is shared out already. Arms may be said by
        // label, so labels come before a split and go after it.
        if self.settings.split.is_some() {
            self.change_labels(name, look);
        }
        if self.split != self.settings.split {
            self.split.clone_from(&self.settings.split);
            look.changes.push(Change::Split {
                name: Arc::clone(name),
                split: self.split.clone(),
            });
        }
        let revisions: Vec<_> = offers
            .iter()
            .map(|offer| (offer.version, offer.revision))
            .collect();
        if self.offered.as_ref() != Some(&revisions) {
            self.offered = Some(revisions);
            let (name, settings) = (Arc::clone(name), self.settings.clone());
            look.changes.push(Change::Offer {
                name,
                settings,
                offers,
            });
        }
        self.change_labels(name, look);
        if self.request_log != self.settings.request_log {
            self.request_log.clone_from(&self.settings.request_log);
            look.changes.push(Change::RequestLog {
                name: Arc::clone(name),
                request_log: self.request_log.clone(),
            });
        }
    }

    fn change_labels(&mut self, name: &Arc<str>, look: &mut Look) {
        if self.labels == self.settings.labels {
            return;
        }
        self.labels.clone_from(&self.settings.labels);
        look.changes.push(Change::Labels {
            name: Arc::clone(name),
            labels: self.labels.clone(),
        });
    }
}

/// Returns what clients are told of a model of which there is no version; paths are for the log.
fn complaint(versions: &std::io::Result<Vec<layout::FoundVersion>>) -> Option<LoadError> {
    let error = match versions {
        Ok(versions) if versions.is_empty() => LoadError::new(
            LoadErrorKind::NotFound,
            "there is no version at its base path",
        ),
        Ok(_) => return None,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            LoadError::new(LoadErrorKind::NotFound, "its base path does not exist")
        }
        Err(error) => LoadError::new(
            LoadErrorKind::Failed,
            format!("its base path cannot be read: {error}"),
        ),
    };
    Some(error)
}

fn find(root: &Root, known_kind: Option<FolderKind>) -> std::io::Result<Found> {
    match root {
        Root::Discover(path) => discover::find(path, known_kind),
        Root::Model(entry) => Ok(Found {
            models: vec![FoundModel {
                name: Arc::clone(&entry.name),
                base: entry.base.clone(),
                settings: Ok(entry.settings.clone()),
            }],
            ..Found::default()
        }),
    }
}

#[cfg(test)]
mod tests;
