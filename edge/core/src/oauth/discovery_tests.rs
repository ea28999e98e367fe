use std::{cell::RefCell, rc::Rc};

use serde_json::{Value, json};

use super::*;
use crate::{
    config::Config,
    oauth::signing_key::signing_keys,
    simulated::{Simulated, config_with, entra::KEY, entra::jwk, openid, run},
};

fn discover(config: &Config, id: &str, document: Value) -> Result<Endpoints, Unavailable> {
    let platform = Simulated::new(move |_| Some((200, vec![], document.to_string())));
    run(endpoints(&platform, &DiscoveryCache::default(), config.provider(id).unwrap()))
}

fn corp(change: Value) -> Result<Endpoints, Unavailable> {
    discover(&openid::config(json!({})), "corp", openid::metadata(change))
}

#[test]
fn everything_a_provider_offers_is_read() {
    let endpoints = corp(json!({})).unwrap();
    assert_eq!(endpoints.end_session.unwrap().as_str(), "https://id.corp.example/session/end");
    assert_eq!(endpoints.revocation.unwrap().as_str(), "https://id.corp.example/revoke");
    assert_eq!(endpoints.userinfo.unwrap().as_str(), "https://id.corp.example/me");
    assert!(endpoints.pushed_authorization.is_some() && endpoints.names_itself && endpoints.backchannel_logout);
}

#[test]
fn s53_m22_metadata_of_another_issuer_is_refused() {
    for issuer in ["https://id.corp.example/", "https://ID.corp.example", "https://evil.example", ""] {
        assert!(corp(json!({"issuer": issuer})).is_err(), "{issuer}");
    }
    assert!(corp(json!({"issuer": null})).is_err());
}

#[test]
fn s53_endpoints_that_are_not_https_at_a_public_host_are_refused() {
    for name in [
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
        "revocation_endpoint",
        "end_session_endpoint",
        "pushed_authorization_request_endpoint",
    ] {
        for bad in [
            "http://id.corp.example/x",
            "https://169.254.169.254/x",
            "https://10.0.0.1/x",
            "https://localhost/x",
            "https://[::1]/x",
            "https://user:password@id.corp.example/x",
            "javascript:alert(1)",
            "/relative",
        ] {
            assert!(corp(json!({name: bad})).is_err(), "{name}: {bad}");
        }
    }
    assert!(corp(json!({"token_endpoint": "https://tokens.corp.example/"})).is_ok(), "another public host may be");
}

#[test]
fn s11_a_provider_without_pkce_s256_is_refused() {
    for methods in [json!(["plain"]), json!([]), json!(null), json!(["s256"])] {
        assert!(corp(json!({"code_challenge_methods_supported": methods})).is_err(), "{methods}");
    }
    let entra = |methods: Value| {
        let config = config_with(json!({}));
        let mut document = openid::metadata(json!({"code_challenge_methods_supported": methods}));
        document["issuer"] = config.provider("entra").unwrap().issuer().into();
        discover(&config, "entra", document)
    };
    assert!(entra(json!(null)).is_ok(), "Entra supports it without saying so");
    assert!(entra(json!(["plain"])).is_err());
}

#[test]
fn what_is_configured_must_be_offered() {
    assert!(corp(json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"]})).is_err());
    assert!(corp(json!({"require_pushed_authorization_requests": true})).unwrap().pushed_authorization_required);
    let nowhere = json!({"require_pushed_authorization_requests": true, "pushed_authorization_request_endpoint": null});
    assert!(corp(nowhere).is_err());
    let dpop = openid::config(json!({"dpop": true}));
    let offers =
        |list: Value| discover(&dpop, "corp", openid::metadata(json!({"dpop_signing_alg_values_supported": list})));
    assert!(offers(json!(["RS256"])).is_err());
    assert!(offers(json!(["ES256"])).is_ok());
}

#[test]
fn m72_metadata_for_several_tenants_holds_the_placeholder() {
    let allowed = "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90";
    let config = config_with(json!({"ENTRA_TENANT": "organizations", "ENTRA_TENANTS": allowed}));
    let with = |issuer: &str| discover(&config, "entra", openid::metadata(json!({"issuer": issuer})));
    assert!(with("https://login.microsoftonline.com/{tenantid}/v2.0").is_ok());
    assert!(with(&format!("https://login.microsoftonline.com/{allowed}/v2.0")).is_err());
    let provider = config.provider("entra").unwrap();
    assert!(provider.is_issuer(&format!("https://login.microsoftonline.com/{allowed}/v2.0")));
    assert!(!provider.is_issuer("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"));
    assert!(!provider.is_issuer("https://login.microsoftonline.com/{tenantid}/v2.0"));
}

#[test]
fn metadata_outlives_an_outage_but_not_by_more_than_a_day() {
    let up = Rc::new(RefCell::new(true));
    let is_up = Rc::clone(&up);
    let platform =
        Simulated::new(move |_| is_up.borrow().then(|| (200, vec![], openid::metadata(json!({})).to_string())));
    let (config, cache) = (openid::config(json!({})), DiscoveryCache::default());
    let ask = || run(endpoints(&platform, &cache, config.provider("corp").unwrap()));
    assert!(ask().is_ok() && ask().is_ok());
    assert_eq!(platform.sent.borrow().len(), 1, "asked once an hour");
    *up.borrow_mut() = false;
    platform.now_ms.set(platform.now_ms.get() + 2 * FRESH_MS);
    assert!(ask().is_ok() && ask().is_ok());
    assert_eq!(platform.sent.borrow().len(), 2, "a provider that is down is not asked by every request");
    platform.now_ms.set(platform.now_ms.get() + STALE_MS);
    assert!(ask().is_err());
}

#[test]
fn s42_m43_unknown_key_ids_cause_one_fetch_a_minute_even_when_it_fails() {
    let platform = Simulated::new(|_| Some((200, vec![], json!({"keys": [jwk(&KEY, json!({}))]}).to_string())));
    let (config, cache) = (openid::config(json!({})), DiscoveryCache::default());
    let provider = config.provider("corp").unwrap();
    let url = Url::parse("https://id.corp.example/jwks").unwrap();
    let ask = |missing| run(signing_keys(&platform, &cache, provider, &url, missing)).map(|keys| keys.len());
    assert_eq!(ask(false), Ok(1));
    for _ in 0..1000 {
        assert_eq!(ask(true), Ok(1), "good keys go on working");
    }
    assert_eq!(platform.sent.borrow().len(), 2);
    platform.now_ms.set(platform.now_ms.get() + 61_000);
    assert_eq!(ask(true), Ok(1));
    assert_eq!(platform.sent.borrow().len(), 3);

    let platform = Simulated::new(|_| None);
    platform.now_ms.set(platform.now_ms.get() + 200_000);
    assert!(run(signing_keys(&platform, &cache, provider, &url, true)).is_err());
    assert!(run(signing_keys(&platform, &cache, provider, &url, true)).is_ok());
    assert_eq!(platform.sent.borrow().len(), 1);
}

#[test]
fn s52_a_key_that_was_withdrawn_is_believed_for_no_more_than_an_hour() {
    let withdrawn = Rc::new(RefCell::new(false));
    let is_withdrawn = Rc::clone(&withdrawn);
    let platform = Simulated::new(move |_| {
        let keys = if *is_withdrawn.borrow() { json!([]) } else { json!([jwk(&KEY, json!({}))]) };
        Some((200, vec![], json!({"keys": keys}).to_string()))
    });
    let (config, cache) = (openid::config(json!({})), DiscoveryCache::default());
    let url = Url::parse("https://id.corp.example/jwks").unwrap();
    let keys =
        || run(signing_keys(&platform, &cache, config.provider("corp").unwrap(), &url, false)).map(|keys| keys.len());
    assert_eq!(keys(), Ok(1));
    *withdrawn.borrow_mut() = true;
    platform.now_ms.set(platform.now_ms.get() + FRESH_MS - 1);
    assert_eq!(keys(), Ok(1));
    platform.now_ms.set(platform.now_ms.get() + 1);
    assert_eq!(keys(), Ok(0));
}
