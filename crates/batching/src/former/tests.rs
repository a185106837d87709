use proptest::prelude::*;
use smallvec::smallvec;

use super::*;

/// A request that is pushed: its urgency and kind, its rows, and how long after the one before it comes.
#[derive(Clone, Debug)]
struct Pushed {
    lane: Lane,
    num_rows: usize,
    millis: u64,
}

fn pushed() -> impl Strategy<Value = Pushed> {
    let lane = (prop::sample::select(&Priority::ALL), 0..3_u8);
    (lane, 1..6_usize, 0..4_u64).prop_map(|(lane, num_rows, millis)| Pushed {
        lane,
        num_rows,
        millis,
    })
}

fn limits(max_rows: usize, delay_millis: u64) -> FormerLimits {
    FormerLimits {
        max_rows,
        min_rows: 0,
        delay: Duration::from_millis(delay_millis),
        max_batches: usize::MAX,
        max_items: usize::MAX,
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

type Lane = (Priority, u8);
type Item = (Lane, usize, u64);

const NORMAL: Priority = Priority::Normal;

impl Pushed {
    /// Lets it wait as the `number`th of all.
    fn push(
        &self,
        former: &mut BatchFormer<u8, Item>,
        now: Instant,
        number: usize,
    ) -> (Item, Result<Vec<Item>, (Refusal, Item)>) {
        let item = (self.lane, self.num_rows, number as u64);
        let (priority, key) = self.lane;
        let pushed = former.push(now, priority, key, self.num_rows, item);
        (item, pushed)
    }
}

/// Polls until nothing is to be run, and returns what was.
fn drain(former: &mut BatchFormer<u8, Item>, now: Instant) -> Vec<Vec<Item>> {
    let mut batches = Vec::new();
    while let Decision::Run(items) = former.poll(now) {
        batches.push(items.into_vec());
    }
    batches
}

proptest! {
    #[test]
    fn everything_leaves_once_in_order_and_within_limits(
        requests in prop::collection::vec(pushed(), 0..60),
        (min_rows, max_rows) in (0..6_usize, 1..12_usize),
        delay in 0..6_u64,
        // Whether an instance is free after a request came.
        is_free in prop::collection::vec(any::<bool>(), 60),
    ) {
        let limits = FormerLimits { min_rows, ..limits(max_rows, delay) };
        let mut former = BatchFormer::new(limits);
        let mut now = Instant::now();
        let (mut accepted, mut left) = (Vec::new(), Vec::new());
        for (number, request) in requests.iter().enumerate() {
            now += millis(request.millis);
            let (item, pushed) = request.push(&mut former, now, number);
            match pushed {
                Ok(displaced) => {
                    prop_assert_eq!(displaced, []);
                    accepted.push(item);
                }
                Err((refusal, refused)) => {
                    prop_assert_eq!(refused, item);
                    let num_rows = request.num_rows;
                    prop_assert_eq!(refusal, Refusal::TooManyRows { num_rows, max_rows });
                    prop_assert!(num_rows > max_rows);
                }
            }
            if is_free[number] {
                match former.poll(now) {
                    Decision::Run(items) => left.push(items.into_vec()),
                    Decision::WaitUntil(until) => {
                        prop_assert!(until > now && until <= now + millis(delay));
                        prop_assert!(former.num_items() > 0);
                    }
                    Decision::Idle => prop_assert_eq!(former.num_items(), 0),
                }
            }
        }
        now += millis(delay);
        left.extend(drain(&mut former, now));
        prop_assert_eq!((former.num_items(), former.num_batches()), (0, 0));
        for items in &left {
            prop_assert!(!items.is_empty());
            prop_assert!(items.iter().all(|item| item.0 == items[0].0), "one lane");
            let num_rows = items.iter().map(|item| item.1).sum::<usize>();
            prop_assert!(num_rows <= max_rows);
            prop_assert!(num_rows >= min_rows || items.len() == 1, "worth it");
        }
        let left = left.concat();
        prop_assert_eq!(left.len(), accepted.len());
        for lane in accepted.iter().map(|item| item.0) {
            let of_lane = |items: &[Item]| -> Vec<u64> {
                items.iter().filter(|item| item.0 == lane).map(|item| item.2).collect()
            };
            prop_assert_eq!(of_lane(&left), of_lane(&accepted), "in order");
        }
    }

    #[test]
    fn the_most_urgent_go_first_and_take_the_places_of_the_least(
        requests in prop::collection::vec(pushed(), 0..60),
        max_rows in 5..12_usize,
        max_items in 1..8_usize,
        is_free in prop::collection::vec(any::<bool>(), 60),
    ) {
        let mut former = BatchFormer::new(FormerLimits { max_items, ..limits(max_rows, 0) });
        let now = Instant::now();
        // What waits, in the order in which it came.
        let mut waiting: Vec<Item> = Vec::new();
        for (number, request) in requests.iter().enumerate() {
            let priority = request.lane.0;
            let (item, pushed) = request.push(&mut former, now, number);
            let num_as_urgent = waiting.iter().filter(|waits| waits.0.0 <= priority).count();
            if num_as_urgent >= max_items {
                prop_assert_eq!(pushed, Err((Refusal::Full { max_items }, item)));
            } else {
                let youngest_of_least = |waits: &&Item| (waits.0.0, waits.2);
                let last = waiting.iter().max_by_key(youngest_of_least).copied();
                let displaced = last.filter(|_| waiting.len() == max_items);
                waiting.retain(|waits| Some(*waits) != displaced);
                waiting.push(item);
                prop_assert_eq!(pushed, Ok(Vec::from_iter(displaced)));
            }
            prop_assert_eq!(former.num_items(), waiting.len());
            if is_free[number] && let Decision::Run(items) = former.poll(now) {
                let first = waiting.iter().min_by_key(|waits| (waits.0.0, waits.2));
                prop_assert_eq!(items.first(), first);
                let lane = items[0].0;
                let of_lane = waiting.iter().filter(|waits| waits.0 == lane).copied();
                prop_assert_eq!(items.to_vec(), of_lane.take(items.len()).collect::<Vec<_>>());
                prop_assert!(items.iter().map(|item| item.1).sum::<usize>() <= max_rows);
                waiting.retain(|waits| !items.contains(waits));
            }
        }
        let left = drain(&mut former, now).concat();
        prop_assert!(left.is_sorted_by_key(|item| item.0.0));
        prop_assert_eq!(left.len(), waiting.len());
        prop_assert_eq!((former.num_items(), former.num_batches()), (0, 0));
    }

    #[test]
    fn without_a_delay_an_idle_instance_never_waits(requests in prop::collection::vec(pushed(), 1..30)) {
        let mut former = BatchFormer::new(limits(8, 0));
        let now = Instant::now();
        for (number, request) in requests.iter().enumerate() {
            request.push(&mut former, now, number).1.unwrap();
        }
        while former.num_items() > 0 {
            prop_assert!(matches!(former.poll(now), Decision::Run(_)));
        }
        prop_assert_eq!(former.poll(now), Decision::Idle);
    }

    #[test]
    fn what_is_let_go_of_never_leaves(requests in prop::collection::vec(pushed(), 0..30)) {
        let mut former = BatchFormer::new(limits(8, 0));
        let now = Instant::now();
        for (number, request) in requests.iter().enumerate() {
            request.push(&mut former, now, number).1.unwrap();
        }
        let gone = former.take_unwanted(|item| item.2 % 2 == 1);
        prop_assert!(gone.iter().all(|item| item.2 % 2 == 1));
        prop_assert!(former.num_batches() <= former.num_items());
        let mut left: Vec<u64> = drain(&mut former, now).concat().iter().map(|item| item.2).collect();
        left.sort_unstable();
        let expected: Vec<u64> = (0..requests.len() as u64).filter(|number| number % 2 == 0).collect();
        prop_assert_eq!(left, expected);
        prop_assert_eq!((former.num_items(), former.num_batches()), (0, 0));
    }
}

#[test]
fn a_batch_waits_until_it_is_full_or_old() {
    let mut former = BatchFormer::new(limits(4, 10));
    let start = Instant::now();
    former.push(start, NORMAL, 0, 2, "a").unwrap();
    assert_eq!(former.poll(start), Decision::WaitUntil(start + millis(10)));
    former.push(start + millis(3), NORMAL, 0, 2, "b").unwrap();
    assert_eq!(
        former.poll(start + millis(3)),
        Decision::Run(smallvec!["a", "b"])
    );
    former.push(start + millis(4), NORMAL, 0, 1, "c").unwrap();
    former.push(start + millis(5), NORMAL, 1, 1, "d").unwrap();
    assert_eq!(
        former.poll(start + millis(5)),
        Decision::WaitUntil(start + millis(14))
    );
    assert_eq!(
        former.poll(start + millis(14)),
        Decision::Run(smallvec!["c"])
    );
    assert_eq!(
        former.poll(start + millis(14)),
        Decision::WaitUntil(start + millis(15))
    );
    assert_eq!(
        former.poll(start + millis(15)),
        Decision::Run(smallvec!["d"])
    );
    assert_eq!(former.poll(start + millis(15)), Decision::Idle);
}

#[test]
fn a_batch_does_not_wait_when_another_is_behind_it_or_all_is_over() {
    let mut former = BatchFormer::new(limits(4, 10));
    let now = Instant::now();
    former.push(now, NORMAL, 0, 3, "a").unwrap();
    former.push(now, NORMAL, 0, 2, "b").unwrap();
    assert_eq!(former.poll(now), Decision::Run(smallvec!["a"]));
    assert_eq!(former.poll(now), Decision::WaitUntil(now + millis(10)));
    former.close();
    assert_eq!(former.poll(now), Decision::Run(smallvec!["b"]));
}

#[test]
fn what_is_not_worth_running_together_runs_one_at_a_time() {
    let now = Instant::now();
    let limits = FormerLimits {
        min_rows: 4,
        ..limits(8, 0)
    };
    let mut former = BatchFormer::new(limits);
    let request = |num_rows| Pushed {
        lane: (NORMAL, 0),
        num_rows,
        millis: 0,
    };
    let rows = |decision| match decision {
        Decision::Run(items) => items.iter().map(|item: &Item| item.1).collect(),
        _ => Vec::new(),
    };
    for number in 0..3 {
        request(1).push(&mut former, now, number).1.unwrap();
    }
    assert_eq!(rows(former.poll(now)), [1], "three would cost more");
    assert_eq!((former.num_items(), former.num_batches()), (2, 1));
    request(2).push(&mut former, now, 3).1.unwrap();
    assert_eq!(rows(former.poll(now)), [1, 1, 2], "four are worth it");
    request(3).push(&mut former, now, 4).1.unwrap();
    assert_eq!(rows(former.poll(now)), [3], "there is nothing to split");
    assert_eq!((former.num_items(), former.num_batches()), (0, 0));
}

#[test]
fn the_batch_whose_first_request_came_first_goes_first() {
    let mut former = BatchFormer::new(limits(2, 0));
    let now = Instant::now();
    for (lane, item) in [(0, "a"), (1, "b"), (0, "c"), (0, "d"), (2, "e")] {
        former.push(now, NORMAL, lane, 1, item).unwrap();
    }
    let batches: Vec<_> = std::iter::from_fn(|| match former.poll(now) {
        Decision::Run(items) => Some(items.into_vec()),
        Decision::WaitUntil(_) | Decision::Idle => None,
    })
    .collect();
    assert_eq!(batches, [vec!["a", "c"], vec!["b"], vec!["d"], vec!["e"]]);
}

#[test]
fn nothing_holds_back_what_is_always_let_in() {
    let mut former = BatchFormer::new(FormerLimits {
        max_batches: 1,
        max_items: 1,
        ..limits(4, 10)
    });
    let now = Instant::now();
    former.push(now, NORMAL, 0, 1, "a").unwrap();
    assert!(
        former.would_join(NORMAL, &0, 3)
            && !former.would_join(NORMAL, &0, 4)
            && !former.would_join(NORMAL, &1, 1)
    );
    former.push_always(now, NORMAL, 0, 4, "b");
    assert!(!former.would_join(NORMAL, &0, 1));
    assert_eq!((former.num_items(), former.num_batches()), (2, 2));
    assert_eq!(former.poll(now), Decision::Run(smallvec!["a"]));
    assert_eq!(former.poll(now), Decision::Run(smallvec!["b"]));
}

#[test]
fn what_may_not_wait_is_refused_with_its_reason() {
    let mut former = BatchFormer::new(FormerLimits {
        max_batches: 2,
        max_items: 4,
        ..limits(2, 0)
    });
    let now = Instant::now();
    let refused = former.push(now, NORMAL, 0, 3, 0).unwrap_err().0;
    let expected = Refusal::TooManyRows {
        num_rows: 3,
        max_rows: 2,
    };
    assert_eq!(refused, expected);
    for item in 1..4 {
        former.push(now, NORMAL, 0, 1, item).unwrap();
    }
    let refused = former.push(now, NORMAL, 0, 2, 4).unwrap_err().0;
    let expected = Refusal::LaneFull {
        num_batches: 2,
        max_batches: 2,
    };
    assert_eq!(refused, expected);
    // Another lane has batches of its own.
    former.push(now, NORMAL, 1, 1, 5).unwrap();
    let refused = former.push(now, NORMAL, 1, 1, 6).unwrap_err().0;
    assert_eq!(refused, Refusal::Full { max_items: 4 });
}

#[test]
fn an_urgent_request_is_never_in_the_batch_of_another_nor_behind_it() {
    let mut former = BatchFormer::new(limits(4, 10));
    let now = Instant::now();
    let rows = [
        (Priority::Low, "l1"),
        (NORMAL, "n1"),
        (Priority::High, "h1"),
        (Priority::Low, "l2"),
        (NORMAL, "n2"),
        (Priority::High, "h2"),
    ];
    for (priority, item) in rows {
        former.push(now, priority, 0, 1, item).unwrap();
    }
    let ahead = Priority::ALL.map(|priority| former.num_batches_to(priority));
    assert_eq!(ahead, [1, 2, 3]);
    assert_eq!(former.poll(now), Decision::WaitUntil(now + millis(10)));
    let later = now + millis(10);
    for expected in [["h1", "h2"], ["n1", "n2"], ["l1", "l2"]] {
        assert_eq!(
            former.poll(later),
            Decision::Run(expected.into_iter().collect())
        );
    }
}

#[test]
fn an_urgent_request_that_waits_for_more_holds_up_nobody() {
    let mut former = BatchFormer::new(limits(2, 10));
    let now = Instant::now();
    former.push(now, Priority::High, 0, 1, "h").unwrap();
    former.push(now, Priority::Low, 0, 2, "l").unwrap();
    assert_eq!(former.poll(now), Decision::Run(smallvec!["l"]));
    assert_eq!(former.poll(now), Decision::WaitUntil(now + millis(10)));
}

#[test]
fn however_many_wait_beyond_the_bound_an_urgent_one_does_not_add_to_them() {
    let mut former = BatchFormer::new(FormerLimits {
        max_items: 2,
        ..limits(1, 0)
    });
    let now = Instant::now();
    for item in 0..4 {
        // Parts of one request.
        former.push_always(now, Priority::Low, 0, 1, item);
    }
    assert!(former.is_full_for(Priority::Low) && !former.is_full_for(NORMAL));
    assert_eq!(former.push(now, NORMAL, 0, 1, 4), Ok(vec![3, 2, 1]));
    assert_eq!((former.num_items(), former.num_batches()), (2, 2));
}
