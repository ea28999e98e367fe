//! Sign-out during a refresh, the revocation bound, and the edge without its coordinator.

use super::Scenario;
use crate::{browser::Outcome, faults::Faults, provider_profile::PROVIDER_PROFILES};

#[test]
fn s114_sign_out_during_a_refresh_is_final_and_revokes_the_new_tokens() {
    Scenario::for_each_kind(|scenario| {
        scenario.expire_access_tokens();
        scenario.call_until_refreshed(0);
        scenario.world.sign_out(1, &scenario.browser);
        scenario.world.advance(60_000);
        // Whether the concurrent call succeeds depends on the order. Later calls fail.
        let last = scenario.browser.outcomes.borrow().last().cloned();
        assert!(matches!(last, Some(Outcome::Unauthenticated | Outcome::Served)), "{last:?}");
        for isolate in 0..3 {
            assert_eq!(scenario.call(isolate), Outcome::Unauthenticated);
        }
        scenario.world.checker.check_at_end(&scenario.world);
        let has_revocation_endpoint = scenario.browser.profile.has_revocation_endpoint;
        let grants = scenario.world.authorization_servers.grants.borrow();
        assert_eq!(grants[&1].end.is_none(), !has_revocation_endpoint);
        assert_eq!(scenario.sends(), 1);
    });
}

/// In whatever order the steps of both isolates run, the tokens that are revoked are the valid ones.
#[test]
fn s114_sign_out_while_another_isolate_stores_tokens_revokes_the_stored_tokens() {
    for delay_ms in 0..100 {
        Scenario::for_each_kind(|scenario| {
            scenario.expire_access_tokens();
            scenario.call_until_refreshed(0);
            scenario.world.advance(delay_ms);
            scenario.world.sign_out(1, &scenario.browser);
            scenario.world.advance(60_000);
            let grants = scenario.world.authorization_servers.grants.borrow();
            let profile = grants[&1].profile;
            assert_eq!(
                grants[&1].end.is_none(),
                !profile.has_revocation_endpoint,
                "{} after {delay_ms} ms",
                profile.provider
            );
            assert_eq!(scenario.sends(), 1);
        });
    }
}

#[test]
fn s119_without_the_coordinator_no_session_is_served_and_none_is_ended() {
    for profile in PROVIDER_PROFILES {
        let scenario = Scenario::new(profile, &[0, 0, 0], 0);
        scenario.set_faults(Faults { command_lost: 1000, ..Faults::default() });
        for isolate in 0..3 {
            assert_eq!(scenario.call(isolate), Outcome::Unavailable);
            assert_eq!(scenario.view_session(isolate), Outcome::Unavailable);
        }
        scenario.clear_faults();
        assert_eq!(scenario.call(0), Outcome::Served);
    }
}

#[test]
fn s129_session_ended_at_another_isolate_is_served_no_longer_than_the_bound() {
    for (bound_seconds, max_served) in [(0, 0), (10, 10), (60, 60)] {
        for profile in PROVIDER_PROFILES {
            let scenario = Scenario::new(profile, &[0, 300_000], bound_seconds);
            scenario.world.advance(120_000);
            scenario.world.view_session(1, &scenario.browser);
            scenario.world.advance(200);
            scenario.world.sign_out(0, &scenario.browser);
            scenario.world.advance(800);
            let before = scenario.browser.outcomes.borrow().len();
            for _ in 0..70 {
                scenario.world.view_session(1, &scenario.browser);
                scenario.world.advance(1_000);
            }
            let outcomes = scenario.browser.outcomes.borrow();
            let served = outcomes[before..].iter().filter(|outcome| **outcome == Outcome::Served).count();
            drop(outcomes);
            assert!(
                served <= max_served && served + 2 >= max_served,
                "of one view a second, {served} were served with a bound of {bound_seconds} s"
            );
        }
    }
}
