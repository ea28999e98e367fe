//! What every route has in common: configuration, unknown paths and methods, health.

use causeway_core::{
    config::Coordination,
    edge::{Edge, unanswerable, unreadable},
    route,
    testing::{run::run_all, settings::settings},
};
use futures_util::future::LocalBoxFuture;
use http::{Method, StatusCode};

use super::{Browser, code, github, text};

/// A path that a row of the route table answers.
fn address(row: &route::Row) -> String {
    let segments = row.pattern.split('/').map(|segment| if segment.starts_with('{') { "github" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

#[test]
fn s134_invalid_configuration_closes_every_route_and_logs_the_key() {
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
        assert!(!text(&response).contains("SESSION_KEYS"), "the page reveals no internals");
        let log = browser.platform.log.borrow();
        assert!(log.iter().any(|line| line.contains("SESSION_KEYS is not set")), "{target}: {log:?}");
    }
    assert!(browser.platform.sent.borrow().is_empty());
}

#[test]
fn s144_nothing_is_served_without_randomness_or_time() {
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
fn unknown_path_is_404_and_unknown_method_405() {
    let browser = Browser::new(github);
    assert_eq!(code(&browser.get("/nope")), "not-found");
    let response = browser.send(Method::DELETE, "/stream", &[], "");
    assert_eq!((code(&response).as_str(), response.headers["allow"].to_str().unwrap()), ("method-not-allowed", "GET"));
    assert_eq!(code(&browser.get("/auth/nope/login")), "not-found");
}

#[test]
fn readiness_checks_every_dependency_and_logs_the_missing_one() {
    let up = Browser::new(github);
    assert_eq!(up.get("/readyz").status, StatusCode::OK);
    assert!(up.platform.kv.borrow().is_empty() && up.platform.machine_states.borrow().is_empty(), "it only reads");
    for (coordinator, kv, bridge, reason) in [
        (true, false, false, "coordinator-unavailable"),
        (false, true, false, "kv-unavailable"),
        (false, false, true, "bridge-unavailable"),
        (true, true, true, "coordinator-unavailable"),
    ] {
        let edge = if bridge { Browser::new(|_| None) } else { Browser::new(github) };
        edge.platform.coordinator_down.set(coordinator);
        edge.platform.kv_down.set(kv);
        let response = edge.get("/readyz");
        assert_eq!((response.status, code(&response).as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
        let log = edge.platform.log.borrow();
        let reject = log.iter().find(|line| line.contains("\"reject\"")).unwrap();
        assert!(reject.contains(reason), "{reject}");
        for (is_down, part) in
            [(coordinator, "coordinator is unavailable"), (kv, "kv is unavailable"), (bridge, "bridge is unavailable")]
        {
            assert_eq!(reject.contains(part), is_down, "{part}: {reject}");
        }
        drop(log);
        edge.platform.sent.borrow_mut().clear();
        assert_eq!(edge.get("/healthz").status, StatusCode::OK);
        assert!(edge.platform.sent.borrow().is_empty(), "it sends no request");
    }
}

#[test]
fn unresponsive_store_fails_readiness_after_two_seconds() {
    for (coordinator, reason) in [(true, "coordinator-unavailable"), (false, "kv-unavailable")] {
        let edge = Browser::new(github);
        edge.platform.coordinator_hangs.set(coordinator);
        edge.platform.kv_hangs.set(!coordinator);
        let began_ms = edge.platform.now_ms.get();
        let request = edge.request(Method::GET, "/readyz", &[], "");
        let response = run_all(&edge.platform, vec![Box::pin(edge.edge.handle(&edge.platform, request))]).remove(0);
        assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(edge.platform.now_ms.get() - began_ms, 2000);
        assert!(edge.platform.log.borrow().iter().any(|line| line.contains(reason)), "{reason}");
    }
}

#[test]
fn readiness_asks_each_dependency_once_a_second() {
    for is_down in [false, true] {
        let edge = Browser::new(github);
        edge.platform.kv_down.set(is_down);
        edge.platform.network_ms.set(400);
        let expected = if is_down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        for round in 1..=3 {
            let asked = (0..50).map(|_| -> LocalBoxFuture<'_, StatusCode> {
                let request = edge.request(Method::GET, "/readyz", &[], "");
                Box::pin(async { edge.edge.handle(&edge.platform, request).await.status })
            });
            assert_eq!(run_all(&edge.platform, asked.collect()), [expected; 50]);
            assert_eq!(
                (edge.sent_to("https://bridge.example/readyz").len(), edge.platform.command_count.get()),
                (round, round)
            );
            edge.platform.now_ms.set(edge.platform.now_ms.get() + 1000);
        }
    }
}

#[test]
fn response_rejected_by_the_runtime_becomes_a_problem_document() {
    let browser = Browser::new(github);
    let answer = unanswerable(&browser.platform, "header 3 is no header");
    assert_eq!((code(&answer).as_str(), answer.status), ("internal", StatusCode::INTERNAL_SERVER_ERROR));
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(answer.headers.values().all(|value| value.to_str().is_ok()), "there is nothing left to reject");
    assert!(!text(&answer).contains("header 3"));
    let log = browser.platform.log.borrow();
    let request_id = answer.headers["x-request-id"].to_str().unwrap();
    assert!(log.iter().any(|line| line.contains("header 3 is no header") && line.contains(request_id)));
}

#[test]
fn request_that_the_runtime_cannot_convert_is_a_bad_one() {
    let browser = Browser::new(github);
    let answer = unreadable(&browser.platform);
    assert_eq!((code(&answer).as_str(), answer.status), ("bad-request", StatusCode::BAD_REQUEST));
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.headers["cache-control"], "no-store");
    let log = browser.platform.log.borrow();
    let request_id = answer.headers["x-request-id"].to_str().unwrap();
    assert!(log.iter().any(|line| line.contains("\"level\":\"info\"") && line.contains(request_id)), "{log:?}");
}
