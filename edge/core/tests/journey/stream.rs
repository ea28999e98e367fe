//! A user's stream: `GET /stream`.

use std::{cell::Cell, rc::Rc, time::Duration};

use causeway_core::testing::{
    corp::{self, Corp},
    run::run_all,
};
use http::{Method, StatusCode};

use super::{Browser, JSON, code, deliver::subject, github};

#[test]
fn s131_cursor_cannot_select_another_users_stream() {
    let browser = Browser::new(github);
    assert_eq!(browser.get("/stream").status, StatusCode::UNAUTHORIZED);
    browser.sign_in();
    let response = browser.send(Method::GET, "/stream", &[("last-event-id", "v2.chat.1.0.5")], "");
    assert_eq!(response.headers["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(response.headers["cache-control"], "no-store, no-transform");
    browser.send(Method::GET, "/stream", &[("last-event-id", &"9".repeat(5000))], "");
    browser.send(Method::GET, "/stream", &[("last-event-id", "a"), ("last-event-id", "b")], "");
    let opened = browser.platform.opened_streams.borrow();
    assert!(opened.iter().all(|open| open.subject.to_string() == "github:7"));
    let ids: Vec<_> = opened.iter().map(|open| open.last_event_id.clone().unwrap()).collect();
    assert_eq!(ids, ["v2.chat.1.0.5", "unreadable", "unreadable"]);
}

#[test]
fn s131_position_in_the_query_counts_unless_the_header_has_one() {
    let browser = Browser::new(github);
    browser.sign_in();
    browser.get("/stream?channel=chat&last_event_id=v2.chat.1.0.5");
    browser.send(Method::GET, "/stream?last_event_id=v2.chat.1.0.5", &[("last-event-id", "v2.chat.1.0.9")], "");
    browser.get("/stream?last_event_id=v2.chat.1.0.5%0Acauseway-session%0Ax");
    browser.get("/stream?last_event_id=a&last_event_id=b");
    browser.get("/stream?channel=chat");
    let opened = browser.platform.opened_streams.borrow();
    assert!(opened.iter().all(|open| open.subject.to_string() == "github:7"));
    let ids: Vec<_> = opened.iter().map(|open| open.last_event_id.as_deref()).collect();
    let expected = [Some("v2.chat.1.0.5"), Some("v2.chat.1.0.9"), Some("unreadable"), Some("unreadable"), None];
    assert_eq!(ids, expected);
}

#[test]
fn s130_stream_is_rejected_if_the_hub_reports_an_ended_session() {
    let browser = Browser::new(github);
    browser.sign_in();
    browser.session();
    browser.platform.hub_reports_ended.set(true);
    assert_eq!(code(&browser.get("/stream")), "unauthenticated");
}

#[test]
fn too_many_streams_are_answered_with_429() {
    let browser = Browser::new(github);
    browser.sign_in();
    browser.platform.hub(&subject("github:7")).full.set(true);
    let response = browser.get("/stream");
    assert_eq!((response.status, code(&response).as_str()), (StatusCode::TOO_MANY_REQUESTS, "too-many-requests"));
    assert!(response.headers.contains_key("retry-after"));
    let log = browser.platform.log.borrow();
    assert!(log.iter().any(|line| line.contains("too-many-requests") && line.contains(r#""level":"info""#)), "{log:?}");
}

#[test]
fn s130_open_stream_is_closed_when_its_session_ends() {
    let browser = Browser::configured(&[("SESSION_HOURS", "1")], github);
    browser.sign_in();
    let pass = |seconds: u64| browser.platform.now_ms.set(browser.platform.now_ms.get() + seconds * 1000);
    pass(3600 - 10);
    assert_eq!(browser.get("/stream").status, StatusCode::OK);
    assert_eq!(browser.platform.opened_streams.borrow()[0].session_ends_in, Duration::from_secs(10));
    pass(10);
    assert_eq!(code(&browser.get("/stream")), "unauthenticated");
    assert_eq!(browser.platform.opened_streams.borrow().len(), 1);
}

const TOKEN: &str = "https://id.corp.example/token";

/// A browser with expired tokens, whose provider answers each refresh with this error, or with new tokens.
fn with_expired_tokens() -> (Browser, Rc<Cell<Option<&'static str>>>) {
    let (corp, error) = (Corp::new(), Rc::new(Cell::new(None)));
    let (provider, says) = (Rc::clone(&corp), Rc::clone(&error));
    let browser = Browser::configured(&corp::SETTINGS, move |sent| {
        let error = says.get().filter(|_| sent.body.contains("grant_type=refresh_token"));
        let refused = error.map(|error| format!(r#"{{"error":"{error}"}}"#));
        refused.map(|body| (400, vec![("content-type", JSON.to_owned())], body)).or_else(|| provider.answer(sent))
    });
    browser.sign_in_at(&corp);
    assert_eq!(browser.get("/stream").status, StatusCode::OK);
    assert_eq!(browser.sent_to(TOKEN).len(), 1, "a token that is good is not renewed");
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 3_600_000);
    browser.session();
    (browser, error)
}

#[test]
fn m10_listening_session_ends_when_its_grant_is_revoked() {
    let (browser, error) = with_expired_tokens();
    error.set(Some("temporarily_unavailable"));
    for _ in 0..2 {
        assert_eq!(browser.get("/stream").status, StatusCode::OK);
        assert_eq!(browser.session()["authenticated"], true, "an outage ends nothing");
    }
    assert_eq!(browser.sent_to(TOKEN).len(), 2, "the provider is not asked again for a while");
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 6000);
    error.set(Some("invalid_grant"));
    assert_eq!(browser.get("/stream").status, StatusCode::OK, "it was open before");
    assert_eq!(browser.platform.ended_streams.borrow().len(), 1, "and ends with the session's others");
    assert_eq!(browser.session()["authenticated"], false);
    assert_eq!(browser.get("/stream").status, StatusCode::UNAUTHORIZED);
    assert_eq!(browser.sent_to(TOKEN).len(), 3);
}

#[test]
fn m27_stream_refreshes_its_token_once_without_waiting_for_the_provider() {
    let (browser, _) = with_expired_tokens();
    let platform = &browser.platform;
    platform.network_ms.set(5000);
    let (began_ms, answered_ms) = (platform.now_ms.get(), Cell::new(0));
    let request = browser.request(Method::GET, "/stream", &[], "");
    let listen = async {
        let (response, left) = browser.edge.answer(platform, request).await;
        assert_eq!(response.status, StatusCode::OK);
        answered_ms.set(platform.now_ms.get());
        browser.edge.run_deferred(platform, left.unwrap()).await;
    };
    run_all(platform, vec![Box::pin(listen)]);
    assert!(answered_ms.get() - began_ms < 100 && platform.now_ms.get() - began_ms >= 5000);
    platform.network_ms.set(0);
    browser.get("/stream");
    assert_eq!(browser.sent_to(TOKEN).len(), 2);
}
