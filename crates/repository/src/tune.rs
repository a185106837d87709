//! What a model's runs cost, measured as it is loaded, and what follows from it: instances, threads, batches.
//!
//! ```text
//! load ─► runs of 1, 2, 4 … rows ─► how many cores for a run? ─► the largest useful batch ─► are rows independent?
//! ```
//!
//! Inputs are made up: each row has noise of its own. What somebody fixed by hand stays; what cannot be measured (strings,
//! extents that are not declared, a model that refuses the inputs) is run as it would be without measuring.

mod rows;

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use salver_backend::{Backend, BackendError, Model, ModelConfig, ModelFiles, Signature};
use salver_batching::{
    Batch, BatchingConfig, CostCurve, Executed, ExecutorConfig, LocalExecutor, Priority,
};
use salver_system::scheduling;
use salver_tensor::Tensor;

use rows::Rows;

use crate::{BatchingSettings, ModelSettings};

/// How long the runs of one measurement may take together, the first aside.
const BUDGET: Duration = Duration::from_millis(300);

/// The most rows of a run that is measured: what comes after gains little, and makes the others wait.
const MAX_ROWS: usize = 128;

/// How much cheaper a row has to be in a larger batch for still larger ones to be tried, and how often it may fail to be:
/// what the engine keeps of its largest run is kept for good.
const CHEAPER: f64 = 0.9;
const MAX_NO_CHEAPER: usize = 2;

/// How often each size is run at least, and at most; the shortest counts, as a busy machine only ever makes runs longer.
const NUM_RUNS: RangeInclusive<usize> = 3..=6;

/// How long the runs of one size go on beyond the least, together.
const SIZE_BUDGET: Duration = Duration::from_millis(1);

/// How long they go on at all where their time is plausible, no more than twice that of half the rows: the time is better
/// spent on more rows.
const MAX_SIZE_BUDGET: Duration = Duration::from_millis(20);

/// The rows of the run that is compared with runs of one row each.
const NUM_COMPARED_ROWS: usize = 3;

/// The longest run for which fewer cores are tried: a longer one is worth being shared by all.
const MAX_LAYOUT_RUN: Duration = Duration::from_millis(5);

/// The longest load for which they are tried, as the model is then loaded again for each number of them.
const MAX_LAYOUT_LOAD: Duration = Duration::from_millis(250);

/// How long a run on fewer cores may take, in percent of one on all of them, for these to be better: threads that gain less
/// than that do more for another request.
const LAYOUT_PERCENT: u32 = 125;

/// Measurements take turns, as models are loaded side by side: what runs beside another's run is measured wrong.
static TURN: Mutex<()> = Mutex::new(());

/// What is to be decided by measuring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenChoices {
    /// How many instances there are, and of how many threads.
    pub layout: bool,
    /// Whether requests are joined, and how many.
    pub batching: bool,
}

impl OpenChoices {
    /// Returns what a model's settings leave open, where its requests are joined so.
    #[must_use]
    pub fn of(settings: &ModelSettings, batching: &BatchingSettings) -> Self {
        Self {
            layout: settings.instances.is_none() && settings.threads.is_none(),
            batching: *batching == BatchingSettings::Auto,
        }
    }
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

/// Loads a model and measures it; `open` is `None` where it is not to be run for that. `name` is the model's, for logs.
///
/// # Blocking
/// Until the model is loaded and was run: once, or for three tenths of a second for what runs cost and as long for whether
/// rows are independent; both again for each number of cores that is tried, for which it is loaded once more: up to three
/// copies of it are in memory then. Measurements wait for each other.
///
/// # Errors
/// What the engine says of loading. What it says of made-up inputs is for the warm-up to judge.
pub fn tune(
    name: &str,
    backend: &dyn Backend,
    files: &ModelFiles,
    config: ModelConfig,
    open: Option<OpenChoices>,
) -> Result<Tuned, BackendError> {
    let started_at = Instant::now();
    let mut tuned = Tuned::unmeasured(load(backend, files, &config)?, config);
    let took = started_at.elapsed();
    let Some(open) = open else {
        return Ok(tuned);
    };
    tuned.measure(name, backend.platform(), open);
    if open.layout && took <= MAX_LAYOUT_LOAD && tuned.is_worth_fewer_cores() {
        let try_cores = |num_threads| {
            let config = layout(config, num_threads);
            // A failure is no news: the model is loaded as it was.
            let mut other = Tuned::unmeasured(load(backend, files, &config).ok()?, config);
            other.measure(name, backend.platform(), open);
            Some(other)
        };
        if let Some(better) = with_fewer_cores(config.num_threads, &tuned.costs, try_cores) {
            tuned = better;
        }
    }
    Ok(tuned)
}

/// Loads a model into memory that goes back to the system when it is unloaded.
fn load(
    backend: &dyn Backend,
    files: &ModelFiles,
    config: &ModelConfig,
) -> Result<Box<dyn Model>, BackendError> {
    let _mapped = salver_system::memory::map_blocks();
    backend.load(files, config)
}

/// Returns as many instances of so many threads as there are threads in one now.
fn layout(all_cores: ModelConfig, num_threads: NonZeroUsize) -> ModelConfig {
    let num_instances = all_cores.num_threads.get() / num_threads;
    ModelConfig {
        num_instances: NonZeroUsize::new(num_instances).unwrap_or(NonZeroUsize::MIN),
        num_threads,
    }
}

/// Returns the model on the fewest cores a run that do about as well as all of them; `None` if none do.
///
/// One is tried first, as it is best for most models for which fewer are; then ever halves, as long as they do.
fn with_fewer_cores(
    all: NonZeroUsize,
    costs: &CostCurve,
    mut try_cores: impl FnMut(NonZeroUsize) -> Option<Tuned>,
) -> Option<Tuned> {
    let mut try_better =
        |num_threads| try_cores(num_threads).filter(|other| is_as_good(costs, &other.costs));
    if let Some(core_each) = try_better(NonZeroUsize::MIN) {
        return Some(core_each);
    }
    let mut best = None;
    let halves = std::iter::successors(Some(all.get() / 2), |threads| Some(threads / 2));
    for num_threads in halves.take_while(|&threads| threads > 1) {
        let Some(better) = NonZeroUsize::new(num_threads).and_then(&mut try_better) else {
            break;
        };
        best = Some(better);
    }
    best
}

impl Tuned {
    /// Returns how requests are joined under such settings: as asked for, or as measured, or not.
    #[must_use]
    pub fn joining(&self, settings: &BatchingSettings) -> Option<BatchingConfig> {
        match settings {
            BatchingSettings::On(config) => {
                let mut config = BatchingConfig::clone(config);
                // Whoever lets requests wait for others, or fills batches up, wants them joined whatever it costs.
                if config.delay.is_zero() && config.allowed_batch_sizes.is_empty() {
                    config.min_joined_rows = self.costs.smallest_useful().unwrap_or_default();
                }
                Some(config)
            }
            BatchingSettings::Auto => self.batching.clone(),
            BatchingSettings::Off => None,
        }
    }

    fn unmeasured(model: Box<dyn Model>, config: ModelConfig) -> Self {
        Self {
            model: model.into(),
            config,
            costs: CostCurve::default(),
            batching: None,
            unjoinable: Vec::new(),
        }
    }

    /// Measures the model in a thread of its own, which gives way to requests for others, as do those of its instance.
    fn measure(&mut self, name: &str, platform: &'static str, open: OpenChoices) {
        thread::scope(|scope| {
            let measured = thread::Builder::new().spawn_scoped(scope, || {
                scheduling::give_way();
                self.run_trial(name, platform, open);
            });
            if let Err(error) = measured {
                tracing::debug!(model = name, %error, "not measured: no thread is to be had for it");
            }
        });
    }

    /// Runs the model, in an instance of which no request knows, and decides what is open about batches.
    fn run_trial(&mut self, name: &str, platform: &'static str, open: OpenChoices) {
        let Some(trial) = Trial::start(name, &self.model, platform) else {
            return;
        };
        if trial.warm_up().is_none_or(|run| run > BUDGET) {
            tracing::debug!(
                model = name,
                "not measured: its inputs cannot be made up, it refuses them, or it is slow"
            );
            return;
        }
        // A run that never ends has not come this far, so nobody waits for ever.
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        self.costs = trial.measure(BUDGET);
        let useful = NonZeroUsize::new(self.costs.largest_useful());
        let useful = useful.filter(|useful| open.batching && useful.get() > 1);
        if let Some(useful) = useful {
            self.unjoinable = trial.unjoinable(BUDGET);
            let is_any_joinable = self.unjoinable.len() < self.model.signatures().iter().count();
            self.batching = is_any_joinable.then(|| BatchingConfig {
                min_joined_rows: self.costs.smallest_useful().unwrap_or_default(),
                ..BatchingConfig::measured(useful)
            });
        }
    }

    /// Tells whether the model may do better with fewer cores for each of several runs.
    fn is_worth_fewer_cores(&self) -> bool {
        let first = self.costs.costs().first();
        self.config.num_instances == NonZeroUsize::MIN
            && self.config.num_threads > NonZeroUsize::MIN
            && first.is_some_and(|first| first.run <= MAX_LAYOUT_RUN)
    }
}

/// Tells whether fewer cores do about as well as all of them, for a request alone and for a useful batch.
fn is_as_good(all_cores: &CostCurve, fewer: &CostCurve) -> bool {
    [1, all_cores.largest_useful()].into_iter().all(|num_rows| {
        let runs = all_cores.at(num_rows).zip(fewer.at(num_rows));
        runs.is_some_and(|(all, fewer)| fewer <= all * LAYOUT_PERCENT / 100)
    })
}

/// A model that is run to see how it does.
struct Trial<'a> {
    model: &'a dyn Model,
    executor: LocalExecutor,
}

impl<'a> Trial<'a> {
    /// Starts one instance; `None` if there is none to be had.
    fn start(name: &str, model: &'a Arc<dyn Model>, platform: &'static str) -> Option<Self> {
        let config = ExecutorConfig {
            name: name.to_owned(),
            platform,
            num_instances: NonZeroUsize::MIN,
            queue_capacity: NonZeroUsize::MIN,
            batching: None,
            unjoinable: Vec::new(),
            max_wait: None,
            metrics: None,
        };
        let executor = LocalExecutor::start(model, &config).ok()?;
        Some(Self {
            model: &**model,
            executor,
        })
    }

    /// Returns the signature that is measured: the default one, or the first of the others whose inputs can be made up.
    fn signature(&self) -> Option<(&Arc<Signature>, Rows<'_>)> {
        let signatures = self.model.signatures();
        let mut by_name = signatures.get("").into_iter().chain(signatures.iter());
        by_name.find_map(|signature| Some((signature, Rows::of(signature)?)))
    }

    /// Runs it for the first time, which takes longer than any other; returns how long, or `None` if it cannot be run.
    fn warm_up(&self) -> Option<Duration> {
        let (signature, rows) = self.signature()?;
        Some(self.outcome(signature, rows.make(0, 1))?.run)
    }

    /// Measures runs of ever more rows, until they cost no less a row, or the time is up.
    fn measure(&self, budget: Duration) -> CostCurve {
        let mut costs = CostCurve::default();
        let Some((signature, rows)) = self.signature() else {
            return costs;
        };
        let started_at = Instant::now();
        let (mut num_rows, mut cheapest, mut num_no_cheaper) = (1, Duration::MAX, 0);
        while num_rows <= MAX_ROWS && num_no_cheaper < MAX_NO_CHEAPER {
            let Some(inputs) = rows.make(0, num_rows) else {
                break;
            };
            let left = budget.saturating_sub(started_at.elapsed());
            let plausible = costs
                .at(num_rows / 2)
                .map_or(Duration::ZERO, |half| half * 2);
            let Some(run) = self.shortest(signature, &inputs, left, plausible) else {
                break;
            };
            costs.push(num_rows, run);
            let row = run.div_f64(num_rows as f64);
            num_no_cheaper = match row < cheapest.mul_f64(CHEAPER) {
                true => 0,
                false => num_no_cheaper + 1,
            };
            cheapest = cheapest.min(row);
            num_rows *= 2;
            let elapsed = started_at.elapsed();
            if !rows.has_batch_axis || elapsed.saturating_add(run * 2) > budget {
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
        plausible: Duration,
    ) -> Option<Duration> {
        let (mut shortest, mut sum) = (Duration::MAX, Duration::ZERO);
        for run_idx in 0..*NUM_RUNS.end() {
            if run_idx >= *NUM_RUNS.start() && sum > SIZE_BUDGET {
                break;
            }
            let run = self.outcome(signature, Some(inputs.to_vec()))?.run;
            (shortest, sum) = (shortest.min(run), sum + run);
            let is_enough = sum > MAX_SIZE_BUDGET && (run_idx > 0 || run <= plausible);
            if is_enough || sum + run > budget {
                break;
            }
        }
        Some(shortest)
    }

    /// Returns the signatures that do not give the same for a row whatever is beside it, or of which that is not known.
    fn unjoinable(&self, budget: Duration) -> Vec<Arc<str>> {
        let started_at = Instant::now();
        let signatures = self.model.signatures().iter();
        signatures
            .filter(|signature| {
                started_at.elapsed() > budget || !self.has_independent_rows(signature)
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
        self.executor.execute_blocking(batch).ok()
    }
}

#[cfg(test)]
mod tests;
