//! What names one version of one servable.

use std::fmt;
use std::sync::Arc;

/// One version of one servable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServableId {
    /// The name that clients use.
    pub name: Arc<str>,
    /// The version's number.
    pub version: i64,
}

impl fmt::Display for ServableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{name: {} version: {}}}", self.name, self.version)
    }
}
