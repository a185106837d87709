use std::path::PathBuf;

use salver_backend::{EngineStatus, Inputs, Instance, ModelFormat, Outputs, Requested, Signatures};
use salver_tensor::{DType, Dim, TensorSpec};

use super::*;

/// What a model makes of its rows, which are [`WIDTH`] wide.
type Rule = fn(&[&[f32]]) -> Vec<f32>;

const WIDTH: usize = 16;

/// Models of `f32[batch,16]`, all of one rule.
struct Engine(Rule);

impl Backend for Engine {
    fn platform(&self) -> &'static str {
        "function"
    }

    fn formats(&self) -> &'static [ModelFormat] {
        &[ModelFormat::Onnx]
    }

    fn status(&self) -> EngineStatus {
        EngineStatus {
            version: None,
            library: None,
            note: String::new(),
        }
    }

    fn supports(&self, _files: &ModelFiles) -> Result<(), BackendError> {
        Ok(())
    }

    fn load(
        &self,
        _files: &ModelFiles,
        _config: &ModelConfig,
    ) -> Result<Box<dyn Model>, BackendError> {
        Ok(Box::new(Function {
            signatures: signatures(),
            function: self.0,
        }))
    }
}

fn signatures() -> Signatures {
    let rows = vec![Dim::Dynamic(None), Dim::Fixed(WIDTH)];
    let x = TensorSpec::new("x", DType::F32, Some(rows));
    let y = TensorSpec::new("y", DType::F32, Some(vec![Dim::Dynamic(None)]));
    let signature = Signature::serving_default(vec![x], vec![y]);
    [signature].into_iter().collect()
}

struct Function {
    signatures: Signatures,
    function: Rule,
}

impl Model for Function {
    fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    fn instance(&self) -> Result<Box<dyn Instance>, BackendError> {
        Ok(Box::new(Runs(self.function)))
    }
}

struct Runs(Rule);

impl Instance for Runs {
    fn run(
        &mut self,
        inputs: &Inputs<'_>,
        _outputs: &Requested<'_>,
    ) -> Result<Outputs, BackendError> {
        let x = inputs.tensors[0].as_slice::<f32>().unwrap();
        let y = (self.0)(&x.chunks(WIDTH).collect::<Vec<_>>());
        Ok(vec![Tensor::from_vec([y.len()], y).unwrap()])
    }
}

fn files() -> ModelFiles {
    ModelFiles {
        format: ModelFormat::Onnx,
        dir: PathBuf::new(),
        main: PathBuf::new(),
    }
}

fn tuned(function: Rule, open: Option<OpenChoices>) -> Tuned {
    tune("m", &Engine(function), &files(), fixed(), open).unwrap()
}

fn fixed() -> ModelConfig {
    ModelConfig {
        num_instances: NonZeroUsize::MIN,
        num_threads: NonZeroUsize::MIN,
    }
}

const BATCHING_ONLY: Option<OpenChoices> = Some(OpenChoices {
    layout: false,
    batching: true,
});

fn double(rows: &[&[f32]]) -> Vec<f32> {
    rows.iter().map(|row| 2.0 * row[0]).collect()
}

fn greatest(values: &[&[f32]]) -> f32 {
    let values = values.iter().flat_map(|row| row.iter().copied());
    values.fold(0.0, f32::max)
}

/// Returns the signatures that are not to be joined, however long it takes to find out.
fn unjoinable(function: Rule) -> Vec<Arc<str>> {
    let signatures = signatures();
    let model: Arc<dyn Model> = Arc::new(Function {
        signatures,
        function,
    });
    let trial = Trial::start("m", &model, "function").unwrap();
    trial.unjoinable(Duration::MAX)
}

#[test]
fn runs_of_ever_more_rows_are_measured() {
    let tuned = tuned(double, BATCHING_ONLY);
    let costs = tuned.costs.costs();
    assert_eq!(costs[0].num_rows, 1);
    for pair in costs.windows(2) {
        assert_eq!(pair[1].num_rows, 2 * pair[0].num_rows);
    }
    // What follows from it depends on the machine, but it does follow.
    let useful = NonZeroUsize::new(tuned.costs.largest_useful()).unwrap();
    let batching = (useful.get() > 1).then(|| BatchingConfig {
        min_joined_rows: tuned.costs.smallest_useful().unwrap_or_default(),
        ..BatchingConfig::measured(useful)
    });
    assert_eq!(tuned.batching, batching);
    assert!(tuned.unjoinable.is_empty());
}

#[test]
fn few_rows_are_joined_only_where_that_pays_or_somebody_waits_for_them() {
    let mut tuned = tuned(double, BATCHING_ONLY);
    tuned.costs = CostCurve::default();
    for (num_rows, micros) in [(1, 25), (2, 48), (4, 50)] {
        tuned.costs.push(num_rows, Duration::from_micros(micros));
    }
    let config = BatchingConfig::new(NonZeroUsize::new(64).unwrap());
    let min_rows = |config: &BatchingConfig| {
        let settings = BatchingSettings::On(Box::new(config.clone()));
        tuned.joining(&settings).unwrap().min_joined_rows
    };
    assert_eq!(min_rows(&config), 4);
    let patient = BatchingConfig {
        delay: Duration::from_millis(1),
        ..config.clone()
    };
    assert_eq!(min_rows(&patient), 0);
    let filled = BatchingConfig {
        allowed_batch_sizes: vec![8, 64],
        ..config
    };
    assert_eq!(min_rows(&filled), 0);
}

#[test]
fn rows_are_joined_only_if_they_do_not_look_at_each_other() {
    let independent: [Rule; 3] = [
        double,
        |rows| rows.iter().map(|row| row.iter().sum()).collect(),
        |rows| rows.iter().map(|row| row[0] / greatest(&[row])).collect(),
    ];
    for (idx, function) in independent.into_iter().enumerate() {
        assert!(unjoinable(function).is_empty(), "{idx}");
    }
    let dependent: [Rule; 7] = [
        // Parts of the greatest of all, differences from the mean of all, steps of a scale for all.
        |rows| rows.iter().map(|row| row[0] / greatest(rows)).collect(),
        |rows| {
            let sum: f32 = rows.iter().flat_map(|row| row.iter()).sum();
            let mean = sum / (rows.len() * WIDTH) as f32;
            rows.iter().map(|row| row[0] - mean).collect()
        },
        |rows| {
            let step = greatest(rows) / 255.0;
            rows.iter()
                .map(|row| (row[0] / step).round() * step)
                .collect()
        },
        |rows| rows.iter().rev().map(|row| row[0]).collect(),
        // One row for all.
        |rows| vec![rows.iter().map(|row| row[0]).sum()],
        // What came out is not known to be of its row.
        |rows| vec![1.0; rows.len()],
        |rows| match rows.len() {
            1 => vec![rows[0][0]],
            _ => Vec::new(),
        },
    ];
    for (idx, function) in dependent.into_iter().enumerate() {
        assert_eq!(unjoinable(function).len(), 1, "{idx}");
    }
}

#[test]
fn what_is_not_open_is_left_alone() {
    let closed = Some(OpenChoices {
        layout: false,
        batching: false,
    });
    let measured = tuned(double, closed);
    assert_eq!((measured.batching, measured.config), (None, fixed()));
    assert!(!measured.costs.costs().is_empty());
    let unmeasured = tuned(|_| panic!("it is not to be run"), None);
    assert_eq!(unmeasured.costs, CostCurve::default());
}

#[test]
fn a_model_that_fails_on_made_up_rows_is_loaded_all_the_same() {
    let tuned = tuned(|_| panic!("not these"), BATCHING_ONLY);
    assert_eq!(tuned.costs, CostCurve::default());
    assert_eq!(tuned.batching, None);
}

fn curve(micros: [u64; 3]) -> CostCurve {
    let mut curve = CostCurve::default();
    for (idx, micros) in micros.into_iter().enumerate() {
        curve.push(1 << idx, Duration::from_micros(micros));
    }
    curve
}

#[test]
fn fewer_cores_are_better_where_others_bring_little() {
    let rows = [
        ([10, 11, 12], [10, 11, 12], true),
        ([100, 110, 130], [120, 130, 160], true),
        ([100, 190, 380], [180, 350, 700], false),
        // A request alone gains nothing from other cores, but the batches that will form do.
        ([10, 12, 14], [11, 14, 28], false),
    ];
    for (all_cores, core_each, expected) in rows {
        let (all_cores, core_each) = (curve(all_cores), curve(core_each));
        assert_eq!(is_as_good(&all_cores, &core_each), expected);
    }
    assert!(!is_as_good(&CostCurve::default(), &CostCurve::default()));
}

/// What a run takes by its cores, in microseconds; how many cores there are; instances and threads; what was tried.
type Cores = (fn(u64) -> u64, usize, [usize; 2], &'static [usize]);

#[test]
fn runs_have_the_fewest_cores_that_do_about_as_well_as_all() {
    let rows: [Cores; 6] = [
        (|_| 100, 16, [16, 1], &[1]),
        (|cores| 1600 / cores, 16, [1, 16], &[1, 8]),
        // Beyond four cores nothing is gained.
        (|cores| 400 / cores.min(4), 16, [4, 4], &[1, 8, 4, 2]),
        (|cores| 400 / cores.min(4), 12, [2, 6], &[1, 6, 3]),
        (|cores| 200 / cores, 2, [1, 2], &[1]),
        (|_| 100, 2, [2, 1], &[1]),
    ];
    for (micros, num_cores, expected, expected_tries) in rows {
        let num_cores = NonZeroUsize::new(num_cores).unwrap();
        let all_cores = ModelConfig {
            num_instances: NonZeroUsize::MIN,
            num_threads: num_cores,
        };
        let costs = |threads: NonZeroUsize| curve([micros(threads.get() as u64); 3]);
        let mut tries = Vec::new();
        let found = with_fewer_cores(num_cores, &costs(num_cores), |num_threads| {
            tries.push(num_threads.get());
            let model = Engine(|_| Vec::new()).load(&files(), &all_cores).ok()?;
            let mut other = Tuned::unmeasured(model, layout(all_cores, num_threads));
            other.costs = costs(num_threads);
            Some(other)
        });
        let config = found.map_or(all_cores, |found| found.config);
        let found = [config.num_instances.get(), config.num_threads.get()];
        assert_eq!((found, &*tries), (expected, expected_tries), "{num_cores}");
    }
}
