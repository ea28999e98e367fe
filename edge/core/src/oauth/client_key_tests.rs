use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use jwt_compact::UntrustedToken;
use rand::{SeedableRng as _, rngs::StdRng};
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use serde_json::{Value, json};

use super::*;
use crate::simulated::entra::{KEY, merge};

fn rsa_jwk(key: &rsa::RsaPrivateKey, change: Value) -> String {
    let text = |number: &rsa::BigUint| BASE64.encode(number.to_bytes_be());
    let mut jwk = json!({
        "kty": "RSA", "kid": "own", "alg": "RS256", "use": "sig", "n": text(key.n()), "e": text(key.e()), "d": text(key.d()),
        "p": text(&key.primes()[0]), "q": text(&key.primes()[1]),
    });
    merge(&mut jwk, change);
    jwk.to_string()
}

#[test]
fn m20_an_rsa_key_signs_what_its_public_part_verifies() {
    let key = ClientKey::from_jwk(&rsa_jwk(&KEY, json!({"x5t#S256": BASE64.encode([7; 32])}))).unwrap();
    assert!(key.names_certificate());
    let token = key.sign(&Claims::new(json!({"sub": "client"}))).unwrap();
    let token: UntrustedToken<'_> = UntrustedToken::new(&token).unwrap();
    assert_eq!((token.algorithm(), token.header().key_id.as_deref()), ("RS256", Some("own")));
    let public = StrongKey::try_from(KEY.to_public_key()).unwrap();
    assert!(StrongAlg(Rsa::rs256()).validator::<Value>(&public).validate(&token).is_ok());
    assert_eq!(format!("{key:?}"), "ClientKey(…)");
}

#[test]
fn s135_m1_a_key_that_cannot_sign_or_is_weak_is_refused() {
    let weak = rsa::RsaPrivateKey::new(&mut StdRng::seed_from_u64(3), 1024).unwrap();
    for jwk in [
        rsa_jwk(&weak, json!({})),
        rsa_jwk(&KEY, json!({"alg": "RS512"})),
        rsa_jwk(&KEY, json!({"alg": "HS256"})),
        rsa_jwk(&KEY, json!({"d": null, "p": null, "q": null})),
        rsa_jwk(&KEY, json!({"d": "AQAB"})),
        r#"{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0","alg":"HS256"}"#.to_owned(),
    ] {
        assert_eq!(ClientKey::from_jwk(&jwk).unwrap_err(), ClientKeyError::Unsuitable);
    }
    for text in ["", "{}", "[]", "secret", r#"{"kty":"RSA"}"#] {
        assert_eq!(ClientKey::from_jwk(text).unwrap_err(), ClientKeyError::Malformed, "{text}");
    }
    assert_eq!(
        ClientKey::from_jwk(&rsa_jwk(&KEY, json!({"x5t#S256": "short"}))).unwrap_err(),
        ClientKeyError::Malformed
    );
}
