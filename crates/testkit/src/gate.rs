//! Holds threads back until a test lets them go on.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A gate that runs wait at; clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    is_open: bool,
    num_waiting: usize,
}

impl Gate {
    /// Returns a closed gate.
    #[must_use]
    pub fn closed() -> Self {
        Self::default()
    }

    /// Lets everyone through, from now on.
    pub fn open(&self) {
        self.lock().is_open = true;
        self.0.1.notify_all();
    }

    /// Holds everyone back that comes from now on.
    pub fn close(&self) {
        self.lock().is_open = false;
    }

    /// Waits until the gate is open.
    pub fn pass(&self) {
        let mut state = self.lock();
        state.num_waiting += 1;
        self.0.1.notify_all();
        while !state.is_open {
            state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.num_waiting -= 1;
    }

    /// Waits until so many threads stand before the closed gate.
    pub fn wait_for(&self, num_waiting: usize) {
        let mut state = self.lock();
        while state.num_waiting < num_waiting {
            state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
