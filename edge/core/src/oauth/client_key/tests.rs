use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use jwt_compact::UntrustedToken;
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use super::*;
use crate::testing::entra::{KEY, private_jwk as rsa_jwk};

#[test]
fn m20_signature_of_an_rsa_key_verifies_with_its_public_key() {
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
fn s135_m1_weak_or_non_signing_key_is_rejected() {
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

#[test]
fn m20_entra_key_must_be_rsa_and_signs_with_ps256() {
    let certificate = json!({"alg": "PS256", "x5t#S256": BASE64.encode([7; 32])});
    let key = ClientKey::from_rsa_jwk_for_pss(&rsa_jwk(&KEY, certificate)).unwrap();
    let token = key.sign(&Claims::new(json!({"sub": "client"}))).unwrap();
    let token: UntrustedToken<'_> = UntrustedToken::new(&token).unwrap();
    assert_eq!(token.algorithm(), "PS256");
    assert_eq!(token.header().certificate_thumbprint, Some([7; 32].into()));
    let public = StrongKey::try_from(KEY.to_public_key()).unwrap();
    assert!(StrongAlg(Rsa::ps256()).validator::<Value>(&public).validate(&token).is_ok());
    let elliptic = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
    for jwk in [elliptic.to_owned(), rsa_jwk(&KEY, json!({"alg": "ES256"})), rsa_jwk(&KEY, json!({"d": null}))] {
        assert_eq!(ClientKey::from_rsa_jwk_for_pss(&jwk).unwrap_err(), ClientKeyError::NotPs256);
    }
}
