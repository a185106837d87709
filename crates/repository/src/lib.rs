//! Finds models and their versions on disk, and builds what loads them.
//!
//! ```text
//! discover(root) ─► ModelEntry ─► Poller (fingerprints, wholeness, policy) ─► ModelLoader ─► LoadedModel
//! ```
//!
//! Owns the layouts of model folders, `model.toml`, the question whether a version is whole, and what a loaded version
//! consists of. Does not own states, retries and unloading (that is `servable`), nor engines.
//!
//! Invariants: a version whose files still change, or whose main file is shorter than it declares, is never offered and
//! never takes another version's place; a folder that cannot be read unloads nothing; nothing is logged at every poll.

mod check;
mod discover;
mod layout;
mod loader;
mod model;
mod poll;
mod problem;
mod settings;
mod source;
#[cfg(test)]
mod testing;
mod tune;
mod versions;
mod warmup;
mod whole;

pub use check::check;
pub use discover::{Discovery, ModelBase, ModelEntry, discover};
pub use layout::{flat_model, is_main_file, main_file_name, mark_of_model, parse_version};
pub use loader::{ModelLoader, ModelLoaderFactory, ReadBatching};
pub use model::LoadedModel;
pub use problem::Problem;
pub use settings::{
    Arm, BatchingSettings, FILE_NAME as SETTINGS_FILE, HeaderMatch, ModelSettings, Percent,
    RequestLogSettings, SamplingRate, Shadow, Split, Target, VersionPolicyConfig, parse_split,
    read as read_settings,
};
pub use source::{
    FileSystemSource, LabelSink, RequestLogSink, Root, RootsHandle, SourceConfig, SplitSink,
};
pub use tune::{OpenChoices, Tuned, tune};
pub use versions::versions;
pub use warmup::Warmup;
pub use whole::check_version;
