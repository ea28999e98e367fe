//! Isolates whose clocks are up to five minutes wrong (S117). The coordinator's clock decides.

use http::StatusCode;

use super::{
    Browser, github,
    handoff::{Window, refused},
    text,
    webhook::{REVOKED, SECRET, deliver, signature},
};

const MINUTE_MS: u64 = 60_000;
const SKEWS_MS: [i64; 3] = [-300_000, 0, 300_000];

fn pass(browser: &Browser, ms: u64) {
    let now_ms = &browser.platform.now_ms;
    now_ms.set(now_ms.get() + ms);
}

#[test]
fn s117_handoff_code_lives_a_minute_despite_clock_skew() {
    for begun in SKEWS_MS {
        for taken in SKEWS_MS {
            let window = Window::new();
            let skew_ms = &window.browser.platform.skew_ms;
            for (ms, is_in_time) in [(MINUTE_MS - 1, true), (MINUTE_MS, false)] {
                skew_ms.set(begun);
                let code = window.code();
                pass(&window.browser, ms);
                skew_ms.set(taken);
                let response = window.redeem(&code);
                match is_in_time {
                    true => assert_eq!(response.status, StatusCode::NO_CONTENT, "{begun} {taken}"),
                    false => refused(&response),
                }
            }
        }
    }
}

#[test]
fn s117_state_is_single_use_while_any_clock_accepts_it() {
    let browser = Browser::new(github);
    browser.platform.skew_ms.set(300_000);
    let state = browser.start();
    let cookies = browser.cookies.borrow().clone();
    let callback = format!("/auth/github/callback?code=good&state={state}");
    assert_eq!(browser.get(&callback).status, StatusCode::SEE_OTHER);
    browser.platform.skew_ms.set(-300_000);
    for minutes in [1, 14, 4] {
        pass(&browser, minutes * MINUTE_MS);
        browser.swap(cookies.clone());
        browser.assert_refused_for("state-used-before", &browser.get(&callback));
    }
    // After that no clock accepts it.
    pass(&browser, 2 * MINUTE_MS);
    browser.swap(cookies);
    browser.assert_refused_for("sign-in-took-too-long", &browser.get(&callback));
}

#[test]
fn s117_user_can_authorize_again_after_revoking() {
    for heard in SKEWS_MS {
        for begun in SKEWS_MS {
            let browser = Browser::configured(&[("GITHUB_WEBHOOK_SECRET", SECRET)], github);
            browser.platform.skew_ms.set(begun);
            browser.sign_in();
            pass(&browser, 1000);
            browser.platform.skew_ms.set(heard);
            let good = signature(SECRET, REVOKED);
            let response = deliver(&browser, "github_app_authorization", &good, REVOKED);
            assert_eq!(response.status, StatusCode::NO_CONTENT, "{}", text(&response));
            browser.platform.skew_ms.set(begun);
            assert_eq!(browser.session()["authenticated"], false, "{heard} {begun}");
            pass(&browser, 1000);
            browser.sign_in();
            assert_eq!(browser.session()["authenticated"], true, "{heard} {begun}");
        }
    }
}
