//! A request's hold on a servable, and what happens when the last one lets go.
//!
//! # Why unloading is safe
//! All handles of a version, the serving map's own included, share one [`Lease`] by an [`Arc`]. The lease owns the
//! servable; its `drop` does not free it but hands it over to the manager's inbox, from where it goes to an unload
//! thread. That is correct whatever the threads do:
//!
//! - *Once.* An `Arc` runs the destructor of its content exactly once, when the count reaches zero, and a count that has
//!   reached zero never rises again: a clone is made from a living handle only. A reader that found the lease through a
//!   map that has been swapped out in the meantime still holds that map (arc-swap's guard), and the map holds a handle,
//!   so the count is not zero while the reader clones.
//! - *Not early.* The map lets go first, so once the count is zero no map and no request has the servable.
//! - *Never missed.* There is no flag to be seen and no count to be polled: the hand-over *is* the notice.
//! - *After all uses.* The decrements of the count release, the last one acquires: what requests did with the servable
//!   happens before it is freed.
//! - *Cheap.* A request pays one increment and one decrement on its version's own count. Only the very last handle of a
//!   version, once in its life, takes the inbox's lock, which is held for nothing but pushing and taking.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::ServableId;
use crate::manager::Inbox;

/// Keeps one version of a servable alive and gives access to it.
///
/// Dropping the last handle never frees the servable on the caller's thread.
pub struct Handle<S> {
    lease: Arc<Lease<S>>,
}

impl<S> Handle<S> {
    /// Puts a servable under the care of `inbox`, which gets it back when the last handle is gone.
    pub(crate) fn new(id: ServableId, servable: S, inbox: Arc<Inbox<S>>) -> Self {
        Self {
            lease: Arc::new(Lease {
                id,
                servable: Some(servable),
                inbox,
            }),
        }
    }

    /// Returns which version this is.
    pub fn id(&self) -> &ServableId {
        &self.lease.id
    }
}

impl<S> Deref for Handle<S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.lease
            .servable
            .as_ref()
            .expect("only the destructor takes it out")
    }
}

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self {
            lease: Arc::clone(&self.lease),
        }
    }
}

impl<S> fmt::Debug for Handle<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("id", self.id())
            .finish_non_exhaustive()
    }
}

/// The one owner of a servable in service.
struct Lease<S> {
    id: ServableId,
    /// `None` in the destructor only.
    servable: Option<S>,
    inbox: Arc<Inbox<S>>,
}

impl<S> Drop for Lease<S> {
    fn drop(&mut self) {
        if let Some(servable) = self.servable.take() {
            self.inbox.post_released(Released {
                id: self.id.clone(),
                servable,
            });
        }
    }
}

/// A servable that nobody holds any more.
pub(crate) struct Released<S> {
    pub(crate) id: ServableId,
    pub(crate) servable: S,
}
