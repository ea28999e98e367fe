use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};

use super::*;
use crate::testing::{
    entra::{KEY, OTHER_KEY, jwk, token_with},
    openid,
};

fn public(key: &rsa::RsaPrivateKey, extra: Value) -> SigningKey {
    serde_json::from_value(jwk(key, extra)).unwrap()
}

fn public_ec(extra: Value) -> Option<SigningKey> {
    serde_json::from_value(openid::key(7, extra)).ok()
}

fn verify_with_keys(token: &str, keys: &[SigningKey]) -> Result<Verified<Value>, SignatureError> {
    verify(token, keys, Typ::Optional("JWT"))
}

/// With one RSA key.
fn check(token: &str) -> Result<Verified<Value>, SignatureError> {
    verify_with_keys(token, &[public(&KEY, json!({}))])
}

/// With an elliptic-curve key and an RSA key.
fn check_corp(token: &str) -> Result<Verified<Value>, SignatureError> {
    verify_with_keys(token, &[public_ec(json!({})).unwrap(), public(&KEY, json!({}))])
}

#[test]
fn signature_of_each_accepted_algorithm_verifies() {
    assert_eq!(check(&token_with(json!({}), json!({}), &KEY)).unwrap().claims.custom["oid"], "o-1");
    assert_eq!(check_corp(&openid::token(json!({}))).unwrap().claims.custom["sub"], "248289");
}

#[test]
fn required_type_may_not_be_absent() {
    let check = |typ: Value, required: Typ| {
        verify::<Value>(&token_with(json!({"typ": typ}), json!({}), &KEY), &[public(&KEY, json!({}))], required)
    };
    for (required, absent_is_accepted) in [(Typ::Optional("JWT"), true), (Typ::Required("JWT"), false)] {
        assert_eq!(check(json!(null), required).is_ok(), absent_is_accepted);
        assert!(check(json!("jwt"), required).is_ok(), "case does not matter");
        assert_eq!(check(json!("at+jwt"), required).unwrap_err(), SignatureError::WrongKind);
    }
}

/// RFC 7515 §4.1.11: a recipient that does not understand a critical extension must reject the token.
#[test]
fn s43_token_with_critical_extensions_is_rejected() {
    for critical in [json!(["b64"]), json!([]), json!("exp")] {
        assert_eq!(
            check(&token_with(json!({"crit": critical, "b64": false}), json!({}), &KEY)).unwrap_err(),
            SignatureError::WrongKind,
        );
    }
}

#[test]
fn s37_s38_s41_s43_only_an_accepted_algorithm_with_a_known_key_verifies() {
    for algorithm in ["none", "None", "nOnE", "HS256", "RS384", "PS256", "EdDSA", ""] {
        assert_eq!(
            check(&token_with(json!({"alg": algorithm}), json!({}), &KEY)).unwrap_err(),
            SignatureError::WrongKind,
            "{algorithm}"
        );
    }
    assert_eq!(check(&token_with(json!({}), json!({}), &OTHER_KEY)).unwrap_err(), SignatureError::Wrong);
    for kid in ["k2", "../k1", "k1' OR 1=1", ""] {
        assert_eq!(
            check(&token_with(json!({"kid": kid}), json!({}), &KEY)).unwrap_err(),
            SignatureError::UnknownKey,
            "{kid}"
        );
    }
    let embedded_key = json!({"jwk": {"kty": "RSA", "n": BASE64.encode(OTHER_KEY.n().to_bytes_be()), "e": "AQAB"}, "jku": "https://evil/keys"});
    assert_eq!(check(&token_with(embedded_key, json!({}), &OTHER_KEY)).unwrap_err(), SignatureError::Wrong);
}

#[test]
fn s37_unsigned_token_is_rejected_in_every_spelling() {
    for alg in ["none", "None", "nOnE", "NONE", ""] {
        let head = BASE64.encode(json!({"alg": alg}).to_string());
        let claims = BASE64.encode(openid::claims(json!({})).to_string());
        for token in [format!("{head}.{claims}."), format!("{head}.{claims}"), format!("{head}.{claims}.AA")] {
            assert!(check_corp(&token).is_err(), "{token}");
        }
    }
}

/// A token with this `alg`, but signed with HMAC-SHA256 and a secret that an attacker knows.
fn hmac_token(alg: &str, secret: &[u8], kid: Value) -> String {
    use hmac::{Hmac, Mac as _};
    let mut head = json!({"alg": alg, "typ": "JWT"});
    crate::testing::entra::merge(&mut head, json!({"kid": kid}));
    let claims = openid::claims(json!({}));
    let message = format!("{}.{}", BASE64.encode(head.to_string()), BASE64.encode(claims.to_string()));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
    mac.update(message.as_bytes());
    format!("{message}.{}", BASE64.encode(mac.finalize().into_bytes()))
}

#[test]
fn s38_s39_hmac_with_the_public_key_or_an_empty_secret_is_rejected() {
    use rsa::pkcs8::{EncodePublicKey as _, LineEnding};
    let public_key = KEY.to_public_key();
    let pem = public_key.to_public_key_pem(LineEnding::LF).unwrap();
    let der = public_key.to_public_key_der().unwrap();
    for secret in [pem.as_bytes(), pem.trim_end().as_bytes(), der.as_bytes(), b""] {
        for kid in [json!("k1"), json!(null)] {
            for alg in ["HS256", "hs256", "RS256"] {
                assert!(check_corp(&hmac_token(alg, secret, kid.clone())).is_err(), "{alg}");
            }
        }
    }
    let without_alg = public(&KEY, json!({"alg": null}));
    let token = hmac_token("HS256", b"", json!("k1"));
    assert!(verify_with_keys(&token, &[without_alg]).is_err());
}

#[test]
fn s45_token_without_key_id_needs_a_candidate_key() {
    let token = token_with(json!({"kid": null}), json!({}), &KEY);
    let key = || public(&KEY, json!({}));
    assert!(verify_with_keys(&token, &[key()]).is_ok());
    let other = || public(&OTHER_KEY, json!({"kid": "k2"}));
    for keys in [[key(), other()], [other(), key()]] {
        assert_eq!(verify_with_keys(&token, &keys).unwrap().claims.custom["oid"], "o-1");
    }
    let by_other = token_with(json!({"kid": null}), json!({}), &OTHER_KEY);
    assert_eq!(verify_with_keys(&by_other, &[key()]).unwrap_err(), SignatureError::Wrong);
    assert_eq!(
        verify_with_keys(&token, &[public(&KEY, json!({"use": "enc"}))]).unwrap_err(),
        SignatureError::UnknownKey
    );
    assert_eq!(
        verify_with_keys(&token, &[public(&KEY, json!({"alg": "PS256"}))]).unwrap_err(),
        SignatureError::UnknownKey
    );
}

#[test]
fn s45_keys_of_another_type_are_no_candidates_for_a_token_without_key_id() {
    let token = token_with(json!({"kid": null}), json!({}), &KEY);
    let keys = [
        public(&KEY, json!({})),
        public_ec(json!({})).unwrap(),
        public_ec(json!({"alg": null, "use": null})).unwrap(),
        public_ec(json!({"crv": "P-384", "alg": null})).unwrap(),
    ];
    assert!(verify_with_keys(&token, &keys).is_ok());
    let by_ec = openid::signed(json!({"kid": null}), &openid::claims(json!({})), 7);
    assert!(check_corp(&by_ec).is_ok());
}

#[test]
fn m61_key_of_one_type_verifies_no_signature_of_another() {
    let swapped = |alg: &str, kid: &str| openid::signed(json!({"alg": alg, "kid": kid}), &openid::claims(json!({})), 7);
    assert!(check_corp(&swapped("RS256", "e1")).is_err());
    assert!(check_corp(&swapped("RS256", "k1")).is_err());
    assert!(check_corp(&swapped("ES256", "k1")).is_err());
    let forged = openid::signed(json!({}), &openid::claims(json!({})), 8);
    assert_eq!(check_corp(&forged).unwrap_err(), SignatureError::Wrong);
    let other_curve = public_ec(json!({"crv": "P-384"}));
    assert!(other_curve.is_none_or(|key| verify_with_keys(&openid::token(json!({})), &[key]).is_err()));
}

/// A token signed by the elliptic-curve key 7, and a set with these keys: their seeds and changes.
fn check_set(header: Value, keys: &[(u8, Value)]) -> Result<Verified<Value>, SignatureError> {
    let keys: Vec<SigningKey> =
        keys.iter().map(|(seed, extra)| serde_json::from_value(openid::key(*seed, extra.clone())).unwrap()).collect();
    verify_with_keys(&openid::signed(header, &openid::claims(json!({})), 7), &keys)
}

#[test]
fn s157_key_that_is_in_the_set_twice_counts_once() {
    for second in [json!({}), json!({"use": null}), json!({"alg": null}), json!({"kid": "e2"}), json!({"kid": null})] {
        for keys in [[(7, json!({})), (7, second.clone())], [(7, second.clone()), (7, json!({}))]] {
            for kid in [json!("e1"), json!(null)] {
                assert!(check_set(json!({"kid": kid}), &keys).is_ok(), "{kid} {second}");
            }
        }
    }
    let token = token_with(json!({"kid": null}), json!({}), &KEY);
    let padded = BASE64.encode([&[0][..], &KEY.n().to_bytes_be()].concat());
    let keys = [public(&KEY, json!({})), public(&KEY, json!({"kid": "k2", "n": padded}))];
    assert!(verify_with_keys(&token, &keys).is_ok(), "written in another way");
}

#[test]
fn s157_each_of_several_keys_under_one_id_is_tried() {
    for keys in [[7, 8], [8, 7]] {
        assert!(check_set(json!({}), &keys.map(|seed| (seed, json!({})))).is_ok(), "{keys:?}");
    }
    let others = [(8, json!({})), (9, json!({}))];
    assert_eq!(check_set(json!({}), &others).unwrap_err(), SignatureError::Wrong);
    // Without an id, all that fit are tried. Newer ones may include the right one.
    for both in [[7, 8], [8, 7]] {
        let keys = both.map(|seed| (seed, json!({"kid": format!("e{seed}")})));
        assert!(check_set(json!({"kid": null}), &keys).is_ok());
    }
    assert_eq!(check_set(json!({"kid": null}), &others).unwrap_err(), SignatureError::UnknownKey);
    // Of another id, none is tried.
    let other_id = [(8, json!({})), (7, json!({"kid": "e2"}))];
    assert_eq!(check_set(json!({}), &other_id).unwrap_err(), SignatureError::Wrong);
}

#[test]
fn s157_a_token_is_checked_with_few_keys_and_repeats_hide_none() {
    let key = |seed: u8| (seed, json!({}));
    let others = |count: u8| (0..count).map(|n| key(20 + n));
    let with_right = |before: u8| others(before).chain([key(7)]).collect::<Vec<_>>();
    assert!(check_set(json!({}), &with_right(MAX_CANDIDATES as u8 - 1)).is_ok());
    assert_eq!(check_set(json!({}), &with_right(MAX_CANDIDATES as u8)).unwrap_err(), SignatureError::Wrong);
    let without_id = json!({"kid": null});
    assert!(check_set(without_id.clone(), &with_right(MAX_CANDIDATES as u8 - 1)).is_ok());
    assert!(check_set(without_id, &with_right(MAX_CANDIDATES as u8)).is_err());
    let repeated: Vec<_> = (0..50).map(|_| key(8)).chain([key(7)]).collect();
    assert!(check_set(json!({}), &repeated).is_ok());
}

#[test]
fn s157_unusable_keys_hide_no_usable_one() {
    let token = |kid: Value| token_with(json!({"kid": kid}), json!({}), &KEY);
    let weak = BASE64.encode(&KEY.n().to_bytes_be()[..128]);
    let bad = [
        json!({"n": ""}),
        json!({"n": "AA"}),
        json!({"n": weak}),
        json!({"e": "AA"}),
        json!({"use": "enc"}),
        json!({"alg": "PS256"}),
    ];
    let mut keys: Vec<SigningKey> = bad.into_iter().map(|change| public(&KEY, change)).collect();
    assert_eq!(verify_with_keys(&token(json!("k1")), &keys).unwrap_err(), SignatureError::UnknownKey);
    keys.push(public(&KEY, json!({})));
    for kid in [json!("k1"), json!(null)] {
        assert!(verify_with_keys(&token(kid.clone()), &keys).is_ok(), "{kid}");
    }
    // A point that is not on the curve.
    let off_curve = openid::key(8, json!({}))["x"].clone();
    assert!(check_set(json!({}), &[(7, json!({"x": off_curve})), (7, json!({}))]).is_ok());
}

/// A key may sign for the issuer of each entry that contains it, and for any if one entry names none.
#[test]
fn s157_m73_key_in_the_set_twice_signs_for_both_issuers() {
    let issuers = |first: Value, second: Value| {
        check_set(json!({}), &[(7, json!({"issuer": first})), (7, json!({"issuer": second}))]).unwrap().key_issuers
    };
    let both = issuers(json!("https://a"), json!("https://b"));
    assert!(both.include(|issuer| issuer == "https://a") && both.include(|issuer| issuer == "https://b"));
    assert!(!both.include(|issuer| issuer == "https://c"));
    assert!(issuers(json!("https://a"), json!(null)).include(|issuer| issuer == "https://c"));
    // The restriction of another key does not count.
    let other = [(8, json!({})), (7, json!({"issuer": "https://a"}))];
    assert!(!check_set(json!({}), &other).unwrap().key_issuers.include(|issuer| issuer == "https://c"));
}
