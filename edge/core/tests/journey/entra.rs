//! Signing in with Entra, which has rules of its own.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use causeway_core::{
    http::web::Response,
    testing::{
        body::InMemoryBody,
        entra::{self, KEY, NOW, merge},
        platform::{Answer, Sent},
    },
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Browser;

/// Signs in at an edge with these settings and these extra claims in the ID token; returns the callback's response.
fn sign_in(settings: &[(&str, &str)], claims: Value) -> (Browser, Response<InMemoryBody>) {
    sign_in_where(settings, claims, |_| None)
}

/// The same, with some requests answered by `upstream`.
fn sign_in_where(
    settings: &[(&str, &str)],
    claims: Value,
    instead: impl Fn(&Sent) -> Option<Option<Answer>> + 'static,
) -> (Browser, Response<InMemoryBody>) {
    let nonce: Rc<RefCell<String>> = Rc::default();
    let (known, fetches) = (Rc::clone(&nonce), Rc::new(RefCell::new(1)));
    let browser = Browser::configured(settings, move |sent| {
        if let Some(answer) = instead(sent) {
            return answer;
        }
        let (status, headers, body) = entra::answer(sent, &known.borrow(), &fetches)?;
        let mut body: Value = serde_json::from_str(&body).ok()?;
        if sent.url.contains("/organizations/") && sent.url.ends_with("/openid-configuration") {
            body["issuer"] = "https://login.microsoftonline.com/{tenantid}/v2.0".into();
        } else if sent.url.ends_with("/token") {
            let mut said = json!({"nonce": *known.borrow()});
            merge(&mut said, claims.clone());
            body["id_token"] = entra::token_with(json!({}), said, &KEY).into();
        }
        Some((status, headers, body.to_string()))
    });
    let response = browser.get("/auth/entra/login");
    let url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
    let parameter = |name: &str| url.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned();
    *nonce.borrow_mut() = parameter("nonce");
    let response = browser.get(&format!("/auth/entra/callback?code=good&state={}", parameter("state")));
    (browser, response)
}

/// Entra's `iat` and `nbf` are five minutes old when it answers.
#[test]
fn m38_entra_token_backdated_by_five_minutes_is_accepted() {
    for (age, status) in [(300, StatusCode::SEE_OTHER), (360, StatusCode::SEE_OTHER), (361, StatusCode::BAD_REQUEST)] {
        let claims = json!({"iat": NOW - age, "nbf": NOW - age, "exp": NOW + 3600});
        let (browser, response) = sign_in(&[], claims);
        assert_eq!(response.status, status, "{age} {:?}", browser.platform.log.borrow());
    }
}

/// Entra's refresh tokens work any number of times, so a lost answer neither consumes one nor casts doubt on it.
#[test]
fn m78_entra_refresh_token_is_usable_and_revocable_after_an_outage() {
    for (outage, status) in [(None, 200), (Some("<html>"), 502), (Some("{}"), 400)] {
        let is_out = Rc::new(Cell::new(false));
        let (says, at_provider) = (Rc::new(Cell::new(None::<&str>)), Rc::clone(&is_out));
        let word = Rc::clone(&says);
        let settings = [("GRAPH_ALLOW", "GET /v1.0/me")];
        let (browser, _) = sign_in_where(&settings, json!({}), move |sent| {
            if sent.url.starts_with("https://graph.microsoft.com/") {
                return Some(Some((200, Vec::new(), "{}".to_owned())));
            }
            if !sent.url.ends_with("/token") {
                return None;
            }
            let refusal = word.get().map(|word| (400, Vec::new(), format!(r#"{{"error":"{word}"}}"#)));
            match (at_provider.get(), refusal) {
                (true, _) => Some(outage.map(|body| (status, Vec::new(), body.to_owned()))),
                (false, Some(refusal)) => Some(Some(refusal)),
                (false, None) => None,
            }
        });
        let call = || browser.script(Method::GET, "/bff/graph/v1.0/me", "").status;
        let wait = |ms| browser.platform.now_ms.set(browser.platform.now_ms.get() + ms);
        assert_eq!(call(), StatusCode::OK);
        wait(2 * 3_600_000);
        is_out.set(true);
        for _ in 0..4 {
            assert_eq!(call(), StatusCode::SERVICE_UNAVAILABLE, "{status}");
            wait(61_000);
        }
        is_out.set(false);
        assert_eq!(call(), StatusCode::OK, "{status}");
        wait(2 * 3_600_000);
        is_out.set(true);
        assert_eq!(call(), StatusCode::SERVICE_UNAVAILABLE);
        wait(61_000);
        is_out.set(false);
        says.set(Some("invalid_grant"));
        assert_eq!(call(), StatusCode::UNAUTHORIZED);
        assert_eq!(browser.session()["authenticated"], false, "a user locked out by an administrator is signed out");
    }
}

#[test]
fn m74_removing_a_tenant_or_provider_ends_its_users_sessions() {
    const OTHER: &str = "9b1d6b1e-0f5c-4f0a-8a5e-0d1c2b3a4f5e";
    let tenants = |allowed: &'static str| [("ENTRA_TENANT", "organizations"), ("ENTRA_TENANTS", allowed)];
    let without_entra =
        ["ENTRA_CLIENT_ID", "ENTRA_CLIENT_SECRET", "ENTRA_TENANT", "ENTRA_AUTHORITY", "GRAPH_URL"].map(|key| (key, ""));
    for settings in [&tenants(OTHER)[..], &[("ENTRA_TENANT", OTHER)], &without_entra] {
        let both = concat!("9b1d6b1e-0f5c-4f0a-8a5e-0d1c2b3a4f5e", ",", "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90");
        let (browser, response) = sign_in(&tenants(both), json!({}));
        assert_eq!(response.status, StatusCode::SEE_OTHER, "{:?}", browser.platform.log.borrow());
        assert_eq!(browser.session()["authenticated"], true);
        let before = browser.platform.sent.borrow().len();
        let browser = browser.at_another_edge(settings);
        assert_eq!(browser.session()["authenticated"], false, "{settings:?}");
        let message = r#"{"type":"message","data":{}}"#;
        for (method, target, body) in [
            (Method::POST, "/events/chat", message),
            (Method::GET, "/stream", ""),
            (Method::GET, "/bff/github/user", ""),
            (Method::GET, "/auth/sessions", ""),
        ] {
            assert_eq!(browser.script(method, target, body).status, StatusCode::UNAUTHORIZED, "{target}");
        }
        assert_eq!(browser.platform.sent.borrow().len(), before, "no session is affected");
        assert_eq!(browser.script(Method::POST, "/auth/logout", "").status, StatusCode::NO_CONTENT);
        assert_eq!(browser.platform.ended_streams.borrow().len(), 1, "the user is signed out all the same");
        let browser = browser.at_another_edge(&tenants(both));
        assert_eq!(browser.session()["authenticated"], false);
    }
}
