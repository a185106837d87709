//! Several versions under one name: who of them answers a request, and who is sent it too.
//!
//! ```text
//! name, no version ─► split in force? ─► draw (header, key or chance) ─► handle of the arm ─► answer, `x-salver-arm`
//!                                                                    └─► shadows, once the model has run
//! ```
//!
//! Owns which split is in force for each model, the choice of arms, and the tasks of shadows. Does not own how a split is
//! written down (`repository`, `admin::split`). A request for a model without a split pays one look into a map.

mod draw;
mod ready;
mod shadow;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderName, HeaderValue};
use salver_protocol::VersionChoice;
use salver_repository::{LoadedModel, Split};
use salver_servable::Handle;
use salver_telemetry::Metrics;

use crate::app::App;
use crate::infer;
use crate::status::ServeError;

pub(crate) use ready::{ReadyArm, ReadySplit};
pub(crate) use shadow::{Shadowed, Shadows};

/// The header of answers, and gRPC's metadata, that names the arm.
pub(crate) const ARM: HeaderName = HeaderName::from_static("x-salver-arm");

/// Where a split was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitSource {
    /// In the model's own settings.
    File,
    /// On the admin pages; it goes before the model's own.
    Admin,
}

/// The splits of all models; a clone is the same splits.
#[derive(Clone)]
pub struct Splits(Arc<Inner>);

struct Inner {
    metrics: Metrics,
    models: ArcSwap<BTreeMap<Arc<str>, Layers>>,
}

/// The splits of one model. One of the two is there.
#[derive(Clone, Default)]
struct Layers {
    file: Option<Arc<ReadySplit>>,
    admin: Option<Arc<ReadySplit>>,
}

impl fmt::Debug for Splits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Splits")
            .field("models", &self.0.models.load().keys())
            .finish_non_exhaustive()
    }
}

impl Splits {
    /// Returns no splits yet; what their arms do is counted in `metrics`.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self(Arc::new(Inner {
            metrics,
            models: ArcSwap::default(),
        }))
    }

    /// Shares out a model's requests so from now on, as far as this source is asked.
    pub fn set(&self, model: &str, source: SplitSource, split: Option<&Split>) {
        let ready = split.map(|split| Arc::new(ReadySplit::new(model, split, &self.0.metrics)));
        self.0.models.rcu(|models| {
            let mut models = BTreeMap::clone(models);
            let layers = models.entry(model.into()).or_default();
            match source {
                SplitSource::File => layers.file.clone_from(&ready),
                SplitSource::Admin => layers.admin.clone_from(&ready),
            }
            if layers.file.is_none() && layers.admin.is_none() {
                models.remove(model);
            }
            models
        });
    }

    /// Returns the split in force for a model.
    pub(crate) fn get(&self, model: &str) -> Option<(Arc<ReadySplit>, SplitSource)> {
        let models = self.0.models.load();
        let Layers { file, admin } = models.get(model)?;
        let by_admin = admin.clone().map(|split| (split, SplitSource::Admin));
        by_admin.or_else(|| Some((file.clone()?, SplitSource::File)))
    }
}

/// Who answers a request, and what was decided of it.
pub(crate) struct Routed {
    pub(crate) handle: Handle<LoadedModel>,
    pub(crate) pick: Option<Pick>,
}

/// What a split decided of a request.
pub(crate) struct Pick {
    split: Arc<ReadySplit>,
    /// `None` where there are shadows only.
    arm_idx: Option<usize>,
}

impl Pick {
    /// Returns the arm that the request went to.
    pub(crate) fn arm(&self) -> Option<&ReadyArm> {
        Some(&self.split.arms[self.arm_idx?])
    }

    /// Returns the value of [`ARM`].
    pub(crate) fn arm_name(&self) -> Option<HeaderValue> {
        Some(self.arm()?.shown.clone())
    }
}

/// Returns who answers a request, if no split has to decide that and there is somebody.
pub(crate) fn unsplit(
    app: &App,
    name: &str,
    version: &VersionChoice,
) -> Option<Handle<LoadedModel>> {
    let is_split = *version == VersionChoice::Latest && app.splits.get(name).is_some();
    let handle = (!is_split).then(|| infer::lookup(app, name, version));
    handle?.ok()
}

/// Finds who answers a request: the version that it names; if it names none, whom the model's split chooses.
///
/// An arm of which nothing is loaded leaves its requests to the others.
pub(crate) fn route(
    app: &App,
    headers: &HeaderMap,
    name: &str,
    version: &VersionChoice,
) -> Result<Routed, ServeError> {
    let split = match version {
        VersionChoice::Latest => app.splits.get(name),
        VersionChoice::Version(_) | VersionChoice::Label(_) => None,
    };
    let Some((split, _)) = split else {
        let handle = infer::lookup(app, name, version)?;
        return Ok(Routed { handle, pick: None });
    };
    if split.arms.is_empty() {
        let handle = infer::lookup(app, name, version)?;
        let arm_idx = None;
        let pick = Some(Pick { split, arm_idx });
        return Ok(Routed { handle, pick });
    }
    let seed = split.seed(headers, || app.ids.next());
    let mut missing = draw::ArmSet::default();
    while let Some(arm_idx) = split.choose(headers, missing, seed) {
        if let Ok(handle) = split.find(&app.manager, &split.arms[arm_idx].target) {
            let arm_idx = Some(arm_idx);
            let pick = Some(Pick { split, arm_idx });
            return Ok(Routed { handle, pick });
        }
        split.fell_back(arm_idx);
        missing.insert(arm_idx);
    }
    Err(ServeError::NoArm {
        model: name.to_owned(),
        arms: split.names(missing),
    })
}
