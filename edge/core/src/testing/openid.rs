//! The documents and tokens of the OpenID provider `corp`, and the configuration that names it.

use std::{collections::BTreeMap, rc::Rc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use jwt_compact::{Algorithm, alg::Es256, jwk::JsonWebKey};
use serde_json::{Value, json};

use super::{
    entra::{NOW, merge},
    platform::{Answer, InMemoryPlatform, Sent},
    run::run,
    settings::config_with,
};
use crate::{
    config::Config,
    oauth::{
        cache::{self, DiscoveryCache},
        discovery::Endpoints,
        token_endpoint::Client,
    },
    token_set::TokenSet,
};

/// The default configuration with the provider `corp` in addition. The change applies to its entry.
pub fn config(change: Value) -> Config {
    let mut entry =
        json!({"id": "corp", "name": "Corp", "issuer": "https://id.corp.example", "client_id": "corp-client"});
    merge(&mut entry, change);
    config_with(json!({
        "OIDC_PROVIDERS": json!([entry]).to_string(),
        "OIDC_CLIENT_SECRETS": r#"{"corp":"corp secret+value/Bq3Tz8Wd6Yk1Ns5P"}"#,
    }))
}

/// The provider's metadata, with these changes.
pub fn metadata(change: Value) -> Value {
    let mut metadata = json!({
        "issuer": "https://id.corp.example",
        "authorization_endpoint": "https://id.corp.example/auth",
        "token_endpoint": "https://id.corp.example/token",
        "jwks_uri": "https://id.corp.example/jwks",
        "userinfo_endpoint": "https://id.corp.example/me",
        "revocation_endpoint": "https://id.corp.example/revoke",
        "end_session_endpoint": "https://id.corp.example/session/end",
        "pushed_authorization_request_endpoint": "https://id.corp.example/request",
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_supported": true,
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    });
    merge(&mut metadata, change);
    metadata
}

/// The default claims of [`token`], with these changes.
pub fn claims(change: Value) -> Value {
    let mut claims = json!({
        "iss": "https://id.corp.example", "aud": "corp-client", "sub": "248289", "nonce": "n", "name": "Ada",
        "iat": NOW, "exp": NOW + 3600, "auth_time": NOW - 10,
    });
    merge(&mut claims, change);
    claims
}

type Signing = <Es256 as Algorithm>::SigningKey;

fn signing(seed: u8) -> Signing {
    <Signing as jwt_compact::alg::SigningKey<Es256>>::from_slice(&[seed; 32]).unwrap()
}

/// The public key of [`signed`] for the same seed as a JWK, with these changes.
pub fn key(seed: u8, extra: Value) -> Value {
    let signing = signing(seed);
    let mut jwk = serde_json::to_value(JsonWebKey::from(&signing).to_verifying_key()).unwrap();
    merge(&mut jwk, json!({"kid": "e1", "use": "sig", "alg": "ES256"}));
    merge(&mut jwk, extra);
    jwk
}

/// A JWT with these claims, signed with ES256.
pub fn signed(header: Value, claims: &Value, seed: u8) -> String {
    let mut head = json!({"alg": "ES256", "typ": "JWT", "kid": "e1"});
    merge(&mut head, header);
    let message = format!("{}.{}", BASE64.encode(head.to_string()), BASE64.encode(claims.to_string()));
    let signature = Es256.sign(&signing(seed), message.as_bytes());
    format!("{message}.{}", BASE64.encode(signature.to_bytes()))
}

/// The provider's ID token, with these changes to its claims.
pub fn token(change: Value) -> String {
    signed(json!({}), &claims(change), 7)
}

/// A configured provider whose endpoints are known, at an upstream that is a function.
pub struct ProviderFixture {
    /// The platform that requests are sent from.
    pub platform: InMemoryPlatform,
    /// The isolate's cache of provider documents.
    pub cache: DiscoveryCache,
    config: Config,
    id: &'static str,
    endpoints: Endpoints,
}

impl ProviderFixture {
    /// The provider `corp` with these changes to its entry and its metadata.
    pub fn new(entry: Value, document: Value, upstream: impl Fn(&Sent) -> Option<Answer> + 'static) -> Self {
        Self::for_provider("corp", config(entry), document, upstream)
    }

    /// Any provider of a configuration, with these changes to the metadata.
    pub fn for_provider(
        id: &'static str,
        config: Config,
        document: Value,
        upstream: impl Fn(&Sent) -> Option<Answer> + 'static,
    ) -> Self {
        let document = metadata(document).to_string();
        let platform = InMemoryPlatform::new(move |sent| match sent.url.as_str() {
            url if url.ends_with("/.well-known/openid-configuration") => Some(json_answer(200, document.clone())),
            "https://id.corp.example/jwks" => Some(json_answer(200, json!({"keys": [key(7, json!({}))]}).to_string())),
            _ => upstream(sent),
        });
        let cache = DiscoveryCache::new(Rc::clone(&config.sessions.keys));
        let endpoints = run(cache::endpoints(&platform, &cache, config.provider(id).unwrap())).unwrap();
        platform.sent.borrow_mut().clear();
        Self { platform, cache, config, id, endpoints }
    }

    /// The client of the provider's endpoints.
    pub fn client(&self) -> Client<'_, InMemoryPlatform> {
        Client {
            platform: &self.platform,
            cache: &self.cache,
            provider: self.config.provider(self.id).unwrap(),
            endpoints: &self.endpoints,
            send_by_ms: None,
        }
    }

    /// The requests that were sent, except those for keys.
    pub fn sent(&self) -> Vec<Sent> {
        self.platform.sent.borrow().iter().filter(|sent| !sent.url.ends_with("/jwks")).cloned().collect()
    }
}

/// An answer with a JSON body.
pub fn json_answer(status: u16, body: impl ToString) -> Answer {
    (status, vec![("content-type", "application/json".to_owned())], body.to_string())
}

/// The fields of a form that was sent.
pub fn form(sent: &Sent) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(sent.body.as_bytes()).into_owned().collect()
}

/// The header and claims of a JWT, without verification.
pub fn parts(token: &str) -> (Value, Value) {
    let part = |n| serde_json::from_slice(&BASE64.decode(token.split('.').nth(n).unwrap()).unwrap()).unwrap();
    (part(0), part(1))
}

/// The tokens of a sign-in at `corp`.
pub fn tokens() -> TokenSet {
    TokenSet {
        obtained_at_ms: 0,
        access_token: "old-access".into(),
        refresh_token: Some("old-refresh".into()),
        id_token: Some(token(json!({})).into()),
        expires_at_ms: None,
        scopes: vec!["openid".to_owned(), "profile".to_owned()],
    }
}
