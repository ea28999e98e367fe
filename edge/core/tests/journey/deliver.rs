//! Deliveries by the bridge: `POST /internal/deliver`.

use std::ops::Range;

use causeway_core::{
    http::web::Response,
    testing::{body::InMemoryBody, run::run_all, settings::key_ring},
};
use causeway_protocol::{
    channel::Channel,
    cursor::Cursor,
    deliver::{
        DELIVER_PATH, DeliverRequest, DeliverResponse, Item, MAX_DELIVER_USERS, Outcome, Slice, Source, UserDelivery,
        WIRE_VERSION,
    },
    frame::record_frame,
    signature::{Direction, SIGNATURE_HEADER, Signed},
    subject::Subject,
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Browser, code, github, text};

/// A user's name as records name it.
pub(super) fn subject(text: &str) -> Subject {
    Subject::parse(text).unwrap()
}

/// Records of a channel, in partition 0 and epoch 1, whose data is the offset.
pub(super) fn slice(channel: &str, generation: u64, offsets: Range<i64>) -> Slice {
    let source = Source { channel: Channel::parse(channel).unwrap(), partition: 0, epoch: 1, generation };
    let item = |offset| {
        let cursor = Cursor::of_record(&source.channel, 0, source.at(offset));
        Item { offset, frame: record_frame(&cursor, &[offset.to_string()]), ..Item::default() }
    };
    Slice { items: offsets.map(item).collect(), after: None, source }
}

/// A delivery of the same records to each of these users.
pub(super) fn delivery(users: &[&str], slice: &Slice) -> String {
    let slices = serde_json::value::to_raw_value(&[slice]).unwrap();
    let users = users.iter().map(|user| UserDelivery { subject: subject(user), slices: slices.clone() }).collect();
    serde_json::to_string(&DeliverRequest { version: WIRE_VERSION, users }).unwrap()
}

/// A request of the bridge, signed with a key ring. Time passes while it waits.
pub(super) fn send_signed(browser: &Browser, path: &str, body: &str, ring: &str) -> Response<InMemoryBody> {
    let now_seconds = browser.platform.now_ms.get() / 1000;
    let signed = Signed { direction: Direction::BridgeToEdge, method: "POST", target: path, body: body.as_bytes() };
    let signature = key_ring(ring).sign(signed, now_seconds);
    let request = browser.request(Method::POST, path, &[(SIGNATURE_HEADER, &signature)], body);
    run_all(&browser.platform, vec![Box::pin(browser.edge.handle(&browser.platform, request))]).remove(0)
}

/// Delivers records to users, and returns what became of them.
pub(super) fn deliver(browser: &Browser, users: &[&str], slice: &Slice) -> Vec<Outcome> {
    let response = send_signed(browser, DELIVER_PATH, &delivery(users, slice), "br");
    assert_eq!(response.status, StatusCode::OK, "{}", text(&response));
    serde_json::from_str::<DeliverResponse>(&text(&response)).unwrap().outcomes
}

#[test]
fn each_user_is_answered_in_the_order_of_the_request() {
    let browser = Browser::new(github);
    let (all, new) = (slice("chat", 2, 0..2), slice("chat", 1, 2..3));
    assert_eq!(deliver(&browser, &["t:known"], &all), [Outcome::Stored]);
    browser.platform.append_fails_for.borrow_mut().push(subject("t:broken"));
    let outcomes = deliver(&browser, &["t:new", "t:broken", "t:known"], &new);
    assert_eq!(outcomes, [Outcome::Stored, Outcome::Later, Outcome::Stale]);
    assert_eq!(browser.platform.hub(&subject("t:new")).frames().len(), 1);
    assert_eq!(browser.platform.hub(&subject("t:known")).frames().len(), 2, "a replaced reader stores nothing");
    // What a hub refuses is its user's alone.
    let users = json!([{"subject": "t:a", "slices": "none"}, {"subject": "t:b", "slices": [all]}]);
    let body = json!({"version": WIRE_VERSION, "users": users}).to_string();
    let response = send_signed(&browser, DELIVER_PATH, &body, "br");
    assert_eq!(text(&response), r#"{"outcomes":["refused","stored"]}"#);
}

#[test]
fn repeated_delivery_is_stored_once() {
    let browser = Browser::new(github);
    for _ in 0..2 {
        assert_eq!(deliver(&browser, &["t:u"], &slice("chat", 1, 0..3)), [Outcome::Stored]);
    }
    assert_eq!(deliver(&browser, &["t:u"], &slice("chat", 2, 1..4)), [Outcome::Stored]);
    assert_eq!(browser.platform.hub(&subject("t:u")).frames().len(), 4);
}

#[test]
fn hub_that_hangs_holds_up_its_own_user_only() {
    let browser = Browser::new(github);
    let platform = &browser.platform;
    platform.append_ms.set(20);
    platform.append_hangs_for.borrow_mut().push(subject("t:3"));
    let names: Vec<_> = (0..MAX_DELIVER_USERS).map(|n| format!("t:{n}")).collect();
    let users: Vec<_> = names.iter().map(String::as_str).collect();
    let began_ms = platform.now_ms.get();
    let outcomes = deliver(&browser, &users, &slice("chat", 1, 0..1));
    assert_eq!(platform.now_ms.get() - began_ms, 1000);
    for (at, outcome) in outcomes.iter().enumerate() {
        assert_eq!(*outcome, if at == 3 { Outcome::Later } else { Outcome::Stored }, "{at}");
    }
    assert_eq!(platform.most_appends.get(), 16, "side by side, and not all at once");
    let log = platform.log.borrow();
    let lines: Vec<_> = log.iter().filter(|line| line.contains("deliver.hub")).collect();
    assert!(lines.len() == 1 && lines[0].contains(r#""users":1"#), "{lines:?}");
}

#[test]
fn single_user_may_take_longer() {
    let browser = Browser::new(github);
    let platform = &browser.platform;
    platform.append_ms.set(4900);
    assert_eq!(deliver(&browser, &["t:slow"], &slice("chat", 1, 0..1)), [Outcome::Stored]);
    assert_eq!(deliver(&browser, &["t:slow", "t:other"], &slice("chat", 1, 0..1)), [Outcome::Later; 2]);
    platform.append_hangs_for.borrow_mut().push(subject("t:slow"));
    let began_ms = platform.now_ms.get();
    assert_eq!(deliver(&browser, &["t:slow"], &slice("chat", 1, 0..1)), [Outcome::Later]);
    assert_eq!(platform.now_ms.get() - began_ms, 5000);
}

#[test]
fn another_version_is_refused_with_both_versions_and_stores_nothing() {
    let browser = Browser::new(github);
    for version in [1, 3, u32::MAX] {
        // The rest of another version is unknown, too.
        let body = json!({"version": version, "users": {"t:u": []}, "more": 1}).to_string();
        let response = send_signed(&browser, DELIVER_PATH, &body, "br");
        assert_eq!((response.status, code(&response).as_str()), (StatusCode::CONFLICT, "wire-version"));
        let problem: Value = serde_json::from_str(&text(&response)).unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert_eq!(problem["version"], WIRE_VERSION);
        for version in [WIRE_VERSION, version] {
            assert!(detail.contains(&format!("version {version}")), "{detail}");
        }
        assert!(browser.platform.log.borrow().back().unwrap().contains(detail));
    }
    assert!(browser.platform.hubs.borrow().is_empty());
}

#[test]
fn delivery_for_too_many_users_or_for_one_twice_is_rejected() {
    let browser = Browser::new(github);
    let names: Vec<_> = (0..=MAX_DELIVER_USERS).map(|n| format!("t:{n}")).collect();
    let many: Vec<_> = names.iter().map(String::as_str).collect();
    for users in [&many[..], &["t:a", "t:b", "t:a"]] {
        let body = delivery(users, &slice("chat", 1, 0..1));
        assert_eq!(code(&send_signed(&browser, DELIVER_PATH, &body, "br")), "bad-request");
    }
    assert!(browser.platform.hubs.borrow().is_empty());
    assert_eq!(deliver(&browser, &many[1..], &slice("chat", 1, 0..1)).len(), MAX_DELIVER_USERS);
    assert_eq!(deliver(&browser, &[], &slice("chat", 1, 0..1)), []);
}

#[test]
fn delivery_not_signed_by_the_bridge_is_rejected() {
    let browser = Browser::new(github);
    let body = delivery(&["github:7"], &slice("chat", 1, 0..1));
    assert_eq!(code(&send_signed(&browser, DELIVER_PATH, &body, "s")), "unauthenticated");
    assert_eq!(code(&browser.send(Method::POST, DELIVER_PATH, &[], &body)), "unauthenticated");
    for malformed in ["not json", "", "[]", "{}", r#"{"version":2}"#, r#"{"version":-1,"users":[]}"#] {
        assert_eq!(code(&send_signed(&browser, DELIVER_PATH, malformed, "br")), "bad-request", "{malformed}");
    }
    assert!(browser.platform.hubs.borrow().is_empty());
}
