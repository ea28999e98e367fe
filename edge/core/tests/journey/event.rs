//! Posting an event: `POST /events/{channel}`.

use causeway_core::{
    guard::rate::{EVENTS_RATE, LOGIN_RATE, LOGOUT_RATE},
    testing::settings::settings,
};
use causeway_protocol::signature::{Direction, KeyRing, SIGNATURE_HEADER, Signed};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Browser, JSON, code, github, text};

#[test]
fn s139_s168_event_is_stamped_with_the_sessions_user_not_with_claimed_fields() {
    let browser = Browser::new(github);
    browser.sign_in();
    let body = r#"{"type":"message","data":{"text":"hi"},"subject":"evil:1","tenant":"evil","user":"evil","id":"evil",
        "source":"evil","time":"evil","specversion":"evil"}"#;
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
    let ring = KeyRing::parse(&table["BRIDGE_KEYS"]).unwrap();
    assert_eq!(ring.verify(header, signed, now_seconds), Ok(()));
}

#[test]
fn repeated_idempotency_key_names_the_same_event_for_the_same_user_only() {
    let browser = Browser::new(github);
    browser.sign_in();
    let post = |key: &str| {
        let headers =
            [("x-csrf", "1"), ("origin", "https://edge.example"), ("content-type", JSON), ("idempotency-key", key)];
        text(&browser.send(Method::POST, "/events/chat", &headers, r#"{"type":"message","data":1}"#))
    };
    assert_eq!(post("a"), post("a"));
    // The client derives the same id, to know its event's echo.
    assert_eq!(post("a"), r#"{"id":"kNg1iiY8QSY2B2egAJafWzYJ"}"#);
    assert_ne!(post("a"), post("b"));
    assert!(post(&"k".repeat(129)).contains("bad-request"));
}

#[test]
fn the_bridge_hears_of_a_repeat_and_how_old_the_event_is() {
    let browser = Browser::new(github);
    browser.sign_in();
    let headers = [("x-csrf", "1"), ("origin", "https://edge.example"), ("content-type", JSON)];
    for (key, repeat, expected) in [
        (Some("k"), None, Value::Null),
        (None, Some("37"), Value::Null),
        (Some("k"), Some("0"), json!(0)),
        (Some("k"), Some("37"), json!(37)),
        (Some("k"), Some("601"), json!(600)),
        (Some("k"), Some("soon"), json!(600)),
        (Some("k"), Some("-1"), json!(600)),
    ] {
        let key = key.map(|text| ("idempotency-key", text));
        let repeat_header = repeat.map(|text| ("x-causeway-repeat", text));
        let headers: Vec<_> = headers.into_iter().chain(key).chain(repeat_header).collect();
        let response = browser.send(Method::POST, "/events/chat", &headers, r#"{"type":"message","data":1}"#);
        assert_eq!(response.status, StatusCode::ACCEPTED);
        let sent = browser.sent_to("https://bridge.example/v1/events");
        let event: Value = serde_json::from_str(&sent.last().unwrap().body).unwrap();
        assert_eq!(event["repeated_after_seconds"], expected, "{repeat:?}");
    }
}

#[test]
fn posting_beyond_the_rate_is_limited() {
    let browser = Browser::new(github);
    browser.sign_in();
    let post = || browser.script(Method::POST, "/events/chat", r#"{"type":"message","data":1}"#);
    assert!((0..300).all(|_| post().status == StatusCode::ACCEPTED));
    let refused = post();
    assert_eq!((code(&refused).as_str(), refused.status), ("too-many-requests", StatusCode::TOO_MANY_REQUESTS));
    assert!(refused.headers.contains_key("retry-after"));
}

#[test]
fn limits_that_are_set_hold() {
    let settings = [("EVENTS_PER_MINUTE", "2"), ("LOGIN_STEPS_PER_MINUTE", "3"), ("LOGOUTS_PER_MINUTE", "1")];
    let webhook = [("GITHUB_WEBHOOK_SECRET", "Wq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt")];
    let browser = Browser::configured(&[&settings[..], &webhook].concat(), github);
    browser.sign_in();
    let status = |method, target: &str| browser.script(method, target, r#"{"type":"message","data":1}"#).status;
    let posts = [(); 3].map(|()| status(Method::POST, "/events/chat"));
    assert_eq!(posts, [StatusCode::ACCEPTED, StatusCode::ACCEPTED, StatusCode::TOO_MANY_REQUESTS]);
    // The sign-in took two steps.
    let logins = [(); 2].map(|()| browser.get("/auth/github/login").status);
    assert_eq!(logins, [StatusCode::SEE_OTHER, StatusCode::TOO_MANY_REQUESTS]);
    let forged = [(); 2].map(|()| status(Method::POST, "/auth/github/webhook"));
    assert_eq!(forged, [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS]);
}

#[test]
fn workers_rate_limit_bindings_match_core() {
    let wrangler = include_str!("../../../../wrangler.toml");
    for rate in [EVENTS_RATE, LOGIN_RATE, LOGOUT_RATE] {
        let (_, binding) = wrangler.split_once(&format!("name = \"{}\"", rate.name)).unwrap();
        let simple = binding.lines().find(|line| line.starts_with("simple")).unwrap();
        assert_eq!(simple, format!("simple = {{ limit = {}, period = {} }}", rate.limit, rate.period_seconds));
    }
}

#[test]
fn s133_workers_platform_logs_hold_no_urls() {
    let wrangler = include_str!("../../../../wrangler.toml");
    let (_, logs) = wrangler.split_once("[observability.logs]\n").unwrap();
    assert!(logs.starts_with("invocation_logs = false\n"));
}

#[test]
fn s139_malformed_events_are_rejected_and_not_forwarded() {
    let browser = Browser::new(github);
    browser.sign_in();
    let origin = ("origin", "https://edge.example");
    let (csrf, json) = (("x-csrf", "1"), ("content-type", JSON));
    let big = format!(r#"{{"type":"message","data":"{}"}}"#, "x".repeat(70_000));
    let good = r#"{"type":"message","data":1}"#;
    for (target, headers, body, status) in [
        ("/events/chat", &[csrf, origin, json][..], "{", 400),
        ("/events/chat", &[csrf, origin, json], "[]", 400),
        ("/events/chat", &[csrf, origin, json], r#"["message",{"text":"x"}]"#, 400),
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
fn s139_unknown_member_is_rejected_with_its_own_reason() {
    let browser = Browser::new(github);
    browser.sign_in();
    for member in ["key", "partition", "topic", "channel", "headers", "ce_subject", "Subject", "data_base64", ""] {
        let body = format!(r#"{{"type":"message","data":1,"{member}":"evil"}}"#);
        let response = browser.script(Method::POST, "/events/chat", &body);
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{member:?}");
        assert!(text(&response).contains("a member that the edge does not know"), "{}", text(&response));
    }
    // A known member is neither accepted twice nor by position.
    for body in
        [r#"{"type":"a","type":"b","data":1}"#, r#"{"type":"a","data":1,"data":2}"#, r#"["message",{"text":"hi"}]"#]
    {
        assert_eq!(browser.script(Method::POST, "/events/chat", body).status, StatusCode::BAD_REQUEST, "{body}");
    }
    assert!(browser.sent_to("https://bridge.example").is_empty());
}

#[test]
fn event_not_accepted_by_the_bridge_is_a_retryable_outage() {
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
fn event_that_the_bridge_does_not_look_for_now_is_to_be_sent_again_later() {
    let busy = || Some((429, vec![], String::new()));
    let browser = Browser::new(move |sent| if sent.url.contains("bridge") { busy() } else { github(sent) });
    browser.sign_in();
    let response = browser.script(Method::POST, "/events/chat", r#"{"type":"message","data":1}"#);
    assert_eq!(response.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(response.headers.contains_key("retry-after"));
    assert_eq!(code(&response), "too-many-requests");
}

#[test]
fn page_that_shows_another_user_cannot_post() {
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
