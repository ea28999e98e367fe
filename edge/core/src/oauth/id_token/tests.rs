use serde_json::{Value, json};

use super::*;
use crate::{
    oauth::jws::SignatureError,
    testing::{
        entra::{KEY, NOW, OTHER_KEY, TENANT, jwk, token_with},
        openid,
        settings::config_with,
    },
};

const BEGUN_NOW: SignIn<'_> = SignIn { nonce: "n", began_ms: 1000 * NOW.unsigned_abs() };

fn public(key: &rsa::RsaPrivateKey, extra: Value) -> SigningKey {
    serde_json::from_value(jwk(key, extra)).unwrap()
}

/// Validates a token of Entra.
fn check(token: &str) -> Result<IdClaims, IdTokenError> {
    validate(token, &[public(&KEY, json!({}))], config_with(json!({})).provider("entra").unwrap(), BEGUN_NOW, NOW)
}

fn claims(change: Value) -> Result<IdClaims, IdTokenError> {
    check(&token_with(json!({}), change, &KEY))
}

/// Validates a token of an OpenID provider.
fn corp(change: Value) -> Result<IdClaims, IdTokenError> {
    corp_with(json!({}), &openid::token(change))
}

fn corp_with(entry: Value, token: &str) -> Result<IdClaims, IdTokenError> {
    let keys = [serde_json::from_value(openid::key(7, json!({}))).unwrap(), public(&KEY, json!({}))];
    validate(token, &keys, openid::config(entry).provider("corp").unwrap(), BEGUN_NOW, NOW)
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

#[test]
fn s37_s41_token_must_be_signed_with_a_known_key_by_an_accepted_algorithm() {
    for (header, key, error) in [
        (json!({"alg": "none"}), &KEY, SignatureError::WrongKind),
        (json!({"kid": "k2"}), &KEY, SignatureError::UnknownKey),
        (json!({}), &OTHER_KEY, SignatureError::Wrong),
    ] {
        let token = token_with(header, json!({}), key);
        assert_eq!(check(&token).unwrap_err(), IdTokenError::Signature(error));
    }
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
fn s56_logout_token_is_rejected_as_id_token() {
    let events = json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}});
    assert_eq!(corp(events).unwrap_err(), IdTokenError::Signature(SignatureError::WrongKind));
}

#[test]
fn garbage_is_rejected_without_a_panic() {
    for text in ["", ".", "..", "a.b.c", "e30.e30.", &"x".repeat(40_000)] {
        assert!(check(text).is_err());
    }
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
fn s14_nonce_must_be_that_of_this_sign_in() {
    for change in [json!({"nonce": null}), json!({"nonce": "m"}), json!({"nonce": ""})] {
        assert_eq!(claims(change).unwrap_err(), IdTokenError::Nonce);
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
