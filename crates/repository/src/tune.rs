//! What a model's runs cost, measured as it is loaded, and what follows from it: instances, threads, batches.
//!
//! ```text
//! load ─► runs of 1, 2, 4 … rows ─► one run on all cores, or one on each? ─► the largest useful batch ─► are rows independent?
//! ```
//!
//! Inputs are made up: each row has noise of its own. What somebody fixed by hand stays; what cannot be measured (strings,
//! extents that are not declared, a model that refuses the inputs) is run as it would be without measuring.

mod rows;

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use salver_backend::{Backend, BackendError, Model, ModelConfig, ModelFiles, Signature};
use salver_batching::{
    Batch, BatchingConfig, CostCurve, Executed, ExecutorConfig, LocalExecutor, Priority,
};
use salver_tensor::Tensor;

use rows::Rows;

/// How long the runs of one measurement may take together, the first aside.
const BUDGET: Duration = Duration::from_millis(250);

/// The most rows of a run that is measured: what comes after gains little, and makes the others wait.
const MAX_ROWS: usize = 128;

/// How often each size is run at least, and at most; the shortest counts, as a busy machine only ever makes runs longer.
const NUM_RUNS: RangeInclusive<usize> = 3..=20;

/// How long the runs of one size go on beyond the least, together.
const SIZE_BUDGET: Duration = Duration::from_millis(1);

/// The rows of the run that is compared with runs of one row each.
const NUM_COMPARED_ROWS: usize = 3;

/// The longest run for which a core each is tried: a longer one is worth being shared by all cores.
const MAX_LAYOUT_RUN: Duration = Duration::from_millis(5);

/// The longest load for which it is tried, as the model is then loaded once more.
const MAX_LAYOUT_LOAD: Duration = Duration::from_millis(250);

/// How long a run on one core may take, in percent of one on all of them, for a core each to be better: threads that gain
/// less than that do more for another request.
const LAYOUT_PERCENT: u32 = 125;

/// What is to be decided by measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// How many instances there are, and of how many threads.
    pub layout: bool,
    /// Whether requests are joined, and how many.
    pub batching: bool,
}

/// A loaded model and how it is best run.
pub struct Tuned {
    /// The model, loaded for `config`.
    pub model: Arc<dyn Model>,
    /// Its instances and their threads.
    pub config: ModelConfig,
    /// What runs of its first signature cost; empty if that could not be measured.
    pub costs: CostCurve,
    /// How requests are joined, where that was open and pays.
    pub batching: Option<BatchingConfig>,
    /// The signatures whose rows are not known to be independent, where joining was open.
    pub unjoinable: Vec<Arc<str>>,
}

impl fmt::Debug for Tuned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tuned")
            .field("config", &self.config)
            .field("costs", &self.costs)
            .field("batching", &self.batching)
            .field("unjoinable", &self.unjoinable)
            .finish_non_exhaustive()
    }
}

/// Loads a model and measures it; `open` is `None` where it is not to be run for that.
///
/// # Blocking
/// Until the model is loaded and was run for a quarter of a second, or twice; for half a second at most where a core each
/// is tried, or whether rows are independent.
///
/// # Errors
/// What the engine says of loading. What it says of made-up inputs is for the warm-up to judge.
pub fn tune(
    backend: &dyn Backend,
    files: &ModelFiles,
    config: ModelConfig,
    open: Option<Open>,
) -> Result<Tuned, BackendError> {
    let started_at = Instant::now();
    let model: Arc<dyn Model> = backend.load(files, &config)?.into();
    let Some(open) = open else {
        return Ok(Tuned {
            model,
            config,
            costs: CostCurve::default(),
            batching: None,
            unjoinable: Vec::new(),
        });
    };
    let load = started_at.elapsed();
    let mut trial = Trial::run(model, config, backend.platform());
    if open.layout && load <= MAX_LAYOUT_LOAD && trial.is_core_each_worth_a_try() {
        let core_each = ModelConfig {
            num_instances: config.num_threads,
            num_threads: NonZeroUsize::MIN,
        };
        // A failure is no news: the model is loaded as it was.
        if let Ok(model) = backend.load(files, &core_each) {
            let other = Trial::run(model.into(), core_each, backend.platform());
            if is_core_each_better(&trial.costs, &other.costs) {
                trial = other;
            }
        }
    }
    let (batching, unjoinable) = match open.batching {
        true => trial.batching(),
        false => (None, Vec::new()),
    };
    Ok(Tuned {
        model: trial.model,
        config: trial.config,
        costs: trial.costs,
        batching,
        unjoinable,
    })
}

/// Tells whether one core does about as well as all of them, for a request alone and for a useful batch.
fn is_core_each_better(all_cores: &CostCurve, core_each: &CostCurve) -> bool {
    let is_as_good = |num_rows: usize| {
        let runs = all_cores.at(num_rows).zip(core_each.at(num_rows));
        runs.is_some_and(|(all, each)| each <= all * LAYOUT_PERCENT / 100)
    };
    is_as_good(1) && is_as_good(all_cores.largest_useful())
}

/// A model that is run to see how it does.
struct Trial {
    model: Arc<dyn Model>,
    config: ModelConfig,
    costs: CostCurve,
    /// One instance, of which no other request knows; `None` if there was none to be had.
    executor: Option<LocalExecutor>,
}

impl Trial {
    /// Starts an instance and measures it.
    fn run(model: Arc<dyn Model>, config: ModelConfig, platform: &'static str) -> Self {
        let executor_config = ExecutorConfig {
            name: "trial".to_owned(),
            platform,
            num_instances: NonZeroUsize::MIN,
            queue_capacity: NonZeroUsize::MIN,
            batching: None,
            unjoinable: Vec::new(),
            max_wait: None,
            metrics: None,
        };
        let mut trial = Self {
            executor: LocalExecutor::start(&model, &executor_config).ok(),
            model,
            config,
            costs: CostCurve::default(),
        };
        trial.costs = trial.measure();
        trial
    }

    /// Tells whether the model may do better with one core for each of several runs.
    fn is_core_each_worth_a_try(&self) -> bool {
        let first = self.costs.costs().first();
        self.config.num_instances == NonZeroUsize::MIN
            && self.config.num_threads > NonZeroUsize::MIN
            && first.is_some_and(|first| first.run <= MAX_LAYOUT_RUN)
    }

    /// Returns how requests are to be joined, if that pays, and the signatures for which it is not to be done.
    fn batching(&self) -> (Option<BatchingConfig>, Vec<Arc<str>>) {
        let useful = NonZeroUsize::new(self.costs.largest_useful());
        let Some(useful) = useful.filter(|useful| useful.get() > 1) else {
            return (None, Vec::new());
        };
        let unjoinable = self.unjoinable();
        let is_any_joinable = unjoinable.len() < self.model.signatures().iter().count();
        let batching = is_any_joinable.then(|| BatchingConfig::measured(useful));
        (batching, unjoinable)
    }

    /// Measures the first signature whose inputs can be made up, the default one before others.
    fn measure(&self) -> CostCurve {
        let signatures = self.model.signatures();
        let by_name = signatures.get("").into_iter().chain(signatures.iter());
        let mut known = by_name.filter_map(|signature| Some((signature, Rows::of(signature)?)));
        let mut costs = CostCurve::default();
        let Some((signature, rows)) = known.next() else {
            return costs;
        };
        // The first run is longer than any other.
        if self.outcome(signature, rows.make(0, 1)).is_none() {
            return costs;
        }
        let started_at = Instant::now();
        let mut num_rows = 1;
        while num_rows <= MAX_ROWS {
            let Some(inputs) = rows.make(0, num_rows) else {
                break;
            };
            let left = BUDGET.saturating_sub(started_at.elapsed());
            let Some(run) = self.shortest(signature, &inputs, left) else {
                break;
            };
            costs.push(num_rows, run);
            num_rows *= 2;
            if !rows.has_batch_axis || started_at.elapsed() + run * 2 > BUDGET {
                break;
            }
        }
        costs
    }

    /// Returns how long a run takes, by several; `None` if one fails.
    fn shortest(
        &self,
        signature: &Arc<Signature>,
        inputs: &[Tensor],
        budget: Duration,
    ) -> Option<Duration> {
        let (mut shortest, mut sum) = (Duration::MAX, Duration::ZERO);
        for run_idx in 0..*NUM_RUNS.end() {
            if run_idx >= *NUM_RUNS.start() && sum > SIZE_BUDGET {
                break;
            }
            let run = self.outcome(signature, Some(inputs.to_vec()))?.run;
            (shortest, sum) = (shortest.min(run), sum + run);
            if sum + run > budget {
                break;
            }
        }
        Some(shortest)
    }

    /// Returns the signatures that do not give the same for a row whatever is beside it, or of which that is not known.
    fn unjoinable(&self) -> Vec<Arc<str>> {
        let started_at = Instant::now();
        let signatures = self.model.signatures().iter();
        signatures
            .filter(|signature| {
                started_at.elapsed() > BUDGET || !self.has_independent_rows(signature)
            })
            .map(|signature| Arc::clone(&signature.name))
            .collect()
    }

    fn has_independent_rows(&self, signature: &Arc<Signature>) -> bool {
        let Some(rows) = Rows::of(signature).filter(|rows| rows.has_batch_axis) else {
            return false;
        };
        let outputs = |start, num_rows| {
            let executed = self.outcome(signature, rows.make(start, num_rows))?;
            Some(executed.outputs)
        };
        let joined = outputs(0, NUM_COMPARED_ROWS);
        let alone: Option<Vec<_>> = (0..NUM_COMPARED_ROWS).map(|row| outputs(row, 1)).collect();
        joined
            .zip(alone)
            .is_some_and(|(joined, alone)| rows::are_independent(&joined, &alone))
    }

    /// Runs a signature for all its outputs; `None` if it fails.
    fn outcome(&self, signature: &Arc<Signature>, inputs: Option<Vec<Tensor>>) -> Option<Executed> {
        let batch = Batch {
            signature: Arc::clone(signature),
            inputs: inputs?,
            requested: (0..signature.outputs.len()).collect(),
            deadline: None,
            priority: Priority::Normal,
            hold: None,
        };
        self.executor.as_ref()?.execute_blocking(batch).ok()
    }
}

#[cfg(test)]
mod tests;
