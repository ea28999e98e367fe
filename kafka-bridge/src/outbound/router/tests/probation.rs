//! Users whose hub was slow lately.

use super::*;

/// A bench on which `b` was not answered in time once, and then alone.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.push("a", 0, 0);
    bench.push("b", 0, 1);
    let request = bench.next();
    bench.later(Duration::from_secs(1));
    bench.answer(request, &[Outcome::Stored, Outcome::Later]);
    bench
}

/// Sends a record of each and answers both. Whether they shared the request.
fn share(bench: &mut Bench, offset: i64, took: Duration) -> bool {
    bench.push("a", 0, offset);
    bench.push("b", 0, offset + 1);
    let requests: Vec<_> = std::iter::from_fn(|| bench.router.next_request(bench.now)).collect();
    bench.later(took);
    let shared = requests.iter().any(|request| request.users.len() == 2);
    assert_eq!(requests.iter().map(|request| request.users.len()).sum::<usize>(), 2, "nobody waits");
    requests.into_iter().for_each(|request| drop(bench.stored(request)));
    shared
}

#[test]
fn a_user_who_held_up_others_is_sent_alone_until_the_hub_answered_quickly_several_times() {
    let mut bench = bench();
    let retry = bench.retry();
    bench.stored(retry);
    for n in 1..20 {
        assert!(!share(&mut bench, n * 10, Duration::from_secs(2)), "alone it succeeds, but slowly");
    }
    for n in 20..28 {
        assert!(!share(&mut bench, n * 10, Duration::from_millis(5)));
    }
    assert!(share(&mut bench, 280, Duration::from_millis(5)));
}

#[test]
fn nobody_is_on_probation_if_there_was_no_time_for_most_users() {
    let mut bench = Bench::new();
    (0..3).for_each(|n| bench.push(["a", "b", "c"][n], 0, i64::try_from(n).unwrap()));
    let request = bench.next();
    bench.answer(request, &[Outcome::Stored, Outcome::Later, Outcome::Later]);
    for _ in 0..2 {
        let retry = bench.retry();
        bench.stored(retry);
    }
    assert!(share(&mut bench, 10, Duration::ZERO));
}

#[test]
fn who_failed_only_with_others_does_not_wait_for_those_who_hang() {
    let mut bench = Bench::new();
    let hang = |bench: &mut Bench, n: usize| {
        let offset = i64::try_from(n).unwrap();
        bench.push(&n.to_string(), 0, offset);
        // All at once, so that no retry is due in between.
        bench.router.last_sent_at = None;
        let request = bench.next();
        bench.answer(request, &[Outcome::Later]);
    };
    (0..1000).for_each(|n| hang(&mut bench, n));
    bench.later(Duration::from_secs(1));
    let hanging: Vec<_> = std::iter::from_fn(|| bench.router.next_request(bench.now)).collect();
    assert_eq!(hanging.len(), MAX_RETRIES, "all that may be in flight");
    bench.push("a", 1, 0);
    bench.push("b", 1, 1);
    let request = bench.next();
    bench.answer(request, &[Outcome::Stored, Outcome::Later]);
    let retry = bench.retry();
    assert_eq!(content(&retry), one("b", &[(1, 1)]));
}
