//! Where a version is in its life, as others see it.

pub(crate) mod board;

pub use board::Patience;

use std::time::Duration;

use crate::{LoadError, ServableId};

/// A version's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Known, and waiting: to be loaded, or (with an error) to become whole.
    Start,
    /// Being loaded, or (with an error) waiting for the next try.
    Loading,
    /// Answers requests.
    Available,
    /// Answers no new requests; waits for those under way, then is freed.
    Unloading,
    /// Gone, or (with an error) never came to be.
    End,
}

/// What is known of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionStatus {
    /// Which version.
    pub version: i64,
    /// Its state.
    pub state: State,
    /// What went wrong last, if it still matters.
    pub error: Option<LoadError>,
}

/// One change of one version's state, in the order in which they happened.
///
/// A load that fails and will be tried again is told of as [`State::Loading`] with an error, and each try as
/// [`State::Loading`] without one; the last failure is [`State::End`] with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose state changed.
    pub id: ServableId,
    /// The new state.
    pub state: State,
    /// What went wrong, if that is why.
    pub error: Option<LoadError>,
    /// How long the state before lasted: with [`State::Available`] the time the load took, with [`State::End`] that of
    /// the unload or of the load that failed. Zero for a version's first event.
    pub elapsed: Duration,
}
