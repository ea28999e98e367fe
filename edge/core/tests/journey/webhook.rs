//! GitHub's webhook: `POST /auth/github/webhook`.

use causeway_core::{
    guard::rate::LOGOUT_RATE,
    http::web::Response,
    testing::{body::InMemoryBody, run::run},
};
use causeway_protocol::{hub::EndReason, subject::Subject};
use hmac::{Hmac, Mac as _};
use http::{Method, StatusCode};
use sha2::Sha256;

use super::{Browser, code, github};

pub(super) const SECRET: &str = "9f2c41d0b7e85a3614c8d97be0f35a12";
pub(super) const REVOKED: &str = r#"{"action":"revoked","sender":{"id":7,"login":"ada"}}"#;

fn browser() -> Browser {
    let browser = Browser::configured(&[("GITHUB_WEBHOOK_SECRET", SECRET)], github);
    browser.sign_in();
    browser
}

pub(super) fn signature(secret: &str, body: &str) -> String {
    let digest = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body).finalize().into_bytes();
    digest.iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

pub(super) fn deliver(browser: &Browser, event: &str, signature: &str, body: &str) -> Response<InMemoryBody> {
    let headers = [("x-hub-signature-256", signature), ("x-github-event", event), ("content-type", "application/json")];
    browser.send(Method::POST, "/auth/github/webhook", &headers, body)
}

#[test]
fn s132_signed_github_revocation_ends_the_users_sessions_and_streams() {
    let browser = browser();
    let good = signature(SECRET, REVOKED);
    for _ in 0..2 {
        let response = deliver(&browser, "github_app_authorization", &good, REVOKED);
        assert_eq!(response.status, StatusCode::NO_CONTENT, "a repeat is no error");
    }
    assert_eq!(*browser.platform.ended_streams.borrow(), [(Subject::new("github", "7").unwrap(), EndReason::Revoked)]);
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn s132_unsigned_webhook_is_rejected() {
    let browser = browser();
    let other = signature("another secret of the same length", REVOKED);
    let of_other_body = signature(SECRET, &REVOKED.replace('7', "8"));
    for bad in ["", "sha256=", "sha1=00", other.as_str(), of_other_body.as_str()] {
        let response = deliver(&browser, "github_app_authorization", bad, REVOKED);
        assert_eq!((response.status, code(&response).as_str()), (StatusCode::UNAUTHORIZED, "unauthenticated"), "{bad}");
    }
    assert_eq!(browser.session()["authenticated"], true);
}

#[test]
fn webhook_about_another_event_or_user_changes_nothing() {
    let browser = browser();
    for (event, body) in [
        ("ping", r#"{"zen":"x"}"#),
        ("ping", REVOKED),
        ("github_app_authorization", r#"{"action":"granted","sender":{"id":7}}"#),
        ("github_app_authorization", r#"{"action":"revoked","sender":{"id":77}}"#),
    ] {
        let response = deliver(&browser, event, &signature(SECRET, body), body);
        assert_eq!(response.status, StatusCode::NO_CONTENT, "{event} {body}");
    }
    for body in ["{", r#"{"action":"revoked"}"#, r#"{"action":"revoked","sender":{"id":"7"}}"#] {
        let response = deliver(&browser, "github_app_authorization", &signature(SECRET, body), body);
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{body}");
    }
    assert_eq!(browser.session()["authenticated"], true);
}

#[test]
fn ping_verifies_the_shared_secret() {
    let browser = browser();
    let body = r#"{"zen":"x"}"#;
    let forged = signature("another secret of the same length", body);
    assert_eq!(deliver(&browser, "ping", &forged, body).status, StatusCode::UNAUTHORIZED);
    assert_eq!(deliver(&browser, "ping", &signature(SECRET, body), body).status, StatusCode::NO_CONTENT);
}

#[test]
fn webhook_body_is_bounded() {
    let browser = browser();
    let big = "x".repeat(64 * 1024 + 1);
    let response = deliver(&browser, "github_app_authorization", &signature(SECRET, &big), &big);
    assert_eq!(response.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[test]
fn unrelated_webhook_is_not_read() {
    let browser = browser();
    let forged = signature("another secret of the same length", REVOKED);
    let big = "x".repeat(1024 * 1024);
    for (event, signature, status) in [
        ("push", forged.as_str(), StatusCode::NO_CONTENT),
        ("ping", "sha256=00", StatusCode::UNAUTHORIZED),
        ("push", "", StatusCode::UNAUTHORIZED),
    ] {
        let headers = [("x-hub-signature-256", signature), ("x-github-event", event)];
        let mut request = browser.request(Method::POST, "/auth/github/webhook", &headers, &big);
        request.body = std::mem::take(&mut request.body).delayed(&browser.platform.now_ms, 60_000);
        // The body is never awaited.
        assert_eq!(run(browser.edge.handle(&browser.platform, request)).status, status, "{event}");
    }
    assert_eq!(browser.session()["authenticated"], true);
}

#[test]
fn webhook_during_an_outage_answers_503_for_redelivery() {
    let browser = browser();
    browser.platform.coordinator_down.set(true);
    let good = signature(SECRET, REVOKED);
    let response = deliver(&browser, "github_app_authorization", &good, REVOKED);
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
    browser.platform.coordinator_down.set(false);
    assert_eq!(deliver(&browser, "github_app_authorization", &good, REVOKED).status, StatusCode::NO_CONTENT);
    assert_eq!(browser.session()["authenticated"], false);
}

/// Delivers a revocation under an id.
fn deliver_as(browser: &Browser, id: &str) -> StatusCode {
    let headers = [
        ("x-hub-signature-256", &*signature(SECRET, REVOKED)),
        ("x-github-event", "github_app_authorization"),
        ("x-github-delivery", id),
    ];
    browser.send(Method::POST, "/auth/github/webhook", &headers, REVOKED).status
}

#[test]
fn s156_redelivery_ends_no_session_that_began_after_the_first_delivery() {
    let browser = browser();
    assert_eq!(deliver_as(&browser, "72d3162e"), StatusCode::NO_CONTENT);
    assert_eq!(browser.session()["authenticated"], false);
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 1_000);
    browser.sign_in();
    for wait_ms in [0, 3_600_000] {
        browser.platform.now_ms.set(browser.platform.now_ms.get() + wait_ms);
        assert_eq!(deliver_as(&browser, "72d3162e"), StatusCode::NO_CONTENT);
        assert_eq!(browser.session()["authenticated"], true, "{wait_ms}");
    }
    // A second revocation has the same body, and must not be missed.
    assert_eq!(deliver_as(&browser, "83e4273f"), StatusCode::NO_CONTENT);
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn s156_redelivery_completes_a_failed_delivery() {
    let browser = browser();
    browser.platform.end_session_fails.set(true);
    assert_eq!(deliver_as(&browser, "72d3162e"), StatusCode::SERVICE_UNAVAILABLE);
    browser.platform.end_session_fails.set(false);
    assert_eq!(browser.platform.ended_streams.borrow().len(), 0);
    browser.swap(Vec::new());
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 1_000);
    browser.sign_in();
    assert_eq!(deliver_as(&browser, "72d3162e"), StatusCode::NO_CONTENT);
    assert_eq!(browser.platform.ended_streams.borrow().len(), 1, "the streams of the session that was ended");
    assert_eq!(browser.session()["authenticated"], true);
}

#[test]
fn s156_delivery_without_a_usable_id_ends_every_session() {
    for id in ["", &"x".repeat(129)] {
        let browser = browser();
        for _ in 0..2 {
            assert_eq!(deliver_as(&browser, id), StatusCode::NO_CONTENT);
            assert_eq!(browser.session()["authenticated"], false, "{id}");
            browser.platform.now_ms.set(browser.platform.now_ms.get() + 1_000);
            browser.sign_in();
        }
    }
}

#[test]
fn s156_captured_delivery_under_many_ids_is_remembered_in_bounded_space() {
    let browser = browser();
    let bytes = || browser.platform.machine_states.borrow().values().map(String::len).sum::<usize>();
    for id in 0..16 {
        deliver_as(&browser, &id.to_string());
    }
    let (states, before) = (browser.platform.machine_states.borrow().len(), bytes());
    for id in 16..200 {
        deliver_as(&browser, &id.to_string());
    }
    assert_eq!((browser.platform.machine_states.borrow().len(), bytes()), (states, before));
}

#[test]
fn webhook_route_needs_a_secret() {
    let browser = Browser::new(github);
    let response = deliver(&browser, "github_app_authorization", &signature(SECRET, REVOKED), REVOKED);
    assert_eq!(code(&response), "not-found");
}

#[test]
fn s125_flood_of_forged_webhooks_is_rate_limited() {
    let browser = browser();
    let forged = signature("another secret of the same length", REVOKED);
    let limit = LOGOUT_RATE.limit;
    for count in 0..limit {
        // Whether the signature is missing or made with another secret.
        let bad = if count % 2 == 0 { "sha256=00" } else { forged.as_str() };
        let response = deliver(&browser, "github_app_authorization", bad, REVOKED);
        assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    }
    for bad in ["sha256=00", forged.as_str()] {
        let response = deliver(&browser, "github_app_authorization", bad, REVOKED);
        assert_eq!(response.status, StatusCode::TOO_MANY_REQUESTS);
    }
    assert_eq!(browser.session()["authenticated"], true);
}

#[test]
fn m71_revocation_is_processed_amid_other_webhooks() {
    let browser = browser();
    let push = r#"{"ref":"refs/heads/main","sender":{"id":7}}"#;
    let of_push = signature(SECRET, push);
    for _ in 0..=LOGOUT_RATE.limit {
        assert_eq!(deliver(&browser, "push", &of_push, push).status, StatusCode::NO_CONTENT);
    }
    // Forgeries from GitHub's own address do not block its webhooks either.
    for _ in 0..=LOGOUT_RATE.limit {
        deliver(&browser, "push", "sha256=00", push);
    }
    let response = deliver(&browser, "github_app_authorization", &signature(SECRET, REVOKED), REVOKED);
    assert_eq!(response.status, StatusCode::NO_CONTENT);
    assert_eq!(browser.session()["authenticated"], false);
}
