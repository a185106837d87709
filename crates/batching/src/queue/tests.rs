use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use salver_tensor::{DType, Tensor, TensorSpec};
use tokio::sync::oneshot;

use super::*;
use crate::{Batch, Executed};

const RUN: Duration = Duration::from_millis(100);

type Reply = oneshot::Receiver<Result<Executed, ExecuteError>>;

fn queue(max_wait: Option<Duration>) -> Queue {
    queue_of(max_wait, None)
}

fn queue_of(max_wait: Option<Duration>, batching: Option<BatchingConfig>) -> Queue {
    Queue::new(&ExecutorConfig {
        name: "m".to_owned(),
        platform: "fake",
        num_instances: NonZeroUsize::MIN,
        queue_capacity: NonZeroUsize::new(10).unwrap(),
        batching,
        unjoinable: Vec::new(),
        metrics: None,
        max_wait,
    })
}

/// Lets a request wait that is of use for so long.
fn push(queue: &Queue, useful: Option<Duration>) -> Result<Reply, ExecuteError> {
    push_at(queue, Instant::now(), useful)
}

fn push_at(queue: &Queue, now: Instant, useful: Option<Duration>) -> Result<Reply, ExecuteError> {
    push_as(queue, Priority::Normal, now, useful)
}

fn push_as(
    queue: &Queue,
    priority: Priority,
    now: Instant,
    useful: Option<Duration>,
) -> Result<Reply, ExecuteError> {
    static SIGNATURE: LazyLock<Arc<Signature>> = LazyLock::new(|| {
        let spec = TensorSpec::new("x", DType::F32, None);
        Arc::new(Signature::serving_default(vec![spec], Vec::new()))
    });
    let (sender, reply) = oneshot::channel();
    let item = Item {
        batch: Box::new(Batch {
            signature: Arc::clone(&SIGNATURE),
            inputs: vec![Tensor::from_vec([1], vec![1.0_f32]).unwrap()],
            requested: Vec::new(),
            deadline: useful.map(|useful| now + useful),
            priority,
            hold: None,
        }),
        reply: sender,
        num_bytes: 4,
        is_started: Arc::new(AtomicBool::new(false)),
        enqueued_at: now,
    };
    queue.push(item).map(|()| reply)
}

/// Takes what is next for the only instance, whose last run took so long.
fn pop(queue: &Queue) -> usize {
    let mut state = queue.lock();
    state.num_idle = 1;
    state.forecast.ran(RUN);
    drop(state);
    queue.pop(0, None).map_or(0, |(items, _)| items.len())
}

#[test]
fn what_could_not_be_answered_in_time_is_refused_at_once() {
    let queue = queue(None);
    let _running = push(&queue, None).unwrap();
    assert_eq!(pop(&queue), 1);
    // Nothing waits, so it is tried, however little time there is.
    let _first = push(&queue, Some(RUN / 10)).unwrap();
    // Half a run, one that waits, its own.
    let error = push(&queue, Some(RUN * 2)).unwrap_err();
    let wait = RUN + RUN / 2;
    assert_eq!(error, ExecuteError::WouldBeLate { wait });
    let _second = push(&queue, Some(RUN * 3)).unwrap();
    let _patient = push(&queue, None).unwrap();
    assert_eq!([pop(&queue), pop(&queue), pop(&queue)], [1; 3]);
}

#[test]
fn who_would_wait_too_long_is_refused_though_there_is_no_deadline() {
    let queue = queue(Some(RUN * 2));
    let _running = push(&queue, None).unwrap();
    assert_eq!(pop(&queue), 1);
    let _accepted = [push(&queue, None).unwrap(), push(&queue, None).unwrap()];
    let error = push(&queue, None).unwrap_err();
    let wait = RUN * 2 + RUN / 2;
    assert_eq!(error, ExecuteError::WouldBeLate { wait });
    // The queue is shorter now.
    assert_eq!(pop(&queue), 1);
    push(&queue, None).unwrap();
}

#[test]
fn who_joins_the_batch_that_is_next_is_never_refused() {
    let three = BatchingConfig::new(NonZeroUsize::new(3).unwrap());
    let queue = queue_of(Some(RUN), Some(three));
    let _running = push(&queue, None).unwrap();
    assert_eq!(pop(&queue), 1);
    let _joined = [(); 3].map(|()| push(&queue, Some(RUN / 10)).unwrap());
    let wait = RUN + RUN / 2;
    assert_eq!(
        push(&queue, None).unwrap_err(),
        ExecuteError::WouldBeLate { wait }
    );
    assert_eq!(pop(&queue), 3);
}

#[test]
fn only_what_goes_before_a_request_makes_it_wait() {
    let queue = queue(None);
    let now = Instant::now();
    let push = |priority, useful| push_as(&queue, priority, now, Some(useful));
    let _running = push(Priority::Low, RUN).unwrap();
    assert_eq!(pop(&queue), 1);
    let mut replies = Vec::new();
    for priority in [Priority::Low, Priority::Low, Priority::Normal] {
        replies.push(push(priority, RUN * 10).unwrap());
    }
    // Half a run, those that are as urgent or more, its own.
    let wait = RUN * 3 + RUN / 2;
    assert_eq!(
        push(Priority::Low, RUN * 4).unwrap_err(),
        ExecuteError::WouldBeLate { wait }
    );
    let wait = RUN + RUN / 2;
    assert_eq!(
        push(Priority::Normal, RUN * 2).unwrap_err(),
        ExecuteError::WouldBeLate { wait }
    );
    replies.push(push(Priority::Normal, RUN * 3).unwrap());
    // Nothing goes before it.
    replies.push(push(Priority::High, RUN / 10).unwrap());
}

#[test]
fn in_a_full_queue_the_urgent_take_the_places_of_the_least_urgent() {
    let queue = queue(None);
    let now = Instant::now();
    let full = ExecuteError::QueueFull { capacity: 10 };
    let push = |priority| push_as(&queue, priority, now, None);
    let mut low: Vec<Reply> = (0..5).map(|_| push(Priority::Low).unwrap()).collect();
    let mut normal: Vec<Reply> = (0..5).map(|_| push(Priority::Normal).unwrap()).collect();
    assert_eq!(push(Priority::Low).unwrap_err(), full);
    let mut urgent: Vec<Reply> = (0..6).map(|_| push(Priority::High).unwrap()).collect();
    for reply in low.iter_mut().chain(&mut normal[4..]) {
        assert_eq!(reply.try_recv().unwrap().unwrap_err(), full);
    }
    for reply in normal[..4].iter_mut().chain(&mut urgent) {
        assert!(reply.try_recv().is_err(), "it waits");
    }
    assert_eq!(push(Priority::Low).unwrap_err(), full);
}

#[test]
fn who_is_late_makes_room_before_anybody_is_displaced() {
    let queue = queue(None);
    let now = Instant::now();
    let late = now + SWEEP_INTERVAL;
    let push = |priority, now, useful| push_as(&queue, priority, now, useful).unwrap();
    let mut waiting: Vec<Reply> = (0..9).map(|_| push(Priority::Low, now, None)).collect();
    let gone = push(Priority::Normal, now, None);
    drop(gone);
    waiting.push(push(Priority::High, late, None));
    for reply in &mut waiting {
        assert!(reply.try_recv().is_err(), "it waits");
    }
}

#[test]
fn those_who_are_too_late_make_room_and_are_told_so() {
    let queue = queue(None);
    let useful = SWEEP_INTERVAL / 5;
    let mut late: Vec<Reply> = (0..10)
        .map(|_| push(&queue, Some(useful)).unwrap())
        .collect();
    let later = Instant::now() + SWEEP_INTERVAL;
    // The clock goes on by itself; what is late by the one of the request is late by that soon after.
    while Instant::now() < later {
        std::thread::yield_now();
    }
    let _reply = push_at(&queue, later, None).unwrap();
    for reply in &mut late {
        let error = reply.try_recv().unwrap().unwrap_err();
        assert!(matches!(error, ExecuteError::DeadlineExceeded { .. }));
    }
}

#[test]
fn those_who_have_gone_make_room_in_a_full_queue() {
    let queue = queue(None);
    let gone: Vec<Reply> = (0..10).map(|_| push(&queue, None).unwrap()).collect();
    assert_eq!(
        push(&queue, None).unwrap_err(),
        ExecuteError::QueueFull { capacity: 10 }
    );
    drop(gone);
    let later = Instant::now() + SWEEP_INTERVAL;
    let _reply = push_at(&queue, later, None).unwrap();
    assert_eq!(pop(&queue), 1);
    queue.close();
    assert_eq!(pop(&queue), 0);
    assert_eq!(push(&queue, None).unwrap_err(), ExecuteError::Stopped);
}

#[test]
fn a_refusal_is_told_beforehand_where_nothing_else_can_be_said() {
    let queue = queue(Some(RUN * 3));
    let now = Instant::now();
    let refusal = |priority, useful: Option<Duration>| {
        queue.refusal(|| now, useful.map(|useful| now + useful), priority)
    };
    let push = |priority| push_as(&queue, priority, now, None);
    assert_eq!(refusal(Priority::Low, Some(Duration::ZERO)), None, "idle");
    let _running = push(Priority::Low).unwrap();
    assert_eq!(pop(&queue), 1);
    assert_eq!(refusal(Priority::Low, Some(Duration::ZERO)), None, "next");
    let _waiting = [Priority::Low, Priority::Normal].map(|priority| push(priority).unwrap());
    let wait = RUN * 2 + RUN / 2;
    let late = Some(ExecuteError::WouldBeLate { wait });
    assert_eq!(refusal(Priority::Low, Some(RUN * 3)), late);
    assert_eq!(refusal(Priority::Low, Some(RUN * 4)), None);
    assert_eq!(refusal(Priority::Normal, Some(RUN * 3)), None);
    assert_eq!(refusal(Priority::High, Some(RUN / 10)), None);
    let _third = push(Priority::Low).unwrap();
    let wait = RUN * 3 + RUN / 2;
    assert_eq!(
        refusal(Priority::Low, None),
        Some(ExecuteError::WouldBeLate { wait })
    );
    queue.close();
    assert_eq!(refusal(Priority::High, None), Some(ExecuteError::Stopped));
}

#[test]
fn a_full_queue_refuses_beforehand_whoever_cannot_take_a_place() {
    let two = BatchingConfig::new(NonZeroUsize::new(2).unwrap());
    for batching in [None, Some(two)] {
        let queue = queue_of(None, batching);
        let now = Instant::now();
        let push = |priority| push_as(&queue, priority, now, None).unwrap();
        let mut waiting: Vec<Reply> = (0..9).map(|_| push(Priority::Normal)).collect();
        assert_eq!(queue.refusal(|| now, None, Priority::Normal), None);
        waiting.push(push(Priority::Normal));
        let full = Some(ExecuteError::QueueFull { capacity: 10 });
        assert_eq!(queue.refusal(|| now, None, Priority::Normal), full);
        assert_eq!(queue.refusal(|| now, None, Priority::Low), full);
        assert_eq!(queue.refusal(|| now, None, Priority::High), None);
        // Callers that have gone make room here too.
        drop(waiting);
        let later = now + SWEEP_INTERVAL;
        assert_eq!(queue.refusal(|| later, None, Priority::Normal), None);
    }
}

#[test]
fn whoever_may_join_what_is_next_is_not_refused_beforehand() {
    let three = BatchingConfig::new(NonZeroUsize::new(3).unwrap());
    let queue = queue_of(Some(RUN * 2), Some(three));
    let now = Instant::now();
    let refusal = |useful: Duration| queue.refusal(|| now, Some(now + useful), Priority::Normal);
    let push = || push_as(&queue, Priority::Normal, now, None).unwrap();
    let _running = push();
    assert_eq!(pop(&queue), 1);
    let _first = [(); 3].map(|()| push());
    assert_eq!(refusal(RUN / 10), None, "what waits may be of another kind");
    let _second = [(); 3].map(|()| push());
    assert_eq!(refusal(RUN * 3), None);
    let wait = RUN + RUN / 2;
    assert_eq!(refusal(RUN * 2), Some(ExecuteError::WouldBeLate { wait }));
}

/// A queue before two idle instances whose runs were short so far.
fn queue_of_short_runs() -> Queue {
    let queue = Queue {
        num_instances: 2,
        ..queue(None)
    };
    let mut state = queue.lock();
    state.num_idle = 2;
    for _ in 0..100 {
        state.forecast.ran(Duration::from_micros(10));
    }
    drop(state);
    queue
}

#[test]
fn an_idle_instance_sleeps_while_short_runs_are_watched() {
    let queue = queue_of_short_runs();
    let _first = push(&queue, None).unwrap();
    assert!(queue.lock().has_idle_to_wake(), "nobody runs");
    let (_, run) = queue.pop(0, None).unwrap();
    let _second = push(&queue, None).unwrap();
    assert!(queue.lock().has_idle_to_wake(), "nobody watches");
    queue.lock().is_watched = true;
    assert!(!queue.lock().has_idle_to_wake());
    // Several runs take as long as waking does.
    let _others: Vec<_> = (0..9).map(|_| push(&queue, None).unwrap()).collect();
    assert!(queue.lock().has_idle_to_wake());
    let mut ended = Some((run, Some(Duration::from_micros(10))));
    while queue.lock().former.num_items() > 2 {
        let (_, run) = queue.pop(0, ended).unwrap();
        ended = Some((run, Some(Duration::from_micros(10))));
    }
    assert!(!queue.lock().has_idle_to_wake(), "who ran asks for more");
    let (run, took) = ended.unwrap();
    queue.done(&run, took);
    assert!(queue.lock().has_idle_to_wake(), "nobody runs any more");
    let (_, run) = queue.pop(0, None).unwrap();
    // It was expected to be short.
    queue.done(&run, Some(RUN));
    let borrowed = queue.take_instance();
    assert!(borrowed.is_none(), "runs are not short any more");
}

#[test]
fn who_is_woken_leaves_short_runs_to_who_runs_already() {
    let queue = queue_of_short_runs();
    let _first = push(&queue, None).unwrap();
    assert!(!queue.lock().is_to_watch(0), "nobody else is there");
    let (_, run) = queue.pop(0, None).unwrap();
    assert!(!queue.lock().is_to_watch(0), "there is nothing to watch");
    let _second = push(&queue, None).unwrap();
    let num_pushed = queue.lock().former.num_pushed();
    assert!(queue.lock().is_to_watch(0));
    assert!(
        !queue.lock().is_to_watch(num_pushed),
        "it has waited for a whole watch"
    );
    let ended = Some((run, Some(Duration::from_micros(10))));
    let (_, run) = queue.pop(0, ended).unwrap();
    let _third = push(&queue, None).unwrap();
    assert!(queue.lock().is_to_watch(num_pushed), "it has just come");
    queue.lock().is_watched = true;
    assert!(!queue.lock().is_to_watch(0), "another watches");
    queue.lock().is_watched = false;
    let _others: Vec<_> = (0..9).map(|_| push(&queue, None).unwrap()).collect();
    assert!(!queue.lock().is_to_watch(0), "there is enough for two");
    queue.done(&run, None);
}

#[test]
fn what_is_less_urgent_is_not_left_to_who_always_finds_something_else() {
    let queue = queue_of_short_runs();
    let now = Instant::now();
    let urgent = || push_as(&queue, Priority::High, now, None).unwrap();
    let mut replies = vec![urgent()];
    let (_, mut run) = queue.pop(0, None).unwrap();
    let _low = push_as(&queue, Priority::Low, now, None).unwrap();
    let watched_at = queue.lock().former.num_pushed();
    for _ in 0..3 {
        replies.push(urgent());
        let ended = Some((run, Some(Duration::from_micros(10))));
        (_, run) = queue.pop(0, ended).unwrap();
        replies.push(urgent());
        assert!(queue.lock().is_to_watch(0), "the other goes on");
        assert!(!queue.lock().is_to_watch(watched_at), "but not to this one");
    }
    queue.done(&run, None);
}

#[test]
fn watches_become_longer_while_others_run_what_comes() {
    let queue = queue(None);
    let watched = |num_pushed| {
        let mut state = queue.lock();
        state.has_watched(num_pushed);
        state.watch
    };
    for millis in [2, 4, 4] {
        let num_pushed = queue.lock().former.num_pushed();
        let _reply = push(&queue, None).unwrap();
        assert_eq!(pop(&queue), 1);
        assert_eq!(watched(num_pushed), Duration::from_millis(millis));
    }
    let num_pushed = queue.lock().former.num_pushed();
    assert_eq!(watched(num_pushed), Duration::from_millis(1), "none came");
    let before = num_pushed - 1;
    assert_eq!(watched(before), Duration::from_millis(2));
    let _waiting = push(&queue, None).unwrap();
    assert_eq!(
        watched(num_pushed + 1),
        Duration::from_millis(1),
        "one has waited"
    );
}

#[test]
fn one_that_is_being_woken_counts_as_one_that_runs() {
    let queue = queue_of_short_runs();
    queue.lock().is_watched = true;
    let _first = push(&queue, None).unwrap();
    let mut state = queue.lock();
    assert!(state.has_idle_to_wake());
    state.sleepers.lie_down(0, true);
    assert_eq!(state.sleepers.next(), Some(0));
    assert!(!state.has_idle_to_wake());
    state.sleepers.get_up(0);
    assert!(state.has_idle_to_wake());
}

#[test]
fn what_waits_for_a_run_that_is_not_short_is_taken_all_the_same() {
    let queue = queue_of_short_runs();
    let _running = push(&queue, None).unwrap();
    let (_, endless) = queue.pop(0, None).unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| queue.pop(0, None).map_or(0, |(items, _)| items.len()));
        while !queue.lock().is_watched {
            std::thread::yield_now();
        }
        let _waiting = push(&queue, None).unwrap();
        assert_eq!(other.join().unwrap(), 1);
    });
    queue.done(&endless, None);
}
