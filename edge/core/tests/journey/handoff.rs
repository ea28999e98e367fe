//! A page of another site signs its user in. The session begins in the window's cookie partition and is redeemed in the
//! page's, with a single-use code bound to that page.

use std::cell::RefCell;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_core::{
    http::web::Response,
    testing::{
        body::InMemoryBody,
        platform::{Answer, Sent},
    },
};
use causeway_protocol::hub::EndReason;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Browser, JSON, code, github, text};

const PAGE: &str = "https://pages.example/chat?order=7";
const ORIGIN: &str = "https://pages.example";
const OTHER: &str = "https://others.example";
const VERIFIER: &str = "ver-ver-ver-ver-ver-ver-ver-ver-ver-ver-ver";
const SETTINGS: [(&str, &str); 2] = [
    ("EMBED", "cross-site"),
    ("HOST_ORIGINS", "https://pages.example,https://others.example,https://host.edge.example"),
];

fn challenge(verifier: &str) -> String {
    BASE64.encode(Sha256::digest(verifier))
}

/// A browser that partitions cookies: the edge's own window apart from the page that embeds the widget.
pub(super) struct Window {
    pub(super) browser: Browser,
    partition: RefCell<Vec<(String, String)>>,
}

impl Window {
    pub(super) fn new() -> Self {
        Self::with(github)
    }

    fn with(upstream: impl Fn(&Sent) -> Option<Answer> + 'static) -> Self {
        Self { browser: Browser::configured(&SETTINGS, upstream), partition: RefCell::default() }
    }

    /// Runs `work` with the cookies of the page's partition.
    fn in_page<T>(&self, work: impl FnOnce(&Browser) -> T) -> T {
        let own = self.browser.swap(self.partition.take());
        let result = work(&self.browser);
        self.partition.replace(self.browser.swap(own));
        result
    }

    fn fetch(&self, method: Method, target: &str, origin: &str, body: &str) -> Response<InMemoryBody> {
        let headers = [("x-csrf", "1"), ("origin", origin), ("sec-fetch-site", "cross-site"), ("content-type", JSON)];
        self.in_page(|browser| browser.send(method, target, &headers, body))
    }

    fn session(&self) -> Value {
        let response = self.fetch(Method::GET, "/auth/session", ORIGIN, "");
        serde_json::from_str(&text(&response)).unwrap()
    }

    fn login(&self, query: &[(&str, &str)]) -> Response<InMemoryBody> {
        // As browsers send it: their default referrer policy omits the page's path.
        self.login_from(&[("sec-fetch-site", "cross-site"), ("referer", "https://pages.example/")], query)
    }

    fn login_from(&self, says: &[(&str, &str)], query: &[(&str, &str)]) -> Response<InMemoryBody> {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        self.browser.send(Method::GET, &format!("/auth/github/login?{query}"), says, "")
    }

    /// Goes through the provider; returns the callback's response.
    fn walk(&self, code: &str) -> Response<InMemoryBody> {
        self.walk_with(&format!("code={code}"))
    }

    /// The same with any answer of the provider's.
    pub(super) fn walk_with(&self, answer: &str) -> Response<InMemoryBody> {
        let begun = self.login(&[("return_to", PAGE), ("handoff", &challenge(VERIFIER))]);
        assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", text(&begun));
        let url = url::Url::parse(begun.headers["location"].to_str().unwrap()).unwrap();
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        self.browser.get(&format!("/auth/github/callback?{answer}&state={state}"))
    }

    /// Signs in up to the redirect to the page with the code.
    pub(super) fn code(&self) -> String {
        let response = self.walk("good");
        let address = response.headers["location"].to_str().unwrap().to_owned();
        address.strip_prefix(PAGE).and_then(|rest| rest.strip_prefix("#causeway=")).unwrap().to_owned()
    }

    fn redeem_as(&self, code: &str, verifier: &str, origin: &str) -> Response<InMemoryBody> {
        self.fetch(Method::POST, "/auth/handoff", origin, &json!({"code": code, "verifier": verifier}).to_string())
    }

    pub(super) fn redeem(&self, code: &str) -> Response<InMemoryBody> {
        self.redeem_as(code, VERIFIER, ORIGIN)
    }

    fn sign_in(&self) {
        let response = self.redeem(&self.code());
        assert_eq!(response.status, StatusCode::NO_CONTENT, "{}", text(&response));
    }
}

pub(super) fn refused(response: &Response<InMemoryBody>) {
    assert_eq!((response.status, code(response).as_str()), (StatusCode::BAD_REQUEST, "sign-in-refused"));
    assert!(!response.headers.contains_key("set-cookie"));
}

#[test]
fn s155_page_of_another_site_signs_in_and_out() {
    let window = Window::new();
    assert_eq!(window.session()["handoff"], true);
    let response = window.walk("good");
    assert_eq!(response.status, StatusCode::SEE_OTHER);
    assert_eq!(response.headers["referrer-policy"], "no-referrer");
    assert_eq!(response.headers["cache-control"], "no-store");
    assert!(window.browser.cookies.borrow().is_empty(), "the window itself gets no session");
    let code = response.headers["location"].to_str().unwrap().split_once("#causeway=").unwrap().1.to_owned();
    let taken = window.redeem(&code);
    assert_eq!(taken.status, StatusCode::NO_CONTENT, "{}", text(&taken));
    let cookie = taken.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-Http-session=") && cookie.ends_with("SameSite=None; Partitioned"), "{cookie}");
    assert_eq!(taken.headers["access-control-allow-origin"], ORIGIN);
    assert_eq!(window.session()["user"]["name"], "Ada");
    let listed = window.fetch(Method::GET, "/auth/sessions", ORIGIN, "");
    let listed: Value = serde_json::from_str(&text(&listed)).unwrap();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1);
    let out = window.fetch(Method::POST, "/auth/logout", ORIGIN, "");
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert!(window.partition.borrow().is_empty());
    assert_eq!(window.session()["authenticated"], false);
    // The log holds neither the verifier nor the code.
    let log = window.browser.platform.log.borrow().iter().cloned().collect::<String>();
    assert!(!log.contains(&code) && !log.contains(VERIFIER) && !log.contains(&challenge(VERIFIER)));
}

#[test]
fn s155_second_use_of_a_handoff_code_ends_the_session() {
    let window = Window::new();
    let code = window.code();
    assert_eq!(window.redeem(&code).status, StatusCode::NO_CONTENT);
    let users = window.partition.replace(Vec::new());
    refused(&window.redeem(&code));
    assert!(window.partition.borrow().is_empty(), "the second caller gets nothing");
    window.partition.replace(users);
    assert_eq!(window.session()["authenticated"], false, "and who came first no longer");
    assert_eq!(window.browser.platform.ended_streams.borrow()[0].1, EndReason::Revoked);
    refused(&window.redeem(&code));
}

#[test]
fn s155_wrong_verifier_is_rejected_and_does_not_consume_the_code() {
    let window = Window::new();
    let code = window.code();
    let wrong = VERIFIER.replace("ver", "rev");
    refused(&window.redeem_as(&code, &wrong, ORIGIN));
    for verifier in
        ["", "short", &challenge(VERIFIER)[..42], &"v".repeat(128), "ver ver ver ver ver ver ver ver ver ver ver"]
    {
        assert_eq!(window.redeem_as(&code, verifier, ORIGIN).status, StatusCode::BAD_REQUEST, "{verifier:?}");
    }
    // The challenge, which appeared in an address, does not pass for the verifier.
    refused(&window.redeem_as(&code, &challenge(VERIFIER), ORIGIN));
    assert!(window.partition.borrow().is_empty());
    assert_eq!(window.redeem(&code).status, StatusCode::NO_CONTENT);
}

#[test]
fn s155_handoff_code_is_bound_to_the_requesting_origin() {
    let window = Window::new();
    let code = window.code();
    refused(&window.redeem_as(&code, VERIFIER, OTHER));
    for origin in [
        "https://edge.example",
        "https://evil.example",
        "https://pages.example:444",
        "http://pages.example",
        "null",
        "",
    ] {
        assert_eq!(window.redeem_as(&code, VERIFIER, origin).status, StatusCode::FORBIDDEN, "{origin:?}");
    }
    let body = json!({"code": code, "verifier": VERIFIER}).to_string();
    for headers in [
        &[("x-csrf", "1"), ("sec-fetch-site", "same-origin"), ("content-type", JSON)][..],
        &[("x-csrf", "1"), ("content-type", JSON)],
        &[("origin", ORIGIN), ("content-type", JSON)],
        &[("x-csrf", "1"), ("origin", ORIGIN), ("origin", ORIGIN), ("content-type", JSON)],
    ] {
        let response = window.browser.send(Method::POST, "/auth/handoff", headers, &body);
        assert_eq!(response.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    assert_eq!(window.redeem(&code).status, StatusCode::NO_CONTENT);
}

#[test]
fn s155_handoff_code_expires_after_a_minute_with_its_session() {
    let window = Window::new();
    let now_ms = &window.browser.platform.now_ms;
    let code = window.code();
    now_ms.set(now_ms.get() + 59_999);
    assert_eq!(window.redeem(&code).status, StatusCode::NO_CONTENT);

    let late = window.code();
    let listed = window.fetch(Method::GET, "/auth/sessions", ORIGIN, "");
    assert_eq!(text(&listed).matches("\"id\"").count(), 1, "an unknown session is not found");
    now_ms.set(now_ms.get() + 60_000);
    refused(&window.redeem(&late));
    assert_eq!(window.browser.platform.machine_states.borrow().values().filter(|it| it.contains("Ada")).count(), 0);
}

#[test]
fn s155_handoff_is_limited_to_configured_pages() {
    let window = Window::new();
    let challenge = challenge(VERIFIER);
    for return_to in [
        "/",
        "/chat",
        "https://edge.example/",
        "https://evil.example/",
        "https://pages.example.evil.example/",
        "//pages.example/",
        "https://pages.example@evil.example/",
        "https://pages.example:444/",
        "http://pages.example/",
        "https://pages.example\\@evil.example/",
        "HTTPS://pages.example/",
        "https://evil.example/#https://pages.example/",
        "javascript:alert(1)",
        "",
    ] {
        let response = window.login(&[("return_to", return_to), ("handoff", &challenge)]);
        assert_eq!(
            (response.status, code(&response).as_str()),
            (StatusCode::BAD_REQUEST, "bad-request"),
            "{return_to:?}"
        );
    }
    for query in [
        &[("handoff", challenge.as_str())][..],
        &[("return_to", PAGE), ("handoff", "")],
        &[("return_to", PAGE), ("handoff", &challenge[..42])],
        &[("return_to", PAGE), ("handoff", "+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+")],
        &[("return_to", PAGE), ("handoff", &challenge), ("handoff", &challenge)],
        &[("return_to", PAGE), ("return_to", PAGE), ("handoff", &challenge)],
        &[("return_to", PAGE), ("handoff", &challenge), ("connect", "1")],
    ] {
        let response = window.login(query);
        assert_eq!((response.status, code(&response).as_str()), (StatusCode::BAD_REQUEST, "bad-request"), "{query:?}");
    }
    assert!(window.browser.cookies.borrow().is_empty() && window.browser.platform.sent.borrow().is_empty());
    // The code replaces the page's own fragment.
    let begun = window.login(&[("return_to", &format!("{PAGE}#part")), ("handoff", &challenge)]);
    assert_eq!(begun.status, StatusCode::SEE_OTHER);
}

/// Otherwise a stranger's link could choose the challenge, and an open redirect of the page's site could leak the code.
#[test]
fn s155_only_the_recipient_origin_starts_a_handoff() {
    let window = Window::new();
    let query = [("return_to", PAGE), ("handoff", &challenge(VERIFIER))];
    for says in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "cross-site"), ("referer", "https://evil.example/")],
        &[("sec-fetch-site", "cross-site"), ("referer", "https://evil.example/https://pages.example/")],
        &[("sec-fetch-site", "cross-site"), ("referer", "https://pages.example.evil.example/")],
        &[("sec-fetch-site", "cross-site"), ("referer", "http://pages.example/")],
        &[("sec-fetch-site", "cross-site"), ("referer", "https://pages.example:444/")],
        &[("sec-fetch-site", "cross-site"), ("referer", PAGE), ("referer", PAGE)],
        // `Origin` is not consulted: the widget's navigations carry none.
        &[("sec-fetch-site", "cross-site"), ("origin", ORIGIN)],
        // Another listed page, the edge's own, a sibling site, a typed address, an older browser.
        &[("sec-fetch-site", "cross-site"), ("referer", "https://others.example/")],
        &[("sec-fetch-site", "same-origin"), ("referer", "https://edge.example/")],
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none"), ("sec-fetch-user", "?1")],
        &[],
    ] {
        let response = window.login_from(says, &query);
        assert_eq!((response.status, code(&response).as_str()), (StatusCode::FORBIDDEN, "forbidden"), "{says:?}");
    }
    assert!(window.browser.cookies.borrow().is_empty() && window.browser.platform.sent.borrow().is_empty());
    // The page's whole address as Referer is enough in a browser that sends nothing else.
    assert_eq!(window.login_from(&[("referer", PAGE)], &query).status, StatusCode::SEE_OTHER);
}

#[test]
fn s155_handoff_is_rejected_unless_configured() {
    let browser = Browser::new(github);
    let login = format!("/auth/github/login?return_to=https://host.edge.example/&handoff={}", challenge(VERIFIER));
    assert_eq!(code(&browser.get(&login)), "bad-request");
    assert!(browser.cookies.borrow().is_empty());
    let body = json!({"code": "x", "verifier": VERIFIER}).to_string();
    let headers = [("x-csrf", "1"), ("origin", "https://host.edge.example"), ("content-type", JSON)];
    assert_eq!(browser.send(Method::POST, "/auth/handoff", &headers, &body).status, StatusCode::NOT_FOUND);
    assert!(browser.session().get("handoff").is_none());
}

#[test]
fn s155_coordinator_outage_neither_redeems_nor_consumes_the_code() {
    let window = Window::new();
    let code = window.code();
    window.browser.platform.coordinator_down.set(true);
    let response = window.redeem(&code);
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!response.headers.contains_key("set-cookie"));
    window.browser.platform.coordinator_down.set(false);
    assert_eq!(window.redeem(&code).status, StatusCode::NO_CONTENT);
}

#[test]
fn s22_handoff_ends_the_pages_old_session_not_the_windows() {
    let window = Window::new();
    window.browser.sign_in();
    window.sign_in();
    let first = window.partition.borrow().clone();
    window.sign_in();
    assert_ne!(first, *window.partition.borrow(), "S21: another id");
    assert_eq!(window.session()["authenticated"], true);
    let second = window.partition.replace(first);
    assert_eq!(window.session()["authenticated"], false);
    window.partition.replace(second);
    assert_eq!(window.browser.session()["authenticated"], true);
    assert_eq!(window.browser.platform.ended_streams.borrow().len(), 1);

    // If it cannot be ended, the page keeps its old session.
    let code = window.code();
    window.browser.platform.end_session_fails.set(true);
    assert_eq!(window.redeem(&code).status, StatusCode::SERVICE_UNAVAILABLE);
    window.browser.platform.end_session_fails.set(false);
    assert_eq!(window.redeem(&code).status, StatusCode::NO_CONTENT);
}

#[test]
fn s63_handoff_code_and_cookie_are_not_interchangeable() {
    let window = Window::new();
    let code = window.code();
    window.partition.replace(vec![("__Host-Http-session".to_owned(), code.clone())]);
    assert_eq!(window.session()["authenticated"], false);
    window.partition.replace(Vec::new());
    window.sign_in();
    let cookie = window.partition.borrow()[0].1.clone();
    refused(&window.redeem(&cookie));
    for n in 0..code.len() {
        let mut bad = code.clone();
        let other = if &bad[n..=n] == "A" { "B" } else { "A" };
        bad.replace_range(n..=n, other);
        refused(&window.redeem(&bad));
    }
    refused(&window.redeem(""));
}

#[test]
fn rejected_handoff_sign_in_creates_no_session_and_does_not_redirect() {
    let window = Window::new();
    let response = window.walk("bad");
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    assert!(!response.headers.contains_key("location") && text(&response).contains("sign-in-refused"));
    let kept = window.browser.platform.machine_states.borrow();
    assert!(kept.keys().all(|key| key.starts_with("once:")), "no session, only a used state");
}

#[test]
fn provider_logout_reaches_a_session_not_yet_redeemed() {
    let window = Window::new();
    let code = window.code();
    window.browser.platform.change_sessions(|state| state.revoked = true);
    refused(&window.redeem(&code));
}

#[test]
fn malformed_redemption_body_is_rejected() {
    let window = Window::new();
    for body in [
        "",
        "{}",
        "[]",
        &json!(["x", VERIFIER]).to_string(),
        "null",
        r#"{"code":"x"}"#,
        r#"{"code":1,"verifier":2}"#,
        r#"{"code":"x","verifier":"y","z":1}"#,
    ] {
        let response = window.fetch(Method::POST, "/auth/handoff", ORIGIN, body);
        assert_eq!((response.status, code(&response).as_str()), (StatusCode::BAD_REQUEST, "bad-request"), "{body}");
    }
    let long = json!({"code": "x".repeat(2000), "verifier": VERIFIER}).to_string();
    assert_eq!(window.fetch(Method::POST, "/auth/handoff", ORIGIN, &long).status, StatusCode::PAYLOAD_TOO_LARGE);
    let headers = [("x-csrf", "1"), ("origin", ORIGIN), ("content-type", "text/plain")];
    let response = window.browser.send(Method::POST, "/auth/handoff", &headers, "{}");
    assert_eq!(response.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

/// They stay in their account's index after the coordinator has forgotten them.
#[test]
fn s155_unredeemed_sign_ins_do_not_block_a_later_one() {
    let window = Window::new();
    let pass = |ms: u64| window.browser.platform.now_ms.set(window.browser.platform.now_ms.get() + ms);
    for _ in 0..300 {
        window.code();
        pass(20_000);
    }
    pass(12 * 60_000);
    window.sign_in();
    assert_eq!(window.session()["authenticated"], true);
}
