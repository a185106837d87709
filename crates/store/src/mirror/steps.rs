//! What follows from a listing: downloads begun and given up, versions shown and taken away.

use tokio::task::JoinError;
use tokio::time::Instant;

use super::{Mirror, Running};
use crate::fetch::{FetchError, Fetched, Staged};
use crate::manifest::KnownVersion;
use crate::track::Steps;
use crate::{Event, StoreError};

impl Mirror {
    /// Does for each model what its tracker says.
    pub(super) fn take_steps(&mut self) {
        let names: Vec<String> = self.models.keys().cloned().collect();
        for name in names {
            let model = &self.models[&name];
            let own = model.policy.as_ref().map(std::slice::from_ref);
            let Steps { fetch, withdraw } = model.tracker.steps(own.unwrap_or(&self.policies));
            let fetch = if model.is_held { Vec::new() } else { fetch };
            self.give_up_others(&name, &fetch);
            for version in fetch {
                self.begin(&name, version);
            }
            for version in withdraw {
                self.withdraw(&name, version);
            }
            self.forget_if_gone(&name);
        }
        self.end_trouble();
        self.forget_unshown();
    }

    /// Gives up downloads of a model that are no longer wanted, or of content that has changed since.
    fn give_up_others(&mut self, name: &str, fetch: &[i64]) {
        let tracker = &self.models[name].tracker;
        self.running.retain(|(model, version), running| {
            let is_wanted = model != name
                || (fetch.contains(version) && tracker.is_current(*version, &running.fingerprint));
            if !is_wanted {
                running.abort.abort();
            }
            is_wanted
        });
    }

    fn begin(&mut self, name: &str, version: i64) {
        let key = (name.to_owned(), version);
        if self.running.contains_key(&key) || self.failed.contains(&key) {
            return;
        }
        let listed = self
            .listing
            .as_ref()
            .and_then(|listing| listing.models.get(name)?.versions.get(&version));
        let (Some(listed), Some(fetcher)) = (listed.cloned(), self.fetcher()) else {
            return;
        };
        let fingerprint = listed.fingerprint();
        let abort = self
            .downloads
            .spawn(fetcher.version(name.to_owned(), version, listed));
        self.running.insert(key, Running { fingerprint, abort });
    }

    /// Takes in a download that has ended.
    pub(super) fn finish(&mut self, fetched: Result<Fetched, JoinError>) {
        let fetched = match fetched {
            Ok(fetched) => fetched,
            Err(error) if error.is_cancelled() => return self.end_trouble(),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let Fetched {
            model,
            version,
            fingerprint,
            outcome,
        } = fetched;
        let key = (model, version);
        // It may have been given up, and begun anew, when it was done already.
        let is_meant = self
            .running
            .get(&key)
            .is_some_and(|running| running.fingerprint == fingerprint);
        if !is_meant {
            if let Ok(staged) = outcome {
                crate::view::discard(&staged.dir);
            }
            return;
        }
        self.running.remove(&key);
        match outcome {
            Ok(staged) => self.publish(&key.0, version, staged),
            Err(FetchError::Flaw(reason)) => {
                self.refuse(&key.0, Some(version), &fingerprint, &reason);
                let model = self.models.entry(key.0).or_default();
                model.tracker.flawed(version, fingerprint);
            }
            Err(FetchError::Store(error)) => {
                // What has changed is seen at the next listing.
                if !matches!(error, StoreError::Changed { .. }) {
                    self.fail(error);
                }
                self.failed.insert(key);
            }
        }
        self.take_steps();
    }

    fn publish(&mut self, name: &str, version: i64, staged: Staged) {
        let Staged {
            dir,
            known,
            num_bytes,
            started_at,
        } = staged;
        if let Err(error) = self.show(name, version, &dir, known) {
            crate::view::discard(&dir);
            self.failed.insert((name.to_owned(), version));
            return self.fail(error);
        }
        self.refusals.remove(&(name.to_owned(), Some(version)));
        self.write_manifest();
        (self.shared.listener)(&Event::Published {
            uri: &self.uri,
            model: self.shown(name),
            version,
            num_bytes,
            elapsed: started_at.elapsed(),
        });
    }

    /// Makes a folder visible as a version, and remembers that.
    fn show(
        &mut self,
        name: &str,
        version: i64,
        dir: &std::path::Path,
        known: KnownVersion,
    ) -> Result<(), StoreError> {
        let of_disk = |error: std::io::Error| self.shared.cache.error(&error);
        let before = self.view.publish(name, &known.dir, dir).map_err(of_disk)?;
        let models = self.manifest.models.entry(name.to_owned()).or_default();
        let renamed = models
            .versions
            .insert(version, known.clone())
            .filter(|other| other.dir != known.dir);
        // `1` has become `01`: the version has one folder all the same.
        let renamed = renamed.and_then(|other| self.view.withdraw(name, &other.dir).ok().flatten());
        let now = Instant::now();
        self.withdrawn
            .extend(before.into_iter().chain(renamed).map(|dir| (dir, now)));
        let model = self.models.entry(name.to_owned()).or_default();
        model.tracker.published(version, known.fingerprint);
        Ok(())
    }

    fn withdraw(&mut self, name: &str, version: i64) {
        let known = self
            .manifest
            .models
            .get(name)
            .and_then(|model| model.versions.get(&version));
        let Some(known) = known else { return };
        match self.view.withdraw(name, &known.dir) {
            Ok(before) => self
                .withdrawn
                .extend(before.map(|dir| (dir, Instant::now()))),
            Err(error) => return self.fail(self.shared.cache.error(&error)),
        }
        if let Some(model) = self.manifest.models.get_mut(name) {
            model.versions.remove(&version);
        }
        if let Some(model) = self.models.get_mut(name) {
            model.tracker.withdrawn(version);
        }
        self.write_manifest();
        (self.shared.listener)(&Event::Withdrawn {
            uri: &self.uri,
            model: self.shown(name),
            version,
        });
    }

    /// Forgets a model of which nothing is left, here and in the store.
    fn forget_if_gone(&mut self, name: &str) {
        let Some(listing) = &self.listing else { return };
        let is_listed = listing.models.contains_key(name);
        let model = &self.models[name];
        let is_shown = model.tracker.all_published().next().is_some();
        if is_listed || is_shown || !model.tracker.is_empty() {
            return;
        }
        self.models.remove(name);
        self.view.remove_model(name);
        if self.manifest.models.remove(name).is_some() {
            self.write_manifest();
        }
    }

    /// Leaves out of the manifest what an earlier process published and this one has not, now that it is at rest.
    fn forget_unshown(&mut self) {
        if self.trouble.is_some() || !self.is_settled() {
            return;
        }
        let before = self.manifest.clone();
        let models = &self.models;
        self.manifest.models.retain(|name, known| {
            let model = models.get(name);
            known.versions.retain(|version, _| {
                model.is_some_and(|model| model.tracker.is_published(*version))
            });
            model.is_some()
        });
        if self.manifest != before {
            self.write_manifest();
        }
    }

    /// Shows what an earlier process published, while the store cannot say what there is.
    pub(super) fn show_what_is_known(&mut self) {
        for (name, known) in self.manifest.models.clone() {
            if let Some(settings) = known.settings
                && let Err(error) = self.show_settings(&name, Some(settings))
            {
                // Without its settings the model would be served otherwise than it was.
                tracing::debug!(model = %name, %error, "its settings are not in the cache");
                continue;
            }
            for (version, known) in known.versions {
                let shown = self
                    .view
                    .stage(&known.files)
                    .map_err(|error| self.shared.cache.error(&error))
                    .and_then(|dir| self.show(&name, version, &dir, known));
                if let Err(error) = shown {
                    tracing::debug!(model = %name, version, %error, "is not whole in the cache");
                }
            }
        }
    }

    /// Tells of something that cannot be served, once for each content.
    pub(super) fn refuse(
        &mut self,
        name: &str,
        version: Option<i64>,
        fingerprint: &str,
        reason: &str,
    ) {
        let model = self.models.entry(name.to_owned()).or_default();
        let is_news = version.is_none_or(|version| model.tracker.is_news(version, fingerprint));
        self.refusals
            .insert((name.to_owned(), version), reason.to_owned());
        if is_news {
            (self.shared.listener)(&Event::Refused {
                uri: &self.uri,
                model: self.shown(name),
                version,
                reason,
            });
        }
    }

    /// Tells that trouble is over: the base path was listed, and nothing has failed since.
    fn end_trouble(&mut self) {
        let is_over = self.trouble.as_ref().is_some_and(|trouble| {
            !trouble.is_standing && self.failed.is_empty() && self.downloads.is_empty()
        });
        if let Some(trouble) = self.trouble.take_if(|_| is_over) {
            (self.shared.listener)(&Event::Recovered {
                uri: &self.uri,
                elapsed: trouble.since.elapsed(),
            });
        }
    }

    /// Returns what messages call a model.
    fn shown<'a>(&'a self, name: &'a str) -> &'a str {
        match name {
            "" => self.uri.name(),
            name => name,
        }
    }
}
