//! What a user hears: `GET /stream`.

use std::time::Duration;

use http::{Method, StatusCode};

use super::{Browser, code, github};

#[test]
fn s131_a_stream_is_the_sessions_users_whatever_the_id_says() {
    let browser = Browser::new(github);
    assert_eq!(browser.get("/stream").status, StatusCode::UNAUTHORIZED);
    browser.sign_in();
    let response = browser.send(Method::GET, "/stream", &[("last-event-id", "v1.1.0.5")], "");
    assert_eq!(response.headers["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(response.headers["cache-control"], "no-store, no-transform");
    browser.send(Method::GET, "/stream", &[("last-event-id", &"9".repeat(5000))], "");
    browser.send(Method::GET, "/stream", &[("last-event-id", "a"), ("last-event-id", "b")], "");
    let opened = browser.platform.opened.borrow();
    assert!(opened.iter().all(|open| open.subject.to_string() == "github:7"));
    let ids: Vec<_> = opened.iter().map(|open| open.last_event_id.clone().unwrap()).collect();
    assert_eq!(ids, ["v1.1.0.5", "unreadable", "unreadable"]);
}

#[test]
fn s130_a_hub_that_knows_better_closes_the_stream_of_an_ended_session() {
    let browser = Browser::new(github);
    browser.sign_in();
    browser.session();
    browser.platform.hub_knows_better.set(true);
    assert_eq!(code(&browser.get("/stream")), "unauthenticated");
}

#[test]
fn one_stream_too_many_is_the_users_own_doing_and_no_outage() {
    let browser = Browser::new(github);
    browser.sign_in();
    browser.platform.hub_full.set(true);
    let response = browser.get("/stream");
    assert_eq!((response.status, code(&response).as_str()), (StatusCode::TOO_MANY_REQUESTS, "too-many-requests"));
    assert!(response.headers.contains_key("retry-after"));
    let log = browser.platform.log.borrow();
    assert!(log.iter().any(|line| line.contains("too-many-requests") && line.contains(r#""level":"info""#)), "{log:?}");
}

#[test]
fn s130_an_open_stream_is_told_when_its_session_ends() {
    let browser = Browser::configured(&[("SESSION_HOURS", "1")], github);
    browser.sign_in();
    let pass = |seconds: u64| browser.platform.now_ms.set(browser.platform.now_ms.get() + seconds * 1000);
    pass(3600 - 10);
    assert_eq!(browser.get("/stream").status, StatusCode::OK);
    assert_eq!(browser.platform.opened.borrow()[0].session_ends_in, Duration::from_secs(10));
    pass(10);
    assert_eq!(code(&browser.get("/stream")), "unauthenticated");
    assert_eq!(browser.platform.opened.borrow().len(), 1);
}
