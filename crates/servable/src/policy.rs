//! In which order versions come and go. Pure: a policy sees a snapshot and names one step.

use std::fmt;

/// Decides the next step for one servable.
///
/// Asked again after each step, until it names none. Versions come in ascending order. A step that does not fit (a
/// version to be loaded that is not [`Phase::New`], one to be unloaded that is not [`Phase::Ready`]) is ignored.
pub trait VersionPolicy: Send + Sync {
    /// Returns what to do next; `None` if all is as it should be or something has to happen first.
    fn next(&self, versions: &[VersionSnapshot]) -> Option<Action>;
}

/// What a policy knows of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionSnapshot {
    /// Its number.
    pub version: i64,
    /// How far it is.
    pub phase: Phase,
    /// Whether it is on the list of what is wanted.
    pub is_aspired: bool,
}

/// How far a version is, as far as a policy is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing was done yet.
    New,
    /// Waits for its turn to load, or loads, or waits for the next try.
    Loading,
    /// Answers requests.
    Ready,
    /// Taken out of service, but still there.
    Unloading,
    /// All tries failed.
    Failed,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Load this version.
    Load(i64),
    /// Take this version out of service and unload it.
    Unload(i64),
}

/// Keeps a version in service until another one can take over. Needs room for both.
///
/// Unloads what is not wanted, the lowest first, if a wanted version is ready, or none is wanted at all, or another
/// unwanted one is ready too. Otherwise loads the highest new one that is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct AvailabilityPreserving;

impl VersionPolicy for AvailabilityPreserving {
    fn next(&self, versions: &[VersionSnapshot]) -> Option<Action> {
        let has_successor = versions
            .iter()
            .any(|v| v.is_aspired && v.phase == Phase::Ready);
        let has_aspired = versions.iter().any(|v| v.is_aspired);
        let num_unwanted = versions.iter().filter(is_unwanted).count();
        let may_unload = has_successor || !has_aspired || num_unwanted > 1;
        if let Some(action) = unload_lowest_unwanted(versions).filter(|_| may_unload) {
            return Some(action);
        }
        load_highest_new(versions)
    }
}

/// Makes room before it loads. While versions change places, none may be in service.
///
/// Unloads whatever is not wanted, the lowest first; loads the highest new version that is wanted once nothing unwanted
/// takes up room any more.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourcePreserving;

impl VersionPolicy for ResourcePreserving {
    fn next(&self, versions: &[VersionSnapshot]) -> Option<Action> {
        let takes_up_room = |v: &VersionSnapshot| match v.phase {
            Phase::New | Phase::Failed => false,
            Phase::Loading | Phase::Ready => !v.is_aspired,
            // Also if it is wanted again: it has to go before it can come back.
            Phase::Unloading => true,
        };
        if let Some(action) = unload_lowest_unwanted(versions) {
            return Some(action);
        }
        match versions.iter().any(takes_up_room) {
            true => None,
            false => load_highest_new(versions),
        }
    }
}

fn is_unwanted(version: &&VersionSnapshot) -> bool {
    !version.is_aspired && version.phase == Phase::Ready
}

fn unload_lowest_unwanted(versions: &[VersionSnapshot]) -> Option<Action> {
    let lowest = versions
        .iter()
        .filter(is_unwanted)
        .map(|v| v.version)
        .min()?;
    Some(Action::Unload(lowest))
}

fn load_highest_new(versions: &[VersionSnapshot]) -> Option<Action> {
    let is_new = |v: &&VersionSnapshot| v.is_aspired && v.phase == Phase::New;
    let highest = versions.iter().filter(is_new).map(|v| v.version).max()?;
    Some(Action::Load(highest))
}

impl fmt::Debug for dyn VersionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VersionPolicy")
    }
}

#[cfg(test)]
mod tests;
