//! What lies at an address, brought here for a command that looks at it once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use salver_repository::VersionPolicyConfig;
use salver_store::BaseKind;
use salver_telemetry::Metrics;

use super::{Stores, base};
use crate::config::{self, Env, Looks};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::progress::{Progress, Watch};

/// A path that somebody named, and where what is meant is on this machine.
#[derive(Debug)]
pub(crate) struct Brought {
    named: PathBuf,
    folder: PathBuf,
    /// The mirror, if it is an address; what is brought is gone with it.
    stores: Option<Stores>,
}

impl Brought {
    /// Brings what is at an address; a path is left as it is.
    ///
    /// # Blocking
    /// As long as the downloads take.
    ///
    /// # Errors
    /// If the address is none, or there is no folder to bring it to.
    pub(crate) fn new(named: &Path, env: &Env) -> Result<Self, Failure> {
        let address = named.to_string_lossy();
        let failure = |error| Failure::new(Exit::Failed, format!("{address}: {error}"));
        let versions = VersionPolicyConfig::default();
        let Some(base) = base(&address, BaseKind::Discover, versions).map_err(failure)? else {
            return Ok(Self {
                named: named.to_path_buf(),
                folder: named.to_path_buf(),
                stores: None,
            });
        };
        let watch = Arc::new(Watch::default());
        let stores = Stores::new(
            config::stores(env, Looks::Once, false),
            Metrics::new(env!("CARGO_PKG_VERSION")),
            Arc::clone(&watch),
        );
        // Without it the download is silent.
        let _progress = Progress::start(watch, output::is_terminal());
        stores.add(vec![base]).map_err(failure)?;
        Ok(Self {
            named: named.to_path_buf(),
            folder: stores.folder(&address, BaseKind::Discover),
            stores: Some(stores),
        })
    }

    /// Returns where it is on this machine.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns what could not be brought, and why.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.stores.as_ref().map_or_else(Vec::new, Stores::problems)
    }

    /// Returns a message with the address in the place of the folder.
    pub(crate) fn shown(&self, message: &str) -> String {
        message.replace(
            &*self.folder.to_string_lossy(),
            &self.named.to_string_lossy(),
        )
    }
}
