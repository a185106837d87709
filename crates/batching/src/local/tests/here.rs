//! Runs in the thread of whoever asks.

use super::*;

/// Answers with 1.0 if it runs in this very thread.
fn whose_thread() -> Behaviour {
    let caller = thread::current().id();
    Box::new(move |_| {
        let is_caller = thread::current().id() == caller;
        Ok(vec![scalar(f32::from(u8::from(is_caller))), scalar(0.0)])
    })
}

/// Asks until a request ran in this thread; there is no end to it where none ever does.
async fn until_here(executor: &LocalExecutor) {
    while value(executor.execute(batch(1.0, &[0])).await) == 0.0 {}
}

#[tokio::test]
async fn short_runs_stay_in_their_caller_s_thread() {
    let (executor, shared) = start_where(1, 1, true, whose_thread());
    assert_eq!(
        value(executor.execute(batch(1.0, &[0])).await),
        0.0,
        "nothing is known yet"
    );
    until_here(&executor).await;
    // An instance thread goes on beside it, and what is large goes there.
    let mut large = batch(1.0, &[0]);
    large.inputs = vec![Tensor::from_vec([10_000], vec![1.0_f32; 10_000]).unwrap()];
    assert_eq!(value(executor.execute(large).await), 0.0);
    until_here(&executor).await;
    assert_eq!(shared.num_instances.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn runs_of_engines_with_threads_of_their_own_stay_in_the_instance_s_thread() {
    let (executor, _) = start_where(1, 1, false, whose_thread());
    for _ in 0..200 {
        assert_eq!(value(executor.execute(batch(1.0, &[0])).await), 0.0);
    }
}

#[tokio::test]
async fn a_panic_in_the_caller_s_thread_is_an_answer() {
    let asked = AtomicBool::new(false);
    let caller = thread::current().id();
    let (executor, shared) = start_where(
        1,
        1,
        true,
        Box::new(move |_| {
            let is_caller = thread::current().id() == caller;
            assert!(
                !is_caller || asked.swap(true, Ordering::SeqCst),
                "told to panic"
            );
            Ok(vec![scalar(f32::from(u8::from(is_caller))), scalar(0.0)])
        }),
    );
    let error = loop {
        if let Err(error) = executor.execute(batch(1.0, &[0])).await {
            break error;
        }
    };
    assert_eq!(
        error,
        ExecuteError::Backend(BackendError::Panicked { platform: "fake" })
    );
    until_here(&executor).await;
    assert_eq!(shared.num_instances.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_more_runs_go_on_at_once_than_there_are_instances_wherever_they_run() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (running, highest) = (Arc::clone(&now), Arc::clone(&most));
    let (executor, shared) = start_where(
        2,
        1000,
        true,
        Box::new(move |inputs| {
            highest.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            running.fetch_sub(1, Ordering::SeqCst);
            Ok(vec![inputs[0].clone(), scalar(0.0)])
        }),
    );
    let callers: Vec<_> = (0..8)
        .map(|caller_idx| {
            let executor = Arc::clone(&executor);
            tokio::spawn(async move {
                for _ in 0..500 {
                    let answer = executor.execute(batch(caller_idx as f32, &[0])).await;
                    assert_eq!(value(answer), caller_idx as f32);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(shared.num_runs.load(Ordering::SeqCst), 4000);
    assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
}
