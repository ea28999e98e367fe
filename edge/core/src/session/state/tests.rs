use causeway_protocol::subject::Subject;
use proptest::prelude::*;

use super::{
    lease::{BUSY_RETRY_MS, REFUSAL_PAUSE_MS},
    *,
};

fn create() -> Command {
    Command::Create {
        subject: Subject::new("t", "u").unwrap(),
        expires_at_ms: 1_000_000,
        idle_limit_ms: 200_000,
        record: "r".to_owned(),
        indexes: Vec::new(),
        redeem_in_ms: None,
    }
}

/// A session created at 0, and the last attempt id.
struct Session(SessionState, u64);

impl Session {
    fn new() -> Self {
        Self(SessionMachine::apply(None, 0, create()).0.unwrap(), 1000)
    }

    fn ask(&mut self, now_ms: u64, command: Command) -> Reply {
        let (changed, reply) = SessionMachine::apply(Some(&self.0), now_ms, command);
        self.0 = changed.unwrap_or_else(|| self.0.clone());
        reply
    }

    fn refresh(&mut self, now_ms: u64, known_generation: u64) -> Reply {
        // Each attempt has an id of its own.
        self.1 += 1;
        let attempt_id = self.1;
        self.ask(
            now_ms,
            Command::AcquireLease { account: Some("github".to_owned()), refused: None, known_generation, attempt_id },
        )
    }

    fn finish(&mut self, now_ms: u64, fencing_token: u64, outcome: Outcome) -> Reply {
        self.ask(now_ms, Command::ReleaseLease { fencing_token, outcome })
    }
}

fn stored(record: &str) -> Outcome {
    Outcome::Stored {
        record: record.to_owned(),
        indexes: Vec::new(),
        replaced: Vec::new(),
        consumption: Consumption::None,
    }
}

fn leased(fencing_token: u64, unanswered_sends: u32) -> Reply {
    let possibly_consumed = unanswered_sends > 0;
    Reply::Leased { fencing_token, generation: 1, record: "r".to_owned(), unanswered_sends, possibly_consumed }
}

fn active(generation: u64) -> Reply {
    Reply::Active { generation, record: None }
}

#[test]
fn s71_a_session_is_live_until_it_expires_or_is_idle_too_long() {
    let mut session = Session::new();
    assert_eq!(session.ask(199_999, Command::Status), active(1));
    assert_eq!(session.ask(399_998, Command::Status), active(1), "use extends the idle limit");
    assert_eq!(session.ask(599_998, Command::Status), GONE, "idle for too long");
    let mut session = Session::new();
    assert_eq!(session.ask(199_999, Command::Peek), active(1));
    assert_eq!(session.ask(200_000, Command::Peek), GONE, "a peek does not count as use");
    let mut session = Session::new();
    for now_ms in (0..1_000_000).step_by(100_000) {
        assert_eq!(session.ask(now_ms, Command::Read), Reply::Active { generation: 1, record: Some("r".to_owned()) });
    }
    assert_eq!(session.ask(1_000_000, Command::Status), GONE, "at its end, however much it was used");
    assert_eq!(SessionMachine::apply(None, 0, Command::Status).1, GONE);
}

#[test]
fn ending_a_session_forgets_its_record_at_once_and_names_its_subject() {
    let mut session = Session::new();
    session.refresh(0, 1);
    session.finish(1, 1, stored("s"));
    let subject = session.0.subject.clone();
    let gone = |last| Reply::Gone { subject: subject.clone(), indexes: Vec::new(), last };
    let last = LastRecord { generation: 2, record: "s".to_owned() };
    assert_eq!(
        session.ask(2, Command::Revoke),
        gone(Some(last)),
        "S114: the last record, for the command that ended it"
    );
    assert_eq!(session.0.record, None);
    assert_eq!(session.ask(3, Command::Revoke), gone(None), "and for no other command");
    let mut idle = Session::new();
    let reply = idle.ask(200_000, Command::Revoke);
    assert!(matches!(reply, Reply::Gone { last: Some(_), .. }), "an idle session has tokens, too");
}

#[test]
fn a_session_ended_before_its_creation_is_never_created() {
    let (unborn, _) = SessionMachine::apply(None, 0, Command::Revoke);
    assert_eq!(SessionMachine::apply(unborn.as_ref(), 1, create()), (None, GONE));
}

#[test]
fn s106_one_writer_has_the_lease_and_the_others_get_its_record() {
    let mut session = Session::new();
    assert_eq!(session.refresh(0, 1), leased(1, 0));
    assert_eq!(session.refresh(1, 1), Reply::Busy { wait_ms: BUSY_RETRY_MS });
    assert_eq!(session.finish(2, 1, stored("s")), active(2));
    assert_eq!(session.refresh(3, 1), Reply::Active { generation: 2, record: Some("s".to_owned()) });
    assert!(matches!(session.refresh(4, 2), Reply::Leased { unanswered_sends: 0, .. }), "a new token, a new count");
}

#[test]
fn s109_the_next_writer_knows_of_a_crash_after_sending() {
    let mut session = Session::new();
    assert_eq!(session.refresh(0, 1), leased(1, 0));
    assert_eq!(session.refresh(LEASE_MS, 1), leased(2, 1));
    assert_eq!(session.finish(LEASE_MS + 1, 1, stored("late")), Reply::Superseded);
    assert_eq!(session.finish(LEASE_MS + 2, 2, stored("s")), active(2));
}

#[test]
fn a_late_writer_may_store_if_no_other_got_a_lease() {
    let mut session = Session::new();
    session.refresh(0, 1);
    assert_eq!(session.finish(LEASE_MS + 5, 1, stored("s")), active(2));
    assert_eq!(session.finish(LEASE_MS + 6, 1, stored("again")), active(2), "a repeated release gets the same answer");
    assert_eq!(session.0.record.as_deref(), Some("s"), "and nothing is stored twice");
}

#[test]
fn s113_an_outage_consumes_nothing_and_is_followed_by_a_pause() {
    let mut session = Session::new();
    session.refresh(0, 1);
    assert_eq!(session.finish(10, 1, Outcome::NotConsumed { wait_ms: 5000, possibly_consumed: false }), active(1));
    assert_eq!(session.refresh(11, 1), Reply::RetryLater { wait_ms: 4999 });
    assert_eq!(session.refresh(5010, 1), leased(2, 0));
}

#[test]
fn s113_a_possible_consumption_is_remembered_until_the_token_is_replaced() {
    let mut session = Session::new();
    let possibly_consumed = |reply| matches!(reply, Reply::Leased { unanswered_sends: 0, possibly_consumed: true, .. });
    session.refresh(0, 1);
    session.finish(1, 1, Outcome::NotConsumed { wait_ms: 0, possibly_consumed: true });
    assert!(possibly_consumed(session.refresh(2, 1)));
    session.finish(3, 2, Outcome::NotConsumed { wait_ms: 0, possibly_consumed: false });
    assert!(possibly_consumed(session.refresh(4, 1)), "a later harmless answer does not reset it");
    session.finish(5, 3, stored("s"));
    assert!(matches!(session.refresh(6, 2), Reply::Leased { possibly_consumed: false, .. }));
}

#[test]
fn s100_refusals_cause_one_refresh_a_minute_for_each_token() {
    let mut session = Session::new();
    let refused = |token: &str, known_generation, attempt_id| Command::AcquireLease {
        account: token.split(' ').next().map(str::to_owned),
        refused: Some(token.to_owned()),
        known_generation,
        attempt_id,
    };
    assert_eq!(session.ask(0, refused("github", 1, 1)), leased(1, 0));
    session.finish(1, 1, Outcome::NotConsumed { wait_ms: 0, possibly_consumed: false });
    assert_eq!(session.ask(2, refused("github", 1, 2)), leased(2, 0), "an outage does not count as a refresh");
    session.finish(3, 2, stored("s"));
    assert_eq!(session.ask(4, refused("github", 2, 3)), Reply::RefreshedRecently);
    assert!(matches!(session.ask(5, refused("corp", 2, 4)), Reply::Leased { .. }));
    session.finish(6, 3, Outcome::NotConsumed { wait_ms: 0, possibly_consumed: false });
    assert!(matches!(session.refresh(7, 2), Reply::Leased { .. }), "an expired token is refreshed all the same");
    session.finish(8, 4, Outcome::NotConsumed { wait_ms: 0, possibly_consumed: false });
    assert!(
        matches!(session.ask(9, refused("github mail", 2, 5)), Reply::Leased { .. }),
        "another token of the account"
    );
    session.finish(10, 5, Outcome::NotConsumed { wait_ms: 0, possibly_consumed: false });
    assert!(matches!(session.ask(3 + REFUSAL_PAUSE_MS, refused("github", 2, 6)), Reply::Leased { .. }));
}

#[test]
fn s108_an_unanswered_send_is_counted() {
    let mut session = Session::new();
    session.refresh(0, 1);
    assert_eq!(session.finish(10, 1, Outcome::Unanswered { wait_ms: 1000 }), active(1));
    assert_eq!(session.refresh(1010, 1), leased(2, 1));
}

#[test]
fn a_repeated_attempt_keeps_its_lease() {
    let mut session = Session::new();
    let begin = || Command::AcquireLease {
        account: Some("github".to_owned()),
        refused: None,
        known_generation: 1,
        attempt_id: 5,
    };
    assert_eq!(session.ask(0, begin()), leased(1, 0));
    assert_eq!(session.ask(1, begin()), leased(1, 0), "the same attempt, and one use counted");
    assert_eq!(session.refresh(2, 1), Reply::Busy { wait_ms: BUSY_RETRY_MS }, "another attempt must wait");
    session.finish(3, 1, Outcome::Unanswered { wait_ms: 0 });
    assert_eq!(session.refresh(4, 1), leased(2, 1));
}

#[test]
fn a_replaced_refresh_token_has_no_counted_uses() {
    let mut session = Session::new();
    session.refresh(0, 1);
    session.finish(1, 1, Outcome::Unanswered { wait_ms: 60_000 });
    session.ask(2, Command::AcquireLease { account: None, refused: None, known_generation: 1, attempt_id: 2 });
    let outcome = Outcome::Stored {
        record: "s".to_owned(),
        indexes: Vec::new(),
        replaced: vec!["github".to_owned()],
        consumption: Consumption::None,
    };
    assert_eq!(session.finish(3, 2, outcome), active(2));
    assert!(matches!(session.refresh(4, 2), Reply::Leased { unanswered_sends: 0, .. }));
}

#[test]
fn s114_ending_the_session_ends_its_lease() {
    let mut session = Session::new();
    session.refresh(0, 1);
    session.ask(1, Command::Revoke);
    assert_eq!(session.finish(2, 1, stored("s")), GONE);
    assert_eq!(session.0.record, None);
}

#[test]
fn s109_a_writer_whose_lease_passed_to_another_ends_nothing() {
    let mut session = Session::new();
    session.refresh(0, 1);
    let late = Command::AcquireLease { account: None, refused: None, known_generation: 1, attempt_id: 99 };
    assert_eq!(session.ask(LEASE_MS, late), leased(2, 0));
    assert_eq!(session.ask(LEASE_MS + 1, Command::EndWithLease { fencing_token: 1 }), Reply::Superseded);
    session.finish(LEASE_MS + 2, 2, stored("s"));
    for fencing_token in [1, 2] {
        assert_eq!(
            session.ask(LEASE_MS + 3, Command::EndWithLease { fencing_token }),
            Reply::Superseded,
            "a released lease ends nothing"
        );
    }
    assert_eq!(session.ask(LEASE_MS + 4, Command::Status), active(2));
    session.refresh(LEASE_MS + 5, 2);
    for _ in 0..2 {
        let reply = session.ask(3 * LEASE_MS, Command::EndWithLease { fencing_token: 3 });
        assert!(
            matches!(reply, Reply::Gone { subject: Some(_), .. }),
            "an expired lease that no other followed; the answer repeats"
        );
    }
    assert_eq!(session.ask(3 * LEASE_MS, Command::EndWithLease { fencing_token: 2 }), GONE);
}

#[test]
fn other_writers_wait_for_a_refresh() {
    let mut session = Session::new();
    session.refresh(0, 1);
    let other = Command::AcquireLease { account: None, refused: None, known_generation: 1, attempt_id: 99 };
    assert_eq!(session.ask(1, other.clone()), Reply::Busy { wait_ms: BUSY_RETRY_MS });
    session.finish(2, 1, Outcome::NotConsumed { wait_ms: 0, possibly_consumed: false });
    assert_eq!(session.ask(3, other), leased(2, 0));
}

proptest! {
    /// No sequence of commands revives a revoked session.
    #[test]
    fn a_revoked_session_stays_revoked(commands in proptest::collection::vec(0..7u8, 1..20), now in 0..2_000_000u64) {
        let mut session = Session::new();
        session.refresh(0, 1);
        session.ask(now, Command::Revoke);
        for command in commands {
            let reply = session.ask(now, match command {
                0 => create(),
                1 => Command::Status,
                2 => Command::Read,
                3 => Command::AcquireLease { account: None, refused: None, known_generation: 0, attempt_id: 7 },
                4 => Command::ReleaseLease { fencing_token: 1, outcome: stored("s") },
                5 => Command::EndWithLease { fencing_token: 1 },
                _ => Command::Revoke,
            });
            let gone = matches!(reply, Reply::Gone { .. });
            prop_assert!(gone);
            prop_assert!(session.0.revoked && session.0.record.is_none());
        }
    }

    /// Leases never overlap, in any interleaving of writers.
    #[test]
    fn there_is_one_writer_at_a_time(steps in proptest::collection::vec((0..4u8, 0..30_000u64), 1..60)) {
        let mut session = Session::new();
        let (mut now, mut held): (u64, Option<(u64, u64)>) = (0, None);
        for (step, wait) in steps {
            now += wait;
            session.ask(now, Command::Status);
            match step {
                0 | 1 => if let Reply::Leased { fencing_token, .. } = session.refresh(now, session.0.generation) {
                    prop_assert!(held.is_none_or(|(_, until)| now >= until));
                    held = Some((fencing_token, now + LEASE_MS));
                },
                2 => if let Some((fencing_token, _)) = held.take() {
                    session.finish(now, fencing_token, stored("s"));
                },
                _ => if let Some((fencing_token, _)) = held.take() {
                    session.finish(now, fencing_token, Outcome::Unanswered { wait_ms: 0 });
                },
            }
        }
    }
}

#[test]
fn s155_a_session_for_another_sites_page_is_live_once_it_is_redeemed_once_and_in_time() {
    let unredeemed = || {
        let Command::Create { subject, expires_at_ms, idle_limit_ms, record, indexes, .. } = create() else { panic!() };
        let redeem_in_ms = Some(60_000);
        let create = Command::Create { subject, expires_at_ms, idle_limit_ms, record, indexes, redeem_in_ms };
        Session(SessionMachine::apply(None, 0, create).0.unwrap(), 1000)
    };
    let mut session = unredeemed();
    for command in [Command::Status, Command::Read, Command::Peek] {
        assert_eq!(session.ask(1, command), GONE);
    }
    assert_eq!(session.refresh(1, 1), GONE);
    assert_eq!(session.ask(59_999, Command::Redeem), active(1));
    assert_eq!(session.ask(60_001, Command::Status), active(1), "then it is like any other session");
    assert!(matches!(session.ask(60_002, Command::Redeem), Reply::Gone { subject: Some(_), .. }), "its streams end");
    assert_eq!(session.ask(60_003, Command::Status), GONE);

    let mut late = unredeemed();
    assert_eq!(late.ask(60_000, Command::Redeem), GONE);
    assert!(SessionMachine::forget_at_ms(&late.0) < 1_000_000, "an unredeemed session is not kept for long");
    let mut ended = unredeemed();
    assert!(matches!(ended.ask(1, Command::Revoke), Reply::Gone { subject: Some(_), .. }));
    assert_eq!(ended.ask(2, Command::Redeem), GONE);
    // Redeeming an ordinary session ends it.
    let mut plain = Session::new();
    plain.ask(1, Command::Redeem);
    assert_eq!(plain.ask(2, Command::Status), GONE);
    assert_eq!(SessionMachine::apply(None, 0, Command::Redeem), (None, GONE));
}
