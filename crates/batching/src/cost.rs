//! What a run costs by its number of rows, and which batches are worth forming.

use std::time::Duration;

/// How much more than the cheapest a row may cost in a batch that is large enough, in percent: twice the rows for less
/// than that would only be later.
const USEFUL_PERCENT: u32 = 110;

/// What a row alone has to cost at least, in percent of the cheapest, for joining to pay: less is within what a busy machine
/// makes of equal runs.
const PAYING_PERCENT: u32 = 125;

/// What a batch has to save at least against its rows one after the other. Those that are joined are answered in the same
/// moment: where they were all that there was, threads and cores sleep until the callers ask again, and to wake takes them
/// about as long as this.
const MIN_SAVING: Duration = Duration::from_micros(25);

/// The time of one run of so many rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The rows that are run together.
    pub num_rows: usize,
    /// How long that takes.
    pub run: Duration,
}

impl Cost {
    /// Returns what each row takes of it.
    fn row(&self) -> Duration {
        self.run / self.num_rows_u32().max(1)
    }

    fn num_rows_u32(&self) -> u32 {
        u32::try_from(self.num_rows).unwrap_or(u32::MAX)
    }
}

/// The measured times of runs, ascending by their rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CostCurve(Vec<Cost>);

impl CostCurve {
    /// Adds what a run of more rows than all before takes.
    ///
    /// # Panics
    /// If it is not of more rows.
    pub fn push(&mut self, num_rows: usize, run: Duration) {
        assert!(self.0.last().is_none_or(|last| last.num_rows < num_rows));
        self.0.push(Cost { num_rows, run });
    }

    /// Returns what was measured; empty if nothing could be.
    #[must_use]
    pub fn costs(&self) -> &[Cost] {
        &self.0
    }

    /// Returns the time of a run of so many rows, if it was measured.
    #[must_use]
    pub fn at(&self, num_rows: usize) -> Option<Duration> {
        let cost = self.0.iter().find(|cost| cost.num_rows == num_rows);
        cost.map(|cost| cost.run)
    }

    /// Returns the rows of the smallest batch whose rows cost about as little as any: larger ones make requests wait for
    /// nothing. It is 1 where joining does not pay, and where nothing was measured.
    #[must_use]
    pub fn largest_useful(&self) -> usize {
        let cheapest = self.0.iter().map(Cost::row).min().unwrap_or_default();
        let is_within = |cost: &&Cost, percent| cost.row() <= cheapest * percent / 100;
        let alone = self.0.first();
        if alone.is_none_or(|alone| is_within(&alone, PAYING_PERCENT)) {
            return 1;
        }
        let mut costs = self.0.iter();
        let enough = costs.find(|cost| is_within(cost, USEFUL_PERCENT));
        enough.map_or(1, |cost| cost.num_rows)
    }

    /// Returns the rows of the smallest batch that costs clearly less than its rows one after the other and saves enough by
    /// that, else of the largest that costs clearly less; `None` where none does. Two rows often cost as much as one after
    /// the other: one is a product of a vector, two are one of matrices.
    #[must_use]
    pub fn smallest_useful(&self) -> Option<usize> {
        let (alone, joined) = self.0.split_first()?;
        let is_cheaper = |cost: &&Cost| cost.row() * PAYING_PERCENT / 100 <= alone.row();
        let is_worth_it = |cost: &&Cost| {
            let one_by_one = alone.row().saturating_mul(cost.num_rows_u32());
            cost.run + MIN_SAVING <= one_by_one
        };
        let mut cheaper = joined.iter().filter(is_cheaper);
        let largest = cheaper.clone().next_back();
        cheaper
            .find(is_worth_it)
            .or(largest)
            .map(|cost| cost.num_rows)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn curve(micros: &[u64]) -> CostCurve {
        let mut curve = CostCurve::default();
        for (idx, &micros) in micros.iter().enumerate() {
            curve.push(1 << idx, Duration::from_micros(micros));
        }
        curve
    }

    #[test]
    fn a_batch_is_useful_as_long_as_rows_get_cheaper() {
        let rows: [(&[u64], usize); 7] = [
            (&[], 1),
            (&[120_000], 1),
            // Arithmetic only: a second row costs what the first does.
            (&[100, 198, 400], 1),
            (&[457, 857, 1610, 3310], 1),
            // The weights are read once, whatever the rows.
            (&[7000, 7000, 7100, 7300, 8000, 12_000, 24_000], 32),
            // A fixed cost, then arithmetic.
            (&[110, 120, 140, 180, 260], 16),
            // Cheapest at 4; more overflows a cache.
            (&[100, 110, 120, 400, 900], 4),
        ];
        for (micros, expected) in rows {
            assert_eq!(curve(micros).largest_useful(), expected, "{micros:?}");
        }
    }

    #[test]
    fn a_batch_is_worth_running_from_where_rows_are_clearly_cheaper() {
        let rows: [(&[u64], Option<usize>); 7] = [
            (&[], None),
            (&[100], None),
            (&[100, 198, 400], None),
            // A product of matrices costs more than two of vectors.
            (&[25, 43, 45, 56, 72], Some(4)),
            // Eight save 34 us, four only 14.
            (&[7, 14, 14, 22, 31], Some(8)),
            // None saves much.
            (&[4, 8, 9, 18], Some(8)),
            (&[7000, 7000, 7100], Some(2)),
        ];
        for (micros, expected) in rows {
            assert_eq!(curve(micros).smallest_useful(), expected, "{micros:?}");
        }
    }

    proptest! {
        #[test]
        fn no_batch_has_rows_much_cheaper_than_the_largest_useful_one(
            micros in prop::collection::vec(1_u64..1_000_000, 1..9),
        ) {
            let curve = curve(&micros);
            let useful = curve.largest_useful();
            let run = curve.at(useful).expect("it is one of those measured");
            for cost in curve.costs() {
                let (row, cheapest) = (run.as_secs_f64() / useful as f64, cost.run.as_secs_f64() / cost.num_rows as f64);
                prop_assert!(row <= cheapest * if useful == 1 { 1.25 } else { 1.1 } + 1e-8, "{row} > {cheapest}");
            }
        }
    }
}
