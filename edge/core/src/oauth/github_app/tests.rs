use rsa::{
    pkcs1::EncodeRsaPrivateKey as _,
    pkcs8::{EncodePrivateKey as _, LineEnding},
};
use serde_json::{Value, json};

use super::{super::client_key::ClientKeyError, *};
use crate::testing::{
    entra::{KEY, NOW, merge},
    openid::{json_answer, parts},
    platform::InMemoryPlatform,
    run::run,
};

fn app() -> App {
    let pem = KEY.to_pkcs1_pem(LineEnding::LF).unwrap();
    App {
        id: "Iv1.app".to_owned(),
        key: ClientKey::from_pem(&pem).unwrap(),
        api: Url::parse("https://api.github.com").unwrap(),
    }
}

fn token_answer(change: Value) -> Value {
    let mut answer = json!({"token": format!("ghs_{}", "a.b-c_".repeat(90)), "expires_at": "2027-01-15T09:00:00Z", "permissions": {"contents": "read", "metadata": "read"}});
    merge(&mut answer, change);
    answer
}

fn read_contents() -> BTreeMap<String, String> {
    [("contents".to_owned(), "read".to_owned())].into()
}

fn request_token(status: u16, answer: Value) -> (InMemoryPlatform, Result<InstallationToken, InstallationError>) {
    let platform = InMemoryPlatform::new(move |_| Some(json_answer(status, &answer)));
    let result = run(app().installation_token(&platform, 7, &read_contents(), &["docs".to_owned()]));
    (platform, result)
}

#[test]
fn m70_token_request_has_a_short_lived_jwt_and_only_the_listed_permissions() {
    let (platform, result) = request_token(201, token_answer(json!({})));
    let token = result.unwrap();
    assert_eq!(token.expires_at_ms, 1_800_003_600_000);
    assert!(token.token.expose_secret().len() > 520 && !format!("{token:?}").contains("ghs_"));
    let sent = platform.sent.borrow();
    assert_eq!(
        (&sent[0].method, sent[0].url.as_str()),
        (&Method::POST, "https://api.github.com/app/installations/7/access_tokens")
    );
    let body: Value = serde_json::from_str(&sent[0].body).unwrap();
    assert_eq!(body, json!({"permissions": {"contents": "read"}, "repositories": ["docs"]}));
    let (header, claims) = parts(sent[0].headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap());
    assert_eq!(header, json!({"alg": "RS256", "typ": "JWT"}));
    assert_eq!(claims, json!({"iss": "Iv1.app", "iat": NOW - 300, "exp": NOW + 300}));
}

#[test]
fn jwt_verifies_with_the_public_key_of_the_app() {
    use rsa::{
        pkcs1v15::{Signature, VerifyingKey},
        signature::Verifier as _,
    };
    let jwt = app().jwt(&InMemoryPlatform::new(|_| None)).unwrap();
    let (message, signature) = jwt.expose_secret().rsplit_once('.').unwrap();
    let signature = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature).unwrap();
    let key = VerifyingKey::<sha2::Sha256>::new(KEY.to_public_key());
    assert!(key.verify(message.as_bytes(), &Signature::try_from(signature.as_slice()).unwrap()).is_ok());
}

#[test]
fn configuration_error_is_distinguished_from_an_outage() {
    for status in [401, 403, 404, 422] {
        let (_, result) = request_token(status, json!({"message": "x"}));
        assert!(matches!(result, Err(InstallationError::Refused(found)) if found.as_u16() == status));
    }
    let (_, result) = request_token(429, json!({"message": "x"}));
    assert_eq!(result.unwrap_err(), InstallationError::RateLimited(60));
    for status in [200, 302, 500, 503] {
        let (_, result) = request_token(status, token_answer(json!({})));
        assert!(matches!(result, Err(InstallationError::Unavailable(_))), "{status}");
    }
}

#[test]
fn token_that_exceeds_the_request_or_is_unusable_is_rejected() {
    for change in [
        json!({"permissions": {"contents": "write"}}),
        json!({"permissions": {"contents": "read", "administration": "read"}}),
        json!({"expires_at": "2020-01-01T00:00:00Z"}),
        json!({"expires_at": "soon"}),
        json!({"expires_at": null}),
        json!({"token": ""}),
        json!({"token": "a b"}),
        json!({"token": "x".repeat(5000)}),
    ] {
        let (_, result) = request_token(201, token_answer(change.clone()));
        let error = result.unwrap_err();
        assert!(matches!(error, InstallationError::Unavailable(_)), "{change}");
        assert!(!error.to_string().contains("ghs_"));
    }
    let platform = InMemoryPlatform::new(|_| None);
    assert!(run(app().installation_token(&platform, 7, &BTreeMap::new(), &[])).is_err());
    assert!(platform.sent.borrow().is_empty(), "GitHub grants all permissions if a request names none");
}

#[test]
fn private_keys_are_read_as_pkcs1_and_pkcs8_with_any_line_breaks() {
    let pkcs1 = KEY.to_pkcs1_pem(LineEnding::LF).unwrap();
    let pkcs8 = KEY.to_pkcs8_pem(LineEnding::CRLF).unwrap();
    for text in [pkcs1.to_string(), pkcs8.to_string(), pkcs1.replace('\n', "\\n"), format!("\n{}\n", pkcs1.trim())] {
        assert!(ClientKey::from_pem(&text).is_ok());
    }
    for text in ["", "key", &pkcs1[..200]] {
        assert_eq!(ClientKey::from_pem(text).unwrap_err(), ClientKeyError::NotRsaPem);
    }
    let public = rsa::pkcs8::EncodePublicKey::to_public_key_pem(&KEY.to_public_key(), LineEnding::LF).unwrap();
    assert!(ClientKey::from_pem(&public).is_err());
}
