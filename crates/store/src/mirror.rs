//! Mirrors one base path: lists it at a steady pace, downloads what is wanted, shows it.
//!
//! ```text
//! poll ─► list ─► settings ─► steps ─┬─► download (its own task) ─► publish ─┐
//!   ▲                                └─► withdraw                            │
//!   └────────────── pause, longer the longer there is trouble ◄──────────────┘
//! ```
//!
//! Downloads go on between listings, so a large version holds up no other. Decisions are those of [`Tracker`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use salver_repository::{VersionPolicyConfig, read_settings};
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::cache::Cache;
use crate::connect::connect;
use crate::fetch::{Fetched, Fetcher};
use crate::listing::{Listing, RemoteModel};
use crate::manifest::{KnownFile, Manifest};
use crate::remote::Remote;
use crate::track::{Look, Tracker};
use crate::view::{self, View};
use crate::{BaseKind, Event, Listener, Options, StoreError, StoreUri};

mod steps;

/// The pause between listings while something is changing, if there is none to keep to; and the first one after a
/// failure.
const SHORT_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause that failures lead to, unless the pace is slower anyway.
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// How long the files of a version stay after it was taken away: engines may still open some by name.
const GRACE: Duration = Duration::from_secs(600);

/// What all mirrors of a process share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) cache: Arc<Cache>,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) options: Options,
    pub(crate) poll_interval: Option<Duration>,
    pub(crate) date: fn() -> SystemTime,
    pub(crate) listener: Listener,
}

/// How a base path stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// Whether it is known what can be served of it, or that nothing can be for now.
    pub(crate) is_decided: bool,
    /// What keeps it, or some of it, from being served.
    pub(crate) problems: Vec<String>,
}

/// Told how a base path stands, whenever that changes.
pub(crate) type StatusSink = Arc<dyn Fn(Status) + Send + Sync>;

/// The mirror of one base path.
pub(crate) struct Mirror {
    shared: Shared,
    uri: StoreUri,
    kind: BaseKind,
    view: View,
    on_status: StatusSink,
    /// Connected to at the first listing.
    remote: Option<Remote>,
    policies: Vec<VersionPolicyConfig>,
    models: BTreeMap<String, Model>,
    /// The last listing that succeeded.
    listing: Option<Listing>,
    /// What was published last, by this process or an earlier one.
    manifest: Manifest,
    manifest_path: PathBuf,
    downloads: JoinSet<Fetched>,
    running: BTreeMap<(String, i64), Running>,
    /// Downloads that failed since the last listing: they are tried again after the next.
    failed: BTreeSet<(String, i64)>,
    trouble: Option<Trouble>,
    refusals: BTreeMap<(String, Option<i64>), String>,
    /// Folders of versions that were taken away, and when.
    withdrawn: Vec<(PathBuf, Instant)>,
    told: Option<Status>,
}

#[derive(Debug)]
struct Running {
    fingerprint: String,
    abort: AbortHandle,
}

#[derive(Debug)]
struct Trouble {
    since: Instant,
    error: StoreError,
    num_failed_listings: u32,
    /// Whether something has failed since the last listing was begun.
    is_standing: bool,
}

/// What is known of a model.
#[derive(Debug, Default)]
struct Model {
    tracker: Tracker,
    /// What the store calls the settings that are shown.
    settings: Option<String>,
    num_settings_missing: u32,
    /// What the settings say of versions.
    policy: Option<VersionPolicyConfig>,
    /// Whether its settings could not be had: without them no version is shown.
    is_held: bool,
}

/// Which base path, and where it is shown.
pub(crate) struct Place {
    pub(crate) uri: StoreUri,
    pub(crate) kind: BaseKind,
    pub(crate) view: View,
    pub(crate) manifest_path: PathBuf,
}

impl Mirror {
    pub(crate) fn new(shared: Shared, place: Place, on_status: StatusSink) -> Self {
        let Place {
            uri,
            kind,
            view,
            manifest_path,
        } = place;
        let manifest =
            Manifest::read(&manifest_path).unwrap_or_else(|| Manifest::new(&uri.to_string()));
        Self {
            shared,
            uri,
            kind,
            view,
            on_status,
            remote: None,
            policies: Vec::new(),
            models: BTreeMap::new(),
            listing: None,
            manifest,
            manifest_path,
            downloads: JoinSet::new(),
            running: BTreeMap::new(),
            failed: BTreeSet::new(),
            trouble: None,
            refusals: BTreeMap::new(),
            withdrawn: Vec::new(),
            told: None,
        }
    }

    /// Uses a store that is connected to already.
    #[cfg(test)]
    pub(crate) fn with_remote(mut self, remote: Remote) -> Self {
        self.remote = Some(remote);
        self
    }

    /// Mirrors for ever; whoever gives the task up removes what it shows.
    ///
    /// # Cancel safety
    /// What is shown is whole at every moment.
    pub(crate) async fn run(
        mut self,
        mut policies: watch::Receiver<Vec<VersionPolicyConfig>>,
    ) -> ! {
        self.policies = policies.borrow_and_update().clone();
        let mut next_poll = Some(Instant::now());
        loop {
            let poll_at = next_poll.unwrap_or_else(Instant::now);
            tokio::select! {
                Ok(()) = policies.changed() => {
                    self.policies = policies.borrow_and_update().clone();
                    // Whoever waits for what is wanted now does not know yet how that stands.
                    self.told = None;
                    self.take_steps();
                    next_poll = next_poll.or_else(|| Some(Instant::now()));
                }
                Some(fetched) = self.downloads.join_next(), if !self.downloads.is_empty() => {
                    self.finish(fetched);
                    if next_poll.is_none() {
                        next_poll = self.pause().map(|pause| Instant::now() + pause);
                    }
                }
                () = sleep_until(poll_at), if next_poll.is_some() => {
                    self.poll().await;
                    next_poll = self.pause().map(|pause| Instant::now() + pause);
                }
            }
            self.tell_status();
        }
    }

    /// Lists the base path once, and does what follows.
    pub(crate) async fn poll(&mut self) {
        self.discard_withdrawn();
        match self.list().await {
            Ok(listing) => {
                self.failed.clear();
                if let Some(trouble) = &mut self.trouble {
                    trouble.num_failed_listings = 0;
                    trouble.is_standing = false;
                }
                if self.listing.is_none() {
                    (self.shared.listener)(&Event::Listed { uri: &self.uri });
                }
                self.take_listing(&listing);
                self.listing = Some(listing);
                self.mirror_settings().await;
            }
            Err(error) => {
                if self.listing.is_none() && self.trouble.is_none() {
                    self.show_what_is_known();
                }
                self.fail(error);
                if let Some(trouble) = &mut self.trouble {
                    trouble.num_failed_listings = trouble.num_failed_listings.saturating_add(1);
                }
            }
        }
        self.take_steps();
    }

    async fn list(&mut self) -> Result<Listing, StoreError> {
        let remote = match &self.remote {
            Some(remote) => remote,
            None => self
                .remote
                .insert(connect(&self.uri, &self.shared.options).await?),
        };
        let known = match &self.listing {
            Some(listing) => listing.is_model,
            None => self.manifest.is_model,
        };
        let known = known.filter(|_| self.models.values().any(|model| !model.tracker.is_empty()));
        remote.list(self.kind, known).await
    }

    fn take_listing(&mut self, listing: &Listing) {
        let look = Look {
            is_first: self.listing.is_none(),
            date: (self.shared.date)(),
            rest: self.shared.poll_interval.unwrap_or(SHORT_PAUSE),
        };
        for name in listing.models.keys() {
            self.models.entry(name.clone()).or_default();
        }
        let nothing = RemoteModel::default();
        for (name, model) in &mut self.models {
            let found = listing.models.get(name).unwrap_or(&nothing);
            let known = self.manifest.models.get(name);
            let is_known = |version: i64, fingerprint: &str| {
                let known = known.and_then(|known| known.versions.get(&version));
                known.is_some_and(|known| known.fingerprint == fingerprint)
            };
            model.tracker.look(&found.versions, is_known, look);
        }
        self.refusals.retain(|(name, version), _| {
            let model = listing.models.get(name);
            model.is_some_and(|model| {
                version.is_none_or(|version| model.versions.contains_key(&version))
            })
        });
        for (name, model) in &listing.models {
            for (version, found) in &model.versions {
                if let Some(reason) = &found.refusal {
                    self.refuse(name, Some(*version), &found.fingerprint(), reason);
                }
            }
        }
        self.manifest.is_model = listing.is_model;
    }

    /// Brings the settings of models up to date, before any version is shown that they are for.
    async fn mirror_settings(&mut self) {
        let Some(listing) = self.listing.take() else {
            return;
        };
        let names: Vec<String> = self.models.keys().cloned().collect();
        for name in names {
            let found = listing
                .models
                .get(&name)
                .and_then(|model| model.settings.as_ref());
            let shown = self
                .models
                .get(&name)
                .and_then(|model| model.settings.clone());
            let outcome = match (found, shown) {
                (Some(object), shown) if shown.as_ref() != Some(&object.stamp) => {
                    let fetched = match self.fetcher() {
                        Some(fetcher) => fetcher.object(object, None).await,
                        None => break,
                    };
                    fetched.and_then(|blob| {
                        let file = KnownFile::new(salver_repository::SETTINGS_FILE, blob);
                        self.show_settings(&name, Some((object.stamp.clone(), file)))
                    })
                }
                (None, Some(_)) => {
                    let model = self.models.entry(name.clone()).or_default();
                    model.num_settings_missing += 1;
                    match model.num_settings_missing {
                        // As for versions: one listing may lack what the next one has.
                        1 => Ok(()),
                        _ => self.show_settings(&name, None),
                    }
                }
                _ => Ok(()),
            };
            let model = self.models.entry(name).or_default();
            model.is_held = outcome.is_err() && model.settings.is_none();
            if let Err(error) = outcome {
                self.fail(error);
            }
        }
        self.listing = Some(listing);
    }

    fn show_settings(
        &mut self,
        name: &str,
        settings: Option<(String, KnownFile)>,
    ) -> Result<(), StoreError> {
        let file = settings.as_ref().map(|(_, file)| file);
        let shown = self.view.set_settings(name, file);
        shown.map_err(|error| self.shared.cache.error(&error))?;
        let model = self.models.entry(name.to_owned()).or_default();
        model.num_settings_missing = 0;
        model.settings = settings.as_ref().map(|(stamp, _)| stamp.clone());
        // Mistakes in it are told by whoever watches the folder; what was said before goes on to hold.
        if let Ok(read) = read_settings(&self.view.settings_dir(name)) {
            model.policy = read.version_policy;
        }
        let known = self.manifest.models.entry(name.to_owned()).or_default();
        known.settings = settings;
        self.write_manifest();
        Ok(())
    }

    fn fetcher(&self) -> Option<Fetcher> {
        Some(Fetcher {
            uri: self.uri.clone(),
            remote: self.remote.clone()?,
            cache: Arc::clone(&self.shared.cache),
            view: self.view.clone(),
            permits: Arc::clone(&self.shared.permits),
            listener: Arc::clone(&self.shared.listener),
        })
    }

    /// Takes note of trouble, and tells of it if it is new.
    fn fail(&mut self, error: StoreError) {
        if let Some(trouble) = &mut self.trouble {
            trouble.error = error;
            trouble.is_standing = true;
            return;
        }
        (self.shared.listener)(&Event::Trouble {
            uri: &self.uri,
            error: &error,
            num_published: self.num_published(),
        });
        self.trouble = Some(Trouble {
            since: Instant::now(),
            error,
            num_failed_listings: 0,
            is_standing: true,
        });
    }

    fn num_published(&self) -> usize {
        let models = self.models.values();
        models
            .map(|model| model.tracker.all_published().count())
            .sum()
    }

    /// Removes the files of versions that were taken away long enough ago.
    fn discard_withdrawn(&mut self) {
        self.withdrawn.retain(|(dir, since)| {
            let is_kept = since.elapsed() < GRACE;
            if !is_kept {
                view::discard(dir);
            }
            is_kept
        });
    }

    /// Returns the time until the next listing, if there is to be one.
    fn pause(&self) -> Option<Duration> {
        let pace = self.shared.poll_interval;
        if let Some(trouble) = &self.trouble {
            let base = pace.unwrap_or(SHORT_PAUSE);
            let doublings = trouble.num_failed_listings.saturating_sub(1).min(16);
            let longest = MAX_BACKOFF.max(base);
            return Some(base.saturating_mul(1 << doublings).min(longest));
        }
        match self.is_settled() {
            true => pace,
            false => Some(pace.unwrap_or(SHORT_PAUSE)),
        }
    }

    /// Tells whether everything that was listed is at rest and done with.
    fn is_settled(&self) -> bool {
        let is_undecided = |model: &Model| model.tracker.is_undecided();
        self.listing.is_some()
            && self.downloads.is_empty()
            && !self.models.values().any(is_undecided)
    }

    fn tell_status(&mut self) {
        let trouble = self.trouble.iter().map(|trouble| trouble.error.to_string());
        let refusals = self.refusals.iter().map(|((model, version), reason)| {
            let model = if model.is_empty() {
                self.uri.name()
            } else {
                model
            };
            match version {
                Some(version) => format!("{model} version {version}: {reason}"),
                None => format!("{model}: {reason}"),
            }
        });
        let status = Status {
            is_decided: self.trouble.is_some() || self.is_settled(),
            problems: trouble.chain(refusals).collect(),
        };
        if self.told.as_ref() != Some(&status) {
            (self.on_status)(status.clone());
            self.told = Some(status);
        }
    }

    fn write_manifest(&self) {
        let written = self
            .shared
            .cache
            .write(&self.manifest_path, &self.manifest.to_bytes());
        if let Err(error) = written {
            tracing::debug!(path = %self.manifest_path.display(), %error, "cannot be written");
        }
    }
}

#[cfg(test)]
mod tests;
