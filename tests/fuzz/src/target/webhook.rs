//! A GitHub webhook: the first line is `X-Hub-Signature-256`, the rest the body. `@` in the input is replaced by the
//! genuine signature of that body.
//!
//! Sessions end only if the signature is genuine and the body says that this account revoked its authorization. Without
//! the signature nothing is read, stored or changed.

use hmac::{Hmac, Mac as _};
use http::Method;
use serde_json::Value;
use sha2::Sha256;

use super::head_and_rest;
use crate::{
    fixture::{Fixture, text},
    settings::WEBHOOK_SECRET,
};

/// Runs the target on one input; returns whether the edge accepted it.
pub fn run(data: &[u8]) -> bool {
    let (signature, body) = head_and_rest(data);
    let mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).expect("any length");
    let digest = mac.chain_update(body).finalize().into_bytes();
    let genuine = digest.iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"));
    let parts: Vec<&[u8]> = signature.split(|byte| *byte == b'@').take(4).collect();
    let signature = parts.join(genuine.as_bytes());
    Fixture::with(|fixture| {
        let headers: [(&'static str, &[u8]); 3] = [
            ("content-type", b"application/json"),
            ("x-github-event", b"github_app_authorization"),
            ("x-hub-signature-256", &signature),
        ];
        let response = fixture.send(Method::POST, "/auth/github/webhook", None, &headers, body);
        let status = response.status.as_u16();
        let is_signed = signature.trim_ascii().eq_ignore_ascii_case(genuine.as_bytes());
        assert!(status < 500, "{status}");
        assert!(is_signed || (status >= 400 && !fixture.has_changed()), "believed: {signature:?}");
        let cookie = format!("__Host-Http-session={}", fixture.session);
        let page: [(&'static str, &[u8]); 3] =
            [("x-csrf", b"1"), ("origin", b"https://edge.example"), ("cookie", cookie.as_bytes())];
        let has_ended = !text(&fixture.get("/auth/session", None, &page)).contains("\"authenticated\":true");
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        assert!(
            !has_ended || (is_signed && said["action"] == "revoked" && said["sender"]["id"] == 7),
            "ended by {said}"
        );
        has_ended
    })
}
