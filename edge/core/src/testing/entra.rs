//! Entra ID as an upstream: documents and tokens like its own, signed with keys made for tests.

use std::{cell::RefCell, rc::Rc, sync::LazyLock};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use rand::{SeedableRng as _, rngs::StdRng};
use rsa::{
    RsaPrivateKey,
    pkcs1v15::SigningKey as Signer,
    signature::{SignatureEncoding as _, Signer as _},
    traits::{PrivateKeyParts as _, PublicKeyParts as _},
};
use serde_json::{Value, json};
use sha2::Sha256;

use super::platform::{Answer, Sent};

/// The id of the tenant.
pub const TENANT: &str = "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90";
/// When tokens are used, in Unix seconds: the time at which [`super::platform::InMemoryPlatform`] starts.
pub const NOW: i64 = 1_800_000_000;
/// How much earlier than it is issued a token claims to be issued, in seconds. Entra does this.
const BACKDATED_SECONDS: i64 = 300;

/// The key that the provider publishes.
pub static KEY: LazyLock<RsaPrivateKey> =
    LazyLock::new(|| RsaPrivateKey::new(&mut StdRng::seed_from_u64(1), 2048).unwrap());
/// A key that the provider does not publish.
pub static OTHER_KEY: LazyLock<RsaPrivateKey> =
    LazyLock::new(|| RsaPrivateKey::new(&mut StdRng::seed_from_u64(2), 2048).unwrap());

/// The public part of an RSA key as a JWK, with these changes.
pub fn jwk(key: &RsaPrivateKey, extra: Value) -> Value {
    let mut jwk = json!({
        "kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256",
        "n": BASE64.encode(key.n().to_bytes_be()), "e": BASE64.encode(key.e().to_bytes_be()),
    });
    merge(&mut jwk, extra);
    jwk
}

/// An RSA key with its private part as a JWK, with these changes.
pub fn private_jwk(key: &RsaPrivateKey, change: Value) -> String {
    let text = |number: &rsa::BigUint| BASE64.encode(number.to_bytes_be());
    let mut jwk = json!({
        "kty": "RSA", "kid": "own", "alg": "RS256", "use": "sig",
        "n": text(key.n()), "e": text(key.e()), "d": text(key.d()),
        "p": text(&key.primes()[0]), "q": text(&key.primes()[1]),
    });
    merge(&mut jwk, change);
    jwk.to_string()
}

/// Sets the fields that have a value, and removes those that are null.
pub fn merge(to: &mut Value, change: Value) {
    let to = to.as_object_mut().unwrap();
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            to.remove(name)
        } else {
            to.insert(name.clone(), value.clone())
        };
    }
}

/// A signed ID token with these changes to its header and claims.
pub fn token_with(header: Value, change: Value, key: &RsaPrivateKey) -> String {
    let mut head = json!({"alg": "RS256", "typ": "JWT", "kid": "k1"});
    merge(&mut head, header);
    let mut claims = json!({
        "iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0"), "aud": "entra-client",
        "sub": "s", "oid": "o-1", "tid": TENANT, "ver": "2.0", "nonce": "n", "name": "Ada",
        "iat": NOW - BACKDATED_SECONDS, "nbf": NOW - BACKDATED_SECONDS, "exp": NOW + 3600,
    });
    merge(&mut claims, change);
    let signed = format!("{}.{}", BASE64.encode(head.to_string()), BASE64.encode(claims.to_string()));
    let signature = Signer::<Sha256>::new(key.clone()).sign(signed.as_bytes());
    format!("{signed}.{}", BASE64.encode(signature.to_bytes()))
}

/// The answer of Entra to a request. The first response for the key set has an outdated key, as if the keys were
/// rotated just afterwards. `fetches` counts those requests.
pub fn answer(sent: &Sent, nonce: &str, fetches: &Rc<RefCell<u32>>) -> Option<Answer> {
    let base = "https://login.microsoftonline.com";
    let body = if sent.url.ends_with("/.well-known/openid-configuration") {
        json!({
            "issuer": format!("{base}/{TENANT}/v2.0"),
            "authorization_endpoint": format!("{base}/{TENANT}/oauth2/v2.0/authorize"),
            "token_endpoint": format!("{base}/{TENANT}/oauth2/v2.0/token"),
            "jwks_uri": format!("{base}/{TENANT}/discovery/v2.0/keys"),
        })
    } else if sent.url.ends_with("/keys") {
        *fetches.borrow_mut() += 1;
        let outdated = *fetches.borrow() == 1;
        let key = if outdated { jwk(&OTHER_KEY, json!({"kid": "k0"})) } else { jwk(&KEY, json!({})) };
        json!({"keys": [{"kty": "unheard-of", "kid": "k9"}, key]})
    } else if sent.url.ends_with("/token") {
        json!({
            "access_token": "entra-access", "token_type": "Bearer", "expires_in": 3600,
            "refresh_token": "entra-refresh", "id_token": token_with(json!({}), json!({"nonce": nonce}), &KEY),
        })
    } else {
        return None;
    };
    Some((200, vec![("content-type", "application/json".to_owned())], body.to_string()))
}
