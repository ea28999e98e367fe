use serde_json::{Value, json};

use super::*;
use crate::testing::{
    corp::logout_token as token,
    entra::{KEY, NOW, OTHER_KEY, jwk, token_with},
    openid,
};

fn check_at(now: i64, token: &str) -> Result<LogoutToken, LogoutTokenError> {
    let config = openid::config(json!({}));
    let keys = [serde_json::from_value(jwk(&KEY, json!({}))).unwrap()];
    validate(token, &keys, config.provider("corp").unwrap(), now)
}

fn check(header: Value, change: Value) -> Result<LogoutToken, LogoutTokenError> {
    check_at(NOW, &token(header, change, &KEY))
}

#[test]
fn s121_valid_token_names_the_sessions_to_end() {
    for typ in [json!("logout+jwt"), json!("JWT"), json!(null)] {
        let token = check(json!({"typ": typ}), json!({})).unwrap();
        assert_eq!((token.issuer.as_str(), token.jti.as_str()), ("https://id.corp.example", "j"));
        assert_eq!(token.target, LogoutTarget::User("s".to_owned()));
    }
    let of_session =
        |sub: Option<&str>| LogoutTarget::Session { sid: "at-provider".into(), sub: sub.map(str::to_owned) };
    assert_eq!(check(json!({}), json!({"sid": "at-provider"})).unwrap().target, of_session(Some("s")));
    assert_eq!(check(json!({}), json!({"sid": "at-provider", "sub": null})).unwrap().target, of_session(None));
    assert!(check(json!({}), json!({"aud": ["corp-client"]})).is_ok());
    let irrelevant_claims = json!({"ver": 1, "groups": "one", "email": [], "name": 7, "auth_time": "then", "tid": 1});
    assert!(check(json!({}), irrelevant_claims).is_ok());
}

#[test]
fn s121_signatures_are_checked() {
    let wrong_kind = Err(LogoutTokenError::Signature(SignatureError::WrongKind));
    for alg in ["none", "None", "HS256", "RS512"] {
        assert_eq!(check(json!({"alg": alg}), json!({})), wrong_kind, "{alg}");
    }
    for typ in ["at+jwt", "dpop+jwt", ""] {
        assert_eq!(check(json!({"typ": typ}), json!({})), wrong_kind, "{typ}");
    }
    let wrong = Err(LogoutTokenError::Signature(SignatureError::Wrong));
    assert_eq!(check_at(NOW, &token(json!({}), json!({}), &OTHER_KEY)), wrong);
    let unknown = Err(LogoutTokenError::Signature(SignatureError::UnknownKey));
    assert_eq!(check(json!({"kid": "k2"}), json!({})), unknown);
    assert!(check_at(NOW, "a.b.c").is_err() && check_at(NOW, "").is_err());
}

#[test]
fn s121_wrong_issuer_or_audience_is_rejected() {
    for change in [
        json!({"iss": "https://id.corp.example/"}),
        json!({"iss": "https://evil.example"}),
        json!({"aud": "other"}),
        json!({"aud": ["corp-client", "other"]}),
        json!({"aud": []}),
    ] {
        assert_eq!(check(json!({}), change.clone()), Err(LogoutTokenError::WrongParty), "{change}");
    }
}

#[test]
fn s121_token_of_another_kind_is_rejected() {
    for change in [
        json!({"events": null}),
        json!({"events": {}}),
        json!({"events": {EVENT: true}}),
        json!({"events": {"http://schemas.openid.net/event/other": {}}}),
        json!({"nonce": "n"}),
    ] {
        assert_eq!(check(json!({}), change.clone()), Err(LogoutTokenError::WrongKind), "{change}");
    }
    // An ID token of the same provider, client and user.
    let claims = json!({"iss": "https://id.corp.example", "aud": "corp-client", "iat": NOW});
    let id_token = token_with(json!({}), claims, &KEY);
    assert_eq!(check_at(NOW, &id_token), Err(LogoutTokenError::WrongKind));
}

#[test]
fn s121_token_without_usable_sub_sid_or_jti_is_rejected() {
    let long = "x".repeat(256);
    for change in [
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sid": ""}),
        json!({"sid": long}),
        json!({"jti": null}),
        json!({"jti": ""}),
    ] {
        assert_eq!(check(json!({}), change.clone()), Err(LogoutTokenError::MissingIdentifier), "{change}");
    }
}

#[test]
fn s121_decisive_claim_of_a_wrong_type_is_rejected() {
    for name in ["iss", "aud", "sub", "sid", "jti", "events", "exp", "iat"] {
        for bad in [json!(7.5), json!([7]), json!(true)] {
            // A time may have a fraction, but 7.5 is long past.
            assert!(check(json!({}), json!({name: bad.clone()})).is_err(), "{name}: {bad}");
        }
    }
}

#[test]
fn s121_token_is_accepted_for_two_minutes_plus_clock_skew() {
    let good = token(json!({}), json!({"exp": NOW + 3600}), &KEY);
    assert!(check_at(NOW - 60, &good).is_ok() && check_at(NOW + 180, &good).is_ok());
    for now in [NOW - 61, NOW + 181] {
        assert_eq!(check_at(now, &good), Err(LogoutTokenError::Time), "{now}");
    }
    let accepted_until = check_at(NOW, &good).unwrap().accepted_until_ms();
    assert_eq!(accepted_until, u64::try_from(NOW + 181).unwrap() * 1000);
    for change in [json!({"exp": NOW - 60}), json!({"exp": null}), json!({"iat": null})] {
        assert_eq!(check(json!({}), change.clone()), Err(LogoutTokenError::Time), "{change}");
    }
    assert!(check(json!({}), json!({"exp": "soon"})).is_err());
}

#[test]
fn key_of_another_issuer_is_rejected() {
    assert!(is_issuer_of_key("https://a/{tenantid}/v2.0", "https://a/t/v2.0"));
    assert!(!is_issuer_of_key("https://a/{tenantid}/v2.0", "https://b/t/v2.0"));
    assert!(!is_issuer_of_key("https://a/s/v2.0", "https://a/t/v2.0"));
}

#[test]
fn m46_strict_logout_typ_requires_the_logout_token_type() {
    let config = openid::config(json!({"strict_logout_typ": true}));
    let keys = [serde_json::from_value(jwk(&KEY, json!({}))).unwrap()];
    let check = |typ: Value| {
        let token = token(json!({"typ": typ}), json!({}), &KEY);
        validate(&token, &keys, config.provider("corp").unwrap(), NOW)
    };
    assert!(check(json!("logout+jwt")).is_ok());
    for typ in [json!("JWT"), json!(null)] {
        assert_eq!(check(typ), Err(LogoutTokenError::Signature(SignatureError::WrongKind)));
    }
}
