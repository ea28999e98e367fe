use causeway_protocol::session::SessionHandle;

use super::*;

fn entry(n: u64) -> Entry {
    let session = SessionHandle::parse(&format!("{n:0>43}")).unwrap();
    Entry { session, created_at_ms: n, expires_at_ms: 1000, label: String::new(), generation: n }
}

fn add(state: Option<&Index>, now_ms: u64, n: u64) -> (Option<Index>, Reply) {
    IndexMachine::apply(state, now_ms, Command::Add { entry: entry(n), signed_in: Some(IssuedAt::At(n)) })
}

fn end_with(state: Option<&Index>, now_ms: u64, ending: Ending) -> (Option<Index>, Vec<Entry>) {
    match IndexMachine::apply(state, now_ms, Command::End(ending)) {
        (index, Reply::Entries(entries)) => (index, entries),
        (_, reply) => panic!("{reply:?}"),
    }
}

fn end(state: Option<&Index>, now_ms: u64, before: IssuedAt) -> (Option<Index>, Vec<Entry>) {
    end_with(state, now_ms, Ending { before, tolerance_ms: 0, message: None })
}

#[test]
fn a_sign_in_ended_before_it_is_written_is_rejected() {
    let (index, _) = end(None, 10, IssuedAt::At(10));
    assert_eq!(add(index.as_ref(), 11, 10), (None, Reply::Ended));
    assert!(matches!(add(index.as_ref(), 11, 11).1, Reply::Added { .. }), "a later sign-in is accepted");
}

#[test]
fn s117_a_sign_in_without_a_provider_time_is_dated_by_the_coordinators_clock() {
    let (index, _) = end(None, 10, IssuedAt::Ago(0));
    let add = |signed_in| {
        IndexMachine::apply(
            index.as_ref(),
            15,
            Command::Add { entry: entry(1), signed_in: Some(IssuedAt::Ago(signed_in)) },
        )
        .1
    };
    assert_eq!(add(5), Reply::Ended);
    assert!(matches!(add(4), Reply::Added { .. }));
}

#[test]
fn ending_lists_each_session_until_it_is_removed() {
    let index = add(None, 1, 1).0;
    let (index, ended) = end(index.as_ref(), 5, IssuedAt::At(5));
    assert_eq!(ended, [entry(1)]);
    let (index, ended) = end(index.as_ref(), 6, IssuedAt::At(5));
    assert_eq!(ended, [entry(1)], "a repeated command, after a crash, gets the same answer");
    let (index, _) =
        IndexMachine::apply(index.as_ref(), 7, Command::Remove { session: entry(1).session, generation: 1 });
    assert_eq!(IndexMachine::apply(index.as_ref(), 8, Command::List).1, Reply::Entries(Vec::new()));
}

#[test]
fn s156_an_end_concerns_only_what_was_signed_in_before_it() {
    let index = add(None, 100, 10).0;
    let index = add(index.as_ref(), 100, 20).0;
    let index = add(index.as_ref(), 100, 31).0;
    let ended = |before, tolerance_ms| {
        end_with(index.as_ref(), 100, Ending { before: IssuedAt::At(before), tolerance_ms, message: None }).1
    };
    assert_eq!(ended(9, 0), []);
    assert_eq!(ended(10, 0), [entry(10)], "of the same time, the later one is unknown");
    assert_eq!(ended(10, 20), [entry(10), entry(20)], "nor within the tolerance");
    assert_eq!(ended(0, u64::MAX).len(), 3);
}

#[test]
fn s156_session_of_unknown_time_ends_with_any_end() {
    let add = |signed_in| IndexMachine::apply(None, 1, Command::Add { entry: entry(1), signed_in }).0;
    assert_eq!(end(add(None).as_ref(), 2, IssuedAt::At(0)).1, [entry(1)]);
    // As it was stored before the index kept that time.
    let mut stored = serde_json::to_value(add(Some(IssuedAt::At(1)))).unwrap();
    stored["entries"][0]
        .as_object_mut()
        .unwrap()
        .retain(|name, _| !["signed_in_at_ms", "outlives_ms"].contains(&name.as_str()));
    stored.as_object_mut().unwrap().remove("messages");
    let stored: Index = serde_json::from_value(stored).unwrap();
    assert_eq!(end(Some(&stored), 2, IssuedAt::At(0)).1, [entry(1)]);
}

#[test]
fn s156_repeated_end_spares_the_sign_ins_that_it_let_pass() {
    let ending = |at| Ending { before: IssuedAt::At(at), tolerance_ms: 60, message: None };
    let index = add(None, 5, 5).0;
    let (index, ended) = end_with(index.as_ref(), 10, ending(10));
    assert_eq!(ended, [entry(5)]);
    let index = add(index.as_ref(), 12, 12).0;
    assert_eq!(end_with(index.as_ref(), 13, ending(10)).1, [entry(5)], "the same token again, after a failure");
    assert_eq!(end_with(index.as_ref(), 13, ending(8)).1, [entry(5)], "an earlier token that comes late");
    assert_eq!(end_with(index.as_ref(), 13, ending(11)).1, [entry(5), entry(12)], "a later one");
}

#[test]
fn s156_message_without_a_time_counts_from_its_first_delivery() {
    let ending = |id: &str| Ending { before: IssuedAt::Ago(0), tolerance_ms: 0, message: Some(MessageId::new(id)) };
    let index = add(None, 1, 1).0;
    let (index, ended) = end_with(index.as_ref(), 10, ending("a"));
    assert_eq!(ended, [entry(1)]);
    let index = add(index.as_ref(), 20, 20).0;
    let (index, ended) = end_with(index.as_ref(), 30, ending("a"));
    assert_eq!(ended, [entry(1)], "a failed delivery is completed, and the new session stays");
    let (mut index, ended) = end_with(index.as_ref(), 30, ending("b"));
    assert_eq!(ended.len(), 2, "another delivery");
    for n in 0..MAX_MESSAGES {
        index = end_with(index.as_ref(), 40, ending(&n.to_string())).0;
    }
    assert_eq!(index.as_ref().unwrap().messages.len(), MAX_MESSAGES);
    let kept_ms = IndexMachine::forget_at_ms(index.as_ref().unwrap());
    assert_eq!(kept_ms, 40 + MESSAGE_REMEMBERED_MS);
    let (index, _) = end_with(index.as_ref(), kept_ms, ending("c"));
    assert_eq!(index.unwrap().messages.len(), 1, "old ones are forgotten");
}

#[test]
fn s156_account_connected_again_is_newer_once_its_record_is_stored() {
    let again = Entry { generation: 7, ..entry(1) };
    let index = add(None, 1, 1).0;
    let readd = Command::Add { entry: again.clone(), signed_in: Some(IssuedAt::At(50)) };
    let (index, _) = IndexMachine::apply(index.as_ref(), 51, readd);
    assert_eq!(end(index.as_ref(), 52, IssuedAt::At(20)).1, vec![again.clone()], "its record may have the old account");
    for (generation, newer) in [(6, false), (7, true)] {
        let confirm = Command::Confirm { session: again.session.clone(), generation, signed_in: IssuedAt::At(50) };
        let (index, _) = IndexMachine::apply(index.as_ref(), 52, confirm);
        assert_eq!(end(index.as_ref(), 53, IssuedAt::At(20)).1.is_empty(), newer, "{generation}");
    }
}

#[test]
fn an_index_is_bounded_and_names_the_surplus() {
    let mut index = None;
    for n in 0..MAX_SESSIONS as u64 {
        let (next, reply) = add(index.as_ref(), 0, n);
        assert_eq!(reply, Reply::Added { surplus: Vec::new() });
        index = next;
    }
    for n in 0..5 {
        let (next, reply) = add(index.as_ref(), 0, 100 + n);
        let oldest = (0..=n).map(|n| entry(n).session).collect();
        assert_eq!(reply, Reply::Added { surplus: oldest }, "concurrent sign-ins are all accepted");
        index = next;
    }
    for n in 0..(MAX_ENTRIES - MAX_SESSIONS - 5) as u64 {
        index = add(index.as_ref(), 0, 1000 + n).0;
    }
    assert_eq!(add(index.as_ref(), 0, 9999), (None, Reply::Full));
}

#[test]
fn a_session_added_again_keeps_its_label() {
    let named = Entry { label: "Firefox on Linux".to_owned(), ..entry(1) };
    let (index, _) =
        IndexMachine::apply(None, 1, Command::Add { entry: named.clone(), signed_in: Some(IssuedAt::At(1)) });
    let index = add(index.as_ref(), 2, 1).0;
    assert_eq!(IndexMachine::apply(index.as_ref(), 3, Command::List).1, Reply::Entries(vec![named]));
}

#[test]
fn a_late_removal_keeps_an_entry_of_a_later_generation() {
    let again = Entry { generation: 4, ..entry(1) };
    let index = add(None, 1, 1).0;
    let (index, _) =
        IndexMachine::apply(index.as_ref(), 2, Command::Add { entry: again, signed_in: Some(IssuedAt::At(2)) });
    let late = add(index.as_ref(), 3, 1).0;
    let remove = Command::Remove { session: entry(1).session, generation: 3 };
    let (index, reply) = IndexMachine::apply(late.as_ref(), 4, remove);
    assert!(matches!(reply, Reply::Entries(left) if left.len() == 1));
    let remove = Command::Remove { session: entry(1).session, generation: 4 };
    assert_eq!(IndexMachine::apply(index.as_ref(), 5, remove).1, Reply::Entries(Vec::new()));
}

#[test]
fn expired_sessions_are_not_listed() {
    let index = add(None, 1, 1).0;
    assert_eq!(IndexMachine::apply(index.as_ref(), 1000, Command::List).1, Reply::Entries(Vec::new()));
}

#[test]
fn names_of_different_indexes_differ() {
    assert_ne!(IndexName::account("a", "bc"), IndexName::account("ab", "c"));
    assert_ne!(IndexName::account("a", "b"), IndexName::provider_session("a", "b"));
}
