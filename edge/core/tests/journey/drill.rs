//! Disasters, as their users see them. docs/operations.md lists them all.

use super::{Browser, github};

#[test]
fn drill_coordinator_lost_everything() {
    let mut browser = Browser::new(github);
    browser.sign_in();
    browser.platform.machine_states.borrow_mut().clear();
    browser.goes_to(None);
    assert_eq!(browser.session()["authenticated"], false, "copies in the key-value store revive no session");
    browser.sign_in();
    assert_eq!(browser.session()["authenticated"], true, "nothing stands in the way of a new one");
}

#[test]
fn drill_key_value_store_lost_everything() {
    let mut browser = Browser::new(github);
    browser.sign_in();
    browser.platform.kv.borrow_mut().clear();
    browser.goes_to(None);
    assert_eq!(browser.session()["authenticated"], true, "an isolate that knows nothing asks the coordinator");
    browser.goes_to(None);
    assert_eq!(browser.session()["authenticated"], true);
}
