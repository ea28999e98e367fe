//! GitHub's webhook for an app: a user revoked the app's authorization (M71).

use std::collections::BTreeMap;

use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, de::IgnoredAny};
use sha2::Sha256;

/// Length of an HMAC-SHA256, in bytes.
const DIGEST_BYTES: usize = 32;

/// The value of `X-Hub-Signature-256`: well-formed, not yet verified.
#[derive(Debug)]
pub struct WebhookSignature([u8; DIGEST_BYTES]);

impl WebhookSignature {
    /// Reads `sha256=` and 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut digest = [0; DIGEST_BYTES];
        hex::decode_to_slice(text.strip_prefix("sha256=")?, &mut digest).ok()?;
        Some(Self(digest))
    }

    /// Whether it is the signature of this body under this secret. Compares in constant time.
    #[must_use]
    pub fn is_signature_of(&self, body: &[u8], secret: &SecretString) -> bool {
        // HMAC takes keys of any length.
        Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
            .is_ok_and(|mac| mac.chain_update(body).verify_slice(&self.0).is_ok())
    }
}

/// An event `github_app_authorization`. The flattened rest makes serde read JSON objects only; without it, a list would be
/// read by position.
#[derive(Debug, Deserialize)]
pub struct AuthorizationEvent {
    action: String,
    sender: Sender,
    #[serde(flatten)]
    _rest: BTreeMap<String, IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct Sender {
    id: u64,
    #[serde(flatten)]
    _rest: BTreeMap<String, IgnoredAny>,
}

impl AuthorizationEvent {
    /// The account that revoked its authorization, by the number that never changes (M66).
    #[must_use]
    pub fn revoked_account(&self) -> Option<String> {
        (self.action == "revoked").then(|| self.sender.id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s132_signature_is_valid_for_its_body_and_secret_only() {
        // GitHub's published example.
        let signature =
            WebhookSignature::parse("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17").unwrap();
        let secret = SecretString::from("It's a Secret to Everybody");
        assert!(signature.is_signature_of(b"Hello, World!", &secret));
        assert!(!signature.is_signature_of(b"Hello, World?", &secret));
        assert!(!signature.is_signature_of(b"Hello, World!", &SecretString::from("another")));
    }

    #[test]
    fn event_must_be_an_object_and_may_have_other_fields() {
        let account = |text: &str| serde_json::from_str::<AuthorizationEvent>(text).ok()?.revoked_account();
        let event = r#"{"action":"revoked","sender":{"login":"ada","id":7,"plan":{"x":[1]}},"installation":null}"#;
        assert_eq!(account(event).as_deref(), Some("7"));
        for other in [
            r#"{"action":"created","sender":{"id":7}}"#,
            r#"["revoked",{"id":7}]"#,
            r#"{"action":"revoked","sender":[7]}"#,
            r#"{"action":"revoked","sender":{"id":7},"sender":{"id":8}}"#,
            r#"{"action":"revoked","sender":{"id":"7"}}"#,
        ] {
            assert_eq!(account(other), None, "{other}");
        }
    }

    #[test]
    fn malformed_signature_is_rejected() {
        let digits = "75".repeat(32);
        for bad in ["", "sha256=", &digits, &format!("sha1={digits}"), &format!("sha256={digits}7")] {
            assert!(WebhookSignature::parse(bad).is_none(), "{bad}");
        }
        assert!(WebhookSignature::parse(&format!("sha256=+{}", &digits[1..])).is_none());
    }
}
