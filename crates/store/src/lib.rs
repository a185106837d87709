//! Mirrors models that lie in object stores into folders of this machine, where they are found like any others.
//!
//! ```text
//! store ─list─► Listing ─► Tracker (settled? wanted?) ─get─► blobs (by content) ─link─► version folder ─► view
//!                                                                         FileSystemSource watches ◄───────┘
//! ```
//!
//! Owns addresses, credentials by their usual names, polling, downloads, and the cache on disk. Does not own what a
//! version's folder means and whether it is whole: that is `repository`, whose rules it asks.
//!
//! Invariants: a version appears in its view whole or not at all, by one rename; what was published stays while the
//! store cannot be listed, and while it says that the version is there; nothing is written outside of the cache
//! folder, whatever objects are called; no credential is part of a message.

mod cache;
mod config;
mod connect;
mod error;
mod fetch;
mod listing;
mod manifest;
mod mirror;
mod mirrors;
mod remote;
mod track;
mod uri;
mod view;

pub use config::{Base, BaseKind, Event, Listener, MirrorsConfig, Options};
pub use error::StoreError;
pub use mirrors::Mirrors;
pub use uri::{Scheme, StoreUri, UriError};
