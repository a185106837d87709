//! Which arm a number stands for.
//!
//! Weighted rendezvous hashing: from the number and its own salt each arm makes a time, exponentially distributed with
//! its weight as the rate, and the earliest one has it. So arms get their part of evenly spread numbers, in whatever order
//! they stand; a weight that grows takes numbers from the others and moves none between them; and the numbers of an arm
//! that is missing go to the others in proportion to their weights.
//!
//! Nothing here differs between processes, machines or releases: whoever had an arm by its key keeps it.

use crate::context::mix;

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// What is left of 64 bits that an `f64` holds exactly.
const FRACTION_BITS: u32 = 53;

/// An arm, as far as drawing goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lot {
    salt: u64,
    weight: u32,
}

impl Lot {
    /// The salt is made of the names: users who try out one model's canary are not those who try out every model's.
    pub(super) fn new(model: &str, arm: &str, weight: u32) -> Self {
        // No arm has a slash in its name.
        let salt = hash(format!("{model}/{arm}").as_bytes());
        Self { salt, weight }
    }

    /// Returns when the arm would take a number.
    fn time(self, seed: u64) -> f64 {
        let drawn = mix(seed ^ self.salt) >> (u64::BITS - FRACTION_BITS);
        let share = (drawn as f64 + 0.5) / (1_u64 << FRACTION_BITS) as f64;
        -share.ln() / f64::from(self.weight)
    }
}

/// A set of arms, of which a split has 32 at most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ArmSet(u32);

impl ArmSet {
    pub(super) fn insert(&mut self, arm_idx: usize) {
        self.0 |= 1 << arm_idx;
    }

    pub(super) fn has(self, arm_idx: usize) -> bool {
        self.0 & (1 << arm_idx) != 0
    }
}

/// Returns the number that a key stands for (FNV-1a, spread).
pub(super) fn hash(key: &[u8]) -> u64 {
    let add = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
    mix(key.iter().fold(FNV_OFFSET, add))
}

/// Returns the arm that takes a number; `None` if none has a weight but those that are missing.
pub(super) fn draw(
    lots: impl IntoIterator<Item = Lot>,
    missing: ArmSet,
    seed: u64,
) -> Option<usize> {
    lots.into_iter()
        .enumerate()
        .filter(|(arm_idx, lot)| lot.weight > 0 && !missing.has(*arm_idx))
        .map(|(arm_idx, lot)| (arm_idx, lot.time(seed)))
        .min_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(arm_idx, _)| arm_idx)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NUM_KEYS: u32 = 20_000;
    /// Seven standard deviations of the part that an arm gets of so many keys: chance alone is never so far off.
    const TOLERANCE: f64 = 0.025;

    fn lots(weights: &[u32]) -> Vec<Lot> {
        let lot =
            |(arm_idx, &weight): (usize, &u32)| Lot::new("m", &format!("arm-{arm_idx}"), weight);
        weights.iter().enumerate().map(lot).collect()
    }

    fn drawn(weights: &[u32], missing: ArmSet) -> Vec<Option<usize>> {
        let lots = lots(weights);
        let of_key = |key: u32| {
            draw(
                lots.clone(),
                missing,
                hash(format!("user-{key}").as_bytes()),
            )
        };
        (0..NUM_KEYS).map(of_key).collect()
    }

    fn share(drawn: &[Option<usize>], arm_idx: usize) -> f64 {
        let count = drawn
            .iter()
            .filter(|drawn| **drawn == Some(arm_idx))
            .count();
        count as f64 / drawn.len() as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn arms_get_their_part_of_keys_and_of_those_of_missing_arms(
            weights in prop::collection::vec(0_u32..1000, 1..6),
            lost in 0_usize..6,
        ) {
            let mut missing = ArmSet::default();
            if lost < weights.len() {
                missing.insert(lost);
            }
            let there = |arm_idx: usize| if missing.has(arm_idx) { 0 } else { weights[arm_idx] };
            let total: u32 = (0..weights.len()).map(there).sum();
            let drawn = drawn(&weights, missing);
            if total == 0 {
                prop_assert!(drawn.iter().all(Option::is_none));
                return Ok(());
            }
            for arm_idx in 0..weights.len() {
                let expected = f64::from(there(arm_idx)) / f64::from(total);
                let actual = share(&drawn, arm_idx);
                prop_assert!((actual - expected).abs() < TOLERANCE, "{weights:?}: arm {arm_idx} got {actual}");
            }
        }

        #[test]
        fn an_arm_that_grows_takes_keys_and_moves_no_others(
            weights in prop::collection::vec(0_u32..1000, 2..6),
            growth in 1_u32..1000,
        ) {
            let before = drawn(&weights, ArmSet::default());
            let mut grown = weights.clone();
            grown[0] += growth;
            let after = drawn(&grown, ArmSet::default());
            for (before, after) in before.iter().zip(&after) {
                prop_assert!(before == after || *after == Some(0));
            }
        }
    }

    #[test]
    fn chance_is_fair() {
        let ids = crate::context::RequestIds::new(7);
        let lots = lots(&[70, 30]);
        let drawn: Vec<_> = (0..NUM_KEYS)
            .map(|_| draw(lots.clone(), ArmSet::default(), ids.next()))
            .collect();
        assert!(
            (share(&drawn, 0) - 0.7).abs() < TOLERANCE,
            "{}",
            share(&drawn, 0)
        );
    }

    /// Replicas of different releases serve the same users.
    #[test]
    fn keys_keep_their_arms_from_release_to_release() {
        let arms: Vec<_> = drawn(&[2, 1, 1], ArmSet::default())
            .into_iter()
            .take(16)
            .map(|drawn| drawn.expect("all are there"))
            .collect();
        assert_eq!(arms, [2, 0, 2, 0, 0, 0, 0, 0, 1, 0, 2, 1, 0, 0, 0, 0]);
    }
}
