//! The OpenID provider `corp` as an upstream, with the parts of its answers that a test can change.

use std::{cell::RefCell, rc::Rc};

use rsa::RsaPrivateKey;
use serde_json::{Value, json};

use super::{
    entra::{KEY, NOW, jwk, token_with},
    openid,
    platform::{Answer, Sent},
};

/// The settings that add `corp` to a deployment.
pub const SETTINGS: [(&str, &str); 2] = [
    ("OIDC_PROVIDERS", r#"[{"id":"corp","name":"Corp","issuer":"https://id.corp.example","client_id":"corp-client"}]"#),
    ("OIDC_CLIENT_SECRETS", r#"{"corp":"corp secret+value/Bq3Tz8Wd6Yk1Ns5P"}"#),
];

/// The provider, with what a test changes in its answers.
#[derive(Default)]
pub struct Corp {
    /// The nonce of the next ID token.
    pub nonce: RefCell<String>,
    /// Claims that the next ID token has instead of, or in addition to, the default ones.
    pub claims: RefCell<Value>,
    /// Fields that differ from the default userinfo response.
    pub userinfo: RefCell<Value>,
    /// Fields that differ from the default metadata.
    pub metadata: RefCell<Value>,
    /// Endpoints that do not answer, by the ending of their URL.
    pub down: RefCell<Vec<&'static str>>,
}

impl Corp {
    /// The provider with its default answers.
    pub fn new() -> Rc<Self> {
        let corp = Self::default();
        *corp.claims.borrow_mut() = json!({});
        *corp.metadata.borrow_mut() = json!({});
        Rc::new(corp)
    }

    /// The answer to a request; `None` if the endpoint is down or is not one of this provider.
    pub fn answer(&self, sent: &Sent) -> Option<Answer> {
        let path = sent.url.strip_prefix("https://id.corp.example")?;
        if self.down.borrow().iter().any(|end| path.ends_with(end)) {
            return None;
        }
        let body = match path {
            "/.well-known/openid-configuration" => {
                let mut metadata = openid::metadata(json!({"pushed_authorization_request_endpoint": null}));
                set_all(&mut metadata, self.metadata.borrow().clone());
                metadata
            }
            "/jwks" => json!({"keys": [jwk(&KEY, json!({}))]}),
            "/token" => json!({
                "access_token": "corp-access", "token_type": "Bearer", "expires_in": 3600,
                "refresh_token": "corp-refresh", "id_token": self.id_token(),
            }),
            "/me" => {
                let mut userinfo = json!({"sub": "s"});
                set_all(&mut userinfo, self.userinfo.borrow().clone());
                userinfo
            }
            "/revoke" => json!({}),
            _ => return None,
        };
        Some((200, vec![("content-type", "application/json".to_owned())], body.to_string()))
    }

    /// The ID token for the present nonce and claims.
    pub fn id_token(&self) -> String {
        let mut claims = json!({
            "iss": "https://id.corp.example", "aud": "corp-client", "sub": "s", "sid": "at-corp",
            "nonce": *self.nonce.borrow(), "iat": NOW, "nbf": null, "oid": null, "tid": null, "ver": null,
        });
        set_all(&mut claims, self.claims.borrow().clone());
        token_with(json!({}), claims, &KEY)
    }
}

/// A logout token with these changes to its header and claims. A claim that is null is left out.
pub fn logout_token(header: Value, change: Value, key: &RsaPrivateKey) -> String {
    let mut claims = json!({
        "iss": "https://id.corp.example", "aud": "corp-client", "sub": "s", "jti": "j", "exp": NOW + 120,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        "iat": NOW, "nbf": null, "nonce": null, "oid": null, "tid": null, "ver": null, "name": null,
    });
    set_all(&mut claims, change);
    let mut head = json!({"typ": "logout+jwt"});
    set_all(&mut head, header);
    token_with(head, claims, key)
}

/// Sets each of these fields, to null as well, unlike [`super::entra::merge`], which removes fields that are null.
fn set_all(to: &mut Value, change: Value) {
    if let Value::Object(change) = change {
        to.as_object_mut().unwrap().extend(change);
    }
}
