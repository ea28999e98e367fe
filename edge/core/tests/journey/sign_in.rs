//! Signing in, as a user and as an attacker of the callback would notice it.

use std::{cell::RefCell, rc::Rc};

use causeway_core::testing::{corp::Corp, run::run_all};
use http::{Method, StatusCode};
use serde_json::json;

use super::{Browser, code, github, text};

#[test]
fn user_signs_in_and_out() {
    let browser = Browser::new(github);
    assert_eq!(browser.session()["authenticated"], false);
    browser.sign_in();
    let session = browser.session();
    assert_eq!(session["user"], json!({"id": "github:7", "name": "Ada", "email": null}));
    assert_eq!(browser.cookies.borrow().len(), 1, "the sign-in's cookie is cleared");
    let old = browser.cookies.borrow().clone();
    assert_eq!(browser.script(Method::POST, "/auth/logout", "").status, StatusCode::NO_CONTENT);
    assert_eq!(browser.platform.ended_streams.borrow().len(), 1, "open streams end as well");
    assert_eq!(browser.session()["authenticated"], false);
    *browser.cookies.borrow_mut() = old;
    assert_eq!(browser.session()["authenticated"], false, "the old cookie does not open");
    assert_eq!(code(&browser.script(Method::POST, "/events/chat", "{}")), "unauthenticated");
}

#[test]
fn s1_s7_unsolicited_callback_is_rejected() {
    let browser = Browser::new(github);
    let refused = |target: &str| browser.assert_refused(&browser.get(target));
    refused("/auth/github/callback");
    refused("/auth/github/callback?code=good&state=");
    refused(&format!("/auth/github/callback?code=good&state={}", "a".repeat(43)));
    let state = browser.start();
    refused(&format!("/auth/github/callback?code=good&state={state}&state={state}"));
    assert!(browser.sent_to("https://github.com").is_empty(), "no code was sent");
}

#[test]
fn s2_s3_s4_state_is_bound_to_browser_and_provider_and_single_use() {
    let (browser, other) = (Browser::new(github), Browser::new(github));
    let state = browser.start();
    other.assert_refused(&other.get(&format!("/auth/github/callback?code=good&state={state}")));
    browser.assert_refused(&browser.get(&format!("/auth/entra/callback?code=good&state={state}")));
    // Another provider's callback used nothing up (S158).
    let callback = format!("/auth/github/callback?code=good&state={state}");
    assert_eq!(browser.get(&callback).status, StatusCode::SEE_OTHER);
    browser.cookies.borrow_mut().clear();
    assert_eq!(browser.get(&callback).status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.sent_to("https://github.com/login/oauth/access_token").len(), 1);
}

#[test]
fn s5_s7_m68_callback_of_another_issuer_is_rejected_before_the_code_is_sent() {
    for bad in
        ["iss=https://evil.example", "iss=https://github.com/login/oauth/", "iss=https://github.com/login/oauth&iss=x"]
    {
        let browser = Browser::new(github);
        let state = browser.start();
        browser.assert_refused(&browser.get(&format!("/auth/github/callback?code=good&state={state}&{bad}")));
        assert!(browser.sent_to("https://github.com").is_empty());
    }
    let browser = Browser::new(github);
    let state = browser.start();
    let response =
        browser.get(&format!("/auth/github/callback?code=good&state={state}&iss=https://github.com/login/oauth"));
    assert_eq!(response.status, StatusCode::SEE_OTHER);
}

#[test]
fn s12_m65_error_with_status_200_is_recognized() {
    let browser = Browser::new(github);
    let state = browser.start();
    browser.assert_refused(&browser.get(&format!("/auth/github/callback?code=stolen&state={state}")));
    let state = browser.start();
    let response =
        browser.get(&format!("/auth/github/callback?error=server_error&error_description=<b>&state={state}"));
    browser.assert_refused(&response);
    assert!(!text(&response).contains("<b>"));
}

#[test]
fn s25_s26_token_endpoint_redirects_and_malformed_answers_are_rejected() {
    for (status, body) in [(307, ""), (302, ""), (200, "<html>"), (200, "{}"), (404, "x")] {
        let browser = Browser::new(move |sent| match sent.url.contains("access_token") {
            true => Some((status, vec![("location", "https://evil.example/".to_owned())], body.to_owned())),
            false => github(sent),
        });
        let state = browser.start();
        browser.assert_refused(&browser.get(&format!("/auth/github/callback?code=good&state={state}")));
        assert!(browser.sent_to("https://evil.example").is_empty());
    }
}

#[test]
fn provider_outage_is_reported_as_an_outage() {
    let browser = Browser::new(|sent| if sent.url.contains("access_token") { None } else { github(sent) });
    let state = browser.start();
    let response = browser.get(&format!("/auth/github/callback?code=good&state={state}"));
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers.contains_key("retry-after"));
}

/// Sends a request while time passes; returns the status and the duration in milliseconds.
fn visit(browser: &Browser, target: &str) -> (StatusCode, u64) {
    let began_ms = browser.platform.now_ms.get();
    let request = browser.request(Method::GET, target, &[], "");
    let answered = run_all(&browser.platform, vec![Box::pin(browser.edge.handle(&browser.platform, request))]);
    (answered[0].status, browser.platform.now_ms.get() - began_ms)
}

#[test]
fn unfinished_provider_answer_times_out() {
    for (end, took_ms) in [("/login/oauth/access_token", 15_000), ("/user", 10_000)] {
        let browser = Browser::new(github);
        let callback = format!("/auth/github/callback?code=good&state={}", browser.start());
        browser.platform.incomplete_body_from.set(Some(end));
        assert_eq!(visit(&browser, &callback), (StatusCode::SERVICE_UNAVAILABLE, took_ms), "{end}");
    }
    // The user's name is optional: the sign-in succeeds without it, after a short wait.
    let corp = Corp::new();
    *corp.claims.borrow_mut() = json!({"name": null});
    let browser = Browser::at_corp(&corp);
    let callback = browser.start_at(&corp);
    browser.platform.incomplete_body_from.set(Some("/me"));
    assert_eq!(visit(&browser, &callback), (StatusCode::SEE_OTHER, 5_000));
}

#[test]
fn s21_s22_signing_in_again_ends_the_old_session() {
    let browser = Browser::new(github);
    browser.sign_in();
    let old = browser.cookies.borrow().clone();
    browser.sign_in();
    assert_ne!(*browser.cookies.borrow(), old, "the session id is replaced");
    let ended: Vec<_> = browser.platform.ended_streams.borrow().iter().map(|(_, reason)| *reason).collect();
    assert_eq!(ended, [causeway_protocol::hub::EndReason::Revoked], "its streams end with it");
    *browser.cookies.borrow_mut() = old;
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn s17_parallel_sign_ins_leave_a_bounded_number_of_cookies() {
    let browser = Browser::new(github);
    browser.sign_in();
    for _ in 0..100 {
        browser.start();
    }
    assert!(browser.cookies.borrow().len() <= 5);
    assert_eq!(browser.session()["authenticated"], true);
}

#[test]
fn s133_credentials_are_marked_as_sensitive_headers() {
    let corp = Corp::new();
    let browser = Browser::at_corp(&corp);
    browser.sign_in_at(&corp);
    browser.sign_in();
    let sent = browser.platform.sent.borrow();
    let proofs: Vec<_> = sent.iter().filter_map(|sent| sent.headers.get("authorization")).collect();
    assert!(proofs.len() > 1 && proofs.iter().all(|proof| proof.is_sensitive()), "{proofs:?}");
}

#[test]
fn s18_two_tabs_can_sign_in_at_once() {
    let browser = Browser::new(github);
    let (first, second) = (browser.start(), browser.start());
    for state in [second, first] {
        let response = browser.get(&format!("/auth/github/callback?code=good&state={state}"));
        assert_eq!(response.status, StatusCode::SEE_OTHER);
    }
}

#[test]
fn return_address_is_limited_to_own_and_host_origins() {
    let browser = Browser::new(github);
    for bad in ["https://evil.example/", "//evil.example", "/%5cevil.example", "javascript:alert(1)"] {
        let response = browser.get(&format!("/auth/github/login?return_to={bad}"));
        let url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let response = browser.get(&format!("/auth/github/callback?code=good&state={state}"));
        assert_eq!(response.headers["location"], "/");
    }
}

#[test]
fn s15_s23_caller_cannot_extend_the_authorization_request() {
    let browser = Browser::new(github);
    let headers = [("host", "evil.example"), ("x-forwarded-host", "evil.example")];
    let target =
        "/auth/github/login?scope=repo&redirect_uri=https://evil.example&login_hint=evil&response_mode=fragment";
    let response = browser.send(Method::GET, target, &headers, "");
    let location = response.headers["location"].to_str().unwrap();
    assert!(location.contains("redirect_uri=https%3A%2F%2Fedge.example%2Fauth%2Fgithub%2Fcallback"));
    for bad in ["evil", "repo", "login_hint", "response_mode"] {
        assert!(!location.contains(bad), "{location}");
    }
}

#[test]
fn s52_entra_sign_in_succeeds_after_key_rotation() {
    let issued: Rc<RefCell<Option<String>>> = Rc::default();
    let nonce = Rc::clone(&issued);
    let rotated = Rc::new(RefCell::new(0));
    let browser = Browser::new(move |sent| {
        causeway_core::testing::entra::answer(sent, &nonce.borrow().clone().unwrap_or_default(), &rotated)
    });
    let response = browser.get("/auth/entra/login");
    let url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
    let parameter = |name: &str| url.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned();
    *issued.borrow_mut() = Some(parameter("nonce"));
    let response = browser.get(&format!("/auth/entra/callback?code=good&state={}", parameter("state")));
    assert_eq!(response.status, StatusCode::SEE_OTHER, "{:?}", browser.platform.log.borrow());
    assert_eq!(browser.session()["user"]["id"], "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90:o-1");
    *issued.borrow_mut() = Some("of-another-sign-in".to_owned());
    let again = Browser::new({
        let rotated = Rc::new(RefCell::new(1));
        move |sent| causeway_core::testing::entra::answer(sent, "of-another-sign-in", &rotated)
    });
    let response = again.get("/auth/entra/login");
    let url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
    let state = url.query_pairs().find(|(found, _)| found == "state").unwrap().1.into_owned();
    again.assert_refused(&again.get(&format!("/auth/entra/callback?code=good&state={state}")));
}

#[test]
fn s19_repeated_callback_redirects_a_signed_in_user_to_the_application() {
    let browser = Browser::new(github);
    let state = browser.start();
    let callback = format!("/auth/github/callback?code=good&state={state}");
    assert_eq!(browser.get(&callback).headers["location"], "https://host.edge.example/page");
    let redeemed = browser.sent_to("https://github.com").len();
    let again = browser.get(&callback);
    assert_eq!((again.status, &again.headers["location"]), (StatusCode::SEE_OTHER, &"/".parse().unwrap()));
    assert_eq!(browser.sent_to("https://github.com").len(), redeemed, "no code is redeemed twice");
    assert_eq!(browser.session()["authenticated"], true);
    browser.cookies.borrow_mut().clear();
    assert_eq!(browser.get(&callback).status, StatusCode::BAD_REQUEST, "an anonymous user gets 401");
}

#[test]
fn github_rate_limit_at_sign_in_is_an_outage() {
    let browser = Browser::new(|sent| match sent.url.as_str() {
        "https://api.github.com/user" => {
            let headers = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000030")];
            Some((403, headers.map(|(name, value)| (name, value.to_owned())).into(), "{}".to_owned()))
        }
        _ => github(sent),
    });
    let state = browser.start();
    let response = browser.get(&format!("/auth/github/callback?code=good&state={state}"));
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers["retry-after"], "30");
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn s3_m23_concurrent_callbacks_redeem_the_code_once() {
    let browser = Browser::new(github);
    let callback = format!("/auth/github/callback?code=good&state={}", browser.start());
    let jar = browser.cookies.borrow().clone();
    assert_eq!(browser.get(&callback).status, StatusCode::SEE_OTHER);
    let token = "https://github.com/login/oauth/access_token";
    assert_eq!(browser.sent_to(token).len(), 1);
    // A client that kept the cookie despite being told to drop it.
    let signed_in = browser.swap(jar.clone());
    let response = browser.get(&callback);
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.sent_to(token).len(), 1, "the code was not sent");
    // The same by a browser that has signed in since (S19).
    browser.swap(signed_in.into_iter().chain(jar).collect());
    let response = browser.get(&callback);
    assert_eq!((response.status, response.headers["location"].as_bytes()), (StatusCode::SEE_OTHER, &b"/"[..]));
    assert_eq!(browser.sent_to(token).len(), 1);
}

#[test]
fn s3_m23_code_is_not_redeemed_during_a_coordinator_outage() {
    let browser = Browser::new(github);
    let state = browser.start();
    browser.platform.coordinator_down.set(true);
    let response = browser.get(&format!("/auth/github/callback?code=good&state={state}"));
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(browser.sent_to("https://github.com").is_empty());
}

#[test]
fn s17_sign_in_steps_are_rate_limited() {
    let browser = Browser::new(github);
    let callback = format!("/auth/github/callback?code=good&state={}", browser.start());
    let limit = causeway_core::guard::rate::LOGIN_RATE.limit;
    for _ in 1..limit {
        browser.start();
    }
    let jar = browser.cookies.borrow().clone();
    for path in ["/auth/github/login", callback.as_str()] {
        let response = browser.send(Method::GET, path, &[("accept", "text/html")], "");
        assert_eq!(response.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert!(response.headers["content-type"].to_str().unwrap().starts_with("text/html"));
        assert!(response.headers.contains_key("retry-after"));
    }
    assert!(browser.sent_to("https://github.com").is_empty());
    assert_eq!(*browser.cookies.borrow(), jar, "the sign-in in progress can still be finished");
    browser.address.set([203, 0, 113, 8].into());
    browser.start();
}
