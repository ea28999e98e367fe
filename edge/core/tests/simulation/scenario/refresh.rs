//! Refreshes, when all goes well and when an answer is lost, an isolate crashes or a provider is down.

use super::{PAST_LEASE_MS, Scenario};
use crate::{browser::Outcome, coordinator::Coordination, faults::Faults, provider_profile::PROVIDER_PROFILES};

#[test]
fn s106_hundred_calls_with_an_expired_token_cause_one_refresh() {
    Scenario::for_each_kind(|scenario| {
        scenario.expire_access_tokens();
        for n in 0..100 {
            scenario.world.call(n % 3, &scenario.browser);
        }
        scenario.world.advance(60_000);
        assert_eq!(*scenario.browser.outcomes.borrow(), [Outcome::Served; 100]);
        assert_eq!(scenario.sends(), 1);
    });
}

#[test]
fn s108_lost_answer_is_retried_once_if_the_policy_allows_it_and_otherwise_requires_sign_in() {
    Scenario::for_each_kind(|scenario| {
        scenario.expire_access_tokens();
        scenario.world.call(0, &scenario.browser);
        while scenario.sends() == 0 {
            scenario.world.advance(1);
        }
        scenario.set_faults(Faults { answer_lost: 1000, ..Faults::default() });
        scenario.world.advance(30_000);
        assert_eq!(*scenario.browser.outcomes.borrow(), [Outcome::Unavailable]);
        scenario.clear_faults();
        let outcome = scenario.call(1);
        // GitHub accepts no token twice. The strict provider gets no retry at all.
        assert_eq!(outcome, scenario.outcome_after_lost_answer());
        for _ in 0..3 {
            assert_eq!(scenario.call(2), outcome, "later calls get the same");
        }
        assert_eq!(scenario.sends(), if scenario.is_strict() { 1 } else { 2 });
        assert_eq!(scenario.view_session(0), Outcome::Served, "the session is still alive");
    });
}

#[test]
fn s109_crash_between_answer_and_store_has_the_effect_of_a_lost_answer() {
    Scenario::for_each_kind(|scenario| {
        scenario.expire_access_tokens();
        scenario.call_until_refreshed(0);
        scenario.world.crash_isolate(0);
        scenario.world.advance(PAST_LEASE_MS);
        assert_eq!(scenario.call(1), scenario.outcome_after_lost_answer());
        assert_eq!(scenario.sends(), if scenario.is_strict() { 1 } else { 2 });
        assert_eq!(scenario.view_session(2), Outcome::Served);
    });
}

#[test]
fn s113_provider_outage_ends_no_session() {
    Scenario::for_each_kind(|scenario| {
        scenario.expire_access_tokens();
        scenario.set_faults(Faults { provider_busy: 1000, ..Faults::default() });
        for isolate in 0..3 {
            assert_eq!(scenario.call(isolate), Outcome::Unavailable);
            assert_eq!(scenario.view_session(isolate), Outcome::Served);
        }
        scenario.clear_faults();
        assert_eq!(scenario.call(0), Outcome::Served);
    });
}

/// Some providers check the scope after they consume the refresh token, and their denial may arrive truncated.
#[test]
fn s113_unreadable_denial_leaves_the_refresh_token_possibly_consumed() {
    for profile in PROVIDER_PROFILES.iter().filter(|profile| profile.restricted.is_some() && profile.rotates) {
        for seed in 0..60 {
            let scenario = Scenario::with_seed(seed, Coordination::Objects, profile, &[0, 0, 0], 10);
            scenario.expire_access_tokens();
            scenario.set_faults(Faults { restriction_denied: 1000, answer_mangled: 300, ..Faults::default() });
            scenario.world.call_restricted(0, &scenario.browser);
            scenario.world.advance(60_000);
            scenario.clear_faults();
            let outcomes = [scenario.call(1), scenario.call(2)];
            assert!(
                !outcomes.contains(&Outcome::Unauthenticated),
                "{} with seed {seed}: {outcomes:?}",
                profile.provider
            );
            assert_eq!(scenario.view_session(0), Outcome::Served, "the session is still alive");
        }
    }
}
