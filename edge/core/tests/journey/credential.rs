//! Calls to upstreams that need more than a bearer token: bodies that cannot be sent twice, tokens bound to a key.

use std::{cell::Cell, rc::Rc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_core::testing::{
    corp::{self, Corp},
    platform::{Answer, Sent},
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Browser, CORP_API, JSON, code, github};

const API: &str = "https://api.example/x";
const TOKEN: &str = "https://github.com/login/oauth/access_token";

fn answer(status: u16, body: &Value) -> Option<Answer> {
    Some((status, vec![("content-type", JSON.to_owned())], body.to_string()))
}

fn upload(browser: &Browser, headers: &[(&str, &str)], body: &str) -> StatusCode {
    let mut all = vec![("x-csrf", "1"), ("origin", "https://edge.example")];
    all.extend(headers);
    let response = browser.send(Method::POST, "/bff/api/x", &all, body);
    if response.status == StatusCode::SERVICE_UNAVAILABLE {
        assert!(response.headers.contains_key("retry-after"));
    }
    response.status
}

#[test]
fn s100_body_is_resent_only_if_fully_buffered() {
    let services =
        r#"[{"name":"api","url":"https://api.example","provider":"github","shares_token":true,"allow":["POST /x"]}]"#;
    let refreshes = Rc::new(Cell::new(0));
    let count = Rc::clone(&refreshes);
    let browser = Browser::configured(&[("SERVICES", services)], move |sent| match sent.url.as_str() {
        TOKEN => {
            if !sent.body.contains("code=good") {
                count.set(count.get() + 1);
            }
            let access = format!("ghu_{}", count.get());
            answer(
                200,
                &json!({"access_token": access, "token_type": "bearer", "expires_in": 28800,
                "refresh_token": format!("ghr_{}", count.get()), "refresh_token_expires_in": 15_811_200, "scope": ""}),
            )
        }
        API if sent.headers["authorization"] == "Bearer ghu_0" => answer(401, &json!({})),
        API => answer(200, &json!({})),
        _ => github(sent),
    });
    browser.sign_in();
    assert_eq!(upload(&browser, &[("content-length", "4")], "body"), StatusCode::OK);
    let sent = browser.sent_to(API);
    assert_eq!(sent.iter().map(|sent| sent.body.as_str()).collect::<Vec<_>>(), ["body", "body"]);
    assert_eq!(refreshes.get(), 1);
}

#[test]
fn s100_streamed_body_is_never_resent() {
    let services =
        r#"[{"name":"api","url":"https://api.example","provider":"github","shares_token":true,"allow":["POST /x"]}]"#;
    let browser = Browser::configured(&[("SERVICES", services)], move |sent| match sent.url.as_str() {
        TOKEN => {
            let number = u8::from(!sent.body.contains("code=good"));
            answer(
                200,
                &json!({"access_token": format!("ghu_{number}"), "token_type": "bearer", "expires_in": 28800,
                "refresh_token": format!("ghr_{number}"), "refresh_token_expires_in": 15_811_200, "scope": ""}),
            )
        }
        API if sent.headers["authorization"] == "Bearer ghu_1" => answer(200, &json!({})),
        API => answer(401, &json!({})),
        _ => github(sent),
    });
    browser.sign_in();
    assert_eq!(upload(&browser, &[], "streamed"), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(browser.sent_to(API).len(), 1);
    assert_eq!(upload(&browser, &[], "streamed"), StatusCode::OK, "the token was refreshed in between");
}

#[test]
fn s100_upstream_that_always_answers_401_does_not_exhaust_refresh_tokens() {
    let refreshes = Rc::new(Cell::new(0));
    let count = Rc::clone(&refreshes);
    let browser = Browser::configured(&[("GITHUB_ALLOW", "GET /never")], move |sent| match sent.url.as_str() {
        TOKEN => {
            if !sent.body.contains("code=good") {
                count.set(count.get() + 1);
            }
            answer(
                200,
                &json!({"access_token": "ghu_x", "token_type": "bearer", "expires_in": 28800,
                "refresh_token": "ghr_x", "refresh_token_expires_in": 15_811_200, "scope": ""}),
            )
        }
        "https://api.github.com/never" => answer(401, &json!({})),
        _ => github(sent),
    });
    browser.sign_in();
    for _ in 0..20 {
        assert_eq!(code(&browser.script(Method::GET, "/bff/github/never", "")), "provider-sign-in-needed");
    }
    assert_eq!(refreshes.get(), 1);
}

/// The header and the claims of a DPoP proof.
fn proof(sent: &Sent) -> (Value, Value) {
    let text = sent.headers["dpop"].to_str().unwrap();
    let mut parts = text
        .split('.')
        .map(|part| serde_json::from_slice(&BASE64.decode(part).unwrap_or_default()).unwrap_or_default());
    (parts.next().unwrap(), parts.next().unwrap())
}

#[test]
fn s137_dpop_token_carries_a_new_proof_per_request_and_nonce() {
    let provider = r#"[{"id":"corp","issuer":"https://id.corp.example","client_id":"corp-client","dpop":true}]"#;
    let services = r#"[{"name":"api","url":"https://api.example","provider":"corp","allow":["GET /x","POST /x"]}]"#;
    for grants in [true, false] {
        let corp = Corp::new();
        *corp.metadata.borrow_mut() = json!({"dpop_signing_alg_values_supported": ["ES256"]});
        let at_provider = Rc::clone(&corp);
        let settings = [("OIDC_PROVIDERS", provider), corp::SETTINGS[1], ("SERVICES", services)];
        let browser = Browser::configured(&settings, move |sent| {
            if sent.url.starts_with(API) {
                let (header, claims) = proof(sent);
                assert_eq!((header["typ"].as_str(), header["jwk"].get("d")), (Some("dpop+jwt"), None));
                assert_eq!((claims["htm"].as_str(), claims["htu"].as_str()), (Some("GET"), Some(API)));
                assert!(claims["ath"].is_string());
                if grants && claims["nonce"] == "n-1" {
                    return Some((200, vec![("dpop-nonce", "n-2".to_owned())], "{}".to_owned()));
                }
                if grants && claims["nonce"] == "n-2" {
                    return answer(200, &json!({}));
                }
                let challenge = "DPoP error=\"use_dpop_nonce\"".to_owned();
                return Some((
                    401,
                    vec![("dpop-nonce", "n-1".to_owned()), ("www-authenticate", challenge)],
                    String::new(),
                ));
            }
            let (status, headers, body) = at_provider.answer(sent)?;
            Some((status, headers, body.replace("\"Bearer\"", "\"DPoP\"")))
        });
        browser.sign_in_at(&corp);
        let call = || browser.send(Method::GET, "/bff/api/x?q=1", &[("x-csrf", "1"), ("dpop", "of-the-page")], "");
        let response = call();
        let sent = browser.sent_to(API);
        assert!(sent.iter().all(|sent| sent.headers["authorization"] == "DPoP corp-access"));
        let mut ids: Vec<_> = sent.iter().map(|sent| proof(sent).1["jti"].as_str().unwrap().to_owned()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), sent.len(), "no proof is reused");
        if grants {
            assert_eq!((response.status, sent.len()), (StatusCode::OK, 2));
            assert_eq!(call().status, StatusCode::OK);
            assert_eq!(browser.sent_to(API).len(), 3, "the latest nonce is kept, whichever response carried it");
        } else {
            assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE, "the token is valid");
            assert_eq!(sent.len(), 2, "an upstream that is never content is not asked for ever");
        }
    }
}

/// An upstream may reject the token first and demand a nonce for the new one, as after a slow refresh.
#[test]
fn m52_s100_nonce_demanded_for_a_refreshed_token_is_sent_once_and_keeps_the_session() {
    let provider = r#"[{"id":"corp","issuer":"https://id.corp.example","client_id":"corp-client","dpop":true}]"#;
    let services = r#"[{"name":"api","url":"https://api.example","provider":"corp","allow":["GET /x"]}]"#;
    for (answers, expected) in [
        (&["token", "nonce", "ok"][..], StatusCode::OK),
        (&["nonce", "token", "ok"], StatusCode::OK),
        (&["token", "nonce", "nonce"], StatusCode::SERVICE_UNAVAILABLE),
        (&["nonce", "token", "nonce"], StatusCode::SERVICE_UNAVAILABLE),
        (&["token", "nonce", "token"], StatusCode::UNAUTHORIZED),
    ] {
        let corp = Corp::new();
        *corp.metadata.borrow_mut() = json!({"dpop_signing_alg_values_supported": ["ES256"]});
        let (at_provider, count) = (Rc::clone(&corp), Cell::new(0));
        let settings = [("OIDC_PROVIDERS", provider), corp::SETTINGS[1], ("SERVICES", services)];
        let browser = Browser::configured(&settings, move |sent| {
            if !sent.url.starts_with(API) {
                let (status, headers, body) = at_provider.answer(sent)?;
                return Some((status, headers, body.replace("\"Bearer\"", "\"DPoP\"")));
            }
            let challenge = |error: &str| ("www-authenticate", format!("DPoP error=\"{error}\""));
            let nonce = ("dpop-nonce", format!("n-{}", count.get()));
            match answers[count.replace(count.get() + 1)] {
                "token" => Some((401, vec![challenge("invalid_token")], String::new())),
                "nonce" => Some((401, vec![challenge("use_dpop_nonce"), nonce], String::new())),
                _ => answer(200, &json!({})),
            }
        });
        browser.sign_in_at(&corp);
        let response = browser.send(Method::GET, "/bff/api/x", &[("x-csrf", "1")], "");
        assert_eq!(response.status, expected, "{answers:?}");
        let proofs: Vec<Value> = browser.sent_to(API).iter().map(|sent| proof(sent).1).collect();
        let wanted_at = answers.iter().position(|answer| *answer == "nonce").unwrap();
        assert_eq!(proofs[wanted_at + 1]["nonce"], format!("n-{wanted_at}"), "{answers:?}");
        let mut ids: Vec<_> = proofs.iter().map(|claims| claims["jti"].to_string()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 3, "three times, and no proof is used twice: {answers:?}");
    }
}

/// A request stalled beyond its lease no longer has the refresh token to itself.
#[test]
fn s107_stalled_refresh_does_not_resend_the_token_for_a_nonce() {
    let provider = r#"[{"id":"corp","issuer":"https://id.corp.example","client_id":"corp-client","dpop":true}]"#;
    let services = r#"[{"name":"api","url":"https://api.example","provider":"corp","allow":["GET /x"]}]"#;
    for stalls in [false, true] {
        let corp = Corp::new();
        *corp.metadata.borrow_mut() = json!({"dpop_signing_alg_values_supported": ["ES256"]});
        let at_provider = Rc::clone(&corp);
        let settings = [("OIDC_PROVIDERS", provider), corp::SETTINGS[1], ("SERVICES", services)];
        let browser = Browser::configured(&settings, move |sent| {
            if sent.url.starts_with(API) {
                return answer(200, &json!({}));
            }
            if sent.body.contains("grant_type=refresh_token") && proof(sent).1["nonce"] != "n-1" {
                let body = json!({"error": "use_dpop_nonce"}).to_string();
                return Some((400, vec![("content-type", JSON.to_owned()), ("dpop-nonce", "n-1".to_owned())], body));
            }
            let (status, headers, body) = at_provider.answer(sent)?;
            Some((status, headers, body.replace("\"Bearer\"", "\"DPoP\"")))
        });
        browser.sign_in_at(&corp);
        browser.platform.now_ms.set(browser.platform.now_ms.get() + 3_600_000);
        browser.platform.stalls_at.set(stalls.then_some("/token"));
        let call = || browser.script(Method::GET, "/bff/api/x", "").status;
        let sent = || browser.sent_to("https://id.corp.example/token").len() - 1;
        if stalls {
            assert_eq!((call(), sent()), (StatusCode::SERVICE_UNAVAILABLE, 1));
            browser.platform.now_ms.set(browser.platform.now_ms.get() + 6000);
        }
        assert_eq!((call(), sent()), (StatusCode::OK, 2), "the provider rejected it without consuming it");
    }
}

const ELSEWHERE: &str =
    r#"[{"id":"corp","name":"Corp","issuer":"https://id.other.example","client_id":"corp-client"}]"#;

/// When an operator points a provider's id at another issuer, tokens of the first issuer must not reach it.
#[test]
fn m16_tokens_are_sent_only_to_their_issuer() {
    let corp = Corp::new();
    let upstream = Rc::clone(&corp);
    let settings = [corp::SETTINGS[0], corp::SETTINGS[1], ("SERVICES", CORP_API)];
    let browser = Browser::configured(&settings, move |sent| upstream.answer(sent).or_else(|| github(sent)));
    browser.sign_in();
    browser.connect_at(&corp);
    let browser = browser.at_another_edge(&[("OIDC_PROVIDERS", ELSEWHERE), settings[1], settings[2]]);
    assert_eq!(browser.session()["connections"][0], json!({"provider": "corp", "sign_in_needed": true}));
    browser.platform.sent.borrow_mut().clear();
    let response = browser.script(Method::GET, "/bff/api/x", "");
    assert_eq!((response.status, code(&response).as_str()), (StatusCode::UNAUTHORIZED, "provider-sign-in-needed"));
    assert_eq!(browser.script(Method::POST, "/auth/logout", "").status, StatusCode::NO_CONTENT);
    assert!(browser.sent_to("https://api.corp.example").is_empty());
    assert!(!browser.platform.sent.borrow().iter().any(|sent| sent.body.contains("corp-refresh")));
}

/// Its users are not users of the new issuer either.
#[test]
fn m16_session_ends_when_its_provider_id_names_another_issuer() {
    let corp = Corp::new();
    let browser = Browser::at_corp(&corp);
    browser.sign_in_at(&corp);
    let browser = browser.at_another_edge(&[("OIDC_PROVIDERS", ELSEWHERE), corp::SETTINGS[1]]);
    assert_eq!(browser.session()["authenticated"], false);
    browser.platform.sent.borrow_mut().clear();
    assert_eq!(browser.script(Method::POST, "/auth/logout", "").status, StatusCode::NO_CONTENT);
    let sent = browser.platform.sent.borrow();
    assert!(
        sent.iter().all(|sent| sent.method == Method::GET && sent.url.ends_with("/openid-configuration")),
        "{sent:?}"
    );
}
