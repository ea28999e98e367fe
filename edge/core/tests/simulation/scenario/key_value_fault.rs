//! Faults of the key-value store.

use super::Scenario;
use crate::{
    browser::{Browser, Outcome},
    faults::Faults,
};

#[test]
fn s111_stale_read_never_provides_a_refresh_token() {
    Scenario::for_each_kind(|scenario| {
        scenario.set_faults(Faults { stale_read: 1000, ..Faults::default() });
        for round in 1..4 {
            scenario.expire_access_tokens();
            for isolate in 0..3 {
                assert_eq!(scenario.call(isolate), Outcome::Served);
            }
            assert_eq!(scenario.sends(), round);
        }
        assert!(scenario.world.count_of("stale reads") > 0);
    });
}

#[test]
fn s112_new_session_works_before_the_key_value_store_returns_it() {
    for faults in [
        Faults { stale_read: 1000, ..Faults::default() },
        Faults { late_write: 1000, ..Faults::default() },
        Faults { key_value_down: 1000, ..Faults::default() },
    ] {
        Scenario::for_each_kind(|scenario| {
            scenario.set_faults(faults);
            let new_browser = Browser::new(2, 8, scenario.browser.profile);
            scenario.world.sign_in(0, &new_browser);
            scenario.world.advance(6_000);
            for isolate in 0..3 {
                scenario.world.call(isolate, &new_browser);
                scenario.world.advance(10_000);
            }
            assert_eq!(*new_browser.outcomes.borrow(), [Outcome::Served; 3]);
        });
    }
}
