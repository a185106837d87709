//! Measures how a model runs on several threads at once: `cargo run --release --example concurrency FOLDER
//! [BATCH [THREADS...]]`, where FOLDER holds a `saved_model.pb`. Needs the libraries of `install_tensorflow`.
//!
//! Inputs are zeros of the declared shape, open extents BATCH (1 if nothing is said). One row for each number of
//! instances and of THREADS within a run.

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use salver_backend::{
    Backend, BackendError, Inputs, Instance, ModelConfig, ModelFiles, ModelFormat, Requested,
    Signature,
};
use salver_backend_tensorflow::{Config, TensorFlow};
use salver_tensor::{AlignedVec, Dim, Shape, Tensor, TensorSpec};

const WARM_UP: Duration = Duration::from_millis(500);
const MEASURED: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(folder) = arguments.next() else {
        return fail("usage: concurrency FOLDER [BATCH]");
    };
    let batch = arguments
        .next()
        .and_then(|batch| batch.to_str().and_then(|batch| batch.parse().ok()))
        .unwrap_or(1);
    let threads = arguments.filter_map(|threads| threads.to_str()?.parse().ok());
    let mut threads: Vec<NonZeroUsize> = threads.collect();
    if threads.is_empty() {
        threads.push(ModelConfig::default().num_threads);
    }
    match measure(Path::new(&folder), batch, &threads) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

fn measure(folder: &Path, batch: usize, threads: &[NonZeroUsize]) -> Result<(), BackendError> {
    let backend = TensorFlow::new(Config {
        cache_dir: Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/engines")),
        ..Config::default()
    });
    let files = ModelFiles {
        format: ModelFormat::SavedModel,
        dir: folder.to_path_buf(),
        main: folder.join("saved_model.pb"),
    };
    print("threads  instances     runs/s   median      p99");
    for &num_threads in threads {
        let config = ModelConfig {
            num_threads,
            ..ModelConfig::default()
        };
        let model = backend.load(&files, &config)?;
        let signature =
            Arc::clone(
                model
                    .signatures()
                    .get("")
                    .ok_or_else(|| BackendError::InvalidInput {
                        message: "there is no default signature".to_owned(),
                    })?,
            );
        let inputs: Vec<Tensor> = signature
            .inputs
            .iter()
            .map(|spec| zeros(spec, batch))
            .collect();
        for num_instances in [1, 2, 4] {
            let instances = (0..num_instances)
                .map(|_| model.instance())
                .collect::<Result<Vec<_>, _>>()?;
            let row = run(instances, &signature, &inputs)?;
            print(&format!("{num_threads:7}  {num_instances:9}  {row}"));
        }
    }
    Ok(())
}

/// Runs every instance on a thread of its own and returns the figures of all of them.
fn run(
    instances: Vec<Box<dyn Instance>>,
    signature: &Signature,
    inputs: &[Tensor],
) -> Result<String, BackendError> {
    let threads = |instances: Vec<Box<dyn Instance>>| {
        thread::scope(|scope| {
            let threads: Vec<_> = instances
                .into_iter()
                .map(|instance| scope.spawn(move || runs(instance, signature, inputs)))
                .collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or(Err(BackendError::Panicked {
                    platform: "tensorflow",
                }))
            };
            threads.into_iter().map(join).collect::<Result<Vec<_>, _>>()
        })
    };
    let mut times: Vec<Duration> = threads(instances)?.concat();
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    let per_second = times.len() as f64 / MEASURED.as_secs_f64();
    Ok(format!(
        "{per_second:9.1}  {:6.0} µs  {:6.0} µs",
        at(50),
        at(99)
    ))
}

/// Runs until time is up; returns how long each run took, but for the first ones.
fn runs(
    mut instance: Box<dyn Instance>,
    signature: &Signature,
    inputs: &[Tensor],
) -> Result<Vec<Duration>, BackendError> {
    let all: Vec<usize> = (0..signature.outputs.len()).collect();
    let inputs = Inputs {
        signature,
        tensors: inputs,
        deadline: None,
    };
    let started = Instant::now();
    let mut times = Vec::new();
    while started.elapsed() < WARM_UP + MEASURED {
        let run_started = Instant::now();
        instance.run(&inputs, &Requested(&all))?;
        if started.elapsed() > WARM_UP {
            times.push(run_started.elapsed());
        }
    }
    Ok(times)
}

fn zeros(spec: &TensorSpec, batch: usize) -> Tensor {
    let extent = |dim: &Dim| match dim {
        Dim::Fixed(extent) => *extent,
        Dim::Dynamic(_) => batch,
    };
    let shape: Shape = spec.dims.iter().flatten().map(extent).collect();
    let num_bytes = shape.num_elements().unwrap_or(0) * spec.dtype.size().unwrap_or(0);
    let bytes = AlignedVec::<u8>::zeroed(num_bytes).into_bytes();
    Tensor::from_bytes(spec.dtype, shape, bytes).expect("zeros of numbers fit")
}

#[allow(clippy::print_stdout, reason = "a program for the command line")]
fn print(line: &str) {
    println!("{line}");
}

#[allow(clippy::print_stderr, reason = "a program for the command line")]
fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::FAILURE
}
