//! Deliveries by the bridge: `POST /internal/deliver`.

use causeway_core::{
    http::web::Response,
    testing::{body::InMemoryBody, settings::key_ring},
};
use causeway_protocol::{
    deliver::{Checkpoint, DeliverResponse},
    signature::{Direction, SIGNATURE_HEADER, Signed},
};
use http::Method;
use serde_json::json;

use super::{Browser, code, github, text};

fn delivery(subject: &str, advance_to: Option<Checkpoint>) -> String {
    let event = json!({"id": "e", "type": "message", "time": "2026-01-01T00:00:00Z", "data": {"text": "hi"}});
    let records = json!([{"cursor": "v1.1.0.0", "event": event}]);
    json!({"topic": "chat.outbound", "partition": 0, "deliveries": [{"subject": subject, "records": records}], "advance_to": advance_to}).to_string()
}

fn deliver(browser: &Browser, body: &str, ring: &str) -> Response<InMemoryBody> {
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
fn checkpoint_advances_only_when_every_record_is_stored() {
    let browser = Browser::new(github);
    let at = |next_offset| Some(Checkpoint { epoch: 1, next_offset, partitions: 4 });
    let answer =
        |response: &Response<InMemoryBody>| -> DeliverResponse { serde_json::from_str(&text(response)).unwrap() };
    let response = deliver(&browser, &delivery("github:7", at(1)), "br");
    assert_eq!(answer(&response), DeliverResponse { checkpoint: at(1), failed: vec![] });
    browser.platform.append_fails_for.borrow_mut().push("github:7".parse_subject());
    let response = deliver(&browser, &delivery("github:7", at(2)), "br");
    assert_eq!(answer(&response), DeliverResponse { checkpoint: at(1), failed: vec!["github:7".parse_subject()] });
}

#[test]
fn delivery_not_signed_by_the_bridge_is_rejected() {
    let browser = Browser::new(github);
    let body = delivery("github:7", None);
    assert_eq!(code(&deliver(&browser, &body, "s")), "unauthenticated");
    assert_eq!(code(&browser.send(Method::POST, "/internal/deliver", &[], &body)), "unauthenticated");
    assert_eq!(code(&deliver(&browser, "not json", "br")), "bad-request");
    assert!(browser.platform.appended.borrow().is_empty());
}

trait ParseSubject {
    fn parse_subject(&self) -> causeway_protocol::subject::Subject;
}

impl ParseSubject for str {
    fn parse_subject(&self) -> causeway_protocol::subject::Subject {
        causeway_protocol::subject::Subject::parse(self).unwrap()
    }
}
