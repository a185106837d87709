//! The lifecycle of anything that is served: which versions are wanted, which are loaded, which one answers.
//!
//! ```text
//! Source ─AspiredVersions::set─► Manager thread ─asks─► VersionPolicy (pure)
//!                                   │ starts                    ▲ snapshots
//!                                   ▼                           │
//!                        load threads ─► serving map ─► Handle ─┴─last one dropped─► unload thread
//! ```
//!
//! A [`Source`] says which versions it wants, as a full list: what it leaves out is unloaded. A [`Loader`] makes one
//! version. The [`Manager`] brings what is loaded in line with what is wanted, one step of the [`VersionPolicy`] at a
//! time, and publishes what is ready; a request takes a [`Handle`] and keeps that one version alive for as long as it
//! holds it. What a servable *is* this crate does not know: it has no dependency on tensors, files or engines, no async
//! runtime and no clock of its own in the part that decides.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use salver_servable::{
//!     Aspired, AvailabilityPreserving, CancelToken, LoadError, Loader, Manager, ManagerConfig,
//!     Resources, ServableRequest, VersionChoice,
//! };
//!
//! /// Serves a greeting.
//! struct Greeter(&'static str);
//!
//! impl Loader for Greeter {
//!     type Servable = String;
//!     fn estimate(&self) -> Resources {
//!         Resources { memory_bytes: 100 }
//!     }
//!     fn load(&self, _cancel: &CancelToken) -> Result<String, LoadError> {
//!         Ok(format!("{}, world", self.0))
//!     }
//! }
//!
//! let config = ManagerConfig {
//!     num_load_threads: 2.try_into()?,
//!     num_unload_threads: 2.try_into()?,
//!     max_num_load_retries: 5,
//!     load_retry_interval: Duration::from_secs(60),
//!     memory_limit_bytes: None,
//!     policy: Box::new(AvailabilityPreserving),
//! };
//! let (manager, aspired) = Manager::start(config, Box::new(|event| println!("{event:?}")));
//! aspired.set("greeting", vec![Aspired { version: 1, revision: 0, loader: Greeter("Hello") }]);
//! manager.wait_first_load(&["greeting".into()], None);
//! let greeting = manager.handle(&ServableRequest { name: "greeting", version: VersionChoice::Latest })?;
//! assert_eq!(*greeting, "Hello, world");
//! drop(greeting);
//! assert_eq!(manager.shutdown(Instant::now() + Duration::from_secs(10)), []);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Invariants
//! 1. One thread decides, so decisions need no locks. It sleeps until a list, a result or a time arrives; idle, it costs
//!    nothing. It never runs a loader, never frees a servable and never waits for a request.
//! 2. [`Manager::handle`] takes no lock and waits for nobody, and a handle counts references to its own version only:
//!    a slow request on one model holds up nothing but the freeing of that version.
//! 3. A version is in the map before its state is AVAILABLE, and out of it before its state is UNLOADING.
//! 4. Each version has at most one load under way and at most one servable alive: a version that is wanted again while
//!    it is being unloaded is loaded after the unload has ended.
//! 5. A servable is freed exactly once, on an unload thread, whoever held its last handle.
//! 6. A failed version changes nothing for others: with [`AvailabilityPreserving`] the old version stays.
//! 7. Nothing grows without bound: what is in flight is bounded by what is wanted, what is remembered by constants.

mod handle;
mod id;
mod loader;
mod manager;
mod map;
mod policy;
mod source;
mod state;

pub use handle::Handle;
pub use id::ServableId;
pub use loader::{CancelToken, LoadError, LoadErrorKind, Loader, Resources};
pub use manager::{ListMark, Manager, ManagerConfig};
pub use map::{LookupError, ServableRequest, VersionChoice};
pub use policy::{
    Action, AvailabilityPreserving, Phase, ResourcePreserving, VersionPolicy, VersionSnapshot,
};
pub use source::{Aspired, AspiredVersions, Source, SourceTask};
pub use state::{Event, Patience, State, VersionStatus};
