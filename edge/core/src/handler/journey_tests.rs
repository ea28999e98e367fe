//! The journeys against simulated upstreams: what a user, an operator and an attacker would notice.

use std::{cell::RefCell, rc::Rc};

use causeway_protocol::{
    deliver::{Checkpoint, DeliverResponse},
    signature::{Direction, SIGNATURE_HEADER, Signed},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    config::Coordination,
    edge::Edge,
    simulated::{Answer, Sent, Simulated, Text, key_ring, run, settings},
    web::{Body, Request, Response},
};

const JSON: &str = "application/json";

fn github(sent: &Sent) -> Option<Answer> {
    let answer = |status, body: &str| Some((status, vec![("content-type", JSON.to_owned())], body.to_owned()));
    match sent.url.as_str() {
        "https://github.com/login/oauth/access_token" if sent.body.contains("code=good") => {
            answer(200, r#"{"access_token":"gho_secret","token_type":"bearer","scope":"read:user"}"#)
        }
        "https://github.com/login/oauth/access_token" => answer(200, r#"{"error":"bad_verification_code"}"#),
        "https://api.github.com/user" => answer(200, r#"{"id":7,"login":"ada","name":"Ada","email":null}"#),
        "https://bridge.example/v1/events" => answer(202, r#"{"id":"x","partition":0,"offset":0}"#),
        "https://bridge.example/readyz" => answer(200, "{}"),
        _ => None,
    }
}

struct Browser {
    edge: Edge,
    platform: Simulated,
    cookies: RefCell<Vec<(String, String)>>,
}

impl Browser {
    fn new(upstream: impl Fn(&Sent) -> Option<Answer> + 'static) -> Self {
        let table = settings();
        let edge = Edge::new(&|key: &str| table.get(key).cloned(), Coordination::Objects);
        Self { edge, platform: Simulated::new(upstream), cookies: RefCell::default() }
    }

    fn send(&self, method: Method, target: &str, headers: &[(&str, &str)], body: &str) -> Response<Text> {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let mut map = HeaderMap::new();
        let jar: Vec<String> = self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !jar.is_empty() {
            map.insert("cookie", jar.join("; ").parse().unwrap());
        }
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let request =
            Request { method, path: path.to_owned(), query, headers: map, body: Text(body.as_bytes().to_vec()) };
        let response = run(self.edge.handle(&self.platform, request));
        for cookie in response.headers.get_all("set-cookie") {
            let (pair, attributes) = cookie.to_str().unwrap().split_once("; ").unwrap();
            assert!(attributes.contains("Secure; HttpOnly"), "{cookie:?}");
            let (name, value) = pair.split_once('=').unwrap();
            let mut jar = self.cookies.borrow_mut();
            jar.retain(|(known, _)| known != name);
            if !value.is_empty() {
                jar.push((name.to_owned(), value.to_owned()));
            }
        }
        response
    }

    fn get(&self, target: &str) -> Response<Text> {
        self.send(Method::GET, target, &[], "")
    }

    fn script(&self, method: Method, target: &str, body: &str) -> Response<Text> {
        let headers = [("x-csrf", "1"), ("origin", "https://edge.example"), ("content-type", JSON)];
        self.send(method, target, &headers, body)
    }

    /// Starts a sign-in and returns its state.
    fn start(&self) -> String {
        let response = self.get("/auth/github/login?return_to=https://host.edge.example/page");
        assert_eq!(response.status, StatusCode::SEE_OTHER);
        let url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
        assert_eq!(url.query_pairs().find(|(name, _)| name == "code_challenge_method").unwrap().1, "S256");
        url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned()
    }

    fn sign_in(&self) {
        let state = self.start();
        let response = self.get(&format!("/auth/github/callback?code=good&state={state}"));
        assert_eq!(response.status, StatusCode::SEE_OTHER, "{}", text(&response));
        assert_eq!(response.headers["location"], "https://host.edge.example/page");
    }

    fn session(&self) -> Value {
        let response = self.script(Method::GET, "/auth/session", "");
        assert_eq!(response.status, StatusCode::OK);
        serde_json::from_str(&text(&response)).unwrap()
    }

    fn sent_to(&self, url: &str) -> Vec<Sent> {
        self.platform.sent.borrow().iter().filter(|sent| sent.url.starts_with(url)).cloned().collect()
    }

    /// What a refused sign-in leaves: no session, no write, a page that says nothing of the inside.
    fn assert_refused(&self, response: &Response<Text>) {
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{}", text(response));
        assert!(!self.cookies.borrow().iter().any(|(name, _)| name == "__Host-Http-session"));
        assert!(self.platform.kv.borrow().is_empty() && self.platform.coordinators.borrow().is_empty());
    }
}

fn text(response: &Response<Text>) -> String {
    match &response.body {
        Body::Empty => String::new(),
        Body::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Body::Native(text) => String::from_utf8(text.0.clone()).unwrap(),
    }
}

fn code(response: &Response<Text>) -> String {
    assert_eq!(response.headers["content-type"], "application/problem+json");
    let problem: Value = serde_json::from_str(&text(response)).unwrap();
    assert_eq!(problem["status"], response.status.as_u16());
    problem["code"].as_str().unwrap().to_owned()
}

#[test]
fn signs_in_says_who_and_signs_out() {
    let browser = Browser::new(github);
    assert_eq!(browser.session()["authenticated"], false);
    browser.sign_in();
    let session = browser.session();
    assert_eq!(session["user"], json!({"id": "github:7", "name": "Ada", "email": null}));
    assert_eq!(browser.cookies.borrow().len(), 1, "the sign-in's own cookie is gone");
    let old = browser.cookies.borrow().clone();
    assert_eq!(browser.script(Method::POST, "/auth/logout", "").status, StatusCode::NO_CONTENT);
    assert_eq!(browser.platform.ended.borrow().len(), 1, "open streams end, too");
    assert_eq!(browser.session()["authenticated"], false);
    *browser.cookies.borrow_mut() = old;
    assert_eq!(browser.session()["authenticated"], false, "the old cookie opens nothing");
    assert_eq!(code(&browser.script(Method::POST, "/events/chat", "{}")), "unauthenticated");
}

#[test]
fn no_answer_and_no_log_line_ever_holds_a_token() {
    let browser = Browser::new(github);
    browser.sign_in();
    browser.session();
    browser.get("/auth/github/callback?code=bad&state=x");
    let log: Vec<String> = browser.platform.log.borrow().iter().cloned().collect();
    for secret in ["gho_secret", "github-secret-value", "code=good"] {
        assert!(!log.iter().any(|line| line.contains(secret)));
    }
    let stored = browser.platform.kv.borrow().values().cloned().collect::<Vec<_>>().concat();
    assert!(!stored.windows(10).any(|window| window == b"gho_secret"), "tokens rest sealed");
}

#[test]
fn a_callback_nobody_asked_for_is_refused() {
    let browser = Browser::new(github);
    let refused = |target: &str| browser.assert_refused(&browser.get(target));
    refused("/auth/github/callback");
    refused("/auth/github/callback?code=good");
    refused(&format!("/auth/github/callback?code=good&state={}", "a".repeat(43)));
    let state = browser.start();
    refused(&format!("/auth/github/callback?code=good&state={state}&state={state}"));
    assert!(browser.sent_to("https://github.com").is_empty(), "no code was sent anywhere");
}

#[test]
fn a_state_works_in_its_own_browser_once_and_for_its_own_provider() {
    let (browser, other) = (Browser::new(github), Browser::new(github));
    let state = browser.start();
    other.assert_refused(&other.get(&format!("/auth/github/callback?code=good&state={state}")));
    browser.assert_refused(&browser.get(&format!("/auth/entra/callback?code=good&state={state}")));
    browser.assert_refused(&browser.get(&format!("/auth/github/callback?code=good&state={state}")));
}

#[test]
fn an_answer_of_another_issuer_is_refused_before_the_code_goes_anywhere() {
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
fn a_provider_that_says_no_with_status_200_is_understood() {
    let browser = Browser::new(github);
    let state = browser.start();
    browser.assert_refused(&browser.get(&format!("/auth/github/callback?code=stolen&state={state}")));
    let state = browser.start();
    let response =
        browser.get(&format!("/auth/github/callback?error=access_denied&error_description=<b>&state={state}"));
    browser.assert_refused(&response);
    assert!(!text(&response).contains("<b>"));
}

#[test]
fn a_token_endpoint_that_redirects_or_babbles_is_not_followed() {
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
fn a_provider_that_is_down_is_an_outage_and_no_refusal() {
    let browser = Browser::new(|sent| if sent.url.contains("access_token") { None } else { github(sent) });
    let state = browser.start();
    let response = browser.get(&format!("/auth/github/callback?code=good&state={state}"));
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers.contains_key("retry-after"));
}

#[test]
fn signing_in_again_ends_the_old_session() {
    let browser = Browser::new(github);
    browser.sign_in();
    let old = browser.cookies.borrow().clone();
    browser.sign_in();
    assert_ne!(*browser.cookies.borrow(), old, "the session's id rotated");
    let ended: Vec<_> = browser.platform.ended.borrow().iter().map(|(_, reason)| *reason).collect();
    assert_eq!(ended, [causeway_protocol::hub::EndReason::Revoked], "its streams end with it");
    *browser.cookies.borrow_mut() = old;
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn many_sign_ins_started_leave_few_cookies_and_the_session_alone() {
    let browser = Browser::new(github);
    browser.sign_in();
    for _ in 0..100 {
        browser.start();
    }
    assert!(browser.cookies.borrow().len() <= 5);
    assert_eq!(browser.session()["authenticated"], true);
}

#[test]
fn two_tabs_can_sign_in_at_once() {
    let browser = Browser::new(github);
    let (first, second) = (browser.start(), browser.start());
    for state in [second, first] {
        let response = browser.get(&format!("/auth/github/callback?code=good&state={state}"));
        assert_eq!(response.status, StatusCode::SEE_OTHER);
    }
}

#[test]
fn the_return_address_is_never_somebody_elses() {
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
fn a_caller_cannot_add_to_the_authorization_request() {
    let browser = Browser::new(github);
    let headers = [("host", "evil.example"), ("x-forwarded-host", "evil.example")];
    let target = "/auth/github/login?scope=repo&redirect_uri=https://evil.example&prompt=none&response_mode=fragment";
    let response = browser.send(Method::GET, target, &headers, "");
    let location = response.headers["location"].to_str().unwrap();
    assert!(location.contains("redirect_uri=https%3A%2F%2Fedge.example%2Fauth%2Fgithub%2Fcallback"));
    for bad in ["evil", "repo", "prompt", "response_mode"] {
        assert!(!location.contains(bad), "{location}");
    }
}

#[test]
fn an_event_is_stamped_with_who_sent_it_and_nothing_it_claims() {
    let browser = Browser::new(github);
    browser.sign_in();
    let body = r#"{"type":"message","data":{"text":"hi"},"subject":"evil:1","tenant":"evil","id":"x"}"#;
    let response = browser.script(Method::POST, "/events/chat", body);
    assert_eq!(response.status, StatusCode::ACCEPTED);
    let sent = browser.sent_to("https://bridge.example/v1/events");
    let event: Value = serde_json::from_str(&sent[0].body).unwrap();
    assert_eq!(event["subject"], "github:7");
    assert_eq!(event["source"], "https://edge.example");
    assert_eq!(event["data"], json!({"text": "hi"}));
    assert!(!sent[0].body.contains("evil"));
    let signed = Signed {
        direction: Direction::EdgeToBridge,
        method: "POST",
        target: "/v1/events",
        body: sent[0].body.as_bytes(),
    };
    let now_seconds = browser.platform.now_ms.get() / 1000;
    let header = sent[0].headers[SIGNATURE_HEADER].to_str().unwrap();
    let table = settings();
    let ring = causeway_protocol::signature::KeyRing::parse(&table["BRIDGE_KEYS"]).unwrap();
    assert_eq!(ring.verify(header, signed, now_seconds), Ok(()));
}

#[test]
fn a_repeated_idempotency_key_is_the_same_event_and_only_for_the_same_user() {
    let browser = Browser::new(github);
    browser.sign_in();
    let post = |key: &str| {
        let headers =
            [("x-csrf", "1"), ("origin", "https://edge.example"), ("content-type", JSON), ("idempotency-key", key)];
        text(&browser.send(Method::POST, "/events/chat", &headers, r#"{"type":"message","data":1}"#))
    };
    assert_eq!(post("a"), post("a"));
    assert_ne!(post("a"), post("b"));
    assert!(post(&"k".repeat(129)).contains("bad-request"));
}

#[test]
fn who_posts_without_end_is_asked_to_wait() {
    let browser = Browser::new(github);
    browser.sign_in();
    let post = || browser.script(Method::POST, "/events/chat", r#"{"type":"message","data":1}"#);
    assert!((0..300).all(|_| post().status == StatusCode::ACCEPTED));
    let refused = post();
    assert_eq!((code(&refused).as_str(), refused.status), ("too-many-requests", StatusCode::TOO_MANY_REQUESTS));
    assert!(refused.headers.contains_key("retry-after"));
}

#[test]
fn the_workers_binding_counts_what_core_says() {
    let wrangler = include_str!("../../../../wrangler.toml");
    let rate = super::event::EVENTS_RATE;
    let simple = format!("simple = {{ limit = {}, period = {} }}", rate.limit, rate.period_seconds);
    assert!(wrangler.contains(&format!("name = \"{}\"", rate.name)) && wrangler.contains(&simple));
}

#[test]
fn bad_events_are_refused_and_nothing_is_sent() {
    let browser = Browser::new(github);
    browser.sign_in();
    let origin = ("origin", "https://edge.example");
    let (csrf, json) = (("x-csrf", "1"), ("content-type", JSON));
    let big = format!(r#"{{"type":"message","data":"{}"}}"#, "x".repeat(70_000));
    let good = r#"{"type":"message","data":1}"#;
    for (target, headers, body, status) in [
        ("/events/chat", &[csrf, origin, json][..], "{", 400),
        ("/events/chat", &[csrf, origin, json], "[]", 400),
        ("/events/chat", &[csrf, origin, json], r#"{"type":"a b","data":1}"#, 400),
        ("/events/chat", &[csrf, origin, json], r#"{"type":"message"}"#, 400),
        ("/events/chat", &[csrf, origin, ("content-type", "text/plain")], good, 415),
        ("/events/chat", &[csrf, origin], good, 415),
        ("/events/chat", &[csrf, origin, json], &big, 413),
        ("/events/chat", &[csrf, origin, json, ("content-length", "99999999")], good, 413),
        ("/events/nope", &[csrf, origin, json], good, 404),
        ("/events/chat", &[origin, json], good, 403),
        ("/events/chat", &[csrf, ("origin", "https://evil.example"), json], good, 403),
        ("/events/chat", &[csrf, json], good, 403),
    ] {
        let response = browser.send(Method::POST, target, headers, body);
        assert_eq!(response.status.as_u16(), status, "{target} {headers:?} {}", text(&response));
        code(&response);
    }
    assert!(browser.sent_to("https://bridge.example").is_empty());
}

#[test]
fn an_event_the_bridge_did_not_take_is_an_outage_to_be_tried_again() {
    for down in [
        None,
        Some((503, vec![], String::new())),
        Some((401, vec![], String::new())),
        Some((500, vec![], String::new())),
    ] {
        let browser = Browser::new(move |sent| if sent.url.contains("bridge") { down.clone() } else { github(sent) });
        browser.sign_in();
        let response = browser.script(Method::POST, "/events/chat", r#"{"type":"message","data":1}"#);
        assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers.contains_key("retry-after"));
        assert_eq!(code(&response), "unavailable");
    }
}

#[test]
fn an_api_call_carries_the_token_and_not_the_cookie() {
    let browser = Browser::new(github);
    browser.sign_in();
    let headers = [
        ("x-csrf", "1"),
        ("origin", "https://edge.example"),
        ("authorization", "Bearer mine"),
        ("x-forwarded-for", "1.2.3.4"),
    ];
    let response = browser.send(Method::GET, "/bff/github/user", &headers, "");
    assert_eq!(response.status, StatusCode::OK);
    assert!(text(&response).contains("\"id\":7"));
    let sent = browser.sent_to("https://api.github.com/user").pop().unwrap();
    assert_eq!(sent.headers["authorization"], "Bearer gho_secret");
    assert!(!sent.headers.contains_key("cookie") && !sent.headers.contains_key("x-forwarded-for"));
}

#[test]
fn api_calls_outside_the_rules_go_nowhere() {
    let browser = Browser::new(github);
    browser.sign_in();
    let before = browser.platform.sent.borrow().len();
    for (method, target, status) in [
        (Method::GET, "/bff/github/user/emails", 404),
        (Method::GET, "/bff/github/..%2fuser", 400),
        (Method::DELETE, "/bff/github/user", 405),
        (Method::GET, "/bff/nope/user", 404),
        (Method::GET, "/bff/graph/v1.0/me", 401),
    ] {
        let response = browser.script(method, target, "");
        assert_eq!(response.status.as_u16(), status, "{target}");
        code(&response);
    }
    assert_eq!(browser.platform.sent.borrow().len(), before);
}

#[test]
fn an_upstream_cannot_reach_the_browser_through_us() {
    for (status, expected) in [(401, 401), (302, 502), (304, 304), (500, 500)] {
        let browser =
            Browser::new(move |sent| match (sent.url.as_str(), sent.headers.contains_key("accept-language")) {
                ("https://api.github.com/user", true) => Some((
                    status,
                    vec![
                        ("set-cookie", "a=1".to_owned()),
                        ("location", "https://evil.example".to_owned()),
                        ("access-control-allow-origin", "*".to_owned()),
                    ],
                    String::new(),
                )),
                _ => github(sent),
            });
        browser.sign_in();
        let headers = [("x-csrf", "1"), ("origin", "https://edge.example"), ("accept-language", "en")];
        let response = browser.send(Method::GET, "/bff/github/user", &headers, "");
        assert_eq!(response.status.as_u16(), expected);
        assert!(!response.headers.contains_key("set-cookie") && !response.headers.contains_key("location"));
        assert_eq!(response.headers["access-control-allow-origin"], "https://edge.example");
    }
}

#[test]
fn a_stream_is_the_sessions_users_whatever_the_id_says() {
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
fn a_hub_that_knows_better_closes_the_stream_of_an_ended_session() {
    let browser = Browser::new(github);
    browser.sign_in();
    browser.session();
    browser.platform.hub_knows_better.set(true);
    assert_eq!(code(&browser.get("/stream")), "unauthenticated");
}

#[test]
fn every_broken_cookie_is_the_same_401() {
    let browser = Browser::new(github);
    browser.sign_in();
    let (name, good) = browser.cookies.borrow()[0].clone();
    let cut = &good[..good.len() - 1];
    let answers =
        [String::new(), "x".to_owned(), cut.to_owned(), format!("{good}A"), good.to_uppercase()].map(|value| {
            *browser.cookies.borrow_mut() = vec![(name.clone(), value)];
            let response = browser.get("/stream");
            assert_eq!(response.status, StatusCode::UNAUTHORIZED);
            let mut problem: Value = serde_json::from_str(&text(&response)).unwrap();
            problem["request_id"] = Value::Null;
            problem.to_string()
        });
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    *browser.cookies.borrow_mut() = vec![(name.clone(), good.clone()), (name, good.clone())];
    assert_eq!(browser.get("/stream").status, StatusCode::UNAUTHORIZED, "a tossed twin");
    *browser.cookies.borrow_mut() = vec![("session".to_owned(), good)];
    assert_eq!(browser.get("/stream").status, StatusCode::UNAUTHORIZED, "an unprefixed twin");
}

#[test]
fn a_session_is_over_when_it_is_over() {
    let browser = Browser::new(github);
    browser.sign_in();
    let expires_in = browser.session()["expires_in"].as_u64().unwrap();
    browser.platform.now_ms.set(browser.platform.now_ms.get() + expires_in * 1000);
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn a_store_that_lags_or_fails_signs_nobody_out() {
    let browser = Browser::new(github);
    browser.sign_in();
    browser.platform.kv.borrow_mut().clear();
    assert_eq!(browser.session()["authenticated"], true, "a record that has not arrived yet");
    browser.platform.kv_down.set(true);
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 60_000);
    assert_eq!(browser.session()["authenticated"], true, "no key-value store at all");
    browser.platform.coordinator_down.set(true);
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 60_000);
    let response = browser.script(Method::GET, "/auth/session", "");
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE, "nobody can tell, so nobody is signed in or out");
}

#[test]
fn a_session_revoked_elsewhere_acts_no_longer_than_the_bound() {
    let browser = Browser::new(github);
    browser.sign_in();
    assert_eq!(browser.session()["authenticated"], true);
    for state in browser.platform.coordinators.borrow_mut().values_mut() {
        state.revoked = true;
        state.record = None;
    }
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 10_000);
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn a_record_moved_to_another_session_opens_for_nobody() {
    let (first, second) = (Browser::new(github), Browser::new(github));
    first.sign_in();
    second.platform.random.skip();
    second.sign_in();
    let stolen = first.platform.kv.borrow().values().next().unwrap().clone();
    for value in second.platform.kv.borrow_mut().values_mut() {
        *value = stolen.clone();
    }
    assert_eq!(second.session()["authenticated"], true, "a damaged copy signs nobody out");
    let foreign = first.platform.coordinators.borrow().values().next().unwrap().record.clone();
    for state in second.platform.coordinators.borrow_mut().values_mut() {
        state.record = foreign.clone();
    }
    second.platform.now_ms.set(second.platform.now_ms.get() + 60_000);
    assert_eq!(second.get("/stream").status, StatusCode::UNAUTHORIZED);
}

#[test]
fn a_page_that_shows_somebody_else_does_not_speak_for_the_user() {
    let browser = Browser::new(github);
    browser.sign_in();
    let post = |user: &str| {
        let headers =
            [("x-csrf", "1"), ("origin", "https://edge.example"), ("content-type", JSON), ("x-causeway-user", user)];
        browser.send(Method::POST, "/events/chat", &headers, r#"{"type":"message","data":1}"#)
    };
    assert_eq!(post("github:7").status, StatusCode::ACCEPTED);
    assert_eq!(code(&post("github:8")), "user-changed");
}

fn delivery(subject: &str, advance_to: Option<Checkpoint>) -> String {
    let event = json!({"id": "e", "type": "message", "time": "2026-01-01T00:00:00Z", "data": {"text": "hi"}});
    let records = json!([{"cursor": "v1.1.0.0", "event": event}]);
    json!({"topic": "chat.outbound", "partition": 0, "deliveries": [{"subject": subject, "records": records}], "advance_to": advance_to}).to_string()
}

fn deliver(browser: &Browser, body: &str, ring: &str) -> Response<Text> {
    let now_seconds = browser.platform.now_ms.get() / 1000;
    let signed = Signed {
        direction: Direction::BridgeToEdge,
        method: "POST",
        target: "/internal/deliver",
        body: body.as_bytes(),
    };
    let signature = key_ring(ring).sign(signed, now_seconds);
    browser.send(Method::POST, "/internal/deliver", &[(SIGNATURE_HEADER, &signature)], body)
}

#[test]
fn a_delivery_moves_the_checkpoint_only_when_everything_rests() {
    let browser = Browser::new(github);
    let at = |next_offset| Some(Checkpoint { epoch: 1, next_offset, partitions: 4 });
    let answer = |response: &Response<Text>| -> DeliverResponse { serde_json::from_str(&text(response)).unwrap() };
    let response = deliver(&browser, &delivery("github:7", at(1)), "br");
    assert_eq!(answer(&response), DeliverResponse { checkpoint: at(1), failed: vec![] });
    browser.platform.failing_hubs.borrow_mut().push("github:7".parse_subject());
    let response = deliver(&browser, &delivery("github:7", at(2)), "br");
    assert_eq!(answer(&response), DeliverResponse { checkpoint: at(1), failed: vec!["github:7".parse_subject()] });
}

#[test]
fn a_delivery_that_the_bridge_did_not_sign_is_refused() {
    let browser = Browser::new(github);
    let body = delivery("github:7", None);
    assert_eq!(code(&deliver(&browser, &body, "s")), "unauthenticated");
    assert_eq!(code(&browser.send(Method::POST, "/internal/deliver", &[], &body)), "unauthenticated");
    assert_eq!(code(&deliver(&browser, "not json", "br")), "bad-request");
    assert!(browser.platform.appended.borrow().is_empty());
}

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

trait ParseSubject {
    fn parse_subject(&self) -> causeway_protocol::subject::Subject;
}

impl ParseSubject for str {
    fn parse_subject(&self) -> causeway_protocol::subject::Subject {
        causeway_protocol::subject::Subject::parse(self).unwrap()
    }
}

/// Entra's side of a sign-in, with a key of its own and the nonce of the request it was sent.
#[test]
fn signs_in_with_entra_by_a_validated_id_token_even_when_the_keys_rotated() {
    let issued: Rc<RefCell<Option<String>>> = Rc::default();
    let nonce = Rc::clone(&issued);
    let rotated = Rc::new(RefCell::new(0));
    let browser = Browser::new(move |sent| {
        crate::simulated::entra::answer(sent, &nonce.borrow().clone().unwrap_or_default(), &rotated)
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
        move |sent| crate::simulated::entra::answer(sent, "of-another-sign-in", &rotated)
    });
    let response = again.get("/auth/entra/login");
    let url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
    let state = url.query_pairs().find(|(found, _)| found == "state").unwrap().1.into_owned();
    again.assert_refused(&again.get(&format!("/auth/entra/callback?code=good&state={state}")));
}
