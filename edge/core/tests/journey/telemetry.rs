//! What an operator reads in the log, and the trace that requests carry.

use http::Method;
use serde_json::Value;

use super::{Browser, github};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn lines(browser: &Browser, event: &str) -> Vec<Value> {
    let log = browser.platform.log.borrow();
    let lines = log.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == event).collect()
}

#[test]
fn rejection_is_logged_with_its_reason_and_the_clients_request_id() {
    let browser = Browser::new(github);
    let response = browser.send(Method::POST, "/auth/logout", &[("origin", "https://evil.example")], "");
    let [line] = lines(&browser, "reject").try_into().unwrap();
    assert_eq!(line["reason"], "x-csrf-header-missing-repeated-or-wrong");
    assert_eq!((&line["route"], &line["method"]), (&"/auth/logout".into(), &"POST".into()));
    assert_eq!((&line["status"], &line["code"], &line["level"]), (&403.into(), &"forbidden".into(), &"info".into()));
    assert_eq!(line["request_id"], response.headers["x-request-id"].to_str().unwrap());
    assert_eq!(line["trace_id"].as_str().unwrap().len(), 32);
}

#[test]
fn sign_in_outcome_is_logged_with_the_reason_of_a_rejection() {
    let browser = Browser::new(github);
    browser.sign_in();
    let [done] = lines(&browser, "login").try_into().unwrap();
    assert_eq!((&done["provider"], &done["outcome"]), (&"github".into(), &"done".into()));
    browser.platform.log.borrow_mut().clear();
    let state = browser.start();
    browser.get(&format!("/auth/github/callback?code=bad&state={state}"));
    assert_eq!(lines(&browser, "login")[0]["outcome"], "refused");
    let [reject] = lines(&browser, "reject").try_into().unwrap();
    assert_eq!((&reject["reason"], &reject["code"]), (&"bad-verification-code".into(), &"sign-in-refused".into()));
}

#[test]
fn upstream_calls_are_logged_and_carry_the_trace() {
    let browser = Browser::new(github);
    browser.sign_in();
    browser.platform.log.borrow_mut().clear();
    browser.platform.sent.borrow_mut().clear();
    let headers = [("x-csrf", "1"), ("origin", "https://edge.example"), ("traceparent", TRACE)];
    browser.send(Method::GET, "/bff/github/user", &headers, "");
    let [line] = lines(&browser, "upstream").try_into().unwrap();
    assert_eq!((&line["service"], &line["host"]), (&"github".into(), &"api.github.com".into()));
    assert_eq!((&line["status"], &line["duration_ms"]), (&200.into(), &0.into()));
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(browser.platform.sent.borrow()[0].headers["traceparent"], TRACE);
}

#[test]
fn malformed_or_repeated_traceparent_is_replaced() {
    let browser = Browser::new(github);
    for headers in [&[("traceparent", "00-x")][..], &[("traceparent", TRACE), ("traceparent", TRACE)], &[]] {
        browser.platform.log.borrow_mut().clear();
        browser.send(Method::GET, "/nope", headers, "");
        let [line] = lines(&browser, "reject").try_into().unwrap();
        let id = line["trace_id"].as_str().unwrap();
        assert!(id.len() == 32 && id != "4bf92f3577b34da6a3ce929d0e0e4736", "{id}");
    }
}
