use std::{cell::Cell, collections::BTreeMap};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use http::{HeaderValue, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::testing::{
    entra::{KEY, private_jwk},
    openid::{ProviderFixture, form, json_answer, parts},
    platform::{Answer, Sent},
    run::run,
    settings::config_with,
};

fn secrets(fixture: &ProviderFixture) -> AuthorizationSecrets {
    AuthorizationSecrets::generate(&fixture.platform).unwrap()
}

fn no_response(_: &Sent) -> Option<Answer> {
    None
}

fn query(url: &Url) -> BTreeMap<String, String> {
    url.query_pairs().into_owned().collect()
}

const PAR_ENDPOINT: &str = "pushed_authorization_request_endpoint";

#[test]
fn m2_authorization_request_asks_for_a_code_with_pkce_and_nothing_else() {
    let entry = json!({"max_age_seconds": 600, "audience": "https://api.corp.example"});
    let fixture = ProviderFixture::new(entry, json!({PAR_ENDPOINT: null}), no_response);
    let secrets = secrets(&fixture);
    let url = run(authorization_url(&fixture.client(), &secrets, None, None)).unwrap();
    let challenge = BASE64.encode(Sha256::digest(&secrets.code_verifier));
    let expected = [
        ("response_type", "code"),
        ("client_id", "corp-client"),
        ("redirect_uri", "https://edge.example/auth/corp/callback"),
        ("scope", "openid profile email"),
        ("state", &secrets.state),
        ("nonce", &secrets.nonce),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("max_age", "600"),
        ("audience", "https://api.corp.example"),
        ("resource", "https://api.corp.example"),
    ];
    assert_eq!(query(&url), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert!(url.as_str().starts_with("https://id.corp.example/auth?"));
    assert!(!url.as_str().contains(&secrets.code_verifier));
}

#[test]
fn configured_prompt_is_sent_in_the_authorization_request() {
    let entry = json!({"scopes": ["openid", "offline_access"], "prompt": "consent"});
    let fixture = ProviderFixture::new(entry, json!({PAR_ENDPOINT: null}), no_response);
    let url = run(authorization_url(&fixture.client(), &secrets(&fixture), None, None)).unwrap();
    assert_eq!(query(&url)["prompt"], "consent");
    assert_eq!(query(&url)["scope"], "openid offline_access");
}

#[test]
fn page_prompt_is_added_to_the_configured_one() {
    let select = Some(Prompt::SelectAccount);
    for (configured, asked, openid, entra) in [
        (None, select, "select_account", "select_account"),
        (Some("consent"), select, "consent select_account", "consent"),
        (Some("login"), Some(Prompt::Login), "login", "login"),
        (Some("select_account"), Some(Prompt::Login), "select_account login", "login"),
    ] {
        let entry = configured.map_or(json!({}), |prompt| json!({"prompt": prompt}));
        let fixture = ProviderFixture::new(entry, json!({PAR_ENDPOINT: null}), no_response);
        let url = run(authorization_url(&fixture.client(), &secrets(&fixture), asked, None)).unwrap();
        assert_eq!(query(&url)["prompt"], openid);
        let config = config_with(json!({"ENTRA_PROMPT": configured}));
        assert_eq!(config.provider("entra").unwrap().prompt_with(asked).as_deref(), Some(entra));
    }
}

#[test]
fn an_upstreams_demand_is_sent_in_the_authorization_request() {
    let challenge = r#"Bearer error="insufficient_user_authentication", acr_values="phr", max_age="AGE""#;
    for (configured, demanded, expected) in
        [(Value::Null, "60", "60"), (json!(600), "60", "60"), (json!(30), "60", "30")]
    {
        let entry = json!({"max_age_seconds": configured});
        let fixture = ProviderFixture::new(entry, json!({PAR_ENDPOINT: null}), no_response);
        let challenge = HeaderValue::from_str(&challenge.replace("AGE", demanded)).unwrap();
        let step_up = StepUp::of_challenge(&[(header::WWW_AUTHENTICATE, challenge)].into_iter().collect()).unwrap();
        let url = run(authorization_url(&fixture.client(), &secrets(&fixture), None, Some(&step_up))).unwrap();
        assert_eq!((query(&url)["acr_values"].as_str(), query(&url)["max_age"].as_str()), ("phr", expected));
    }
}

#[test]
fn github_authorization_request_has_no_nonce() {
    let fixture = ProviderFixture::for_provider("github", config_with(json!({})), json!({}), no_response);
    let url = run(authorization_url(&fixture.client(), &secrets(&fixture), None, None)).unwrap();
    assert!(!query(&url).contains_key("nonce"));
    assert_eq!(query(&url)["code_challenge_method"], "S256");
}

#[test]
fn s138_m51_each_sign_in_pushes_a_new_request_and_the_url_carries_only_its_reference() {
    for auth in ["client_secret_basic", "client_secret_post"] {
        let count = Cell::new(0);
        let fixture = ProviderFixture::new(json!({"auth": auth}), json!({}), move |_| {
            count.set(count.get() + 1);
            Some(json_answer(201, json!({"request_uri": format!("urn:r:{}", count.get()), "expires_in": 60})))
        });
        for n in 1..=2 {
            let secrets = secrets(&fixture);
            let url = run(authorization_url(&fixture.client(), &secrets, None, None)).unwrap();
            assert_eq!(
                query(&url),
                [("client_id", "corp-client"), ("request_uri", &format!("urn:r:{n}"))]
                    .map(|(a, b)| (a.to_owned(), b.to_owned()))
                    .into()
            );
            let sent = fixture.sent();
            let pushed = sent.last().unwrap();
            assert_eq!(pushed.url, "https://id.corp.example/request");
            assert_eq!(form(pushed)["state"], secrets.state);
            assert_eq!(form(pushed)["code_challenge_method"], "S256");
            assert_eq!(pushed.body.matches("client_id=").count(), 1, "{auth}");
            assert_eq!(form(pushed)["client_id"], "corp-client");
        }
    }
}

#[test]
fn query_of_the_authorization_endpoint_is_kept_and_not_pushed() {
    let endpoint = "https://id.corp.example/auth?tenant=t&state=own";
    for is_pushed in [true, false] {
        let mut document = json!({"authorization_endpoint": endpoint});
        if !is_pushed {
            document[PAR_ENDPOINT] = Value::Null;
        }
        let fixture = ProviderFixture::new(json!({}), document, |_| {
            Some(json_answer(201, json!({"request_uri": "urn:r", "expires_in": 60})))
        });
        let secrets = secrets(&fixture);
        let url = run(authorization_url(&fixture.client(), &secrets, None, None)).unwrap();
        assert!(url.as_str().starts_with(&format!("{endpoint}&")), "{url}");
        if is_pushed {
            let sent = fixture.sent();
            let pushed = form(sent.last().unwrap());
            assert!(!pushed.contains_key("tenant"));
            assert_eq!(pushed["state"], secrets.state);
            assert_eq!(sent.last().unwrap().body.matches("state=").count(), 1);
        }
    }
}

#[test]
fn failed_push_does_not_fall_back_to_the_browser() {
    for answer in [
        None,
        Some(json_answer(400, json!({"error": "invalid_request"}))),
        Some(json_answer(201, json!({"expires_in": 60}))),
        Some(json_answer(201, json!({"request_uri": "", "expires_in": 60}))),
        Some(json_answer(201, json!({"request_uri": "urn:r", "expires_in": 0}))),
        Some((503, vec![], String::new())),
    ] {
        let fixture = ProviderFixture::new(json!({}), json!({}), move |_| answer.clone());
        assert!(run(authorization_url(&fixture.client(), &secrets(&fixture), None, None)).is_err());
    }
}

fn exchange_with(
    entry: Value,
    document: Value,
    answer: Answer,
) -> (ProviderFixture, Result<(TokenSet, Option<DpopKey>), ExchangeError>) {
    let fixture = ProviderFixture::new(entry, document, move |_| Some(answer.clone()));
    let result = run(exchange(&fixture.client(), &secrets(&fixture), "c0de"));
    (fixture, result)
}

fn token_response() -> Answer {
    json_answer(200, json!({"access_token": "a", "token_type": "bearer", "id_token": "i"}))
}

#[test]
fn m19_code_exchange_sends_the_code_verifier_and_client_authentication() {
    let (fixture, result) = exchange_with(json!({}), json!({}), token_response());
    assert!(result.unwrap().1.is_none());
    let sent = fixture.sent();
    let fields = form(&sent[0]);
    assert_eq!((fields["grant_type"].as_str(), fields["code"].as_str()), ("authorization_code", "c0de"));
    assert_eq!(fields["redirect_uri"], "https://edge.example/auth/corp/callback");
    assert_eq!(fields["code_verifier"].len(), 43);
    assert!(!fields.contains_key("client_secret"));
    // RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
    let basic = base64::engine::general_purpose::STANDARD.encode("corp-client:corp+secret%2Bvalue%2FBq3Tz8Wd6Yk1Ns5P");
    assert_eq!(sent[0].headers["authorization"], format!("Basic {basic}"));
    let (fixture, _) = exchange_with(json!({"auth": "client_secret_post"}), json!({}), token_response());
    assert_eq!(form(&fixture.sent()[0])["client_secret"], "corp secret+value/Bq3Tz8Wd6Yk1Ns5P");
    assert!(!fixture.sent()[0].headers.contains_key("authorization"));
}

const EC_KEY: &str = r#"{"kty":"EC","crv":"P-256","kid":"own","alg":"ES256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

#[test]
fn m20_client_with_a_key_signs_a_new_assertion_for_each_request() {
    let config = config_with(json!({
        "OIDC_PROVIDERS": r#"[{"id":"corp","issuer":"https://id.corp.example","client_id":"corp-client","auth":"private_key_jwt"}]"#,
        "OIDC_CLIENT_SECRETS": format!(r#"{{"corp":{EC_KEY}}}"#),
    }));
    let document = json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"]});
    let fixture = ProviderFixture::for_provider("corp", config, document, |_| Some(token_response()));
    for _ in 0..2 {
        run(exchange(&fixture.client(), &secrets(&fixture), "c0de")).unwrap();
    }
    let assertions: Vec<(Value, Value)> =
        fixture.sent().iter().map(|sent| parts(&form(sent)["client_assertion"])).collect();
    let (header, claims) = &assertions[0];
    assert_eq!(
        (header["alg"].as_str(), header["kid"].as_str(), header["typ"].as_str()),
        (Some("ES256"), Some("own"), Some("JWT"))
    );
    assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("corp-client"), Some("corp-client")));
    assert_eq!(claims["aud"], "https://id.corp.example", "the issuer is the only audience");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    assert_ne!(claims["jti"], assertions[1].1["jti"]);
    let fields = form(&fixture.sent()[0]);
    assert_eq!(fields["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert!(!fields.contains_key("client_secret") && !fixture.sent()[0].headers.contains_key("authorization"));
}

#[test]
fn entra_assertion_carries_the_certificate_thumbprint() {
    let with_certificate = private_jwk(&KEY, json!({"alg": null, "x5t#S256": BASE64.encode([9; 32])}));
    let config = config_with(json!({"ENTRA_CLIENT_SECRET": null, "ENTRA_CLIENT_KEY": with_certificate}));
    let issuer = config.provider("entra").unwrap().issuer();
    let document = json!({"issuer": issuer, "token_endpoint_auth_methods_supported": ["private_key_jwt"]});
    let fixture = ProviderFixture::for_provider("entra", config, document, |_| Some(token_response()));
    run(exchange(&fixture.client(), &secrets(&fixture), "c0de")).unwrap();
    let (header, claims) = parts(&form(&fixture.sent()[0])["client_assertion"]);
    assert_eq!((&header["x5t#S256"], &header["alg"]), (&json!(BASE64.encode([9; 32])), &json!("PS256")));
    assert_eq!(claims["aud"], "https://id.corp.example/token");
}

#[test]
fn s25_s26_malformed_token_response_is_refused_and_an_outage_is_unavailable() {
    let html = |status| (status, vec![("content-type", "text/html".to_owned())], "<html>".to_owned());
    let oversized = json_answer(200, json!({"access_token": "x".repeat(70_000), "token_type": "bearer"}));
    for answer in
        [html(200), html(302), html(307), html(404), oversized, json_answer(200, "{}"), json_answer(200, "[]")]
    {
        let (fixture, result) = exchange_with(json!({}), json!({}), answer.clone());
        assert!(matches!(result, Err(ExchangeError::Refused(_))), "{}", answer.0);
        assert_eq!(fixture.sent().len(), 1, "no redirect is followed and no code is sent twice");
    }
    for answer in [html(500), html(503), html(429), html(504), json_answer(401, json!({"error": "invalid_client"}))] {
        let (_, result) = exchange_with(json!({}), json!({}), answer.clone());
        assert!(matches!(result, Err(ExchangeError::Unavailable(_))), "{}", answer.0);
    }
}

#[test]
fn s12_error_text_from_a_provider_reaches_neither_log_nor_page() {
    let hostile_error = json!({"error": "<script>", "error_description": "<script>"});
    for error in [hostile_error, json!({"error": "invalid_grant", "error_description": "<script>"})] {
        let (_, result) = exchange_with(json!({}), json!({}), json_answer(400, error));
        assert!(!result.unwrap_err().to_string().contains("script"));
    }
}

#[test]
fn tokens_are_bound_to_a_new_key_if_configured() {
    let bound_response = json_answer(200, json!({"access_token": "a", "token_type": "DPoP"}));
    let (fixture, result) = exchange_with(json!({"dpop": true}), json!({}), bound_response.clone());
    let key = result.unwrap().1.unwrap();
    let (header, _) = parts(fixture.sent()[0].headers["dpop"].to_str().unwrap());
    let jwk: Value = serde_json::from_str(secrecy::ExposeSecret::expose_secret(&key.to_jwk())).unwrap();
    assert_eq!(header["jwk"]["x"], jwk["x"]);
    let (_, result) = exchange_with(json!({"dpop": true}), json!({}), token_response());
    assert!(
        matches!(result, Err(ExchangeError::Refused(_))),
        "a bearer token is refused where a bound one is required"
    );
}
