//! Metrics that are on the page for as long as somebody counts into them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A model, and what it is of that model's.
pub(crate) type Key = (Arc<str>, Arc<str>);

/// What others hold: once nobody does, it is gone from here.
#[derive(Debug)]
pub(crate) struct Held<T>(Mutex<BTreeMap<Key, Weak<T>>>);

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Default> Held<T> {
    pub(crate) fn get_or_make(&self, model: &str, name: &str) -> Arc<T> {
        let mut held = self.lock();
        held.retain(|_, metrics| metrics.strong_count() > 0);
        let key = (model.into(), name.into());
        if let Some(metrics) = held.get(&key).and_then(Weak::upgrade) {
            return metrics;
        }
        let metrics = Arc::new(T::default());
        held.insert(key, Arc::downgrade(&metrics));
        metrics
    }

    pub(crate) fn all(&self) -> Vec<(Key, Arc<T>)> {
        let held = self.lock();
        let living = held
            .iter()
            .filter_map(|(key, metrics)| Some((key.clone(), metrics.upgrade()?)));
        living.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Weak<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
