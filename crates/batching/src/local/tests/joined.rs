//! Requests that are joined: what each is answered with, and what it is kept from.

use salver_telemetry::Metrics;
use salver_tensor::Shape;

use super::*;

const FIVE: NonZeroUsize = NonZeroUsize::new(5).expect("5 is not zero");

type Task = tokio::task::JoinHandle<Result<Executed, ExecuteError>>;

/// What a fake model saw: the shapes of the first input of each run.
type Runs = Arc<Mutex<Vec<Vec<usize>>>>;

/// An executor of one instance, which may be kept busy so that what comes meanwhile is joined.
struct Scene {
    executor: Arc<LocalExecutor>,
    signature: Arc<Signature>,
    runs: Runs,
    has_started: Receiver<()>,
    let_go: Sender<()>,
    metrics: Metrics,
}

fn spec(name: &str) -> TensorSpec {
    TensorSpec::new(name, DType::F32, None)
}

/// The sum of each row.
fn sums(inputs: &[Tensor]) -> Result<Outputs, BackendError> {
    let rows = inputs[0].shape()[0];
    let values = inputs[0].as_slice::<f32>().unwrap();
    if values.contains(&666.0) {
        return Err(engine_error("a bad row"));
    }
    let sums = values
        .chunks(values.len() / rows)
        .map(|row| row.iter().sum::<f32>())
        .collect();
    Ok(vec![Tensor::from_vec([rows], sums).unwrap()])
}

impl Scene {
    fn new(config: BatchingConfig) -> Self {
        Self::of(config, sums)
    }

    fn of(
        config: BatchingConfig,
        answer: impl Fn(&[Tensor]) -> Result<Outputs, BackendError> + Send + Sync + 'static,
    ) -> Self {
        let (started, has_started) = bounded(16);
        let (let_go, gate) = bounded(16);
        let runs = Runs::default();
        let seen = Arc::clone(&runs);
        let behaviour = move |inputs: &[Tensor]| {
            if inputs[0].as_slice::<f32>().unwrap()[0] < 0.0 {
                started.send(()).unwrap();
                // An error means that the test is over.
                gate.recv().ok();
                return Ok(inputs.to_vec());
            }
            seen.lock().unwrap().push(inputs[0].shape().to_vec());
            answer(inputs)
        };
        let shared = Arc::new(Shared {
            behaviour: Box::new(behaviour),
            num_runs: AtomicUsize::new(0),
            num_instances: AtomicUsize::new(0),
            max_instances: AtomicUsize::new(usize::MAX),
            runs_in_caller: AtomicBool::new(false),
        });
        let model = FakeModel {
            signatures: Signatures::default(),
            shared,
        };
        let metrics = Metrics::new("test");
        let config = ExecutorConfig {
            name: "fake".to_owned(),
            platform: "fake",
            num_instances: NonZeroUsize::MIN,
            queue_capacity: NonZeroUsize::new(100).unwrap(),
            batching: Some(config),
            unjoinable: Vec::new(),
            metrics: Some(metrics.runs("fake", 1)),
            max_wait: None,
        };
        let executor = LocalExecutor::start(&(Arc::new(model) as Arc<dyn Model>), &config).unwrap();
        let signature = Signature::serving_default(vec![spec("x")], vec![spec("y")]);
        Self {
            executor: Arc::new(executor),
            signature: Arc::new(signature),
            runs,
            has_started,
            let_go,
            metrics,
        }
    }

    fn batch(&self, shape: impl Into<Shape>, values: &[f32]) -> Batch {
        Batch {
            signature: Arc::clone(&self.signature),
            inputs: vec![Tensor::from_vec(shape, values.to_vec()).unwrap()],
            requested: vec![0],
            deadline: None,
            priority: Priority::default(),
            hold: None,
        }
    }

    fn row(&self, value: f32) -> Batch {
        self.batch([1, 1], &[value])
    }

    async fn spawn(&self, batch: Batch) -> Task {
        let task = spawn(&self.executor, batch);
        tokio::task::yield_now().await;
        task
    }

    /// Returns once the instance is busy; what it is busy with ends when it is let go.
    async fn keep_busy(&self) -> Task {
        let busy = self.spawn(self.row(-1.0)).await;
        let has_started = self.has_started.clone();
        let started = tokio::task::spawn_blocking(move || has_started.recv());
        started.await.unwrap().unwrap();
        busy
    }

    /// Runs requests that waited while the instance was busy; returns what each is answered with.
    async fn ask(&self, batches: Vec<Batch>) -> Vec<Result<Vec<f32>, ExecuteError>> {
        let busy = self.keep_busy().await;
        let mut tasks = Vec::new();
        for batch in batches {
            tasks.push(self.spawn(batch).await);
        }
        self.let_go.send(()).unwrap();
        busy.await.unwrap().unwrap();
        let mut answers = Vec::new();
        for task in tasks {
            let values = |executed: Executed| executed.outputs[0].as_slice().unwrap().to_vec();
            answers.push(task.await.unwrap().map(values));
        }
        answers
    }

    /// Returns what TensorFlow Serving's metrics say of batches; `None` of what never occurred.
    fn counted<const N: usize>(&self, samples: [&str; N]) -> [Option<u64>; N] {
        let page = self.metrics.encode_tensorflow();
        samples.map(|sample| {
            let sample = format!(":tensorflow:serving:batching_session:{sample} ");
            let value = page.lines().find_map(|line| line.strip_prefix(&sample))?;
            Some(value.parse().unwrap())
        })
    }

    fn runs(&self) -> Vec<Vec<usize>> {
        std::mem::take(&mut self.runs.lock().unwrap())
    }
}

#[tokio::test]
async fn requests_that_wait_are_joined_and_each_gets_its_own_rows() {
    let scene = Scene::new(BatchingConfig::new(FIVE));
    let batches = vec![
        scene.batch([1, 2], &[1.0, 2.0]),
        scene.batch([2, 2], &[3.0, 4.0, 5.0, 6.0]),
        // Another width: another batch.
        scene.batch([1, 1], &[7.0]),
        scene.batch([2, 2], &[8.0, 9.0, 10.0, 11.0]),
        scene.batch([1, 2], &[12.0, 13.0]),
    ];
    let expected = [
        vec![3.0],
        vec![7.0, 11.0],
        vec![7.0],
        vec![17.0, 21.0],
        vec![25.0],
    ];
    assert_eq!(scene.ask(batches).await, expected.map(Ok));
    assert_eq!(scene.runs(), [[5, 2], [1, 1], [1, 2]]);
}

#[tokio::test]
async fn where_it_was_measured_what_is_useful_larger_requests_run_as_they_are() {
    let scene = Scene::new(BatchingConfig::measured(NonZeroUsize::new(2).unwrap()));
    let batches = vec![
        scene.row(1.0),
        scene.batch([3, 1], &[2.0, 3.0, 4.0]),
        scene.row(5.0),
    ];
    let expected = [vec![1.0], vec![2.0, 3.0, 4.0], vec![5.0]];
    assert_eq!(scene.ask(batches).await, expected.map(Ok));
    assert_eq!(scene.runs(), [[2, 1], [3, 1]]);
}

#[tokio::test]
async fn nobody_who_did_not_ask_for_batches_is_told_of_their_queue() {
    let scene = Scene::new(BatchingConfig::measured(FIVE));
    let busy = scene.keep_busy().await;
    let mut late = scene.row(1.0);
    late.deadline = Some(Instant::now() + Duration::from_millis(1));
    let answer = scene.spawn(late).await.await.unwrap();
    let expected = ExecuteError::DeadlineExceeded {
        waited_in_queue: true,
    };
    assert_eq!(answer.unwrap_err(), expected);
    scene.let_go.send(()).unwrap();
    busy.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_nobody_waits_for_can_be_let_go_before_its_turn() {
    let scene = Scene::new(BatchingConfig::new(FIVE));
    let busy = scene.keep_busy().await;
    let hold = Arc::new(());
    let held = |value| Batch {
        hold: Some(Arc::clone(&hold) as _),
        ..scene.row(value)
    };
    let (given_up, waits) = (scene.spawn(held(1.0)).await, scene.spawn(held(2.0)).await);
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    assert_eq!(Arc::strong_count(&hold), 3);
    scene.executor.drop_unwanted();
    assert_eq!(Arc::strong_count(&hold), 2);
    scene.let_go.send(()).unwrap();
    busy.await.unwrap().unwrap();
    waits.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_bad_request_fails_alone() {
    let scene = Scene::new(BatchingConfig::new(FIVE));
    let batches = [1.0, 666.0, 2.0].map(|value| scene.row(value)).to_vec();
    let bad = Err(ExecuteError::Backend(engine_error("a bad row")));
    let expected = [Ok(vec![1.0]), bad, Ok(vec![2.0])];
    assert_eq!(scene.ask(batches).await, expected);
    assert_eq!(scene.runs(), [[3, 1], [1, 1], [1, 1], [1, 1]]);
}

#[tokio::test]
async fn batches_are_filled_up_to_an_allowed_size() {
    let scene = Scene::new(BatchingConfig {
        allowed_batch_sizes: vec![2, 4, 5],
        ..BatchingConfig::new(FIVE)
    });
    let values = [1.0, 2.0, 3.0];
    let batches = values.map(|value| scene.row(value)).to_vec();
    assert_eq!(
        scene.ask(batches).await,
        values.map(|value| Ok(vec![value]))
    );
    assert_eq!(scene.runs(), [[4, 1]]);
    assert_eq!(scene.ask(vec![scene.row(4.0)]).await, [Ok(vec![4.0])]);
    assert_eq!(scene.runs(), [[2, 1]]);
}

#[tokio::test]
async fn inputs_of_different_lengths_are_filled_up_if_that_is_asked_for() {
    let scene = Scene::new(BatchingConfig {
        pad_variable_length_inputs: true,
        ..BatchingConfig::new(FIVE)
    });
    let batches = vec![scene.row(1.0), scene.batch([1, 3], &[1.0, 2.0, 3.0])];
    // The shorter one with its own first element.
    assert_eq!(scene.ask(batches).await, [Ok(vec![3.0]), Ok(vec![6.0])]);
    assert_eq!(scene.runs(), [[2, 3]]);
}

#[tokio::test]
async fn a_large_request_is_split_or_refused() {
    let scene = Scene::new(BatchingConfig {
        max_execution_batch_size: NonZeroUsize::new(2),
        ..BatchingConfig::new(FIVE)
    });
    let batches = vec![
        scene.batch([5, 1], &[1.0, 2.0, 3.0, 4.0, 5.0]),
        scene.row(6.0),
        scene.batch([6, 1], &[0.0; 6]),
    ];
    let refused = Err(ExecuteError::TooManyRows {
        num_rows: 6,
        max_rows: 5,
    });
    let expected = [Ok(vec![1.0, 2.0, 3.0, 4.0, 5.0]), Ok(vec![6.0]), refused];
    assert_eq!(scene.ask(batches).await, expected);
    assert_eq!(scene.runs(), [[2, 1], [2, 1], [2, 1]]);
}

#[tokio::test]
async fn a_model_whose_outputs_have_other_rows_is_found_out_and_answers_all_the_same() {
    let first_row = |inputs: &[Tensor]| {
        let first = inputs[0].as_slice::<f32>().unwrap()[0];
        Ok(vec![Tensor::from_vec([1], vec![first]).unwrap()])
    };
    let scene = Scene::of(BatchingConfig::new(FIVE), first_row);
    let rows = || [1.0, 2.0].map(|value| scene.row(value)).to_vec();
    let expected = [1.0, 2.0].map(|value| Ok(vec![value]));
    assert_eq!(scene.ask(rows()).await, expected);
    assert_eq!(scene.runs(), [[2, 1], [1, 1], [1, 1]]);
    assert_eq!(scene.ask(rows()).await, expected);
    assert_eq!(scene.runs(), [[1, 1], [1, 1]]);
}

#[tokio::test]
async fn requests_that_change_state_run_alone() {
    let scene = Scene::new(BatchingConfig::new(FIVE));
    let signature = Arc::new(Signature {
        changes_state: true,
        ..(*scene.signature).clone()
    });
    let changing = |value| Batch {
        signature: Arc::clone(&signature),
        ..scene.row(value)
    };
    let answers = scene.ask(vec![changing(1.0), changing(2.0)]).await;
    assert_eq!(answers, [1.0, 2.0].map(|value| Ok(vec![value])));
    assert_eq!(scene.runs(), [[1, 1], [1, 1]]);
}

#[tokio::test]
async fn a_full_queue_and_a_wait_in_vain_are_told_in_tensorflow_servings_words() {
    let scene = Scene::new(BatchingConfig {
        max_enqueued_batches: Some(NonZeroUsize::MIN),
        ..BatchingConfig::new(NonZeroUsize::MIN)
    });
    let busy = scene.keep_busy().await;
    let late = Batch {
        deadline: Some(Instant::now() + Duration::from_millis(50)),
        ..scene.row(1.0)
    };
    let waiting = scene.spawn(late).await;
    let refused = scene.executor.execute(scene.row(2.0)).await.unwrap_err();
    let full = "The batch scheduling queue to which this task was submitted is full; currently 1 batches enqueued and \
                max_enqueued_batches is 1";
    assert_eq!(refused.to_string(), full);
    assert_eq!(
        waiting.await.unwrap().unwrap_err(),
        ExecuteError::BatchQueueTimeout
    );
    scene.let_go.send(()).unwrap();
    assert!(busy.await.unwrap().is_ok());
}

#[tokio::test]
async fn callers_that_have_gone_are_not_run() {
    let scene = Scene::new(BatchingConfig::new(FIVE));
    let busy = scene.keep_busy().await;
    let gone = scene.spawn(scene.row(1.0)).await;
    let waiting = scene.spawn(scene.row(2.0)).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    scene.let_go.send(()).unwrap();
    assert!(busy.await.unwrap().is_ok());
    assert!(waiting.await.unwrap().is_ok());
    assert_eq!(scene.runs(), [[1, 1]]);
}

#[tokio::test]
async fn what_cannot_be_split_is_found_out_and_run_whole() {
    let total = |inputs: &[Tensor]| {
        let values = inputs[0].as_slice::<f32>().unwrap();
        let total: f32 = values.iter().sum();
        Ok(vec![Tensor::from_vec([1], vec![total]).unwrap()])
    };
    let config = BatchingConfig {
        max_execution_batch_size: NonZeroUsize::new(2),
        ..BatchingConfig::new(FIVE)
    };
    let scene = Scene::of(config, total);
    let request = || scene.batch([4, 1], &[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(scene.ask(vec![request()]).await, [Ok(vec![10.0])]);
    assert_eq!(scene.runs().last(), Some(&vec![4, 1]));
    assert_eq!(scene.ask(vec![request()]).await, [Ok(vec![10.0])]);
    assert_eq!(scene.runs(), [[4, 1]], "it is not tried again");
}

#[tokio::test]
async fn padding_never_makes_many_times_the_memory() {
    let scene = Scene::new(BatchingConfig {
        pad_variable_length_inputs: true,
        ..BatchingConfig::new(FIVE)
    });
    let long = vec![1.0; 4000];
    let batches = vec![
        scene.batch([1, 4000, 1], &long),
        scene.batch([1, 1, 4000], &long),
    ];
    let expected = [Ok(vec![4000.0]), Ok(vec![4000.0])];
    for _ in 0..5 {
        assert_eq!(scene.ask(batches.clone()).await, expected);
        assert_eq!(scene.runs(), [[1, 4000, 1], [1, 1, 4000]]);
    }
    // It is not held against the signature.
    let batches = [1.0, 2.0].map(|value| scene.row(value)).to_vec();
    scene.ask(batches).await;
    assert_eq!(scene.runs(), [[2, 1]]);
}

#[tokio::test]
async fn requests_that_always_fail_together_are_joined_no_more() {
    let one_by_one = |inputs: &[Tensor]| match inputs[0].shape()[0] {
        1 => sums(inputs),
        _ => Err(engine_error("one row only")),
    };
    let scene = Scene::of(BatchingConfig::new(FIVE), one_by_one);
    let rows = || [1.0, 2.0].map(|value| scene.row(value)).to_vec();
    for _ in 0..3 {
        let expected = [1.0, 2.0].map(|value| Ok(vec![value]));
        assert_eq!(scene.ask(rows()).await, expected);
        assert_eq!(scene.runs(), [[2, 1], [1, 1], [1, 1]]);
    }
    scene.ask(rows()).await;
    assert_eq!(scene.runs(), [[1, 1], [1, 1]]);
}

#[test]
fn a_warm_up_is_never_refused() {
    let scene = Scene::new(BatchingConfig::new(FIVE));
    let executed = scene
        .executor
        .execute_blocking(scene.batch([6, 1], &[1.0; 6]))
        .unwrap();
    assert_eq!(executed.outputs[0].as_slice::<f32>().unwrap(), [1.0; 6]);
}

#[tokio::test]
async fn batches_are_counted_where_they_were_asked_for() {
    let asked_for = BatchingConfig {
        allowed_batch_sizes: vec![1, 4, 5],
        ..BatchingConfig::new(FIVE)
    };
    let split = BatchingConfig {
        max_execution_batch_size: NonZeroUsize::new(2),
        ..BatchingConfig::new(FIVE)
    };
    let samples = [
        "input_batch_size_sum{}",
        "input_batch_size_count{}",
        "processed_batch_size_sum{}",
        r#"padding_size_sum{execution_batch_size="4"}"#,
        r#"queuing_latency_count{thread_pool_name=""}"#,
        "wrapped_run_count{}",
    ];
    let measured = BatchingConfig::measured(FIVE);
    // One row keeps the instance busy; the others come meanwhile.
    for (config, rows, expected) in [
        (asked_for, vec![1, 1, 1], [4, 4, 5, 1, 4, 2].map(Some)),
        // As it came, and in the three parts that it was run in.
        (
            split,
            vec![5],
            [Some(6), Some(2), Some(6), None, Some(4), Some(4)],
        ),
        (measured, vec![1, 1], [None; 6]),
    ] {
        let scene = Scene::new(config);
        let batches = rows
            .iter()
            .map(|&rows| scene.batch([rows, 1], &vec![1.0; rows]));
        for answer in scene.ask(batches.collect()).await {
            answer.unwrap();
        }
        assert_eq!(scene.counted(samples), expected, "{rows:?}");
    }
}

#[tokio::test]
async fn what_is_not_joined_any_more_is_not_counted() {
    let whole = |inputs: &[Tensor]| Ok(vec![scalar(inputs[0].shape()[0] as f32)]);
    let scene = Scene::of(BatchingConfig::new(FIVE), whole);
    for _ in 0..3 {
        let answers = scene.ask(vec![scene.row(1.0)]).await;
        assert_eq!(answers, [Ok(vec![1.0])]);
    }
    // Its outputs have no rows, which the first answer has told.
    assert_eq!(scene.counted(["wrapped_run_count{}"]), [Some(2)]);
}
