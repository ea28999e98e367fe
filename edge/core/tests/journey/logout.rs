//! Signing out, here and at the provider.

use std::{collections::HashMap, rc::Rc};

use causeway_core::{
    http::web::Response,
    testing::{
        body::InMemoryBody,
        corp::{self, Corp},
    },
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Browser, github, text};

const LOGOUT_REDIRECT_COOKIE: &str = "__Host-Http-logout";
const BACK: &str = "https://host.edge.example/page";

fn signed_in() -> (Browser, Rc<Corp>) {
    let corp = Corp::new();
    let browser = Browser::at_corp(&corp);
    browser.sign_in_at(&corp);
    (browser, corp)
}

fn sign_out(browser: &Browser) -> Response<InMemoryBody> {
    browser.script(Method::POST, "/auth/logout", "")
}

/// Follows the redirect to the provider; returns its query, and the address without it.
fn leave(browser: &Browser) -> (String, HashMap<String, String>) {
    let response = sign_out(browser);
    assert_eq!(response.status, StatusCode::OK, "{}", text(&response));
    let body: Value = serde_json::from_str(&text(&response)).unwrap();
    let response = browser.get(&format!("{}?return_to={BACK}", body["end_session"].as_str().unwrap()));
    assert_eq!(response.status, StatusCode::SEE_OTHER);
    let mut url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
    let query = url.query_pairs().into_owned().collect();
    url.set_query(None);
    (url.to_string(), query)
}

fn holds(browser: &Browser, name: &str) -> bool {
    browser.cookies.borrow().iter().any(|(known, _)| known == name)
}

#[test]
fn m50_sign_out_redirects_through_the_provider_and_back() {
    let (browser, corp) = signed_in();
    let (address, query) = leave(&browser);
    assert_eq!(address, "https://id.corp.example/session/end");
    assert_eq!(query["id_token_hint"], corp.id_token());
    assert_eq!(query["client_id"], "corp-client");
    assert_eq!(query["post_logout_redirect_uri"], "https://edge.example/auth/corp/logged-out");
    assert!(!holds(&browser, LOGOUT_REDIRECT_COOKIE), "the redirect happens once");
    let response = browser.get(&format!("/auth/corp/logged-out?state={}", query["state"]));
    assert_eq!((response.status, &response.headers["location"]), (StatusCode::SEE_OTHER, &BACK.parse().unwrap()));
    assert!(browser.cookies.borrow().is_empty(), "nothing remains");
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn s127_wrong_logout_state_redirects_to_the_home_page() {
    let (browser, _) = signed_in();
    let (_, query) = leave(&browser);
    let jar = browser.cookies.borrow().clone();
    let state = &query["state"];
    for bad in [
        String::new(),
        "?state=".into(),
        "?state=x".into(),
        format!("?state={state}&state={state}"),
        format!("?state={state}x"),
    ] {
        browser.swap(jar.clone());
        let response = browser.get(&format!("/auth/corp/logged-out{bad}"));
        assert_eq!(
            (response.status, response.headers["location"].as_bytes()),
            (StatusCode::SEE_OTHER, &b"/"[..]),
            "{bad}"
        );
    }
    let home = |cookies, target: &str| {
        browser.swap(cookies);
        assert_eq!(browser.get(target).headers["location"], "/", "{target}");
    };
    home(Vec::new(), &format!("/auth/corp/logged-out?state={state}"));
    home(jar.clone(), &format!("/auth/entra/logged-out?state={state}"));
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 600_000);
    home(jar, &format!("/auth/corp/logged-out?state={state}"));
}

#[test]
fn s28_sign_out_returns_to_own_and_host_addresses_only() {
    let (browser, _) = signed_in();
    for bad in ["https://evil.example/", "//evil.example", "/%5cevil.example", "javascript:alert(1)"] {
        let response = browser.get(&format!("/auth/corp/end-session?return_to={bad}"));
        assert_eq!(response.headers["location"], "/", "{bad}");
    }
    let response = browser.get(&format!("/auth/corp/end-session?return_to={BACK}"));
    assert_eq!(response.headers["location"], BACK, "without a preceding sign-out the request passes through");
}

#[test]
fn s87_link_or_image_does_not_sign_out() {
    let (browser, _) = signed_in();
    let image = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
    assert_eq!(browser.send(Method::GET, "/auth/logout", &image, "").status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(browser.get("/auth/logout").status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(browser.send(Method::GET, "/auth/corp/end-session", &image, "").status, StatusCode::FORBIDDEN);
    assert_eq!(browser.get("/auth/corp/end-session").headers["location"], "/");
    assert_eq!(browser.get("/auth/corp/logged-out").headers["location"], "/");
    assert_eq!(browser.session()["authenticated"], true);
}

#[test]
fn s133_id_token_appears_only_in_the_redirect_to_the_provider() {
    let (browser, corp) = signed_in();
    let response = sign_out(&browser);
    let id_token = corp.id_token();
    let plain = format!("{:?} {}", response.headers, text(&response));
    assert!(!plain.contains(&id_token) && !plain.contains(id_token.split('.').nth(1).unwrap()));
    let (name, value) = browser.cookies.borrow()[0].clone();
    assert!(name == LOGOUT_REDIRECT_COOKIE && name.len() + value.len() <= 4096);
    browser.get("/auth/corp/end-session");
    assert!(!browser.platform.log.borrow().iter().any(|line| line.contains(&id_token)));
    // One provider's cookie does not open at another.
    browser.swap(vec![(name.clone(), value.clone())]);
    assert_eq!(browser.get("/auth/entra/end-session").headers["location"], "/");
    browser.swap(vec![(name.clone(), value.clone()), (name.clone(), value.clone())]);
    assert_eq!(browser.get("/auth/corp/end-session").headers["location"], "/", "a second cookie of the same name");
    browser.swap(vec![(name, value)]);
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 60_000);
    assert_eq!(browser.get("/auth/corp/end-session").headers["location"], "/", "too late");
}

#[test]
fn id_token_too_large_for_a_cookie_is_replaced_by_a_logout_hint() {
    let corp = Corp::new();
    let browser = Browser::at_corp(&corp);
    *corp.claims.borrow_mut() = json!({"email": "ada@corp.example", "groups": vec!["a-group-of-some-name"; 200]});
    browser.sign_in_at(&corp);
    let (_, query) = leave(&browser);
    assert!(!query.contains_key("id_token_hint"));
    assert_eq!((query["client_id"].as_str(), query["logout_hint"].as_str()), ("corp-client", "ada@corp.example"));
}

#[test]
fn s128_sign_out_revokes_tokens_and_succeeds_during_a_provider_outage() {
    let (browser, _) = signed_in();
    sign_out(&browser);
    let sent = browser.sent_to("https://id.corp.example/revoke");
    assert_eq!(sent.len(), 1);
    assert!(sent[0].body.contains("token=corp-refresh&token_type_hint=refresh_token"));

    let (browser, corp) = signed_in();
    corp.down.borrow_mut().push("/revoke");
    let old = browser.cookies.borrow().clone();
    assert_eq!(sign_out(&browser).status, StatusCode::OK);
    assert_eq!(browser.platform.ended_streams.borrow().len(), 1);
    browser.swap(old);
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn sign_out_skips_a_provider_without_end_session_or_in_outage() {
    let browser = Browser::new(github);
    browser.sign_in();
    let response = sign_out(&browser);
    assert_eq!((response.status, text(&response).as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(response.headers["clear-site-data"], "\"cache\"");

    let corp = Corp::new();
    *corp.metadata.borrow_mut() = json!({"end_session_endpoint": null});
    let browser = Browser::at_corp(&corp);
    browser.sign_in_at(&corp);
    assert_eq!(sign_out(&browser).status, StatusCode::NO_CONTENT);

    let (browser, corp) = signed_in();
    corp.down.borrow_mut().extend(["openid-configuration", "/revoke"]);
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 3 * 3_600_000);
    assert_eq!(sign_out(&browser).status, StatusCode::OK, "older metadata suffices");
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn failed_sign_out_is_reported_as_failed() {
    let (browser, _) = signed_in();
    browser.platform.coordinator_down.set(true);
    assert_eq!(sign_out(&browser).status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(browser.sent_to("https://id.corp.example/revoke").is_empty(), "its tokens are kept");
    browser.platform.coordinator_down.set(false);
    assert_eq!(browser.session()["authenticated"], true);
    assert_eq!(sign_out(&browser).status, StatusCode::OK);
    assert_eq!(sign_out(&browser).status, StatusCode::NO_CONTENT, "a repeated click is not an error");
}

#[test]
fn s155_cross_site_sign_out_stays_local() {
    let corp = Corp::new();
    let settings: Vec<_> = corp::SETTINGS.into_iter().chain([("EMBED", "cross-site")]).collect();
    let upstream = Rc::clone(&corp);
    let browser = Browser::configured(&settings, move |sent| upstream.answer(sent));
    browser.sign_in_at(&corp);
    let response = sign_out(&browser);
    assert_eq!(response.status, StatusCode::NO_CONTENT);
    assert!(browser.cookies.borrow().is_empty(), "no cookie that the navigation would miss");
}

#[test]
fn s128_sign_out_revokes_tokens_during_a_hub_outage() {
    let (browser, _) = signed_in();
    browser.platform.end_session_fails.set(true);
    let response = sign_out(&browser);
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(browser.sent_to("https://id.corp.example/revoke").len(), 1);
    assert_eq!(browser.session()["authenticated"], false, "the session has ended, its streams may not have");
    browser.platform.end_session_fails.set(false);
    // A second attempt completes it and still redirects to the provider.
    let (address, query) = leave(&browser);
    assert_eq!(address, "https://id.corp.example/session/end");
    assert!(query.contains_key("id_token_hint"));
    assert_eq!(browser.platform.ended_streams.borrow().len(), 1, "the hub was notified");
    assert_eq!(browser.sent_to("https://id.corp.example/revoke").len(), 1);
    assert_eq!(sign_out(&browser).status, StatusCode::NO_CONTENT);
}

#[test]
fn s114_sign_out_revokes_tokens_when_the_coordinators_reply_is_lost() {
    let (browser, _) = signed_in();
    browser.platform.loses_replies_to.set(Some("revoke"));
    assert_eq!(sign_out(&browser).status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(browser.sent_to("https://id.corp.example/revoke").len(), 1, "the tokens that it had just before");
    browser.platform.loses_replies_to.set(None);
    assert_eq!(leave(&browser).0, "https://id.corp.example/session/end");
    assert_eq!(browser.platform.ended_streams.borrow().len(), 1, "the hub was notified");
}

#[test]
fn s114_sign_out_of_an_idle_session_revokes_its_tokens() {
    let (browser, _) = signed_in();
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 5 * 3_600_000);
    assert_eq!(browser.session()["authenticated"], false);
    assert_eq!(leave(&browser).0, "https://id.corp.example/session/end");
    assert_eq!(browser.sent_to("https://id.corp.example/revoke").len(), 1);
}
