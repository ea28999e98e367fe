//! The OpenID provider `corp` as an upstream: who signs in there, and what it says by itself.

use std::{cell::RefCell, rc::Rc};

use rsa::RsaPrivateKey;
use serde_json::{Value, json};

use super::{
    entra::{KEY, NOW, jwk, token_with},
    openid,
    platform::{Answer, Sent},
};

/// Settings that add it to a deployment.
pub const SETTINGS: [(&str, &str); 2] = [
    ("OIDC_PROVIDERS", r#"[{"id":"corp","name":"Corp","issuer":"https://id.corp.example","client_id":"corp-client"}]"#),
    ("OIDC_CLIENT_SECRETS", r#"{"corp":"corp secret+value/Bq3Tz8Wd6Yk1Ns5P"}"#),
];

/// What differs from one sign-in to the next.
#[derive(Default)]
pub struct Corp {
    /// The nonce that the next ID token has.
    pub nonce: RefCell<String>,
    /// Claims of the next ID token beside the usual ones.
    pub claims: RefCell<Value>,
    /// What userinfo says that differs from the usual.
    pub userinfo: RefCell<Value>,
    /// Metadata that differs from the usual.
    pub metadata: RefCell<Value>,
    /// What is down: ends of URLs.
    pub down: RefCell<Vec<&'static str>>,
}

impl Corp {
    pub fn new() -> Rc<Self> {
        let corp = Self::default();
        *corp.claims.borrow_mut() = json!({});
        *corp.metadata.borrow_mut() = json!({});
        Rc::new(corp)
    }

    /// What it answers.
    pub fn answer(&self, sent: &Sent) -> Option<Answer> {
        let path = sent.url.strip_prefix("https://id.corp.example")?;
        if self.down.borrow().iter().any(|end| path.ends_with(end)) {
            return None;
        }
        let body = match path {
            "/.well-known/openid-configuration" => {
                let mut metadata = openid::metadata(json!({"pushed_authorization_request_endpoint": null}));
                overlay(&mut metadata, self.metadata.borrow().clone());
                metadata
            }
            "/jwks" => json!({"keys": [jwk(&KEY, json!({}))]}),
            "/token" => json!({
                "access_token": "corp-access", "token_type": "Bearer", "expires_in": 3600,
                "refresh_token": "corp-refresh", "id_token": self.id_token(),
            }),
            "/me" => {
                let mut more = json!({"sub": "s"});
                overlay(&mut more, self.userinfo.borrow().clone());
                more
            }
            "/revoke" => json!({}),
            _ => return None,
        };
        Some((200, vec![("content-type", "application/json".to_owned())], body.to_string()))
    }

    /// The next ID token; until the nonce or the claims change, also the last.
    pub fn id_token(&self) -> String {
        let mut claims = json!({
            "iss": "https://id.corp.example", "aud": "corp-client", "sub": "s", "sid": "at-corp",
            "nonce": *self.nonce.borrow(), "iat": NOW, "nbf": null, "oid": null, "tid": null, "ver": null,
        });
        overlay(&mut claims, self.claims.borrow().clone());
        token_with(json!({}), claims, &KEY)
    }
}

/// A logout token, changed as told; null leaves a claim out.
pub fn logout_token(header: Value, change: Value, key: &RsaPrivateKey) -> String {
    let mut claims = json!({
        "iss": "https://id.corp.example", "aud": "corp-client", "sub": "s", "jti": "j", "exp": NOW + 120,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        "iat": NOW, "nbf": null, "nonce": null, "oid": null, "tid": null, "ver": null, "name": null,
    });
    overlay(&mut claims, change);
    let mut head = json!({"typ": "logout+jwt"});
    overlay(&mut head, header);
    token_with(head, claims, key)
}

/// Sets everything, null too.
fn overlay(to: &mut Value, change: Value) {
    if let Value::Object(change) = change {
        to.as_object_mut().unwrap().extend(change);
    }
}
