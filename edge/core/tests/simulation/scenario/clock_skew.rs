//! Isolates whose clocks are wrong.

use super::{HOUR_MS, Scenario};
use crate::{browser::Outcome, provider_profile::PROVIDER_PROFILES};

#[test]
fn s117_clock_skew_of_five_minutes_signs_no_user_out() {
    for (first_ms, second_ms) in [(-300_000, 300_000), (300_000, -300_000)] {
        for profile in PROVIDER_PROFILES {
            let scenario = Scenario::new(profile, &[first_ms, second_ms, 0], 10);
            for _ in 0..4 {
                for isolate in 0..3 {
                    assert_eq!(scenario.call(isolate), Outcome::Served);
                    assert_eq!(scenario.view_session(isolate), Outcome::Served);
                }
                scenario.expire_access_tokens();
            }
            // Shortly before the session expires, when it has expired by some clocks.
            scenario.world.advance(12 * HOUR_MS - 4 * HOUR_MS - 45 * 60_000);
            scenario.world.sign_out(1, &scenario.browser);
            scenario.world.advance(60_000);
            assert!(scenario.world.checker.dead_since_ms(&scenario.world, 1).is_some());
        }
    }
}

/// With wrong clocks, APIs may reject all access tokens of an account at the same time.
#[test]
fn s117_slow_clock_requires_no_sign_in_for_a_second_token_of_the_account() {
    for profile in PROVIDER_PROFILES.iter().filter(|profile| profile.restricted.is_some()) {
        let scenario = Scenario::new(profile, &[-300_000, 0], 10);
        scenario.world.call_restricted(0, &scenario.browser);
        scenario.world.advance(60_000);
        assert_eq!(*scenario.browser.outcomes.borrow(), [Outcome::Served]);
        scenario.world.advance(HOUR_MS);
        scenario.world.call(0, &scenario.browser);
        scenario.world.advance(1_000);
        scenario.world.call_restricted(0, &scenario.browser);
        scenario.world.advance(1_000);
        assert_eq!(*scenario.browser.outcomes.borrow(), [Outcome::Served; 3], "{}", profile.provider);
        assert_eq!(scenario.sends(), 3, "each rejected token is refreshed");
    }
}
