use std::rc::Rc;

use serde_json::{Value, json};

use super::{
    super::cache::{DiscoveryCache, endpoints},
    *,
};
use crate::{
    config::Config,
    testing::{openid, platform::InMemoryPlatform, run::run, settings::config_with},
};

fn discover(config: &Config, id: &str, document: Value) -> Result<Endpoints, Unavailable> {
    let platform = InMemoryPlatform::new(move |_| Some((200, vec![], document.to_string())));
    let cache = DiscoveryCache::new(Rc::clone(&config.sessions.keys));
    run(endpoints(&platform, &cache, config.provider(id).unwrap()))
}

fn corp(change: Value) -> Result<Endpoints, Unavailable> {
    discover(&openid::config(json!({})), "corp", openid::metadata(change))
}

#[test]
fn optional_endpoints_are_read() {
    let endpoints = corp(json!({})).unwrap();
    assert_eq!(endpoints.end_session.unwrap().as_str(), "https://id.corp.example/session/end");
    assert_eq!(endpoints.revocation.unwrap().as_str(), "https://id.corp.example/revoke");
    assert_eq!(endpoints.userinfo.unwrap().as_str(), "https://id.corp.example/me");
    assert!(endpoints.pushed_authorization.is_some() && endpoints.sends_iss);
}

#[test]
fn s53_m22_metadata_of_another_issuer_is_rejected() {
    for issuer in ["https://id.corp.example/", "https://ID.corp.example", "https://evil.example", ""] {
        assert!(corp(json!({"issuer": issuer})).is_err(), "{issuer}");
    }
    assert!(corp(json!({"issuer": null})).is_err());
}

#[test]
fn s53_endpoints_that_are_not_https_at_a_public_host_are_rejected() {
    for name in [
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
        "revocation_endpoint",
        "end_session_endpoint",
        "pushed_authorization_request_endpoint",
    ] {
        for url in [
            "http://id.corp.example/x",
            "https://169.254.169.254/x",
            "https://10.0.0.1/x",
            "https://localhost/x",
            "https://[::1]/x",
            "https://user:password@id.corp.example/x",
            "javascript:alert(1)",
            "/relative",
        ] {
            assert!(corp(json!({name: url})).is_err(), "{name}: {url}");
        }
    }
    assert!(corp(json!({"token_endpoint": "https://tokens.corp.example/"})).is_ok(), "another public host is allowed");
}

#[test]
fn s11_provider_without_pkce_s256_is_rejected() {
    for methods in [json!(["plain"]), json!([]), json!(null), json!(["s256"])] {
        assert!(corp(json!({"code_challenge_methods_supported": methods})).is_err(), "{methods}");
    }
    let entra = |methods: Value| {
        let config = config_with(json!({}));
        let mut document = openid::metadata(json!({"code_challenge_methods_supported": methods}));
        document["issuer"] = config.provider("entra").unwrap().issuer().into();
        discover(&config, "entra", document)
    };
    assert!(entra(json!(null)).is_ok(), "Entra supports S256 without listing it");
    assert!(entra(json!(["plain"])).is_err());
    let cognito = openid::config(json!({"pkce_unlisted": true}));
    let unlisted = |methods: Value| {
        discover(&cognito, "corp", openid::metadata(json!({"code_challenge_methods_supported": methods})))
    };
    assert!(unlisted(json!(null)).is_ok(), "the operator says that the provider supports it");
    assert!(unlisted(json!(["plain"])).is_err(), "the provider says that it does not");
}

#[test]
fn provider_whose_session_is_left_alone_has_no_end_session_endpoint() {
    assert!(corp(json!({})).unwrap().end_session.is_some());
    let left_alone = openid::config(json!({"end_session": false}));
    for named in ["https://id.corp.example/session/end", "http://10.0.0.1/end"] {
        let metadata = openid::metadata(json!({"end_session_endpoint": named}));
        assert!(discover(&left_alone, "corp", metadata).unwrap().end_session.is_none(), "{named}");
    }
}

#[test]
fn provider_must_support_the_configured_features() {
    assert!(corp(json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"]})).is_err());
    assert!(corp(json!({"id_token_signing_alg_values_supported": ["PS256", "EdDSA"]})).is_err());
    for algorithm in ["RS256", "ES256"] {
        assert!(corp(json!({"id_token_signing_alg_values_supported": ["PS256", algorithm]})).is_ok());
    }
    assert!(corp(json!({"require_pushed_authorization_requests": true})).unwrap().pushed_authorization.is_some());
    let without_endpoint =
        json!({"require_pushed_authorization_requests": true, "pushed_authorization_request_endpoint": null});
    assert!(corp(without_endpoint).is_err());
    let dpop = openid::config(json!({"dpop": true}));
    let supports =
        |list: Value| discover(&dpop, "corp", openid::metadata(json!({"dpop_signing_alg_values_supported": list})));
    assert!(supports(json!(["RS256"])).is_err());
    assert!(supports(json!(["ES256"])).is_ok());
}

#[test]
fn m72_metadata_for_several_tenants_contains_the_placeholder() {
    let allowed = "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90";
    let config = config_with(json!({"ENTRA_TENANT": "organizations", "ENTRA_TENANTS": allowed}));
    let with_issuer = |issuer: &str| discover(&config, "entra", openid::metadata(json!({"issuer": issuer})));
    assert!(with_issuer("https://login.microsoftonline.com/{tenantid}/v2.0").is_ok());
    assert!(with_issuer(&format!("https://login.microsoftonline.com/{allowed}/v2.0")).is_err());
    let provider = config.provider("entra").unwrap();
    assert!(provider.is_issuer(&format!("https://login.microsoftonline.com/{allowed}/v2.0")));
    assert!(!provider.is_issuer("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"));
    assert!(!provider.is_issuer("https://login.microsoftonline.com/{tenantid}/v2.0"));
}
