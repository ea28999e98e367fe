//! A sink that holds items before it stores them.

use super::*;

/// Of a user's slices: partition, what they follow on, offsets.
fn slices(request: &Request) -> Vec<(i32, Option<i64>, Vec<i64>)> {
    let offsets = |slice: &Slice| slice.items.iter().map(|item| item.offset).collect();
    let slices = request.users[0].slices.iter();
    slices.map(|slice| (slice.source.partition, slice.after, offsets(slice))).collect()
}

fn stored_offsets(effects: &[Effect]) -> Vec<i64> {
    let offset = |effect: &Effect| match effect {
        Effect::Stored { offset, .. } => *offset,
        other => panic!("{other:?}"),
    };
    effects.iter().map(offset).collect()
}

#[test]
fn a_user_whose_items_are_held_waits_for_nothing_and_the_next_success_is_of_all() {
    let mut bench = Bench::new();
    bench.push("a", 0, 3);
    let request = bench.next();
    assert_eq!(slices(&request), [(0, None, vec![3])]);
    assert!(bench.answer(request, &[Outcome::Held]).is_empty());
    bench.push("a", 0, 5);
    let request = bench.next();
    assert_eq!(slices(&request), [(0, Some(3), vec![5])]);
    assert!(bench.answer(request, &[Outcome::Held]).is_empty());
    bench.push("a", 0, 6);
    let request = bench.next();
    assert_eq!(slices(&request), [(0, Some(5), vec![6])]);
    assert_eq!(stored_offsets(&bench.stored(request)), [3, 5, 6]);
    assert_eq!(bench.router.load().users, 0);
    assert_eq!(bench.router.next_due(), None);
}

#[test]
fn a_request_says_what_it_follows_on_for_every_partition_with_held_items() {
    let mut bench = Bench::new();
    for (partition, offset) in [(0, 3), (1, 7), (0, 4)] {
        bench.push("a", partition, offset);
    }
    let request = bench.next();
    bench.answer(request, &[Outcome::Held]);
    for (partition, offset) in [(0, 5), (2, 0), (0, 6)] {
        bench.push("a", partition, offset);
    }
    let request = bench.next();
    let expected = [(0, Some(4), vec![5]), (2, None, vec![0]), (0, None, vec![6]), (1, Some(7), Vec::new())];
    assert_eq!(slices(&request), expected);
}

#[test]
fn the_sink_is_asked_about_what_it_holds_if_there_is_nothing_else_to_send() {
    let mut bench = Bench::new();
    bench.push("a", 0, 3);
    let request = bench.next();
    bench.answer(request, &[Outcome::Held]);
    let held_at = bench.now;
    assert!(!bench.has_next());
    assert_eq!(bench.router.next_due(), Some(held_at + CONFIRM_AFTER));
    bench.later(CONFIRM_AFTER);
    let question = bench.next();
    assert_eq!(slices(&question), [(0, Some(3), Vec::new())]);
    assert_eq!(stored_offsets(&bench.stored(question)), [3]);
    assert_eq!(bench.router.load().users, 0);
}

#[test]
fn what_the_sink_has_lost_is_sent_again_before_anything_else() {
    let mut bench = Bench::new();
    bench.push("a", 0, 3);
    let request = bench.next();
    bench.answer(request, &[Outcome::Held]);
    bench.push("a", 0, 4);
    let request = bench.next();
    assert!(bench.answer(request, &[Outcome::Missing]).is_empty());
    bench.push("a", 0, 5);
    let request = bench.next();
    assert_eq!(slices(&request), [(0, None, vec![3, 4, 5])]);
    assert_eq!(stored_offsets(&bench.stored(request)), [3, 4, 5]);
}

#[test]
fn the_same_happens_if_the_sink_or_a_question_fails() {
    let mut bench = Bench::new();
    for answer in [Outcome::Later, Outcome::Refused, Outcome::Missing] {
        bench.push("a", 0, 3);
        let request = bench.next();
        bench.answer(request, &[Outcome::Held]);
        bench.later(CONFIRM_AFTER);
        let question = bench.next();
        bench.answer(question, &[answer]);
        let again = bench.retry();
        assert_eq!(slices(&again), [(0, None, vec![3])], "{answer:?}");
        assert_eq!(stored_offsets(&bench.stored(again)), [3]);
    }
}

#[test]
fn held_items_of_a_partition_that_is_not_read_any_more_are_forgotten() {
    let mut bench = Bench::new();
    bench.push("a", 0, 3);
    bench.push("b", 1, 4);
    let request = bench.next();
    bench.answer(request, &[Outcome::Held, Outcome::Held]);
    bench.router.remove_partition(0);
    bench.later(CONFIRM_AFTER);
    let question = bench.next();
    assert_eq!(users(&question), ["b"]);
    bench.stored(question);
    assert_eq!(bench.router.load().users, 0);
}

#[test]
fn items_of_a_partition_that_was_removed_while_they_were_in_flight_hold_up_nobody() {
    let mut bench = Bench::new();
    bench.push("a", 0, 3);
    let request = bench.next();
    bench.router.remove_partition(0);
    bench.push("a", 1, 7);
    bench.answer(request, &[Outcome::Held]);
    let request = bench.next();
    assert_eq!(slices(&request), [(1, None, vec![7])], "it follows on nothing that is still read");
    bench.answer(request, &[Outcome::Later]);
    let retry = bench.retry();
    assert_eq!(slices(&retry), [(1, None, vec![7])]);
    assert_eq!(stored_offsets(&bench.stored(retry)), [7]);
    assert_eq!(bench.router.load().users, 0);
    assert_eq!(bench.router.next_due(), None);
}

#[test]
fn a_user_without_anything_else_is_forgotten_with_the_partition_that_was_in_flight() {
    let mut bench = Bench::new();
    for outcome in [Outcome::Held, Outcome::Missing, Outcome::Later, Outcome::Refused, Outcome::Stale] {
        bench.router.add_partition(
            9,
            Source { channel: Channel::parse("chat").unwrap(), partition: 9, epoch: 7, generation: 1 },
        );
        bench.push("a", 9, 3);
        let request = bench.next();
        bench.router.remove_partition(9);
        bench.answer(request, &[outcome]);
        assert_eq!(bench.router.load().users, 0, "{outcome:?}");
        assert_eq!(bench.router.next_due(), None, "{outcome:?}");
    }
}

#[test]
fn a_stale_partition_is_told_apart_from_one_that_the_request_only_asks_about() {
    let mut bench = Bench::new();
    bench.push("a", 1, 7);
    let request = bench.next();
    bench.answer(request, &[Outcome::Held]);
    bench.push("a", 0, 3);
    let request = bench.next();
    assert_eq!(slices(&request), [(0, None, vec![3]), (1, Some(7), Vec::new())]);
    assert!(bench.answer(request, &[Outcome::Stale]).is_empty(), "which one is not known yet");
    let request = bench.next();
    assert_eq!(slices(&request), [(1, None, vec![7])]);
    assert!(matches!(bench.answer(request, &[Outcome::Stale]).as_slice(), [Effect::Stale(1)]));
    let request = bench.next();
    assert_eq!(slices(&request), [(0, None, vec![3])]);
    assert_eq!(stored_offsets(&bench.stored(request)), [3]);
}

#[test]
fn while_a_stale_partition_is_searched_what_is_held_of_another_is_asked_about_alone() {
    let mut bench = Bench::new();
    bench.push("a", 1, 7);
    bench.push("a", 0, 3);
    let request = bench.next();
    bench.answer(request, &[Outcome::Stale]);
    let request = bench.next();
    assert_eq!(slices(&request), [(1, None, vec![7])]);
    bench.answer(request, &[Outcome::Held]);
    bench.push("a", 1, 8);
    assert!(!bench.has_next());
    bench.later(CONFIRM_AFTER);
    let question = bench.next();
    assert_eq!(slices(&question), [(1, Some(7), Vec::new())]);
    assert_eq!(stored_offsets(&bench.stored(question)), [7]);
    let request = bench.next();
    assert_eq!(slices(&request), [(0, None, vec![3]), (1, None, vec![8])]);
    bench.answer(request, &[Outcome::Stale]);
    let request = bench.next();
    assert!(matches!(bench.answer(request, &[Outcome::Stale]).as_slice(), [Effect::Stale(0)]));
    let request = bench.next();
    assert_eq!(slices(&request), [(1, None, vec![8])]);
    bench.stored(request);
    assert_eq!(bench.router.load().users, 0);
}
