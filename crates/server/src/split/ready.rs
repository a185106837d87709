//! A split that is ready to be asked: names are headers, weights are lots, counters are at hand.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use salver_repository::{HeaderMatch, LoadedModel, Split, Target};
use salver_servable::{Handle, LookupError, Manager, ServableRequest};
use salver_telemetry::{ArmMetrics, Metrics, ShadowMetrics};

use super::draw::{self, ArmSet, Lot};

/// Two to the power of 64: the numbers that shadows are drawn by.
const NUM_LOTS: f64 = 18_446_744_073_709_551_616.0;

/// The split of one model.
pub(crate) struct ReadySplit {
    pub(crate) model: Arc<str>,
    /// As it was written down.
    pub(crate) split: Split,
    key: Option<HeaderName>,
    pub(crate) arms: Vec<ReadyArm>,
    pub(super) shadows: Vec<ReadyShadow>,
}

/// One of those among whom requests are shared out.
pub(crate) struct ReadyArm {
    pub(crate) metrics: Arc<ArmMetrics>,
    pub(super) target: Target,
    /// The value of the answer's header.
    pub(super) shown: HeaderValue,
    lot: Lot,
    header: Option<(HeaderName, HeaderValue)>,
}

/// One of those who are asked too.
pub(super) struct ReadyShadow {
    pub(super) metrics: Arc<ShadowMetrics>,
    pub(super) target: Target,
    /// A number below this one is drawn.
    num_drawn: u64,
    is_always: bool,
}

impl ReadySplit {
    pub(super) fn new(model: &str, split: &Split, metrics: &Metrics) -> Self {
        let arms = split.arms.iter().map(|arm| ReadyArm {
            metrics: metrics.arm(model, &arm.name),
            target: arm.target.clone(),
            shown: header_value(&arm.name),
            lot: Lot::new(model, &arm.name, arm.weight),
            header: arm.header.as_ref().map(header),
        });
        let shadows = split.shadows.iter().map(|shadow| {
            let share = shadow.percent.get() / 100.0;
            ReadyShadow {
                metrics: metrics.shadow(model, &shadow.name),
                target: shadow.target.clone(),
                num_drawn: (share * NUM_LOTS) as u64,
                is_always: share >= 1.0,
            }
        });
        Self {
            model: model.into(),
            key: split.key.as_deref().map(header_name),
            arms: arms.collect(),
            shadows: shadows.collect(),
            split: split.clone(),
        }
    }

    /// Returns the number that decides of a request: by its key; if it has none, by chance.
    pub(super) fn seed(&self, headers: &HeaderMap, chance: impl FnOnce() -> u64) -> u64 {
        let key = self.key.as_ref().and_then(|key| headers.get(key));
        // A proxy's way to say that there is none; all of them would have one arm.
        let key = key.filter(|key| !key.is_empty());
        key.map_or_else(chance, |key| draw::hash(key.as_bytes()))
    }

    /// Returns the arm of a request, of those that are not missing: the first whose header it carries; if it carries none,
    /// the one that its number is drawn by.
    pub(super) fn choose(&self, headers: &HeaderMap, missing: ArmSet, seed: u64) -> Option<usize> {
        let mut arms = self.arms.iter().enumerate();
        let matched = arms.find(|(arm_idx, arm)| !missing.has(*arm_idx) && arm.is_named(headers));
        let lots = self.arms.iter().map(|arm| arm.lot);
        matched.map_or_else(
            || draw::draw(lots, missing, seed),
            |(arm_idx, _)| Some(arm_idx),
        )
    }

    /// Finds the version that an arm or a shadow stands for.
    pub(crate) fn find(
        &self,
        manager: &Manager<LoadedModel>,
        target: &Target,
    ) -> Result<Handle<LoadedModel>, LookupError> {
        manager.handle(&ServableRequest {
            name: target.model.as_ref().unwrap_or(&self.model),
            version: target.version.clone(),
        })
    }

    /// Names arms and what they stand for: `stable (version 1), canary (version 2)`.
    pub(super) fn names(&self, arms: ArmSet) -> String {
        let named = self.split.arms.iter().enumerate();
        let named = named.filter(|(arm_idx, _)| arms.has(*arm_idx));
        let names = named.map(|(_, arm)| format!("{} ({})", arm.name, arm.target));
        names.collect::<Vec<_>>().join(", ")
    }

    /// Counts a request that an arm leaves to the others.
    pub(super) fn fell_back(&self, arm_idx: usize) {
        let (arm, target) = (&self.split.arms[arm_idx].name, &self.arms[arm_idx].target);
        if self.arms[arm_idx].metrics.fell_back() {
            tracing::warn!(
                model = %self.model,
                arm = %arm,
                %target,
                "nothing is loaded that an arm stands for; the others take its requests"
            );
        }
    }

    /// Returns the shadows that a request is drawn for.
    pub(super) fn draw_shadows(&self, chance: impl Fn() -> u64) -> Vec<usize> {
        let shadows = self.shadows.iter().enumerate();
        let drawn = shadows.filter(|(_, shadow)| shadow.is_always || chance() < shadow.num_drawn);
        drawn.map(|(shadow_idx, _)| shadow_idx).collect()
    }
}

impl ReadyArm {
    fn is_named(&self, headers: &HeaderMap) -> bool {
        let Some((name, value)) = &self.header else {
            return false;
        };
        headers.get_all(name).iter().any(|sent| sent == value)
    }
}

fn header(header: &HeaderMatch) -> (HeaderName, HeaderValue) {
    (header_name(&header.name), header_value(&header.value))
}

fn header_name(name: &str) -> HeaderName {
    HeaderName::from_bytes(name.as_bytes()).expect("a split is read with names of headers only")
}

fn header_value(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("a split is read with values of headers only")
}

#[cfg(test)]
mod tests {
    use salver_repository::parse_split;

    use super::*;

    fn ready(text: &str) -> ReadySplit {
        ReadySplit::new("m", &parse_split(text).expect(text), &Metrics::new("0"))
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    const ARMS: &str = r#"
        [split]
        key = "User-Id"
        [[split.arms]]
        name = "stable"
        version = 1
        weight = 1
        [[split.arms]]
        name = "canary"
        version = 2
        header = { name = "User-Group", value = "canary" }
    "#;

    #[test]
    fn a_header_goes_before_weights_and_only_with_its_own_value() {
        let split = ready(ARMS);
        let rows: [(&[(&str, &str)], usize); 5] = [
            (&[], 0),
            (&[("user-group", "canary")], 1),
            (&[("user-group", "staff"), ("user-group", "canary")], 1),
            (&[("user-group", "Canary")], 0),
            (&[("user-group", "")], 0),
        ];
        for (sent, expected) in rows {
            for seed in [0, 1, u64::MAX] {
                let chosen = split.choose(&headers(sent), ArmSet::default(), seed);
                assert_eq!(chosen, Some(expected), "{sent:?}");
            }
        }
        let mut missing = ArmSet::default();
        missing.insert(1);
        let canary = headers(&[("user-group", "canary")]);
        assert_eq!(split.choose(&canary, missing, 0), Some(0));
        assert_eq!(split.names(missing), "canary (version 2)");
        missing.insert(0);
        assert_eq!(split.choose(&canary, missing, 0), None);
        assert_eq!(
            split.names(missing),
            "stable (version 1), canary (version 2)"
        );
    }

    #[test]
    fn a_key_stands_in_for_chance() {
        let split = ready(ARMS);
        let seed = |pairs| split.seed(&headers(pairs), || 5);
        assert_eq!(seed(&[]), 5);
        assert_eq!(seed(&[("user-id", "")]), 5);
        assert_eq!(seed(&[("user-id", "ada")]), draw::hash(b"ada"));
        assert_ne!(seed(&[("user-id", "ada")]), seed(&[("user-id", "grace")]));
    }

    #[test]
    fn shadows_are_drawn_as_often_as_was_asked() {
        let split = ready(
            r#"split = { shadows = [
                { name = "none", model = "a", percent = 0 },
                { name = "half", model = "a", percent = 50 },
                { name = "all", model = "a", percent = 100 },
            ] }"#,
        );
        let rows: [(u64, &[usize]); 3] = [(0, &[1, 2]), (u64::MAX / 2 + 1, &[2]), (u64::MAX, &[2])];
        for (lot, expected) in rows {
            assert_eq!(split.draw_shadows(|| lot), expected, "{lot}");
        }
    }
}
