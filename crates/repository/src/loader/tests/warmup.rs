//! A version that brings requests along is run on them and on nothing else.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::*;

/// A warm-up that ends as it is told, and remembers the folders that it was shown.
struct Scripted {
    outcome: Result<bool, LoadError>,
    dirs: Mutex<Vec<PathBuf>>,
}

impl Warmup for Scripted {
    fn warm_up(
        &self,
        model: &LoadedModel,
        dir: &Path,
        cancel: &CancelToken,
    ) -> Result<bool, LoadError> {
        assert_eq!(ask(model, 2.0), 3.0, "the model can be run already");
        assert!(!cancel.is_cancelled());
        self.dirs.lock().unwrap().push(dir.to_path_buf());
        self.outcome.clone()
    }
}

/// Loads with a warm-up that ends so, and returns what came of it and how often the model was run beside.
fn check(outcome: Result<bool, LoadError>, num_made_up_runs: usize) -> Result<(), LoadError> {
    let mut fixture = Fixture::new();
    let warmup = Arc::new(Scripted {
        outcome,
        dirs: Mutex::default(),
    });
    fixture.factory.warmup = Some(warmup.clone());
    let loaded = load(&fixture.loader()).map(drop);
    assert_eq!(*warmup.dirs.lock().unwrap(), [fixture.tree.path("m/1")]);
    assert_eq!(fixture.backend.num_runs(), 1 + num_made_up_runs);
    loaded
}

#[test]
fn requests_that_a_version_brings_take_the_place_of_made_up_ones() {
    assert_eq!(check(Ok(true), 0), Ok(()));
}

#[test]
fn a_version_that_brings_none_is_run_on_made_up_ones() {
    assert_eq!(check(Ok(false), 1), Ok(()));
}

#[test]
fn a_version_that_fails_on_its_own_requests_is_not_put_into_service() {
    let error = LoadError::new(LoadErrorKind::Invalid, "no such signature");
    assert_eq!(check(Err(error.clone()), 0), Err(error));
}
