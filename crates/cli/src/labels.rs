//! Labels of versions: what is wanted, and what is in force meanwhile.
//!
//! ```text
//! want(name, labels) ─┐
//!                     ├─► settle: each label stands for its version as soon as that answers ─► Manager::set_labels
//! a version's state ──┘
//! ```
//!
//! A label that is to move to a version that is not there yet stays where it is, as long as its old version answers: no
//! request that names it fails meanwhile. One that is new stands for its version at once, for there is nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use salver_repository::LoadedModel;
use salver_servable::{Manager, State, VersionStatus};

/// The labels of every model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Set right after it was made, for its listener knows of labels.
    manager: OnceLock<Manager<LoadedModel>>,
    models: Mutex<BTreeMap<String, ModelLabels>>,
}

/// The labels of one model.
#[derive(Debug, Default)]
struct ModelLabels {
    wanted: BTreeMap<String, i64>,
    in_force: BTreeMap<String, i64>,
}

impl Labels {
    /// Begins to set labels.
    pub(crate) fn attach(&self, manager: &Manager<LoadedModel>) {
        // There is one manager in a process.
        drop(self.0.manager.set(manager.clone()));
    }

    /// Sets what all labels of a model are to stand for.
    pub(crate) fn want(&self, name: &str, labels: &BTreeMap<String, i64>) {
        let mut models = self.lock();
        let model = models.entry(name.to_owned()).or_default();
        model.wanted.clone_from(labels);
        self.settle(name, model);
        if model.wanted.is_empty() {
            models.remove(name);
        }
    }

    /// Looks again at a model of which a version has changed its state.
    pub(crate) fn on_change(&self, name: &str) {
        if let Some(model) = self.lock().get_mut(name) {
            self.settle(name, model);
        }
    }

    /// Returns what the labels of a model stand for now.
    pub(crate) fn in_force(&self, name: &str) -> BTreeMap<String, i64> {
        let models = self.lock();
        models
            .get(name)
            .map(|model| model.in_force.clone())
            .unwrap_or_default()
    }

    /// Logs which labels wait for versions that do not answer: a slip in a list would else go unseen.
    pub(crate) fn log_waiting(&self) {
        let Some(manager) = self.0.manager.get() else {
            return;
        };
        for (name, model) in &*self.lock() {
            let statuses = manager.status(name).unwrap_or_default();
            for (label, version) in &model.wanted {
                if !answers(&statuses, *version) {
                    tracing::warn!(
                        model = name,
                        label,
                        version,
                        "a label waits until its version answers"
                    );
                }
            }
        }
    }

    fn settle(&self, name: &str, model: &mut ModelLabels) {
        let Some(manager) = self.0.manager.get() else {
            return;
        };
        let statuses = manager.status(name).unwrap_or_default();
        let settled = settle(&model.wanted, &model.in_force, |version| {
            answers(&statuses, version)
        });
        if settled != model.in_force {
            model.in_force = settled;
            manager.set_labels(name, model.in_force.clone());
        }
    }

    /// A panic while the lock was held leaves labels that the next change sets right.
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, ModelLabels>> {
        self.0.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answers(statuses: &[VersionStatus], version: i64) -> bool {
    statuses
        .iter()
        .any(|status| status.version == version && status.state == State::Available)
}

/// Returns what each label stands for now.
fn settle(
    wanted: &BTreeMap<String, i64>,
    before: &BTreeMap<String, i64>,
    answers: impl Fn(i64) -> bool,
) -> BTreeMap<String, i64> {
    let stays = |label: &String, target: i64| {
        let before = before.get(label).copied();
        before.filter(|&before| !answers(target) && answers(before))
    };
    wanted
        .iter()
        .map(|(label, &target)| (label.clone(), stays(label, target).unwrap_or(target)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(rows: &[(&str, i64)]) -> BTreeMap<String, i64> {
        rows.iter()
            .map(|(label, version)| ((*label).to_owned(), *version))
            .collect()
    }

    #[test]
    fn labels_move_when_their_version_answers_and_not_before() {
        type Labels = &'static [(&'static str, i64)];
        let rows: [(Labels, Labels, &[i64], Labels); 6] = [
            (&[("stable", 1)], &[], &[1], &[("stable", 1)]),
            (&[("stable", 1)], &[], &[], &[("stable", 1)]),
            (&[("stable", 2)], &[("stable", 1)], &[1], &[("stable", 1)]),
            (
                &[("stable", 2)],
                &[("stable", 1)],
                &[1, 2],
                &[("stable", 2)],
            ),
            (&[("stable", 2)], &[("stable", 1)], &[], &[("stable", 2)]),
            (&[], &[("stable", 1)], &[1], &[]),
        ];
        for (wanted, before, answering, expected) in rows {
            let settled = settle(&labels(wanted), &labels(before), |version| {
                answering.contains(&version)
            });
            assert_eq!(
                settled,
                labels(expected),
                "{wanted:?} {before:?} {answering:?}"
            );
        }
    }
}
