//! A lease holder that stalls until its lease has expired, and then continues.

use super::{PAST_LEASE_MS, Scenario};
use crate::browser::Outcome;

#[test]
fn s109_holder_that_stalls_past_its_lease_sends_no_refresh_token() {
    Scenario::for_each_kind(|scenario| {
        scenario.expire_access_tokens();
        scenario.world.call(0, &scenario.browser);
        while scenario.world.count_of("leases") == 0 {
            scenario.world.advance(1);
        }
        scenario.stall_first_isolate(150_000);
        scenario.world.advance(PAST_LEASE_MS);
        let (outcome, sends) = if scenario.is_strict() { (Outcome::SignInNeeded, 0) } else { (Outcome::Served, 1) };
        assert_eq!(scenario.call(1), outcome);
        scenario.world.advance(100_000);
        assert_eq!(scenario.last_outcome(), Outcome::Unavailable, "the stalled call");
        assert_eq!(scenario.sends(), sends);
        assert_eq!(scenario.view_session(2), Outcome::Served);
    });
}

#[test]
fn s109_superseded_write_does_not_replace_newer_tokens() {
    Scenario::for_each_kind(|scenario| {
        scenario.expire_access_tokens();
        scenario.call_until_refreshed(0);
        scenario.stall_first_isolate(200_000);
        scenario.world.advance(PAST_LEASE_MS);
        let outcome = scenario.outcome_after_lost_answer();
        assert_eq!(scenario.call(1), outcome);
        scenario.world.advance(200_000);
        scenario.expire_access_tokens();
        assert_eq!(scenario.call(2), outcome);
    });
}

/// The provider's rejection of a grant must not end a session that has a newer grant: the user connected the account
/// again in the meantime.
#[test]
fn s109_superseded_rejection_does_not_end_a_session_whose_account_was_connected_again() {
    let scenario = Scenario::with_stalled_rejection();
    scenario.world.advance(PAST_LEASE_MS);
    scenario.world.connect(1, &scenario.browser);
    scenario.world.advance(10_000);
    assert_eq!(scenario.call(1), Outcome::Served);
    scenario.world.advance(200_000);
    assert_eq!(scenario.world.count_of("session ends superseded"), 1);
    for isolate in 0..3 {
        assert_eq!(scenario.call(isolate), Outcome::Served);
        assert_eq!(scenario.view_session(isolate), Outcome::Served);
    }
}

#[test]
fn s109_late_rejection_ends_the_session_if_no_other_write_began() {
    let scenario = Scenario::with_stalled_rejection();
    scenario.world.advance(250_000);
    assert!(scenario.world.checker.dead_since_ms(&scenario.world, 1).is_some());
    assert_eq!(scenario.call(1), Outcome::Unauthenticated);
}
