//! An upstream demands another authentication of the user (a claims challenge, or RFC 9470): one sign-in that asks for
//! exactly that, and no loop.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use causeway_core::{
    http::web::Response,
    testing::{
        body::InMemoryBody,
        corp::{self, Corp},
    },
};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use super::{Browser, code, github, text};

const API: &str = "https://api.corp.example/";
const CLAIMS: &str = r#"{"access_token":{"acrs":{"essential":true,"value":"c1"}}}"#;
const STEP_UP: &str = r#"Bearer error="insufficient_user_authentication", acr_values="urn:mfa phr", max_age="60""#;
const SERVICES: &str = r#"[
    {"name":"api","url":"https://api.corp.example","provider":"corp","allow":["GET /x"]},
    {"name":"other","url":"https://api.corp.example/other","provider":"corp","allow":["GET /x"]},
    {"name":"code","url":"https://api.corp.example/code","provider":"github","shares_token":true,"allow":["GET /x"]}
]"#;

fn claims(json: &str) -> String {
    format!(r#"Bearer realm="", error="insufficient_claims", claims="{}""#, STANDARD.encode(json))
}

/// A browser at a deployment whose API challenges each call while it has a challenge.
struct Stage {
    browser: Browser,
    corp: Rc<Corp>,
    challenge: Rc<RefCell<Option<String>>>,
}

impl Stage {
    fn new(challenge: &str) -> Self {
        let (corp, challenge) = (Corp::new(), Rc::new(RefCell::new(Some(challenge.to_owned()))));
        let (provider, present) = (Rc::clone(&corp), Rc::clone(&challenge));
        let settings = [&corp::SETTINGS[..], &[("SERVICES", SERVICES)]].concat();
        let browser =
            Browser::configured(&settings, move |sent| match (sent.url.starts_with(API), &*present.borrow()) {
                (true, Some(challenge)) => Some((401, vec![("www-authenticate", challenge.clone())], String::new())),
                (true, None) => Some((200, Vec::new(), String::new())),
                _ => provider.answer(sent).or_else(|| github(sent)),
            });
        Self { browser, corp, challenge }
    }

    fn signed_in(challenge: &str) -> Self {
        let stage = Self::new(challenge);
        stage.browser.sign_in_at(&stage.corp);
        stage
    }

    fn call(&self) -> Response<InMemoryBody> {
        self.browser.script(Method::GET, "/bff/api/x", "")
    }

    /// Calls the API, which demands a step-up; returns the address of the login.
    fn demanded(&self) -> String {
        let response = self.call();
        let body = text(&response);
        assert_eq!((response.status, code(&response).as_str()), (StatusCode::UNAUTHORIZED, "step-up-needed"), "{body}");
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["provider"], "corp");
        format!("/auth/corp/login?step_up={}", problem["step_up"].as_str().unwrap())
    }

    fn begin(&self, login: &str) -> Response<InMemoryBody> {
        self.browser.send(Method::GET, login, &[("sec-fetch-site", "same-origin")], "")
    }

    /// Signs in as an upstream demands; returns the answer to the callback.
    fn step_up(&self) -> Response<InMemoryBody> {
        let login = self.demanded();
        self.browser.get(&self.browser.begin_at(&self.corp, &login))
    }

    fn pass(&self, seconds: u64) {
        let now_ms = self.browser.platform.now_ms.get() + seconds * 1000;
        self.browser.platform.now_ms.set(now_ms);
        self.corp.claims.borrow_mut()["iat"] = json!(now_ms / 1000);
    }
}

/// The parameters of the redirect to the provider.
fn asked(response: &Response<InMemoryBody>) -> HashMap<String, String> {
    assert_eq!(response.status, StatusCode::SEE_OTHER, "{}", text(response));
    let url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
    url.query_pairs().into_owned().collect()
}

#[test]
fn claims_challenge_becomes_one_sign_in_with_exactly_these_claims() {
    let stage = Stage::signed_in(&claims(CLAIMS));
    let tokens = stage.browser.sent_to("https://id.corp.example/token").len();
    let session = stage.browser.session();
    let login = format!("{}&return_to=https://host.edge.example/page", stage.demanded());
    assert_eq!(stage.browser.sent_to(API).len(), 1, "the call is not repeated");
    assert_eq!(stage.browser.sent_to("https://id.corp.example/token").len(), tokens, "no refresh meets the demand");
    let parameters = asked(&stage.begin(&login));
    assert_eq!(parameters["claims"], CLAIMS);
    assert!(!parameters.contains_key("acr_values") && !parameters.contains_key("max_age"));
    let response = stage.browser.get(&stage.browser.begin_at(&stage.corp, &login));
    assert_eq!(
        (response.status, &response.headers["location"]),
        (StatusCode::SEE_OTHER, &"https://host.edge.example/page".parse().unwrap())
    );
    stage.challenge.take();
    assert_eq!(stage.call().status, StatusCode::OK);
    assert_eq!(stage.browser.session()["user"], session["user"], "the session goes on");
    assert!(stage.browser.platform.ended_streams.borrow().is_empty());
    let log = stage.browser.platform.log.borrow().iter().cloned().collect::<String>();
    assert!(!log.contains("step_up=") && !log.contains("acrs"), "{log}");
}

#[test]
fn rfc_9470_challenge_becomes_a_sign_in_with_its_parameters() {
    let stage = Stage::signed_in(STEP_UP);
    let parameters = asked(&stage.begin(&stage.demanded()));
    assert_eq!((parameters["acr_values"].as_str(), parameters["max_age"].as_str()), ("urn:mfa phr", "60"));
    assert!(!parameters.contains_key("claims"));
}

#[test]
fn upstream_that_repeats_its_demand_after_the_sign_in_is_refused() {
    for (challenge, quiet_seconds) in [(claims(CLAIMS), 300), (STEP_UP.to_owned(), 60)] {
        let stage = Stage::signed_in(&challenge);
        assert_eq!(stage.step_up().status, StatusCode::SEE_OTHER);
        for pause in [0, quiet_seconds - 1] {
            stage.pass(pause);
            let response = stage.call();
            assert_eq!((response.status, code(&response).as_str()), (StatusCode::FORBIDDEN, "step-up-in-vain"));
        }
        // Another upstream has not had its sign-in yet.
        assert_eq!(code(&stage.browser.script(Method::GET, "/bff/other/x", "")), "step-up-needed");
        stage.pass(1);
        stage.demanded();
    }
}

#[test]
fn each_demand_gets_one_sign_in_however_it_is_written() {
    let stage = Stage::signed_in("");
    let demand = |acrs: &str, nbf: u64| {
        let json = format!(r#"{{"access_token":{{"acrs":{{"value":"{acrs}"}},"nbf":{{"value":"{nbf}"}}}}}}"#);
        stage.challenge.replace(Some(claims(&json)));
    };
    for acrs in ["c1", "c2"] {
        demand(acrs, 1);
        assert_eq!(stage.step_up().status, StatusCode::SEE_OTHER, "{acrs}");
        // The same demand, made later, and the one before it.
        for (acrs, nbf) in [(acrs, 2), ("c1", 3)] {
            demand(acrs, nbf);
            let response = stage.call();
            assert_eq!(
                (response.status, code(&response).as_str()),
                (StatusCode::FORBIDDEN, "step-up-in-vain"),
                "{acrs}"
            );
        }
    }
    stage.pass(300);
    stage.demanded();
}

#[test]
fn upstream_that_makes_one_demand_after_another_is_refused_at_last() {
    let stage = Stage::signed_in("");
    for round in 0..5 {
        let demand = claims(&CLAIMS.replace("c1", &format!("c{round}")));
        stage.challenge.replace(Some(demand));
        if round < 3 {
            assert_eq!(stage.step_up().status, StatusCode::SEE_OTHER);
        } else {
            assert_eq!(code(&stage.call()), "step-up-in-vain");
        }
        stage.pass(20);
    }
    stage.pass(300);
    stage.demanded();
}

#[test]
fn access_that_was_revoked_again_after_the_sign_in_is_a_new_demand() {
    let stage = Stage::signed_in("");
    let revoked_at = |ms: u64| {
        let json = format!(r#"{{"access_token":{{"nbf":{{"essential":true,"value":"{}"}}}}}}"#, ms / 1000);
        stage.challenge.replace(Some(claims(&json)));
    };
    let now_ms = || stage.browser.platform.now_ms.get();
    revoked_at(now_ms());
    for _ in 0..2 {
        assert_eq!(stage.step_up().status, StatusCode::SEE_OTHER);
        let signed_in_ms = now_ms();
        stage.pass(60);
        assert_eq!(code(&stage.call()), "step-up-in-vain", "the demand that was answered");
        // Within the skew of clocks, and later than any sign-in could meet.
        for ms in [signed_in_ms + 29_000, now_ms() + 40_000] {
            revoked_at(ms);
            assert_eq!(code(&stage.call()), "step-up-in-vain");
        }
        revoked_at(now_ms());
    }
    assert_eq!(stage.step_up().status, StatusCode::SEE_OTHER);
    stage.pass(60);
    revoked_at(now_ms());
    assert_eq!(code(&stage.call()), "step-up-in-vain", "three in a row");
    stage.pass(300);
    stage.demanded();
}

#[test]
fn max_age_that_lapses_is_met_again_three_times_in_a_row() {
    let stage = Stage::signed_in(STEP_UP);
    for _ in 0..3 {
        assert_eq!(stage.step_up().status, StatusCode::SEE_OTHER);
        stage.challenge.take();
        assert_eq!(stage.call().status, StatusCode::OK, "the demand is met");
        stage.challenge.replace(Some(STEP_UP.to_owned()));
        stage.pass(60);
    }
    assert_eq!(code(&stage.call()), "step-up-in-vain");
    stage.pass(240);
    assert_eq!(stage.step_up().status, StatusCode::SEE_OTHER);
}

#[test]
fn challenge_that_is_answered_twice_counts_once() {
    let stage = Stage::signed_in(&claims(CLAIMS));
    let login = stage.demanded();
    for _ in 0..4 {
        let response = stage.browser.get(&stage.browser.begin_at(&stage.corp, &login));
        assert_eq!(response.status, StatusCode::SEE_OTHER);
        stage.pass(10);
    }
    assert_eq!(code(&stage.call()), "step-up-in-vain", "the demand that was answered");
    stage.challenge.replace(Some(claims(&CLAIMS.replace("c1", "c2"))));
    stage.demanded();
}

#[test]
fn another_user_does_not_meet_the_demand() {
    // The session began at the provider itself, or the account was connected later.
    for is_connected in [false, true] {
        let stage = Stage::new(&claims(CLAIMS));
        if is_connected {
            stage.browser.sign_in();
            stage.browser.connect_at(&stage.corp);
        } else {
            stage.browser.sign_in_at(&stage.corp);
        }
        let before = stage.browser.session();
        *stage.corp.claims.borrow_mut() = json!({"sub": "another"});
        *stage.corp.userinfo.borrow_mut() = json!({"sub": "another"});
        let response = stage.step_up();
        assert_eq!(response.status, StatusCode::CONFLICT, "{}", text(&response));
        assert!(text(&response).contains("other-account"));
        assert_eq!(stage.browser.session(), before);
        stage.demanded();
    }
}

#[test]
fn page_can_neither_invent_nor_borrow_a_demand() {
    let stage = Stage::signed_in(&claims(CLAIMS));
    let login = stage.demanded();
    let (_, value) = login.split_once('=').unwrap();
    let invented: String = byte_serialize(CLAIMS.as_bytes()).collect();
    let flipped = format!("{}{}", &value[..value.len() - 4], "AAAA");
    for target in [
        format!("/auth/corp/login?step_up={invented}"),
        "/auth/corp/login?step_up=".to_owned(),
        format!("/auth/corp/login?step_up={flipped}"),
        format!("/auth/corp/login?step_up={value}&step_up={value}"),
        format!("/auth/entra/login?step_up={value}"),
        format!("/auth/github/login?step_up={value}"),
    ] {
        let response = stage.begin(&target);
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{target}");
        assert!(!response.headers.contains_key("location") && !response.headers.contains_key("set-cookie"));
    }
    let cookies = stage.browser.swap(Vec::new());
    stage.browser.sign_in_at(&stage.corp);
    assert_eq!(stage.begin(&login).status, StatusCode::BAD_REQUEST, "the demand of another session");
    stage.browser.swap(cookies);
    for parameter in ["claims", "acr_values", "max_age"] {
        let parameters = asked(&stage.begin(&format!("{login}&{parameter}=invented")));
        assert_eq!(parameters.get(parameter).map(String::as_str), (parameter == "claims").then_some(CLAIMS));
    }
    let ignored = asked(&stage.begin(&format!("/auth/corp/login?claims={invented}")));
    assert!(!ignored.contains_key("claims"));
    let from_elsewhere = stage.browser.send(Method::GET, &login, &[("sec-fetch-site", "cross-site")], "");
    assert_eq!(from_elsewhere.status, StatusCode::FORBIDDEN);
    let cookies = stage.browser.swap(Vec::new());
    assert_eq!(stage.begin(&login).status, StatusCode::UNAUTHORIZED);
    stage.browser.swap(cookies);
    stage.pass(601);
    assert_eq!(stage.begin(&login).status, StatusCode::BAD_REQUEST, "it is too old");
}

#[test]
fn largest_demand_fits_into_a_cookie_and_an_address() {
    let json = |length: usize| format!(r#"{{"access_token":{{"acrs":{{"value":"{}"}}}}}}"#, "\\\"".repeat(length / 2));
    let stage = Stage::signed_in(&claims(&json(984)));
    let page = format!("https://host.edge.example/{}", "p".repeat(480));
    let login = format!("{}&return_to={page}", stage.demanded());
    assert!(login.len() < 4096, "{}", login.len());
    let response = stage.begin(&login);
    assert_eq!(asked(&response)["claims"], json(984));
    let cookie = response.headers.get_all("set-cookie").iter().map(|cookie| cookie.len()).max().unwrap();
    assert!(cookie < 4096, "{cookie}");
    stage.challenge.replace(Some(claims(&json(1024))));
    assert_eq!(code(&stage.call()), "provider-sign-in-needed", "a larger one is none");
}

#[test]
fn other_401s_remain_what_they_were() {
    for challenge in ["", "Bearer error=\"invalid_token\"", "Bearer error=\"insufficient_claims\", claims=\"e30\""] {
        let stage = Stage::signed_in(challenge);
        assert_eq!(code(&stage.call()), "provider-sign-in-needed", "{challenge}");
        assert_eq!(stage.browser.sent_to(API).len(), 2, "the token is renewed");
    }
    // GitHub knows no such parameters.
    let stage = Stage::new(&claims(CLAIMS));
    stage.browser.sign_in();
    assert_eq!(code(&stage.browser.script(Method::GET, "/bff/code/x", "")), "provider-sign-in-needed");
}
