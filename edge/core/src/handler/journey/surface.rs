//! What every route has in common: configuration, unknown paths and methods, health.

use http::{Method, StatusCode};

use super::{Browser, code, github};
use crate::{config::Coordination, edge::Edge, simulated::settings};

#[test]
fn a_wrong_configuration_closes_every_route_and_the_log_names_the_key() {
    let mut table = settings();
    table.remove("SESSION_KEYS");
    let edge = Edge::new(&|key: &str| table.get(key).cloned(), Coordination::Objects);
    let browser = Browser { edge, ..Browser::new(github) };
    for target in ["/", "/healthz", "/readyz", "/auth/session", "/stream", "/nope", "/assets/chat-widget.js"] {
        assert_eq!(code(&browser.get(target)), "misconfigured", "{target}");
    }
    assert!(browser.platform.log.borrow().iter().all(|line| line.contains("SESSION_KEYS is not set")));
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
