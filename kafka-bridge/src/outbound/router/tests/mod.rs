//! Decisions of the router.
//!
//! - [`failure`]: users and requests that fail.
//! - [`held`]: a sink that holds items before it stores them.
//! - [`probation`]: users whose hub was slow lately.
//! - [`property`]: random arrivals and answers against a model.

mod failure;
mod held;
mod probation;
mod property;

use std::time::Duration;

use causeway_protocol::{
    channel::Channel,
    deliver::{Item, MAX_DELIVER_USERS, Outcome, Slice},
};

use super::{
    schedule::{MAX_BATCHES, MAX_GATHER, MAX_RETRIES, REQUEST_BYTES, SLOW_AFTER, SPACING},
    *,
};

/// A router with partitions 0, 1 and 2, and a clock that a test moves.
struct Bench {
    router: Router,
    now: Instant,
}

fn subject(user: &str) -> Subject {
    Subject::new("t", user).unwrap()
}

impl Bench {
    fn new() -> Self {
        let mut router = Router::default();
        for partition in 0..3 {
            router.add_partition(
                partition,
                Source {
                    channel: Channel::parse("chat").unwrap(),
                    partition: i32::try_from(partition).unwrap(),
                    epoch: 7,
                    generation: 1,
                },
            );
        }
        Self { router, now: Instant::now() }
    }

    fn push(&mut self, user: &str, partition: PartitionId, offset: i64) {
        self.push_large(user, partition, offset, 10);
    }

    fn push_large(&mut self, user: &str, partition: PartitionId, offset: i64, bytes: usize) {
        let item = Item { offset, frame: "x".repeat(bytes), ..Item::default() };
        self.router.push(subject(user), Entry::record(partition, item, 0));
    }

    fn later(&mut self, wait: Duration) {
        self.now += wait;
    }

    /// Lets the least time between two requests pass, if it must.
    fn wait_for_spacing(&mut self) {
        if let Some(sent_at) = self.router.last_sent_at {
            self.now = self.now.max(sent_at + SPACING);
        }
    }

    fn next(&mut self) -> Request {
        self.wait_for_spacing();
        self.router.next_request(self.now).expect("a request")
    }

    fn has_next(&mut self) -> bool {
        self.wait_for_spacing();
        let request = self.router.next_request(self.now);
        assert!(request.is_none() || request.as_ref().is_some_and(|request| !request.users.is_empty()));
        request.is_some()
    }

    /// Waits until a request is due, as the sender does.
    fn retry(&mut self) -> Request {
        self.now = self.now.max(self.router.next_due().expect("a retry"));
        self.next()
    }

    fn answer(&mut self, request: Request, outcomes: &[Outcome]) -> Vec<Effect> {
        self.router.complete(self.now, request, Ok(outcomes.to_vec()));
        self.router.take_effects()
    }

    fn stored(&mut self, request: Request) -> Vec<Effect> {
        let outcomes = vec![Outcome::Stored; request.users.len()];
        self.answer(request, &outcomes)
    }

    fn fails(&mut self, request: Request, failure: Failure) {
        self.router.complete(self.now, request, Err(failure));
    }
}

/// Per user: (partition, offset) in order.
fn content(request: &Request) -> Vec<(String, Vec<(i32, i64)>)> {
    let of = |user: &UserSlices| {
        let items =
            |slice: &Slice| slice.items.iter().map(|item| (slice.source.partition, item.offset)).collect::<Vec<_>>();
        (user.subject.user().to_owned(), user.slices.iter().flat_map(items).collect())
    };
    request.users.iter().map(of).collect()
}

fn users(request: &Request) -> Vec<String> {
    content(request).into_iter().map(|(user, _)| user).collect()
}

fn one(user: &str, items: &[(i32, i64)]) -> Vec<(String, Vec<(i32, i64)>)> {
    vec![(user.to_owned(), items.to_vec())]
}

#[test]
fn nothing_waits_when_nothing_is_in_flight_and_items_gather_while_a_request_is() {
    let mut bench = Bench::new();
    bench.push("a", 0, 0);
    let first = bench.next();
    bench.push("b", 0, 1);
    bench.push("a", 0, 2);
    assert!(!bench.has_next(), "they gather");
    bench.stored(first);
    let second = bench.next();
    assert_eq!(content(&second), [one("b", &[(0, 1)]), one("a", &[(0, 2)])].concat());
}

#[test]
fn at_a_high_rate_requests_are_a_moment_apart_unless_one_is_full() {
    let mut bench = Bench::new();
    bench.push("a", 0, 0);
    let request = bench.router.next_request(bench.now).unwrap();
    bench.stored(request);
    bench.push("b", 0, 1);
    assert!(bench.router.next_request(bench.now).is_none());
    assert_eq!(bench.router.next_due(), Some(bench.now + SPACING));
    bench.later(SPACING);
    let request = bench.router.next_request(bench.now).unwrap();
    bench.stored(request);
    (0..200).for_each(|n| bench.push(&n.to_string(), 0, 2 + n));
    assert!(bench.router.next_request(bench.now).is_some(), "a full one goes at once");
}

#[test]
fn a_slow_request_holds_up_nobody_else() {
    let mut bench = Bench::new();
    bench.push("a", 0, 0);
    let _slow = bench.next();
    bench.push("a", 0, 1);
    bench.push("b", 0, 2);
    assert_eq!(bench.router.next_due(), Some(bench.now + MAX_GATHER));
    bench.later(MAX_GATHER);
    let second = bench.next();
    assert_eq!(content(&second), one("b", &[(0, 2)]), "a user is in one request at a time");
    bench.stored(second);
    bench.push("b", 0, 3);
    assert!(bench.has_next(), "without waiting for the slow one");
}

#[test]
fn requests_in_flight_are_limited_but_those_that_hang_hold_up_nobody() {
    let mut bench = Bench::new();
    for n in 0..2 {
        bench.push(&n.to_string(), 0, n);
        bench.next();
        bench.later(MAX_GATHER);
    }
    bench.push("a", 0, 2);
    assert!(!bench.has_next(), "two are in flight");
    bench.now = bench.router.next_due().unwrap();
    assert_eq!(users(&bench.next()), ["a"]);
    for n in 3..200 {
        bench.push(&n.to_string(), 0, n);
        bench.later(SLOW_AFTER);
        bench.router.next_request(bench.now);
    }
    assert_eq!(bench.router.load().requests, MAX_BATCHES, "even those that hang are limited");
    assert_eq!(bench.router.next_due(), None);
}

#[test]
fn items_of_several_partitions_keep_the_order_of_arrival() {
    let mut bench = Bench::new();
    for (partition, offset) in [(0, 5), (1, 0), (1, 1), (0, 6)] {
        bench.push("a", partition, offset);
    }
    let request = bench.next();
    assert_eq!(content(&request), one("a", &[(0, 5), (1, 0), (1, 1), (0, 6)]));
    bench.answer(request, &[Outcome::Later]);
    bench.push("a", 2, 0);
    assert_eq!(content(&bench.retry()), one("a", &[(0, 5), (1, 0), (1, 1), (0, 6), (2, 0)]));
}

#[test]
fn a_user_with_many_items_takes_turns_with_others() {
    let mut bench = Bench::new();
    for offset in 0..10_000 {
        bench.push("busy", 0, offset);
    }
    bench.push("b", 0, 10_000);
    let mut requests = 0;
    loop {
        requests += 1;
        let request = bench.next();
        assert!(request.metas.iter().all(|metas| metas.len() <= user::MAX_USER_ITEMS));
        let has_other = users(&request).contains(&"b".to_owned());
        bench.stored(request);
        if has_other {
            break;
        }
    }
    assert!(requests <= 2, "{requests}");
}

#[test]
fn a_request_stays_within_the_contracts_limits() {
    let mut bench = Bench::new();
    for n in 0..300 {
        bench.push_large(&n.to_string(), 0, n, 200 * 1024);
    }
    let mut sent = 0;
    while sent < 300 {
        let request = bench.next();
        let slices: Vec<_> = request.users.iter().map(|user| &user.slices).collect();
        assert!(serde_json::to_string(&slices).unwrap().len() <= REQUEST_BYTES);
        assert!((1..=MAX_DELIVER_USERS).contains(&request.users.len()));
        sent += request.users.len();
        bench.stored(request);
    }
}
