//! What every route has in common: configuration, unknown paths and methods, health.

use http::{Method, StatusCode};

use super::{Browser, code, github, text};
use crate::{
    config::Coordination,
    edge::{Edge, unanswerable},
    route,
    simulated::settings,
};

/// An address that a row of the table answers.
fn address(row: &route::Row) -> String {
    let segments = row.pattern.split('/').map(|segment| if segment.starts_with('{') { "github" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

#[test]
fn s134_a_wrong_configuration_closes_every_route_and_the_log_names_the_key() {
    let mut table = settings();
    table.remove("SESSION_KEYS");
    let edge = Edge::new(&|key: &str| table.get(key).cloned(), Coordination::Objects);
    let browser = Browser { edge, ..Browser::new(github) };
    let nowhere = [(Method::GET, "/nope".to_owned()), (Method::OPTIONS, "/auth/session".to_owned())];
    let rows = route::TABLE.iter().map(|row| (row.method.clone().unwrap_or(Method::GET), address(row)));
    for (method, target) in rows.chain(nowhere) {
        browser.platform.log.borrow_mut().clear();
        let headers = [("x-csrf", "1"), ("origin", "https://edge.example"), ("access-control-request-method", "GET")];
        let response = browser.send(method, &target, &headers, "");
        assert_eq!(code(&response), "misconfigured", "{target}");
        assert!(!text(&response).contains("SESSION_KEYS"), "visitors learn nothing of the inside");
        let log = browser.platform.log.borrow();
        assert!(log.iter().any(|line| line.contains("SESSION_KEYS is not set")), "{target}: {log:?}");
    }
    assert!(browser.platform.sent.borrow().is_empty());
}

#[test]
fn s144_without_randomness_or_time_nothing_is_served() {
    let browser = Browser::new(github);
    browser.sign_in();
    browser.platform.random_down.set(true);
    assert_eq!(code(&browser.script(Method::GET, "/auth/session", "")), "unavailable");
    assert_eq!(code(&browser.get("/auth/github/login")), "unavailable");
    browser.platform.random_down.set(false);
    assert_eq!(browser.session()["authenticated"], true);
    browser.platform.now_ms.set(0);
    assert_eq!(code(&browser.script(Method::GET, "/auth/session", "")), "unavailable", "nothing would ever expire");
    let log = browser.platform.log.borrow();
    for reason in ["randomness-unavailable", "clock-unavailable"] {
        assert!(log.iter().any(|line| line.contains(reason)), "{reason}");
    }
}

#[test]
fn unknown_paths_and_methods_are_told_apart() {
    let browser = Browser::new(github);
    assert_eq!(code(&browser.get("/nope")), "not-found");
    let response = browser.send(Method::DELETE, "/stream", &[], "");
    assert_eq!((code(&response).as_str(), response.headers["allow"].to_str().unwrap()), ("method-not-allowed", "GET"));
    assert_eq!(code(&browser.get("/auth/nope/login")), "not-found");
}

#[test]
fn readiness_follows_the_bridge() {
    let up = Browser::new(github);
    assert_eq!(up.get("/readyz").status, StatusCode::OK);
    let down = Browser::new(|_| None);
    assert_eq!(down.get("/readyz").status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(down.get("/healthz").status, StatusCode::OK);
}

#[test]
fn an_answer_that_the_runtime_refuses_becomes_a_problem_document_and_the_log_says_why() {
    let browser = Browser::new(github);
    let answer = unanswerable(&browser.platform, "header 3 is no header");
    assert_eq!((code(&answer).as_str(), answer.status), ("internal", StatusCode::INTERNAL_SERVER_ERROR));
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(answer.headers.values().all(|value| value.to_str().is_ok()), "there is nothing left to refuse");
    assert!(!text(&answer).contains("header 3"));
    let log = browser.platform.log.borrow();
    let request_id = answer.headers["x-request-id"].to_str().unwrap();
    assert!(log.iter().any(|line| line.contains("header 3 is no header") && line.contains(request_id)));
}
