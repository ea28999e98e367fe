//! Logout tokens signed by the provider: the first line is the header, the rest the claims.
//!
//! A token that ends sessions must also be valid by a second, independent reading, and must not be an ID token.

use causeway_core::oauth::logout_token::{LogoutTarget, validate};
use serde_json::Value;

use super::{
    claims::{OTHER_ISSUER, SETUP, signed},
    head_and_rest,
};
use crate::settings::{CLIENT, NOW, SIGN_IN};

/// How long before now a token may have been issued, and how far clocks may differ, in seconds.
const MAX_AGE: f64 = 120.0;
const SKEW: f64 = 60.0;

/// Runs the target on one input; returns whether the edge accepted it.
pub fn run(data: &[u8]) -> bool {
    let (head, claims) = head_and_rest(data);
    SETUP.with(|(config, key, public)| {
        let token = signed(key, head, claims);
        let provider = config.provider("corp").expect("configured");
        let Ok(believed) = validate(&token, public, provider, NOW) else { return false };
        let (head, claims): (Value, Value) =
            (serde_json::from_slice(head).expect("JSON"), serde_json::from_slice(claims).expect("JSON"));
        assert!(is_right(&head, &claims), "believed {head} {claims}");
        assert_eq!((&claims["iss"], &claims["jti"]), (&believed.issuer.into(), &believed.jti.into()));
        match believed.target {
            LogoutTarget::Session { sid, sub } => {
                assert_eq!(claims["sid"], sid);
                assert!(sub.is_none_or(|sub| claims["sub"] == sub), "{claims}");
            }
            LogoutTarget::User(sub) => assert!(claims["sub"] == sub && claims["sid"].is_null(), "{claims}"),
        }
        assert!(
            causeway_core::oauth::id_token::validate(&token, public, provider, SIGN_IN, NOW).is_err(),
            "signs in, too: {claims}"
        );
        true
    })
}

fn is_right(head: &Value, claims: &Value) -> bool {
    // A second that has started counts.
    let number = |name: &str| claims[name].as_f64().map(f64::trunc);
    let now = NOW as f64;
    let audience = match &claims["aud"] {
        Value::Array(all) => !all.is_empty() && all.iter().all(|one| one == CLIENT),
        one => one == CLIENT,
    };
    let named = |name: &str| claims[name].as_str().is_some_and(|text| (1..=255).contains(&text.len()));
    let kinds = ["logout+jwt", "JWT"];
    head["alg"] == "ES256"
        && (head["kid"].is_null() || head["kid"] == "f")
        && head["crit"].is_null()
        && head["typ"].as_str().is_none_or(|typ| kinds.iter().any(|kind| typ.eq_ignore_ascii_case(kind)))
        && claims["iss"] == OTHER_ISSUER
        && audience
        && claims["events"]["http://schemas.openid.net/event/backchannel-logout"].is_object()
        && claims.as_object().is_some_and(|claims| !claims.contains_key("nonce"))
        && named("jti")
        && (named("sid") || (claims["sid"].is_null() && named("sub")))
        && number("exp").is_some_and(|at| at > now - SKEW)
        && number("iat").is_some_and(|at| at <= now + SKEW && at >= now - MAX_AGE - SKEW)
}
