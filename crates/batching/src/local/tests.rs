use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use salver_backend::{Inputs, Instance, Outputs, Requested, Signature, Signatures};
use salver_tensor::{DType, Tensor, TensorSpec};

use super::*;
use crate::Priority;

mod here;
mod joined;

type Behaviour = Box<dyn Fn(&[Tensor]) -> Result<Outputs, BackendError> + Send + Sync>;

/// A model whose runs are a closure, and which counts.
struct FakeModel {
    signatures: Signatures,
    shared: Arc<Shared>,
}

struct Shared {
    behaviour: Behaviour,
    num_runs: AtomicUsize,
    num_instances: AtomicUsize,
    /// Instances that may be made; one more is an error.
    max_instances: AtomicUsize,
    runs_in_caller: AtomicBool,
}

struct FakeInstance(Arc<Shared>);

impl Model for FakeModel {
    fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    fn instance(&self) -> Result<Box<dyn Instance>, BackendError> {
        let num_instances = self.shared.num_instances.fetch_add(1, Ordering::SeqCst);
        if num_instances >= self.shared.max_instances.load(Ordering::SeqCst) {
            return Err(engine_error("no room"));
        }
        Ok(Box::new(FakeInstance(Arc::clone(&self.shared))))
    }
}

impl Instance for FakeInstance {
    fn run(
        &mut self,
        inputs: &Inputs<'_>,
        outputs: &Requested<'_>,
    ) -> Result<Outputs, BackendError> {
        self.0.num_runs.fetch_add(1, Ordering::SeqCst);
        let all = (self.0.behaviour)(inputs.tensors)?;
        Ok(outputs
            .0
            .iter()
            .map(|&output_idx| all[output_idx].clone())
            .collect())
    }

    fn runs_in_caller(&self) -> bool {
        self.0.runs_in_caller.load(Ordering::SeqCst)
    }
}

fn engine_error(message: &str) -> BackendError {
    BackendError::Engine {
        platform: "fake",
        message: message.to_owned(),
    }
}

fn scalar(value: f32) -> Tensor {
    Tensor::from_vec([], vec![value]).unwrap()
}

fn batch(value: f32, requested: &[usize]) -> Batch {
    let spec = |name: &str| TensorSpec::new(name, DType::F32, Some(Vec::new()));
    let signature = Signature::serving_default(vec![spec("x")], vec![spec("y"), spec("z")]);
    Batch {
        signature: Arc::new(signature),
        inputs: vec![scalar(value)],
        requested: requested.to_vec(),
        deadline: None,
        priority: Priority::default(),
        hold: None,
    }
}

fn start(
    num_instances: usize,
    queue_capacity: usize,
    behaviour: Behaviour,
) -> (Arc<LocalExecutor>, Arc<Shared>) {
    start_where(num_instances, queue_capacity, false, behaviour)
}

fn start_where(
    num_instances: usize,
    queue_capacity: usize,
    runs_in_caller: bool,
    behaviour: Behaviour,
) -> (Arc<LocalExecutor>, Arc<Shared>) {
    let shared = Arc::new(Shared {
        behaviour,
        num_runs: AtomicUsize::new(0),
        num_instances: AtomicUsize::new(0),
        max_instances: AtomicUsize::new(usize::MAX),
        runs_in_caller: AtomicBool::new(runs_in_caller),
    });
    let model = FakeModel {
        signatures: Signatures::default(),
        shared: Arc::clone(&shared),
    };
    let config = ExecutorConfig {
        name: "fake".to_owned(),
        platform: "fake",
        num_instances: NonZeroUsize::new(num_instances).unwrap(),
        queue_capacity: NonZeroUsize::new(queue_capacity).unwrap(),
        batching: None,
        unjoinable: Vec::new(),
        metrics: None,
        max_wait: None,
    };
    (
        Arc::new(LocalExecutor::start(&(Arc::new(model) as Arc<dyn Model>), &config).unwrap()),
        shared,
    )
}

/// A behaviour that says when it starts and waits to be let go.
fn gated() -> (Behaviour, Receiver<()>, Sender<()>) {
    let (started, has_started) = bounded(16);
    let (let_go, gate) = bounded(16);
    let behaviour = move |inputs: &[Tensor]| {
        started.send(()).unwrap();
        // An error means that the test is over.
        gate.recv().ok();
        Ok(vec![inputs[0].clone(), scalar(0.0)])
    };
    (Box::new(behaviour), has_started, let_go)
}

/// Waits for an answer until its deadline.
async fn execute(executor: &LocalExecutor, batch: Batch) -> Result<Executed, ExecuteError> {
    match batch.deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, executor.execute(batch))
            .await
            .expect("told when polled after it"),
        None => executor.execute(batch).await,
    }
}

fn spawn(
    executor: &Arc<LocalExecutor>,
    batch: Batch,
) -> tokio::task::JoinHandle<Result<Executed, ExecuteError>> {
    let executor = Arc::clone(executor);
    tokio::spawn(async move { execute(&executor, batch).await })
}

fn value(result: Result<Executed, ExecuteError>) -> f32 {
    result.unwrap().outputs[0].as_slice::<f32>().unwrap()[0]
}

#[tokio::test]
async fn answers_with_the_requested_outputs_in_their_order() {
    let behaviour = |inputs: &[Tensor]| Ok(vec![inputs[0].clone(), scalar(9.0)]);
    let (executor, _) = start(1, 4, Box::new(behaviour));
    let executed = executor.execute(batch(3.0, &[1, 0])).await.unwrap();
    assert_eq!(executed.outputs, [scalar(9.0), scalar(3.0)]);
    assert_eq!(value(executor.execute(batch(4.0, &[0])).await), 4.0);
}

#[test]
fn runs_from_a_thread_that_is_not_asynchronous() {
    let (executor, _) = start(1, 4, Box::new(|inputs| Ok(inputs.to_vec())));
    assert_eq!(value(executor.execute_blocking(batch(5.0, &[0]))), 5.0);
}

#[tokio::test]
async fn as_many_runs_go_on_at_once_as_there_are_instances() {
    let (behaviour, has_started, let_go) = gated();
    let (executor, shared) = start(2, 4, behaviour);
    let runs = [
        spawn(&executor, batch(1.0, &[0])),
        spawn(&executor, batch(2.0, &[0])),
    ];
    tokio::task::yield_now().await;
    has_started.recv().unwrap();
    has_started.recv().unwrap();
    assert_eq!(shared.num_instances.load(Ordering::SeqCst), 2);
    drop(let_go);
    for run in runs {
        run.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn refuses_when_the_queue_is_full() {
    let (behaviour, has_started, let_go) = gated();
    let (executor, _) = start(1, 1, behaviour);
    let running = spawn(&executor, batch(1.0, &[0]));
    tokio::task::yield_now().await;
    has_started.recv().unwrap();
    let waiting = spawn(&executor, batch(2.0, &[0]));
    tokio::task::yield_now().await;
    let refused = executor.execute(batch(3.0, &[0])).await.unwrap_err();
    assert_eq!(refused, ExecuteError::QueueFull { capacity: 1 });
    drop(let_go);
    assert_eq!(value(running.await.unwrap()), 1.0);
    assert_eq!(value(waiting.await.unwrap()), 2.0);
}

#[tokio::test(start_paused = true)]
async fn an_urgent_request_is_answered_before_those_that_wait() {
    let (behaviour, has_started, let_go) = gated();
    let (executor, _) = start(1, 3, behaviour);
    let running = spawn(&executor, batch(1.0, &[0]));
    tokio::task::yield_now().await;
    has_started.recv().unwrap();
    let of = |value, priority| Batch {
        priority,
        ..batch(value, &[0])
    };
    let low = [2.0, 3.0, 4.0].map(|value| spawn(&executor, of(value, Priority::Low)));
    tokio::task::yield_now().await;
    let urgent = spawn(&executor, of(5.0, Priority::High));
    tokio::task::yield_now().await;
    let [first, second, displaced] = low;
    let full = ExecuteError::QueueFull { capacity: 3 };
    assert_eq!(displaced.await.unwrap().unwrap_err(), full);
    let_go.send(()).unwrap();
    assert_eq!(value(running.await.unwrap()), 1.0);
    let_go.send(()).unwrap();
    assert_eq!(value(urgent.await.unwrap()), 5.0);
    assert!(!first.is_finished() && !second.is_finished());
    drop(let_go);
    assert_eq!(value(first.await.unwrap()), 2.0);
    assert_eq!(value(second.await.unwrap()), 3.0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_is_not_even_queued() {
    let (executor, shared) = start(1, 4, Box::new(|inputs| Ok(inputs.to_vec())));
    let late = Batch {
        deadline: Some(Instant::now()),
        hold: None,
        ..batch(1.0, &[0])
    };
    let error = executor.execute(late).await.unwrap_err();
    assert_eq!(
        error,
        ExecuteError::DeadlineExceeded {
            waited_in_queue: true
        }
    );
    assert_eq!(shared.num_runs.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_in_the_queue_and_the_batch_never_runs() {
    let (behaviour, has_started, let_go) = gated();
    let (executor, shared) = start(1, 4, behaviour);
    let running = spawn(&executor, batch(1.0, &[0]));
    tokio::task::yield_now().await;
    has_started.recv().unwrap();

    let began_at = Instant::now();
    let deadline = began_at + Duration::from_millis(50);
    let late = Batch {
        deadline: Some(deadline),
        hold: None,
        ..batch(2.0, &[0])
    };
    let error = execute(&executor, late).await.unwrap_err();
    assert_eq!(
        error,
        ExecuteError::DeadlineExceeded {
            waited_in_queue: true
        }
    );
    assert!(began_at.elapsed() < Duration::from_millis(60));

    drop(let_go);
    running.await.unwrap().unwrap();
    assert_eq!(value(executor.execute(batch(3.0, &[0])).await), 3.0);
    assert_eq!(shared.num_runs.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_for_a_run() {
    let (behaviour, has_started, let_go) = gated();
    let (executor, _) = start(1, 4, behaviour);
    // Far off: the instance's thread has a clock of its own, which does not stand.
    let deadline = Instant::now() + Duration::from_secs(600);
    let mut run = executor.execute(Batch {
        deadline: Some(deadline),
        hold: None,
        ..batch(1.0, &[0])
    });
    // The first poll queues the batch; the clock stands until the engine has begun.
    let is_pending = poll_once(&mut run).await;
    assert!(is_pending);
    has_started.recv().unwrap();
    let late = tokio::time::timeout_at(deadline, run).await;
    let error = late.expect("told when polled").unwrap_err();
    assert_eq!(
        error,
        ExecuteError::DeadlineExceeded {
            waited_in_queue: false
        }
    );
    drop(let_go);
}

/// Polls a future once; tells whether it is pending.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
    })
    .await
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_queue() {
    let (behaviour, has_started, let_go) = gated();
    let (executor, shared) = start(1, 4, behaviour);
    let running = spawn(&executor, batch(1.0, &[0]));
    tokio::task::yield_now().await;
    has_started.recv().unwrap();
    let mut given_up = executor.execute(batch(2.0, &[0]));
    assert!(poll_once(&mut given_up).await);
    drop(given_up);
    drop(let_go);
    running.await.unwrap().unwrap();
    assert_eq!(value(executor.execute(batch(3.0, &[0])).await), 3.0);
    assert_eq!(shared.num_runs.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_the_engine_says_is_the_answer() {
    let (executor, _) = start(1, 4, Box::new(|_| Err(engine_error("bad weather"))));
    let error = executor.execute(batch(1.0, &[0])).await.unwrap_err();
    assert_eq!(error, ExecuteError::Backend(engine_error("bad weather")));
}

/// Panics on negative inputs.
fn touchy() -> Behaviour {
    Box::new(|inputs| {
        let value = inputs[0].as_slice::<f32>().unwrap()[0];
        assert!(value >= 0.0, "as a test of panics");
        Ok(inputs.to_vec())
    })
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_instance_is_replaced() {
    let (executor, shared) = start(1, 4, touchy());
    let error = executor.execute(batch(-1.0, &[0])).await.unwrap_err();
    assert_eq!(
        error,
        ExecuteError::Backend(BackendError::Panicked { platform: "fake" })
    );
    assert_eq!(value(executor.execute(batch(2.0, &[0])).await), 2.0);
    assert_eq!(shared.num_instances.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_instance_that_could_not_be_replaced_is_tried_again() {
    let (executor, shared) = start(1, 4, touchy());
    shared.max_instances.store(0, Ordering::SeqCst);
    executor.execute(batch(-1.0, &[0])).await.unwrap_err();
    let error = executor.execute(batch(1.0, &[0])).await.unwrap_err();
    assert_eq!(error, ExecuteError::Backend(engine_error("no room")));
    shared.max_instances.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(value(executor.execute(batch(2.0, &[0])).await), 2.0);
}

#[test]
fn a_model_without_room_for_its_instances_does_not_start() {
    let shared = Arc::new(Shared {
        behaviour: touchy(),
        num_runs: AtomicUsize::new(0),
        num_instances: AtomicUsize::new(0),
        max_instances: AtomicUsize::new(1),
        runs_in_caller: AtomicBool::new(false),
    });
    let model = FakeModel {
        signatures: Signatures::default(),
        shared: Arc::clone(&shared),
    };
    let two = NonZeroUsize::new(2).unwrap();
    let config = ExecutorConfig {
        name: "m".to_owned(),
        platform: "fake",
        num_instances: two,
        queue_capacity: two,
        batching: None,
        unjoinable: Vec::new(),
        metrics: None,
        max_wait: None,
    };
    let error = LocalExecutor::start(&(Arc::new(model) as Arc<dyn Model>), &config).unwrap_err();
    assert_eq!(error, engine_error("no room"));
    assert_eq!(
        Arc::strong_count(&shared),
        1,
        "the thread that did start has ended"
    );
}

#[test]
fn dropping_waits_for_the_threads_and_gives_the_model_up() {
    let (executor, shared) = start(3, 4, touchy());
    executor.execute_blocking(batch(1.0, &[0])).unwrap();
    drop(executor);
    assert_eq!(Arc::strong_count(&shared), 1);
}

#[tokio::test]
async fn dropped_on_one_of_its_own_threads_it_does_not_wait_for_itself() {
    let owner: Arc<Mutex<Option<Arc<LocalExecutor>>>> = Arc::default();
    let (started, has_started) = bounded(1);
    let (let_go, gate) = bounded::<()>(1);
    let (ended, has_ended) = bounded(1);
    let owner_in_run = Arc::clone(&owner);
    let (executor, _) = start(
        1,
        4,
        Box::new(move |inputs| {
            started.send(()).unwrap();
            gate.recv().unwrap();
            drop(owner_in_run.lock().unwrap().take());
            ended.send(()).unwrap();
            Ok(inputs.to_vec())
        }),
    );
    let mut run = executor.execute(batch(1.0, &[0]));
    assert!(poll_once(&mut run).await);
    has_started.recv().unwrap();
    drop(run);
    *owner.lock().unwrap() = Some(executor);
    let_go.send(()).unwrap();
    has_ended.recv_timeout(Duration::from_secs(10)).unwrap();
}

#[test]
fn threads_are_named_after_their_model() {
    let rows = [
        ("digits", 0, "digits-0"),
        ("a_model_with_a_long_name", 12, "a_model_with-12"),
        ("größe_des_modells", 1, "größe_des_m-1"),
        ("a\0b", 0, "ab-0"),
        ("", 3, "-3"),
    ];
    for (model, instance_idx, expected) in rows {
        assert_eq!(worker::thread_name(model, instance_idx), expected);
    }
}
