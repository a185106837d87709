use std::path::PathBuf;

use salver_backend::{EngineStatus, Inputs, Instance, ModelFormat, Outputs, Requested, Signatures};
use salver_tensor::{DType, Dim, TensorSpec};

use super::*;

/// What a model makes of its rows.
type Rule = fn(&[f32]) -> Vec<f32>;

/// Models of `f32[batch]`, all of one rule.
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
        let spec = |name| TensorSpec::new(name, DType::F32, Some(vec![Dim::Dynamic(None)]));
        let signature = Signature::serving_default(vec![spec("x")], vec![spec("y")]);
        Ok(Box::new(Function {
            signatures: [signature].into_iter().collect(),
            function: self.0,
        }))
    }
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
        let y = (self.0)(inputs.tensors[0].as_slice::<f32>().unwrap());
        Ok(vec![Tensor::from_vec([y.len()], y).unwrap()])
    }
}

fn tuned(function: Rule, open: Option<Open>) -> Tuned {
    let files = ModelFiles {
        format: ModelFormat::Onnx,
        dir: PathBuf::new(),
        main: PathBuf::new(),
    };
    tune(&Engine(function), &files, fixed(), open).unwrap()
}

fn fixed() -> ModelConfig {
    ModelConfig {
        num_instances: NonZeroUsize::MIN,
        num_threads: NonZeroUsize::MIN,
    }
}

const BATCHING_ONLY: Option<Open> = Some(Open {
    layout: false,
    batching: true,
});

fn double(rows: &[f32]) -> Vec<f32> {
    rows.iter().map(|row| 2.0 * row).collect()
}

#[test]
fn rows_that_are_independent_are_joined_where_that_pays() {
    let tuned = tuned(double, BATCHING_ONLY);
    let sizes: Vec<usize> = tuned
        .costs
        .costs()
        .iter()
        .map(|cost| cost.num_rows)
        .collect();
    assert_eq!(sizes, [1, 2, 4, 8, 16, 32, 64, 128]);
    let useful = NonZeroUsize::new(tuned.costs.largest_useful()).unwrap();
    assert!(useful.get() > 1);
    assert_eq!(tuned.batching, Some(BatchingConfig::measured(useful)));
    assert!(tuned.unjoinable.is_empty());
}

#[test]
fn rows_that_look_at_each_other_are_never_joined() {
    let functions: [Rule; 5] = [
        // A part of the whole.
        |rows| {
            let sum: f32 = rows.iter().sum();
            rows.iter().map(|row| row / sum).collect()
        },
        |rows| rows.iter().rev().copied().collect(),
        // One row for all.
        |rows| vec![rows.iter().sum()],
        // What came out is not known to be of its row.
        |rows| vec![1.0; rows.len()],
        |rows| match rows.len() {
            1 => rows.to_vec(),
            _ => Vec::new(),
        },
    ];
    for (idx, function) in functions.into_iter().enumerate() {
        assert_eq!(tuned(function, BATCHING_ONLY).batching, None, "{idx}");
    }
}

#[test]
fn what_is_not_open_is_left_alone() {
    let closed = Some(Open {
        layout: false,
        batching: false,
    });
    let measured = tuned(double, closed);
    assert_eq!((measured.batching, measured.config), (None, fixed()));
    assert_eq!(measured.costs.costs().len(), 8);
    let unmeasured = tuned(|_| panic!("it is not to be run"), None);
    assert_eq!(unmeasured.costs, CostCurve::default());
}

#[test]
fn a_model_that_fails_on_made_up_rows_is_loaded_all_the_same() {
    let tuned = tuned(|_| panic!("not these"), BATCHING_ONLY);
    assert_eq!(tuned.costs, CostCurve::default());
    assert_eq!(tuned.batching, None);
}

#[test]
fn a_core_each_is_better_where_other_cores_bring_little() {
    let curve = |micros: [u64; 3]| {
        let mut curve = CostCurve::default();
        for (idx, micros) in micros.into_iter().enumerate() {
            curve.push(1 << idx, Duration::from_micros(micros));
        }
        curve
    };
    let rows = [
        ([10, 11, 12], [10, 11, 12], true),
        ([100, 110, 130], [120, 130, 160], true),
        ([100, 190, 380], [180, 350, 700], false),
        // A request alone gains nothing from other cores, but the batches that will form do.
        ([10, 12, 14], [11, 14, 28], false),
    ];
    for (all_cores, core_each, expected) in rows {
        let (all_cores, core_each) = (curve(all_cores), curve(core_each));
        assert_eq!(is_core_each_better(&all_cores, &core_each), expected);
    }
    assert!(!is_core_each_better(
        &CostCurve::default(),
        &CostCurve::default()
    ));
}
