//! Users and requests that fail.

use super::*;

#[test]
fn a_failed_user_is_retried_alone() {
    let mut bench = Bench::new();
    bench.push("a", 0, 0);
    bench.push("b", 0, 1);
    let request = bench.next();
    bench.answer(request, &[Outcome::Stored, Outcome::Later]);
    bench.push("b", 0, 2);
    bench.push("a", 0, 3);
    let request = bench.next();
    assert_eq!(users(&request), ["a"], "the other goes on");
    bench.stored(request);
    let retry = bench.retry();
    assert_eq!(content(&retry), one("b", &[(0, 1), (0, 2)]));
    bench.push("a", 0, 4);
    let request = bench.next();
    assert_eq!(users(&request), ["a"], "a retry is no reason to wait");
    bench.stored(request);
    assert!(matches!(bench.stored(retry).as_slice(), [Effect::Stored { .. }, Effect::Stored { .. }]));
}

#[test]
fn retries_pause_longer_and_longer_up_to_ten_seconds() {
    let mut bench = Bench::new();
    bench.push("a", 0, 0);
    let mut request = bench.next();
    let mut pauses = Vec::new();
    for _ in 0..12 {
        bench.answer(request, &[Outcome::Later]);
        let before = bench.now;
        request = bench.retry();
        pauses.push(bench.now - before);
    }
    assert!(pauses[0] <= Duration::from_millis(200));
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(10)));
    assert!(pauses[11] >= Duration::from_secs(5));
}

#[test]
fn the_one_item_that_is_refused_becomes_a_dead_letter_and_a_gap() {
    let mut bench = Bench::new();
    (0..100).for_each(|offset| bench.push("a", 0, offset));
    let (mut stored, mut dead, mut requests) = (Vec::new(), Vec::new(), 0);
    while bench.router.load().users > 0 {
        let request = bench.next();
        requests += 1;
        let items: Vec<_> = request.users[0].slices.iter().flat_map(|slice| slice.items.clone()).collect();
        let is_refused = items.iter().any(|item| item.offset == 70 && !item.frame.contains("undeliverable"));
        let outcome = if is_refused { Outcome::Refused } else { Outcome::Stored };
        if !is_refused {
            stored.extend(items.iter().map(|item| item.offset));
        }
        for effect in bench.answer(request, &[outcome]) {
            if let Effect::Dead { item, reason, .. } = effect {
                dead.push((item.offset, reason, item.frame.contains("xxx")));
            }
        }
    }
    assert_eq!(stored, (0..100).collect::<Vec<_>>(), "in order, with the gap in its place");
    assert_eq!(dead, [(70, "refused_by_edge", true)], "the dead letter has the record");
    assert!(requests < 25, "{requests}");
}

#[test]
fn a_sink_that_refuses_everything_makes_no_dead_letter() {
    let mut bench = Bench::new();
    bench.push("a", 0, 0);
    let mut request = bench.next();
    for _ in 0..20 {
        assert!(bench.answer(request, &[Outcome::Refused]).is_empty());
        request = bench.retry();
    }
    assert!(bench.router.load().refusals >= 3);
    let effects = bench.stored(request);
    assert!(matches!(effects.as_slice(), [Effect::Stored { .. } | Effect::Dead { .. }]));
    assert_eq!(bench.router.load().refusals, 0);
}

#[test]
fn a_refused_request_is_split_by_users() {
    let mut bench = Bench::new();
    (0..64).for_each(|n| bench.push(&n.to_string(), 0, n));
    let mut served = Vec::new();
    let mut sizes = Vec::new();
    while let Some(request) = bench.router.next_request(bench.now) {
        let names = users(&request);
        sizes.push(names.len());
        if names.len() > 1 && names.contains(&"13".to_owned()) {
            bench.fails(request, Failure::Refused);
        } else {
            served.extend(names);
            bench.stored(request);
        }
    }
    assert_eq!(served.len(), 64);
    assert!(sizes.len() <= 2 * 6 + 2, "{sizes:?}");
}

#[test]
fn the_user_who_makes_requests_fail_ends_up_alone() {
    let mut bench = Bench::new();
    (0..64).for_each(|n| bench.push(&n.to_string(), 0, n));
    let mut served = Vec::new();
    for _ in 0..40 {
        let Some(request) = bench.router.next_request(bench.now) else {
            bench.now = bench.router.next_due().unwrap();
            continue;
        };
        let names = users(&request);
        if names.contains(&"13".to_owned()) {
            bench.fails(request, Failure::Failed);
        } else {
            served.extend(names);
            bench.stored(request);
        }
    }
    assert_eq!(served.len(), 63);
}

#[test]
fn after_a_failed_request_nothing_is_sent_before_the_pause_is_over() {
    let mut bench = Bench::new();
    bench.push("a", 0, 0);
    let request = bench.next();
    bench.fails(request, Failure::Failed);
    bench.push("b", 0, 1);
    assert!(!bench.has_next());
    let request = bench.retry();
    bench.stored(request);
}

#[test]
fn a_user_who_fails_for_two_minutes_while_others_go_on_is_parked() {
    let mut bench = Bench::new();
    bench.push("a", 0, 3);
    bench.push("a", 1, 8);
    bench.push("a", 0, 4);
    let request = bench.next();
    bench.answer(request, &[Outcome::Later]);
    let mut offset = 5;
    let mut fail = |bench: &mut Bench, wait: Duration| {
        bench.later(wait);
        bench.push("b", 0, offset);
        offset += 1;
        let (retry, other) = (bench.next(), bench.next());
        assert_eq!((users(&retry), users(&other)), (vec!["a".to_owned()], vec!["b".to_owned()]));
        bench.stored(other);
        bench.router.complete(bench.now, retry, Ok(vec![Outcome::Later]));
    };
    fail(&mut bench, Duration::from_secs(119));
    assert!(bench.router.take_effects().is_empty());
    fail(&mut bench, Duration::from_secs(1));
    let dead: Vec<_> = bench
        .router
        .take_effects()
        .iter()
        .filter_map(|effect| match effect {
            Effect::Dead { item, meta, reason, .. } => Some((meta.partition, item.offset, *reason)),
            _ => None,
        })
        .collect();
    assert_eq!(dead, [(0, 3, "parked"), (1, 8, "parked"), (0, 4, "parked")]);
    let request = bench.retry();
    assert_eq!(content(&request), one("a", &[(0, 4), (1, 8)]), "a gap for each partition");
    assert!(request.users[0].slices[0].items[0].frame.starts_with("id: v2.chat.7.0.4\nevent: reset\n"));
    assert_eq!(bench.router.load().parked_users, 1);
    bench.push("a", 0, 9);
    bench.stored(request);
    assert_eq!(bench.router.load().parked_users, 0);
    assert_eq!(content(&bench.next()), one("a", &[(0, 9)]));
}

#[test]
fn a_user_who_is_proven_to_be_at_fault_is_parked_even_if_nobody_is_stored_any_more() {
    let mut bench = Bench::new();
    bench.push("a", 0, 0);
    let request = bench.next();
    bench.answer(request, &[Outcome::Later]);
    let began = bench.now;
    for offset in 1.. {
        // Others are stored for a while only: then users like this one hold all the memory.
        if bench.now < began + Duration::from_secs(20) {
            bench.push("b", 0, offset);
        }
        let request = bench.retry();
        let outcome = if users(&request) == ["b"] { Outcome::Stored } else { Outcome::Later };
        bench.router.complete(bench.now, request, Ok(vec![outcome]));
        if bench.router.load().parked_users > 0 {
            break;
        }
    }
    let parked_after = bench.now - began;
    assert!((120..140).contains(&parked_after.as_secs()), "{parked_after:?}");
}

#[test]
fn nobody_is_parked_while_the_sink_stores_nothing() {
    let mut bench = Bench::new();
    bench.push("a", 0, 0);
    bench.push("b", 0, 1);
    let mut request = bench.next();
    assert!(bench.answer(request, &[Outcome::Later, Outcome::Later]).is_empty());
    for _ in 0..200 {
        request = bench.retry();
        assert!(bench.answer(request, &[Outcome::Later]).is_empty());
    }
    for _ in 0..2 {
        request = bench.retry();
        assert!(matches!(bench.stored(request).as_slice(), [Effect::Stored { .. }]), "a late success is one");
    }
    assert_eq!(bench.router.load().users, 0);
}

#[test]
fn a_failing_user_for_whom_too_much_waits_is_parked_at_once() {
    let mut bench = Bench::new();
    bench.push("a", 0, 0);
    let request = bench.next();
    bench.answer(request, &[Outcome::Later]);
    let mut offset = 0;
    while bench.router.load().parked_users == 0 {
        offset += 1;
        bench.push_large("a", 0, offset, 100 * 1024);
    }
    assert!((38..45).contains(&offset), "{offset}");
    assert_eq!(content(&bench.retry()), one("a", &[(0, offset)]));
}

#[test]
fn a_user_whom_others_left_no_time_is_parked_only_after_a_failure_alone() {
    let mut bench = Bench::new();
    bench.push("hangs", 0, 0);
    bench.push("a", 0, 1);
    let request = bench.next();
    bench.answer(request, &[Outcome::Later, Outcome::Later]);
    (2..60).for_each(|offset| bench.push_large("a", 0, offset, 100 * 1024));
    assert_eq!(bench.router.load().parked_users, 0, "more than 4 MiB wait");
    let retries = [bench.retry(), bench.retry()];
    for retry in retries {
        assert_eq!(retry.users.len(), 1);
        bench.answer(retry, &[Outcome::Later]);
    }
    assert_eq!(bench.router.load().parked_users, 1, "now the fault is the user's");
}

#[test]
fn a_stale_partition_is_dropped_and_the_others_go_on() {
    let mut bench = Bench::new();
    for (partition, offset) in [(0, 0), (1, 0), (0, 1)] {
        bench.push("a", partition, offset);
    }
    bench.push("b", 0, 2);
    let request = bench.next();
    // Which of a's partitions is stale is not known yet.
    let effects = bench.answer(request, &[Outcome::Stale, Outcome::Stored]);
    assert!(matches!(effects.as_slice(), [Effect::Stored { .. }]));
    let request = bench.next();
    assert_eq!(content(&request), one("a", &[(0, 0)]));
    let effects = bench.answer(request, &[Outcome::Stale]);
    assert!(matches!(effects.as_slice(), [Effect::Stale(0)]));
    let request = bench.next();
    assert_eq!(content(&request), one("a", &[(1, 0)]));
    bench.stored(request);
    bench.push("a", 0, 3);
    assert!(!bench.has_next(), "nothing more of it is sent");
    assert_eq!(bench.router.load().users, 0);
}
