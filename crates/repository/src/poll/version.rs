//! What is remembered of one version between looks.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use salver_backend::ModelFiles;
use salver_servable::{LoadError, LoadErrorKind};

use crate::layout::Place;
use crate::poll::{Change, Now, Offer};
use crate::whole::{self, Flaw, Scan};
use crate::{ModelSettings, Problem};

/// How many times the time to rest a version may be unsettled before that is worth a word.
///
/// One passes with every version that is added; a second one covers the copying of a small model.
const SLOW_RESTS: u32 = 2;

/// One version's files over time.
#[derive(Debug, Default)]
pub(crate) struct Tracked {
    state: State,
    /// Since when the files have been moving, or watched for it.
    unsettled_since: Option<Instant>,
    /// Whether that has gone on longer than a copy of a small model takes.
    is_slow: bool,
    /// The content that was last found whole; it is offered, whatever happens to the files after.
    pub(crate) offer: Option<Whole>,
    /// What was reported and still stands.
    reported: Option<LoadError>,
}

/// Content that was found whole.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    scan: Scan,
    files: ModelFiles,
    place: Place,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Unseen,
    /// These files are there since then, but may still be changing.
    Resting { scan: Scan, since: Instant },
    /// These files are there and are whole, or not.
    Settled {
        scan: Scan,
        verdict: Result<(), Flaw>,
    },
    /// They cannot be looked at.
    Unreadable { message: String },
}

impl Tracked {
    /// Takes one look at the files.
    ///
    /// They count as finished once they have rested for `rest`; at the first look of all, if the newest was written
    /// that long ago: then the server was not there to watch them rest.
    pub(crate) fn look(&mut self, place: &Place, now: Now, rest: Duration, is_first_look: bool) {
        let scan = match whole::scan(place) {
            Ok(scan) => scan,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // It is being removed, or moved: the next listing tells.
                return;
            }
            Err(error) => {
                self.state = State::Unreadable {
                    message: error.to_string(),
                };
                return;
            }
        };
        self.state = match std::mem::take(&mut self.state) {
            State::Settled {
                scan: before,
                verdict,
            } if before == scan => match verdict.as_ref().is_err_and(Flaw::may_pass) {
                // Nothing need change in the files for that: a permission, or weights elsewhere.
                true => self.settle(scan, place),
                false => State::Settled { scan, verdict },
            },
            State::Resting {
                scan: before,
                since,
            } if before == scan => match now.steady.saturating_duration_since(since) >= rest {
                true => self.settle(scan, place),
                false => State::Resting { scan, since },
            },
            State::Unseen if is_first_look && is_older_than(&scan, now, rest) => {
                self.settle(scan, place)
            }
            _ => State::Resting {
                scan,
                since: now.steady,
            },
        };
        self.unsettled_since = match self.state {
            State::Resting { .. } => self.unsettled_since.or(Some(now.steady)),
            _ => None,
        };
        self.is_slow = self
            .unsettled_since
            .is_some_and(|since| now.steady.saturating_duration_since(since) >= rest * SLOW_RESTS);
    }

    /// Judges files that have stopped changing.
    fn settle(&mut self, scan: Scan, place: &Place) -> State {
        let verdict = match place.files() {
            Some(files) => whole::check_structure(&files).map(|()| {
                self.offer = Some(Whole {
                    scan,
                    files,
                    place: place.clone(),
                });
            }),
            None => Err(Flaw::NoMainFile),
        };
        State::Settled { scan, verdict }
    }

    /// Returns a version whose files were judged so.
    #[cfg(test)]
    pub(crate) fn judged(place: &Place, flaw: Flaw) -> Self {
        let scan = whole::scan(place).expect("the files are there");
        let verdict = Err(flaw);
        Self {
            state: State::Settled { scan, verdict },
            ..Self::default()
        }
    }

    /// Tells whether the files may still be changing.
    pub(crate) fn is_unsettled(&self) -> bool {
        matches!(self.state, State::Resting { .. })
    }

    /// Tells whether nothing can be said of the version yet: it was found a moment ago.
    pub(crate) fn is_undecided(&self) -> bool {
        self.is_unsettled() && !self.is_slow && self.offer.is_none()
    }

    /// Returns what is offered, under the model's present settings.
    pub(crate) fn offer_with(&self, version: i64, settings: &ModelSettings) -> Option<Offer> {
        let Whole { scan, files, place } = self.offer.clone()?;
        let mut hasher = DefaultHasher::new();
        scan.fingerprint.hash(&mut hasher);
        settings.hash_load(&mut hasher);
        Some(Offer {
            version,
            revision: hasher.finish(),
            fingerprint: scan.fingerprint,
            num_bytes: scan.num_bytes,
            files,
            place,
        })
    }

    /// Returns the report of a version that is not offered, if it differs from the last one.
    pub(crate) fn report(&mut self, name: &Arc<str>, version: i64) -> Option<Change> {
        let problem = match self.offer {
            Some(_) => None,
            None => self.problem(),
        };
        if problem == self.reported {
            return None;
        }
        self.reported.clone_from(&problem);
        Some(Change::Report {
            name: Arc::clone(name),
            version,
            problem,
        })
    }

    /// Takes the report back of a version that is gone.
    pub(crate) fn withdraw_report(&mut self, name: &Arc<str>, version: i64) -> Option<Change> {
        self.reported.take()?;
        Some(Change::Report {
            name: Arc::clone(name),
            version,
            problem: None,
        })
    }

    /// Returns what is wrong with the files of a version that is offered all the same, for it was whole before.
    pub(crate) fn complaint(&self, place: &Place) -> Option<Problem> {
        self.offer.as_ref()?;
        let error = match &self.state {
            State::Settled {
                verdict: Err(flaw), ..
            } => flaw.message(),
            State::Unreadable { message } => format!("cannot be read: {message}"),
            State::Settled { .. } | State::Resting { .. } | State::Unseen => return None,
        };
        let message = format!("was whole before, now {error}");
        let remedy = "what is loaded goes on; add a new version instead of changing one";
        Some(Problem::new(place.path(), message).with_remedy(remedy))
    }

    fn problem(&self) -> Option<LoadError> {
        match &self.state {
            State::Unseen => None,
            State::Resting { .. } if self.is_slow => Some(LoadError {
                kind: LoadErrorKind::Invalid,
                message: "its files are still being written".to_owned(),
            }),
            // As a rule the next look finds them at rest.
            State::Resting { .. } => self.reported.clone(),
            State::Settled { verdict, .. } => verdict.as_ref().err().map(LoadError::from),
            State::Unreadable { message } => Some(LoadError {
                kind: LoadErrorKind::Failed,
                message: format!("cannot be read: {message}"),
            }),
        }
    }
}

fn is_older_than(scan: &Scan, now: Now, rest: Duration) -> bool {
    // A file from the future says that the clocks disagree: then only watching it rest is proof.
    now.wall
        .duration_since(scan.newest)
        .is_ok_and(|age| age >= rest)
}
