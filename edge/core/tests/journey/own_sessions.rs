//! A user lists and ends their own sessions: `/auth/sessions`.

use causeway_core::testing::corp::Corp;
use causeway_protocol::{hub::EndReason, subject::Subject};
use http::{Method, StatusCode};
use serde_json::Value;

use super::{Browser, code, github, text};

/// A user signed in on two devices. The browser holds the second device's cookies; the first's are returned.
fn on_two_devices() -> (Browser, Vec<(String, String)>) {
    let browser = Browser::new(github);
    browser.sign_in();
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 1000);
    let first = browser.swap(Vec::new());
    browser.sign_in();
    (browser, first)
}

fn listed(browser: &Browser) -> Vec<Value> {
    let response = browser.script(Method::GET, "/auth/sessions", "");
    assert_eq!(response.status, StatusCode::OK, "{}", text(&response));
    let body: Value = serde_json::from_str(&text(&response)).unwrap();
    body["sessions"].as_array().unwrap().clone()
}

fn end(browser: &Browser, id: &Value) -> StatusCode {
    browser.script(Method::DELETE, &format!("/auth/sessions/{}", id.as_str().unwrap()), "").status
}

#[test]
fn user_lists_own_sessions() {
    let (browser, _) = on_two_devices();
    let sessions = listed(&browser);
    assert_eq!(sessions.len(), 2);
    let current: Vec<_> = sessions.iter().map(|session| session["current"].as_bool().unwrap()).collect();
    assert_eq!(current, [true, false], "newest first");
    assert_eq!(sessions[0]["created_at"], "2027-01-15T08:00:01.000Z");
    assert_eq!(sessions[0]["expires_at"], "2027-01-15T20:00:01.000Z");
    assert_eq!(sessions[0]["label"], "A browser");
    assert_ne!(sessions[0]["id"], sessions[1]["id"]);
}

#[test]
fn ending_a_session_elsewhere_ends_its_streams() {
    let (browser, first) = on_two_devices();
    let other = listed(&browser)[1]["id"].clone();
    assert_eq!(end(&browser, &other), StatusCode::NO_CONTENT);
    assert_eq!(*browser.platform.ended_streams.borrow(), [(Subject::new("github", "7").unwrap(), EndReason::Revoked)]);
    assert_eq!(listed(&browser).len(), 1);
    assert_eq!(end(&browser, &other), StatusCode::NOT_FOUND, "it is gone there");
    assert_eq!(browser.session()["authenticated"], true);
    browser.swap(first);
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn ending_the_current_session_by_id_is_a_sign_out() {
    let (browser, first) = on_two_devices();
    let current = listed(&browser)[0]["id"].clone();
    assert_eq!(end(&browser, &current), StatusCode::NO_CONTENT);
    assert!(browser.cookies.borrow().is_empty(), "the cookie is cleared");
    assert_eq!(browser.platform.ended_streams.borrow()[0].1, EndReason::SignedOut);
    browser.swap(first);
    assert_eq!(browser.session()["authenticated"], true);
}

#[test]
fn all_other_sessions_can_be_ended_at_once() {
    let (browser, first) = on_two_devices();
    assert_eq!(browser.script(Method::DELETE, "/auth/sessions", "").status, StatusCode::NO_CONTENT);
    assert_eq!(browser.session()["authenticated"], true, "the current session continues");
    assert_eq!(listed(&browser).len(), 1);
    browser.swap(first);
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn sessions_of_another_user_are_neither_listed_nor_ended() {
    let other = Browser::new(|sent| match sent.url.as_str() {
        "https://api.github.com/user" => {
            Some((200, vec![("content-type", super::JSON.to_owned())], r#"{"id":8,"login":"eve","name":"Eve"}"#.into()))
        }
        _ => github(sent),
    });
    let browser = Browser { edge: other.edge, ..Browser::new(github) };
    browser.sign_in();
    let victim = listed(&browser)[0]["id"].clone();
    // The same deployment, the same stores, another user.
    let platform = causeway_core::testing::platform::InMemoryPlatform {
        machine_states: std::cell::RefCell::new(browser.platform.machine_states.borrow().clone()),
        ..other.platform
    };
    platform.random.skip();
    let eve = Browser { edge: browser.edge, platform, ..Browser::new(github) };
    eve.sign_in();
    assert_eq!(listed(&eve).len(), 1);
    assert_eq!(end(&eve, &victim), StatusCode::NOT_FOUND);
    assert_eq!(code(&eve.script(Method::DELETE, "/auth/sessions/nope", "")), "not-found");
    assert!(eve.platform.ended_streams.borrow().is_empty());
}

#[test]
fn idle_session_is_not_listed_and_listing_does_not_extend_it() {
    let (browser, _) = on_two_devices();
    let idle_ms = 240 * 60 * 1000;
    for _ in 0..4 {
        browser.platform.now_ms.set(browser.platform.now_ms.get() + idle_ms / 4);
        listed(&browser);
    }
    assert_eq!(listed(&browser).len(), 1, "the cookie in use");
    assert_eq!(browser.platform.ended_streams.borrow().len(), 1, "expired sessions are ended for good");
    browser.platform.change_sessions(|state| state.idle_limit_ms = u64::MAX);
    assert_eq!(listed(&browser).len(), 1);
}

#[test]
fn s74_other_sites_can_neither_list_nor_end_sessions() {
    let (browser, _) = on_two_devices();
    for (method, headers) in [
        (Method::GET, &[][..]),
        (Method::DELETE, &[("origin", "https://edge.example")]),
        (Method::DELETE, &[("x-csrf", "1"), ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")]),
        (Method::DELETE, &[("x-csrf", "1")]),
    ] {
        let response = browser.send(method.clone(), "/auth/sessions", headers, "");
        assert_eq!(response.status, StatusCode::FORBIDDEN, "{method} {headers:?}");
    }
    browser.swap(Vec::new());
    assert_eq!(code(&browser.script(Method::GET, "/auth/sessions", "")), "unauthenticated");
}

#[test]
fn m64_ending_the_current_session_by_id_revokes_tokens_and_clears_site_data() {
    let corp = Corp::new();
    let browser = Browser::at_corp(&corp);
    browser.sign_in_at(&corp);
    let id = listed(&browser)[0]["id"].as_str().unwrap().to_owned();
    let response = browser.script(Method::DELETE, &format!("/auth/sessions/{id}"), "");
    assert_eq!(response.status, StatusCode::OK);
    assert!(text(&response).contains("/auth/corp/end-session"), "the provider's session can be ended, too");
    assert_eq!(response.headers["clear-site-data"], "\"cache\"");
    assert_eq!(browser.sent_to("https://id.corp.example/revoke").len(), 1);
    assert_eq!(browser.session()["authenticated"], false);
}
