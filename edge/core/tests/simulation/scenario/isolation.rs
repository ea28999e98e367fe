//! Each user and each service gets its own tokens.

use super::Scenario;
use crate::{
    browser::{Browser, Outcome},
    faults::Faults,
    provider_profile::PROVIDER_PROFILES,
};

#[test]
fn s116_concurrent_refreshes_in_one_isolate_give_each_user_their_own_tokens() {
    Scenario::for_each_kind(|scenario| {
        let others: Vec<_> = PROVIDER_PROFILES
            .iter()
            .zip(2..)
            .flat_map(|(profile, n)| [Browser::new(n, 7, profile), Browser::new(n + 10, 8, profile)])
            .collect();
        others.iter().for_each(|other| scenario.world.sign_in(0, other));
        scenario.expire_access_tokens();
        for _ in 0..3 {
            others.iter().for_each(|other| scenario.world.call(0, other));
        }
        scenario.world.advance(60_000);
        assert!(others.iter().all(|other| *other.outcomes.borrow() == [Outcome::Served; 3]));
        assert_eq!(scenario.sends(), others.len() as u64);
    });
}

/// An account has unrestricted and restricted tokens, each for its own service. A denied token is not requested again
/// at each call.
#[test]
fn s116_service_with_restricted_tokens_gets_no_others() {
    for profile in PROVIDER_PROFILES.iter().filter(|profile| profile.restricted.is_some()) {
        let scenario = Scenario::new(profile, &[0, 0, 0], 10);
        for isolate in 0..3 {
            scenario.world.call_restricted(isolate, &scenario.browser);
            assert_eq!(scenario.call(isolate), Outcome::Served);
        }
        assert_eq!(scenario.sends(), 1);
        scenario.expire_access_tokens();
        scenario.set_faults(Faults { restriction_denied: 1000, ..Faults::default() });
        scenario.world.call_restricted(0, &scenario.browser);
        scenario.world.advance(1_000);
        let sends = scenario.sends();
        for isolate in 0..3 {
            scenario.world.call_restricted(isolate, &scenario.browser);
            scenario.world.advance(1_000);
            assert_eq!(scenario.last_outcome(), Outcome::SignInNeeded);
        }
        assert_eq!(scenario.sends(), sends);
    }
}
