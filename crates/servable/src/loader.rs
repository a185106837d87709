//! How one version comes into memory: the contract between the manager and whoever can load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Makes one servable.
///
/// Dropping the servable unloads it; that happens on a thread of the manager's and may take its time.
pub trait Loader: Send + Sync + 'static {
    /// What is made.
    type Servable: Send + Sync + 'static;

    /// Returns what the servable will need while it is loaded.
    ///
    /// Asked on the source's thread each time the version is offered, so it should be known beforehand.
    fn estimate(&self) -> Resources;

    /// Makes the servable, ready to be used.
    ///
    /// May be called again after it failed, but never twice at the same time. A loader that takes long should look at
    /// `cancel` now and then and give up with [`LoadErrorKind::Cancelled`].
    ///
    /// # Blocking
    /// As long as it takes: it has a thread of its own.
    ///
    /// # Errors
    /// [`LoadError`], whose kind says whether trying again may help. A panic counts as [`LoadErrorKind::Failed`].
    fn load(&self, cancel: &CancelToken) -> Result<Self::Servable, LoadError>;
}

/// What a servable takes of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Main memory, in bytes.
    pub memory_bytes: u64,
}

/// Why a servable is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    /// What kind of trouble it is: decides whether the load is tried again.
    pub kind: LoadErrorKind,
    /// What was wanted and what was found instead.
    pub message: String,
}

impl LoadError {
    /// Makes an error.
    pub fn new(kind: LoadErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

/// Kinds of trouble with loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoadErrorKind {
    /// Something that the servable is made of is not there.
    NotFound,
    /// What it is made of is wrong. Not tried again until the revision changes.
    Invalid,
    /// What it is made of may be right, but nothing here can serve it. Not tried again until the revision changes.
    Unsupported,
    /// What it is made of is damaged. Not tried again until the revision changes.
    Damaged,
    /// There is no room for it.
    ResourceExhausted,
    /// It is no longer wanted.
    Cancelled,
    /// Anything else; trying again may help.
    Failed,
}

impl LoadErrorKind {
    /// Tells whether the same load may succeed at another time.
    pub(crate) fn may_pass(self) -> bool {
        match self {
            Self::Invalid | Self::Unsupported | Self::Damaged => false,
            Self::NotFound | Self::ResourceExhausted | Self::Cancelled | Self::Failed => true,
        }
    }
}

/// Tells a running load that its result is no longer wanted.
#[derive(Clone, Debug, Default)]
pub struct CancelToken {
    is_cancelled: Arc<AtomicBool>,
}

impl CancelToken {
    /// Makes a token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels this token and all its clones, for good.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Release);
    }

    /// Tells whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
    }
}
