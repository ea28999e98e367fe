use std::cell::Cell;

use http::HeaderValue;
use jwt_compact::UntrustedToken;
use serde_json::{Value, json};

use super::{
    super::refresh::{RefreshOutcome, refresh},
    *,
};
use crate::testing::{
    openid::{ProviderFixture, form, json_answer, parts, tokens},
    platform::InMemoryPlatform,
    random::SeededRandom,
    run::run,
    settings::config_with,
};

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn key() -> DpopKey {
    DpopKey::generate(&SeededRandom::new(3)).unwrap()
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

fn verifies(proof: &str) -> bool {
    let (header, _) = parts(proof);
    let jwk: JsonWebKey<'_> = serde_json::from_value(header["jwk"].clone()).unwrap();
    let public = <Es256 as Algorithm>::VerifyingKey::try_from(&jwk).unwrap();
    let token: UntrustedToken<'_> = UntrustedToken::new(proof).unwrap();
    Es256.validator::<Value>(&public).validate(&token).is_ok()
}

#[test]
fn m52_proof_covers_one_request_and_contains_only_the_public_key() {
    let (platform, nonces) = (InMemoryPlatform::new(|_| None), Nonces::default());
    let api_url = url("https://API.example:443/a/../b?q=1#f");
    let token: SecretString = "access".into();
    let prove = || key().proof(&platform, &nonces, &Method::GET, &api_url, Some(&token)).unwrap();
    let (header, claims) = parts(&prove());
    assert_eq!((header["typ"].as_str(), header["alg"].as_str()), (Some("dpop+jwt"), Some("ES256")));
    assert_eq!(header["jwk"]["crv"], "P-256");
    assert!(header["jwk"].get("d").is_none(), "the proof must not contain the private key");
    assert_eq!((claims["htm"].as_str(), claims["htu"].as_str()), (Some("GET"), Some("https://api.example/b")));
    assert_eq!(claims["ath"], BASE64.encode(Sha256::digest("access")));
    assert_eq!(claims["iat"], 1_800_000_000);
    assert!(claims.get("nonce").is_none() && claims.get("exp").is_none());
    assert!(verifies(&prove()));
    assert_ne!(claims["jti"], parts(&prove()).1["jti"], "S137: each proof has its own jti");
    let without = key().proof(&platform, &nonces, &Method::POST, &api_url, None).unwrap();
    assert!(parts(&without).1.get("ath").is_none());
}

#[test]
fn key_round_trips_through_a_jwk_and_is_not_in_debug_output() {
    let jwk = key().to_jwk();
    assert_eq!(DpopKey::from_jwk(&jwk).unwrap().to_jwk().expose_secret(), jwk.expose_secret());
    assert_eq!(format!("{:?}", key()), "DpopKey(…)");
    for bad in ["", "{}", r#"{"kty":"EC","crv":"P-256","x":"","y":"","d":""}"#] {
        assert!(DpopKey::from_jwk(&bad.into()).is_none());
    }
    assert_ne!(DpopKey::generate(&SeededRandom::new(4)).unwrap().to_jwk().expose_secret(), jwk.expose_secret());
}

#[test]
fn m52_nonces_are_stored_per_origin_up_to_a_limit() {
    let nonces = Nonces::default();
    let receive = |from: &str, nonce: &str| nonces.store(&url(from), &headers(&[("dpop-nonce", nonce)]));
    receive("https://a.example/token", "one");
    receive("https://a.example/other", "two");
    assert_eq!(nonces.for_url(&url("https://a.example/x")).as_deref(), Some("two"));
    assert_eq!(nonces.for_url(&url("https://a.example:444/x")), None);
    for bad in ["", "a b", "a\"b", &"x".repeat(600)] {
        receive("https://a.example/", bad);
    }
    assert_eq!(nonces.for_url(&url("https://a.example/x")).as_deref(), Some("two"));
    for n in 0..1000 {
        receive(&format!("https://h{n}.example/"), "n");
    }
    assert_eq!(nonces.0.borrow().len(), MAX_ORIGINS);
    assert_eq!(nonces.for_url(&url("https://h999.example/")).as_deref(), Some("n"));
}

#[test]
fn only_a_dpop_challenge_with_a_nonce_causes_a_retry() {
    let challenge = ("www-authenticate", r#"DPoP error="use_dpop_nonce", error_description="x""#);
    let nonce = ("dpop-nonce", "n");
    assert!(wants_nonce(StatusCode::UNAUTHORIZED, &headers(&[challenge, nonce])));
    assert!(!wants_nonce(StatusCode::BAD_REQUEST, &headers(&[challenge, nonce])));
    assert!(!wants_nonce(StatusCode::UNAUTHORIZED, &headers(&[challenge])));
    assert!(!wants_nonce(StatusCode::UNAUTHORIZED, &headers(&[nonce])));
    for (challenges, wants) in [
        (r#"Bearer realm="x", DPoP algs="ES256", error="use_dpop_nonce""#, true),
        ("dpop error=use_dpop_nonce", true),
        ("Bearer use_dpop_nonce", false),
        (r#"Bearer error="use_dpop_nonce""#, false),
        (r#"Bearer realm="DPoP error=use_dpop_nonce""#, false),
        (r#"DPoP error="invalid_token", Bearer error="use_dpop_nonce""#, false),
        (r#"DPoP error="use_dpop_nonce"#, false),
    ] {
        let found = wants_nonce(StatusCode::UNAUTHORIZED, &headers(&[nonce, ("www-authenticate", challenges)]));
        assert_eq!(found, wants, "{challenges}");
    }
}

#[test]
fn api_request_carries_a_bound_token_with_a_proof_or_a_bearer_token() {
    let (platform, nonces) = (InMemoryPlatform::new(|_| None), Nonces::default());
    let (api_url, token) = (url("https://api.example/x"), SecretString::from("t"));
    let authorized_with =
        |key: Option<&DpopKey>| authorize(&platform, &nonces, &Method::GET, &api_url, &token, key).unwrap();
    assert_eq!(authorized_with(None)["authorization"], "Bearer t");
    assert!(!authorized_with(None).contains_key("dpop"));
    assert_eq!(authorized_with(Some(&key()))["authorization"], "DPoP t");
    assert!(verifies(authorized_with(Some(&key()))["dpop"].to_str().unwrap()));
}

fn bound_token_response() -> serde_json::Value {
    json!({"access_token": "a", "token_type": "DPoP"})
}

#[test]
fn s137_token_request_is_retried_once_with_the_required_nonce() {
    let request_count = Cell::new(0);
    let fixture = ProviderFixture::new(json!({"dpop": true}), json!({}), move |_| {
        request_count.set(request_count.get() + 1);
        let nonce = ("dpop-nonce", format!("n{}", request_count.get()));
        let (status, mut headers, body) = match request_count.get() {
            1 => json_answer(400, json!({"error": "use_dpop_nonce"})),
            _ => json_answer(200, bound_token_response()),
        };
        headers.push(nonce);
        Some((status, headers, body))
    });
    let refresh_once = || run(refresh(&fixture.client(), &tokens(), None, Some(&key())));
    assert!(matches!(refresh_once(), RefreshOutcome::Refreshed(_)));
    let proofs: Vec<_> = fixture.sent().iter().map(|sent| parts(sent.headers["dpop"].to_str().unwrap()).1).collect();
    assert_eq!(proofs.len(), 2);
    assert_eq!((proofs[0].get("nonce"), proofs[1]["nonce"].as_str()), (None, Some("n1")));
    assert_ne!(proofs[0]["jti"], proofs[1]["jti"]);
    assert_eq!(
        (proofs[1]["htm"].as_str(), proofs[1]["htu"].as_str()),
        (Some("POST"), Some("https://id.corp.example/token"))
    );
    assert!(matches!(refresh_once(), RefreshOutcome::Refreshed(_)));
    assert_eq!(fixture.sent().len(), 3, "the latest response's nonce is used without another challenge");

    let always_challenging = ProviderFixture::new(json!({"dpop": true}), json!({}), |_| {
        let (status, mut headers, body) = json_answer(400, json!({"error": "use_dpop_nonce"}));
        headers.push(("dpop-nonce", "n".to_owned()));
        Some((status, headers, body))
    });
    assert!(matches!(
        run(refresh(&always_challenging.client(), &tokens(), None, Some(&key()))),
        RefreshOutcome::Failed { .. }
    ));
    assert_eq!(always_challenging.sent().len(), 2);
}

#[test]
fn token_with_an_unexpected_token_type_is_rejected() {
    let respond_with = |body: Value| move |_: &_| Some(json_answer(200, body.clone()));
    let fixture = ProviderFixture::new(
        json!({"dpop": true}),
        json!({}),
        respond_with(json!({"access_token": "a", "token_type": "Bearer"})),
    );
    assert!(matches!(run(refresh(&fixture.client(), &tokens(), None, Some(&key()))), RefreshOutcome::Unknown));
    let fixture = ProviderFixture::new(json!({}), json!({}), respond_with(bound_token_response()));
    assert!(matches!(run(refresh(&fixture.client(), &tokens(), None, None)), RefreshOutcome::Unknown));
    let fixture = ProviderFixture::for_provider(
        "github",
        config_with(json!({})),
        json!({}),
        respond_with(json!({"access_token": "a", "token_type": "bearer"})),
    );
    assert!(matches!(run(refresh(&fixture.client(), &tokens(), None, None)), RefreshOutcome::Refreshed(_)));
    assert_eq!(form(&fixture.sent()[0])["grant_type"], "refresh_token");
}
