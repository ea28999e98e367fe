use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};

use super::*;
use crate::{
    config::{Config, Coordination},
    testing::{
        entra::{KEY, NOW, OTHER, TENANT, jwk, token_with},
        openid,
        settings::{config_with, settings},
    },
};

const BEGUN_NOW: SignIn<'_> = SignIn { nonce: "n", began_ms: 1000 * NOW.unsigned_abs() };

fn public(key: &rsa::RsaPrivateKey, extra: Value) -> SigningKey {
    serde_json::from_value(jwk(key, extra)).unwrap()
}

fn check_with(token: &str, keys: &[SigningKey]) -> Result<IdClaims, IdTokenError> {
    let table = settings();
    let config = Config::load(&|key: &str| table.get(key).cloned(), Coordination::Objects).unwrap();
    validate(token, keys, config.provider("entra").unwrap(), BEGUN_NOW, NOW)
}

fn check(token: &str) -> Result<IdClaims, IdTokenError> {
    check_with(token, &[public(&KEY, json!({}))])
}

fn claims(change: Value) -> Result<IdClaims, IdTokenError> {
    check(&token_with(json!({}), change, &KEY))
}

#[test]
fn valid_token_is_accepted() {
    assert_eq!(claims(json!({})).unwrap().entra.unwrap().oid.as_deref(), Some("o-1"));
    assert!(claims(json!({"aud": ["entra-client"], "azp": "entra-client"})).is_ok());
    assert!(
        claims(json!({"exp": NOW - 59, "iat": NOW + 60, "nbf": NOW + 60})).is_ok(),
        "clock skew of a minute is tolerated"
    );
}

/// RFC 7515 §4.1.11: a recipient that does not understand a critical extension must reject the token.
#[test]
fn s43_token_with_critical_extensions_is_rejected() {
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
    let embedded_key = json!({"jwk": {"kty": "RSA", "n": BASE64.encode(OTHER.n().to_bytes_be()), "e": "AQAB"}, "jku": "https://evil/keys"});
    assert_eq!(
        check(&token_with(embedded_key, json!({}), &OTHER)).unwrap_err(),
        IdTokenError::Signature(SignatureError::Wrong)
    );
}

#[test]
fn s56_token_of_another_type_is_rejected() {
    for typ in ["at+jwt", "logout+jwt", "dpop+jwt"] {
        assert_eq!(
            check(&token_with(json!({"typ": typ}), json!({}), &KEY)).unwrap_err(),
            IdTokenError::Signature(SignatureError::WrongKind),
            "{typ}"
        );
    }
}

#[test]
fn s45_token_without_key_id_needs_exactly_one_candidate_key() {
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
fn s47_s48_times_must_be_numbers_and_current() {
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
fn s49_s50_issuer_audience_and_authorized_party_must_match_exactly() {
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
fn s14_nonce_must_be_that_of_this_sign_in() {
    for change in [json!({"nonce": null}), json!({"nonce": "m"}), json!({"nonce": ""})] {
        assert_eq!(claims(change).unwrap_err(), IdTokenError::Nonce);
    }
}

#[test]
fn s51_entra_tenant_version_and_key_issuer_must_match() {
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
fn garbage_is_rejected_without_a_panic() {
    for text in ["", ".", "..", "a.b.c", "e30.e30.", &"x".repeat(40_000)] {
        assert!(check(text).is_err());
    }
}

fn corp(change: Value) -> Result<IdClaims, IdTokenError> {
    corp_with(json!({}), &openid::token(change))
}

fn corp_with(entry: Value, token: &str) -> Result<IdClaims, IdTokenError> {
    let keys = [serde_json::from_value(openid::key(7, json!({}))).unwrap(), public(&KEY, json!({}))];
    validate(token, &keys, openid::config(entry).provider("corp").unwrap(), BEGUN_NOW, NOW)
}

#[test]
fn openid_token_needs_its_providers_issuer_and_key() {
    assert_eq!(corp(json!({})).unwrap().sub, "248289");
    for change in [
        json!({"iss": "https://id.corp.example/"}),
        json!({"iss": "https://ID.corp.example"}),
        json!({"iss": "https://id.corp.example\u{200b}"}),
        json!({"aud": ["corp-client", "other"]}),
        json!({"azp": "other"}),
    ] {
        assert_eq!(corp(change.clone()).unwrap_err(), IdTokenError::WrongParty, "{change}");
    }
    assert_eq!(corp(json!({"nonce": "m"})).unwrap_err(), IdTokenError::Nonce);
}

#[test]
fn m61_key_of_one_type_verifies_no_signature_of_another() {
    let swapped = |alg: &str, kid: &str| openid::signed(json!({"alg": alg, "kid": kid}), &openid::claims(json!({})), 7);
    assert!(corp_with(json!({}), &swapped("RS256", "e1")).is_err());
    assert!(corp_with(json!({}), &swapped("RS256", "k1")).is_err());
    assert!(corp_with(json!({}), &swapped("ES256", "k1")).is_err());
    let forged = openid::signed(json!({}), &openid::claims(json!({})), 8);
    assert_eq!(corp_with(json!({}), &forged).unwrap_err(), IdTokenError::Signature(SignatureError::Wrong));
    let other_curve = public_ec(json!({"crv": "P-384"}));
    assert!(other_curve.is_none_or(|key| {
        validate(&openid::token(json!({})), &[key], openid::config(json!({})).provider("corp").unwrap(), BEGUN_NOW, NOW)
            .is_err()
    }));
}

fn public_ec(extra: Value) -> Option<SigningKey> {
    serde_json::from_value(openid::key(7, extra)).ok()
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
                assert!(corp_with(json!({}), &hmac_token(alg, secret, kid.clone())).is_err(), "{alg}");
            }
        }
    }
    let without_alg = public(&KEY, json!({"alg": null}));
    let token = hmac_token("HS256", b"", json!("k1"));
    let config = openid::config(json!({}));
    assert!(validate(&token, &[without_alg], config.provider("corp").unwrap(), BEGUN_NOW, NOW).is_err());
}

#[test]
fn s37_unsigned_token_is_rejected_in_every_spelling() {
    for alg in ["none", "None", "nOnE", "NONE", ""] {
        let head = BASE64.encode(json!({"alg": alg}).to_string());
        let claims = BASE64.encode(openid::claims(json!({})).to_string());
        for token in [format!("{head}.{claims}."), format!("{head}.{claims}"), format!("{head}.{claims}.AA")] {
            assert!(corp_with(json!({}), &token).is_err(), "{token}");
        }
    }
}

#[test]
fn s16_m40_auth_time_is_checked_if_max_age_is_configured() {
    let max_age = |change: Value| corp_with(json!({"max_age_seconds": 600}), &openid::token(change));
    assert!(max_age(json!({"auth_time": NOW - 660})).is_ok());
    for change in [
        json!({"auth_time": NOW - 661}),
        json!({"auth_time": null}),
        json!({"auth_time": 0}),
        json!({"auth_time": NOW + 61}),
    ] {
        assert_eq!(max_age(change.clone()).unwrap_err(), IdTokenError::AuthTime, "{change}");
    }
    assert!(max_age(json!({"auth_time": "1800000000"})).is_err());
    assert!(corp(json!({"auth_time": null})).is_ok());
}

#[test]
fn m40_max_age_counts_from_the_start_of_the_sign_in() {
    const CALLBACK: i64 = NOW + 300;
    let config = openid::config(json!({"max_age_seconds": 0}));
    let at_callback = |auth_time: Value| {
        let token = openid::token(json!({"auth_time": auth_time, "iat": CALLBACK}));
        let keys = [serde_json::from_value(openid::key(7, json!({}))).unwrap()];
        validate(&token, &keys, config.provider("corp").unwrap(), BEGUN_NOW, CALLBACK)
    };
    for good in [json!(NOW - 60), json!(NOW), json!(NOW + 5), json!(CALLBACK), json!(CALLBACK + 60)] {
        assert!(at_callback(good.clone()).is_ok(), "{good}");
    }
    for bad in [json!(NOW - 61), json!(NOW as f64 - 60.5), json!(NOW - 3600), json!(CALLBACK + 61), json!(1e300)] {
        assert_eq!(at_callback(bad.clone()).unwrap_err(), IdTokenError::AuthTime, "{bad}");
    }
}

/// Claims that some providers send with other types or meanings than OpenID Connect specifies.
fn peculiarities() -> Vec<Value> {
    let half = NOW as f64 - 9.5;
    vec![
        json!({"ver": 1}),
        json!({"ver": 1.5, "tid": 7, "oid": ["o"]}),
        json!({"groups": "one"}),
        json!({"groups": [1, {"id": 2}], "hasgroups": "yes", "_claim_names": "src1"}),
        json!({"email": ["ada@corp.example", "a@corp.example"]}),
        json!({"name": {"given": "Ada"}, "preferred_username": 7}),
        json!({"auth_time": half}),
        json!({"auth_time": half, "ver": 1, "groups": "one", "email": ["ada@corp.example"]}),
    ]
}

#[test]
fn wrong_type_of_a_claim_without_effect_is_accepted() {
    let (keys, config) = ([serde_json::from_value(openid::key(7, json!({}))).unwrap()], openid::config(json!({})));
    let provider = config.provider("corp").unwrap();
    for change in peculiarities() {
        let before = corp(change.clone()).unwrap_or_else(|error| panic!("{change}: {error}"));
        assert!(before.entra.is_none(), "{change}");
        assert!(change.get("email").is_none_or(|_| before.email.is_none()), "{change}");
        assert!(change.get("name").is_none_or(|_| before.name.is_none() && before.preferred_username.is_none()));
        // A refresh succeeds if the provider wrote the earlier token the same way, and if it wrote that one as usual.
        let again = openid::token(change.clone());
        assert!(validate_refreshed(&again, &keys, provider, &before, NOW).is_ok(), "{change}");
        let mut usual = json!({});
        if change.get("auth_time").is_some() {
            usual["auth_time"] = change["auth_time"].clone();
        }
        let usual = corp(usual).unwrap();
        assert!(validate_refreshed(&again, &keys, provider, &usual, NOW).is_ok(), "{change}");
        assert!(IdClaims::read_unverified(&again, provider).is_some_and(|claims| claims.continues(&before, NOW)));
    }
}

#[test]
fn wrong_type_of_a_decisive_claim_is_rejected() {
    for name in ["iss", "sub", "aud", "azp", "nonce", "sid", "auth_time", "exp", "iat", "nbf"] {
        for bad in [json!({}), json!([7]), json!(true)] {
            let error = corp(json!({name: bad.clone()})).unwrap_err();
            assert_eq!(error, IdTokenError::Signature(SignatureError::Malformed), "{name}: {bad}");
        }
    }
}

#[test]
fn s51_m77_entra_claim_of_a_wrong_type_is_rejected() {
    let malformed = IdTokenError::Signature(SignatureError::Malformed);
    let (keys, config) = ([public(&KEY, json!({}))], config_with(json!({})));
    let provider = config.provider("entra").unwrap();
    let before = claims(json!({})).unwrap();
    for change in [
        json!({"ver": 1}),
        json!({"ver": 2.0}),
        json!({"groups": "one"}),
        json!({"groups": [1]}),
        json!({"tid": [TENANT]}),
        json!({"tid": 7}),
        json!({"oid": 7}),
        json!({"oid": ["o-1"]}),
        json!({"hasgroups": "true"}),
        json!({"_claim_names": "groups"}),
    ] {
        assert_eq!(claims(change.clone()).unwrap_err(), malformed, "{change}");
        let token = token_with(json!({}), change.clone(), &KEY);
        assert_eq!(validate_refreshed(&token, &keys, provider, &before, NOW).unwrap_err(), malformed, "{change}");
        assert!(IdClaims::read_unverified(&token, provider).is_none(), "{change}");
    }
    assert!(claims(json!({"email": ["ada@corp.example"], "name": 7})).unwrap().email.is_none());
}

#[test]
fn m42_refreshed_entra_token_must_have_the_same_tenant_and_object() {
    let before = claims(json!({})).unwrap();
    assert!(before.continues(&before, NOW));
    for change in [json!({"oid": "o-2"}), json!({"oid": null})] {
        assert!(!claims(change.clone()).unwrap().continues(&before, NOW), "{change}");
        assert!(!before.continues(&claims(change.clone()).unwrap(), NOW), "{change}");
    }
}

#[test]
fn s47_time_may_have_a_fraction_but_must_be_a_number() {
    assert!(corp(json!({"exp": NOW as f64 + 30.5, "iat": NOW as f64 - 0.5})).is_ok());
    for name in ["exp", "iat", "nbf"] {
        for bad in [json!("1800000100"), json!(true), json!([NOW]), json!({}), json!(1e300), json!(-1e300)] {
            assert!(corp(json!({name: bad.clone()})).is_err(), "{name}: {bad}");
        }
    }
    assert!(corp(json!({"exp": -1})).is_err());
    assert!(corp(json!({"exp": u64::MAX})).is_err());
}

#[test]
fn s56_logout_token_is_rejected_as_id_token() {
    let events = json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}});
    assert_eq!(corp(events).unwrap_err(), IdTokenError::Signature(SignatureError::WrongKind));
}

const OTHER_TENANT: &str = "6f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90";
const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

fn of_tenant(tenant: &str, change: Value, key_issuer: Value) -> Result<IdClaims, IdTokenError> {
    let config = config_with(json!({"ENTRA_TENANT": "common", "ENTRA_TENANTS": format!("{TENANT},{OTHER_TENANT}")}));
    let mut all = json!({"tid": tenant, "iss": format!("https://login.microsoftonline.com/{tenant}/v2.0")});
    crate::testing::entra::merge(&mut all, change);
    let token = token_with(json!({}), all, &KEY);
    validate(&token, &[public(&KEY, json!({"issuer": key_issuer}))], config.provider("entra").unwrap(), BEGUN_NOW, NOW)
}

#[test]
fn s51_m74_only_listed_tenants_are_accepted() {
    let any = || json!("https://login.microsoftonline.com/{tenantid}/v2.0");
    for tenant in [TENANT, OTHER_TENANT] {
        assert_eq!(of_tenant(tenant, json!({}), any()).unwrap().entra.unwrap().tid.as_deref(), Some(tenant));
    }
    assert_eq!(of_tenant(PERSONAL, json!({}), any()).unwrap_err(), IdTokenError::Tenant);
    assert_eq!(of_tenant("{tenantid}", json!({}), any()).unwrap_err(), IdTokenError::Tenant);
    assert_eq!(of_tenant("common", json!({}), any()).unwrap_err(), IdTokenError::Tenant);
    let other = json!({"tid": OTHER_TENANT});
    assert_eq!(of_tenant(TENANT, other, any()).unwrap_err(), IdTokenError::WrongParty, "tenant and issuer must match");
    let version_one = json!({"iss": format!("https://sts.windows.net/{TENANT}/"), "ver": "1.0"});
    assert_eq!(of_tenant(TENANT, version_one, any()).unwrap_err(), IdTokenError::Tenant);
}

#[test]
fn s51_m73_key_of_one_tenant_is_rejected_for_another() {
    let of = |tenant: &str| json!(format!("https://login.microsoftonline.com/{tenant}/v2.0"));
    assert!(of_tenant(TENANT, json!({}), of(TENANT)).is_ok());
    assert_eq!(of_tenant(TENANT, json!({}), of(PERSONAL)).unwrap_err(), IdTokenError::WrongParty);
    assert_eq!(of_tenant(TENANT, json!({}), of(OTHER_TENANT)).unwrap_err(), IdTokenError::WrongParty);
}

#[test]
fn m77_membership_needs_the_group_in_the_list() {
    let (group, other) = ("aaaaaaaa-8d3e-4b7a-9c11-2f6d0e4b7a90", "bbbbbbbb-8d3e-4b7a-9c11-2f6d0e4b7a90");
    let config = config_with(json!({"ENTRA_GROUPS": group}));
    let member = |change: Value| {
        let token = token_with(json!({}), change, &KEY);
        validate(&token, &[public(&KEY, json!({}))], config.provider("entra").unwrap(), BEGUN_NOW, NOW)
    };
    assert!(member(json!({"groups": [other, group]})).is_ok());
    for change in [
        json!({}),
        json!({"groups": []}),
        json!({"groups": [other]}),
        json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://evil.example"}}}),
        json!({"groups": [group], "_claim_names": {"groups": "src1"}}),
        json!({"hasgroups": true}),
        json!({"groups": [group.to_uppercase()]}),
    ] {
        assert_eq!(member(change.clone()).unwrap_err(), IdTokenError::Group, "{change}");
        // The only check of a refreshed token whose key is not known yet.
        let unverified = token_with(json!({}), change.clone(), &KEY);
        let provider = config.provider("entra").unwrap();
        let claims = IdClaims::read_unverified(&unverified, provider).unwrap();
        assert_eq!(claims.check_party(provider).unwrap_err(), IdTokenError::Group, "{change}");
    }
    assert!(
        claims(json!({"_claim_names": {"groups": "src1"}})).is_ok(),
        "if no group is required, an unlisted group must not matter"
    );
}

#[test]
fn m42_refreshed_token_must_match_the_earlier_one() {
    let before = corp(json!({"azp": "corp-client"})).unwrap();
    let config = openid::config(json!({}));
    let refreshed = |change: Value| {
        let keys = [serde_json::from_value(openid::key(7, json!({}))).unwrap()];
        validate_refreshed(&openid::token(change), &keys, config.provider("corp").unwrap(), &before, NOW)
    };
    for change in [json!({}), json!({"nonce": null}), json!({"auth_time": null, "exp": NOW + 9})] {
        let mut change = change;
        change["azp"] = "corp-client".into();
        assert!(refreshed(change.clone()).is_ok(), "{change}");
    }
    for change in [
        json!({"sub": "other", "azp": "corp-client"}),
        json!({"nonce": "other", "azp": "corp-client"}),
        json!({"auth_time": NOW, "azp": "corp-client"}),
        json!({"azp": null}),
        json!({"azp": "other"}),
    ] {
        assert_eq!(refreshed(change.clone()).unwrap_err(), IdTokenError::AnotherUser, "{change}");
    }
}

#[test]
fn m42_refreshed_token_may_add_an_auth_time() {
    let before = corp(json!({"auth_time": null})).unwrap();
    let config = openid::config(json!({}));
    let keys = [serde_json::from_value(openid::key(7, json!({}))).unwrap()];
    for (auth_time, is_accepted) in [(NOW - 10, true), (NOW + 60, true), (NOW + 61, false)] {
        let token = openid::token(json!({"auth_time": auth_time}));
        let result = validate_refreshed(&token, &keys, config.provider("corp").unwrap(), &before, NOW);
        assert_eq!(result.is_ok(), is_accepted, "{auth_time}");
    }
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
    assert!(check_with(&token, &keys).is_ok());
    let by_ec = openid::signed(json!({"kid": null}), &openid::claims(json!({})), 7);
    assert!(corp_with(json!({}), &by_ec).is_ok());
}
