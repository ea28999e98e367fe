use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};

use super::*;
use crate::{
    config::{Config, Coordination},
    simulated::{
        entra::{KEY, NOW, OTHER, TENANT, jwk, token_with},
        settings,
    },
};

fn public(key: &rsa::RsaPrivateKey, extra: Value) -> SigningKey {
    serde_json::from_value(jwk(key, extra)).unwrap()
}

fn check_with(token: &str, keys: &[SigningKey]) -> Result<IdClaims, IdTokenError> {
    let table = settings();
    let config = Config::load(&|key: &str| table.get(key).cloned(), Coordination::Objects).unwrap();
    validate(token, keys, config.provider("entra").unwrap(), "n", NOW)
}

fn check(token: &str) -> Result<IdClaims, IdTokenError> {
    check_with(token, &[public(&KEY, json!({}))])
}

fn claims(change: Value) -> Result<IdClaims, IdTokenError> {
    check(&token_with(json!({}), change, &KEY))
}

#[test]
fn a_good_token_is_believed() {
    assert_eq!(claims(json!({})).unwrap().oid.as_deref(), Some("o-1"));
    assert!(claims(json!({"aud": ["entra-client"], "azp": "entra-client"})).is_ok());
    assert!(
        claims(json!({"exp": NOW - 59, "iat": NOW + 60, "nbf": NOW + 60})).is_ok(),
        "clocks may differ by a minute"
    );
}

/// RFC 7515 §4.1.11: who does not understand an extension that is called critical must not believe the token.
#[test]
fn s43_a_token_with_critical_extensions_is_refused() {
    for critical in [json!(["b64"]), json!([]), json!("exp")] {
        assert_eq!(
            check(&token_with(json!({"crit": critical, "b64": false}), json!({}), &KEY)).unwrap_err(),
            IdTokenError::Signature(SignatureError::WrongKind),
        );
    }
}

#[test]
fn s37_s38_s41_s43_only_an_accepted_algorithm_with_a_known_key_verifies() {
    for algorithm in ["none", "None", "nOnE", "HS256", "RS384", "PS256", "EdDSA", ""] {
        assert_eq!(
            check(&token_with(json!({"alg": algorithm}), json!({}), &KEY)).unwrap_err(),
            IdTokenError::Signature(SignatureError::WrongKind),
            "{algorithm}"
        );
    }
    assert_eq!(
        check(&token_with(json!({}), json!({}), &OTHER)).unwrap_err(),
        IdTokenError::Signature(SignatureError::Wrong)
    );
    for kid in ["k2", "../k1", "k1' OR 1=1", ""] {
        assert_eq!(
            check(&token_with(json!({"kid": kid}), json!({}), &KEY)).unwrap_err(),
            IdTokenError::Signature(SignatureError::UnknownKey),
            "{kid}"
        );
    }
    let own_key = json!({"jwk": {"kty": "RSA", "n": BASE64.encode(OTHER.n().to_bytes_be()), "e": "AQAB"}, "jku": "https://evil/keys"});
    assert_eq!(
        check(&token_with(own_key, json!({}), &OTHER)).unwrap_err(),
        IdTokenError::Signature(SignatureError::Wrong)
    );
}

#[test]
fn s56_a_token_of_another_type_is_refused() {
    for typ in ["at+jwt", "logout+jwt", "dpop+jwt"] {
        assert_eq!(
            check(&token_with(json!({"typ": typ}), json!({}), &KEY)).unwrap_err(),
            IdTokenError::Signature(SignatureError::WrongKind),
            "{typ}"
        );
    }
}

#[test]
fn s45_a_token_without_key_id_needs_exactly_one_candidate() {
    let token = token_with(json!({"kid": null}), json!({}), &KEY);
    let key = || public(&KEY, json!({}));
    assert!(check_with(&token, &[key()]).is_ok());
    assert_eq!(
        check_with(&token, &[key(), public(&OTHER, json!({"kid": "k2"}))]).unwrap_err(),
        IdTokenError::Signature(SignatureError::UnknownKey)
    );
    assert_eq!(
        check_with(&token, &[public(&KEY, json!({"use": "enc"}))]).unwrap_err(),
        IdTokenError::Signature(SignatureError::UnknownKey)
    );
    assert_eq!(
        check_with(&token, &[public(&KEY, json!({"alg": "PS256"}))]).unwrap_err(),
        IdTokenError::Signature(SignatureError::UnknownKey)
    );
}

#[test]
fn s47_s48_times_must_be_numbers_and_now() {
    for change in [
        json!({"exp": NOW - 60}),
        json!({"exp": null}),
        json!({"iat": null}),
        json!({"iat": NOW + 61}),
        json!({"nbf": NOW + 61}),
    ] {
        assert_eq!(claims(change.clone()).unwrap_err(), IdTokenError::Time, "{change}");
    }
    for bad in [json!("1800000100"), json!(true), json!([NOW]), json!({}), json!(1e300), json!(-1e300)] {
        assert!(claims(json!({"exp": bad.clone()})).is_err(), "{bad}");
    }
}

#[test]
fn s49_s50_issuer_audience_and_party_are_exact() {
    let issuer = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    for change in [
        json!({"iss": format!("{issuer}/")}),
        json!({"iss": issuer.to_uppercase()}),
        json!({"iss": "https://login.microsoftonline.com/{tenantid}/v2.0"}),
        json!({"aud": "other"}),
        json!({"aud": ["entra-client", "other"]}),
        json!({"aud": []}),
        json!({"azp": "other"}),
    ] {
        assert_eq!(claims(change.clone()).unwrap_err(), IdTokenError::WrongParty, "{change}");
    }
}

#[test]
fn s14_the_nonce_must_be_this_sign_ins() {
    for change in [json!({"nonce": null}), json!({"nonce": "m"}), json!({"nonce": ""})] {
        assert_eq!(claims(change).unwrap_err(), IdTokenError::Nonce);
    }
}

#[test]
fn s51_entras_own_rules_hold() {
    for change in [
        json!({"tid": "9188040d-6c67-4c5b-b112-36a304b66dad"}),
        json!({"tid": "common"}),
        json!({"tid": null}),
        json!({"ver": "1.0"}),
        json!({"ver": null}),
    ] {
        assert_eq!(claims(change.clone()).unwrap_err(), IdTokenError::Tenant, "{change}");
    }
    let token = token_with(json!({}), json!({}), &KEY);
    let of = |issuer: &str| [public(&KEY, json!({"issuer": issuer}))];
    assert!(check_with(&token, &of("https://login.microsoftonline.com/{tenantid}/v2.0")).is_ok());
    let personal = of("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0");
    assert_eq!(check_with(&token, &personal).unwrap_err(), IdTokenError::WrongParty);
}

#[test]
fn garbage_is_refused_without_a_panic() {
    for text in ["", ".", "..", "a.b.c", "e30.e30.", &"x".repeat(40_000)] {
        assert!(check(text).is_err());
    }
}
