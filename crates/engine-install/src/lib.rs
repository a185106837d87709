//! Fetches an engine's shared library: downloads the Python wheel that carries it, checks it, takes the library out.
//!
//! ```text
//! pip download ─► wheel's hash is pinned ─► entries' hashes are those of its RECORD ─► temporary folder ─► rename
//! ```
//!
//! The wheel comes from where the user's own pip gets packages, and is not trusted for that: only wheels whose hash is
//! pinned in a [`Package`] are unpacked, and nothing of them is executed. Owns the folder of installed libraries, too:
//! `<cache>/<engine>/<version>/`. Owns no decision when to install; nothing is fetched unless [`install()`] is called.

mod cache;
mod install;
mod package;
mod wheel;

pub use cache::newest;
pub use install::{InstallError, install};
pub use package::{Machine, Package, Pin, Wheels};

#[cfg(test)]
mod tests;
