//! Signing in with a provider found by discovery, with wrong answers and with impostors.

use causeway_core::testing::{
    corp::{self, Corp, SETTINGS},
    entra::KEY,
    openid::{form, parts},
    platform::Sent,
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Browser, text};

const TOKEN_ENDPOINT: &str = "https://id.corp.example/token";

/// A sign-in at a provider whose ID token has these claims changed.
fn with_claims(change: Value) -> (Browser, http::Response<()>) {
    let corp = Corp::new();
    *corp.claims.borrow_mut() = change;
    let browser = Browser::at_corp(&corp);
    let response = browser.get(&browser.start_at(&corp));
    let status = response.status;
    if status != StatusCode::SEE_OTHER {
        browser.assert_refused(&response);
    }
    (browser, http::Response::builder().status(status).body(()).unwrap())
}

fn paths(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(|sent| sent.url.trim_start_matches("https://id.corp.example").to_owned()).collect()
}

#[test]
fn user_signs_in_with_a_generic_openid_provider() {
    let corp = Corp::new();
    let browser = Browser::at_corp(&corp);
    let listed = browser.session()["providers"].clone();
    assert!(listed.as_array().unwrap().contains(&json!({"id": "corp", "name": "Corp"})));
    browser.sign_in_at(&corp);
    assert_eq!(browser.session()["user"]["id"], "corp:s");
    let sent = browser.sent_to(TOKEN_ENDPOINT);
    assert_eq!((form(&sent[0])["code"].as_str(), sent.len()), ("good", 1));
    assert!(sent[0].headers["authorization"].to_str().unwrap().starts_with("Basic "));
}

#[test]
fn s6_m31_callback_without_the_promised_issuer_is_rejected() {
    let corp = Corp::new();
    let browser = Browser::at_corp(&corp);
    let callback = browser.start_at(&corp);
    let (without, _) = callback.split_once("&iss=").unwrap();
    browser.assert_refused(&browser.get(without));
    *corp.metadata.borrow_mut() = json!({"authorization_response_iss_parameter_supported": false});
    let silent = Browser::at_corp(&corp);
    let callback = silent.start_at(&corp);
    let (without, _) = callback.split_once("&iss=").unwrap();
    assert_eq!(silent.get(without).status, StatusCode::SEE_OTHER, "a provider that promised no `iss` may omit it");
}

#[test]
fn s5_s7_s9_code_of_another_server_is_not_sent() {
    for iss in ["https://github.com/login/oauth", "https://id.corp.example/", "https://ID.corp.example", ""] {
        let corp = Corp::new();
        let browser = Browser::at_corp(&corp);
        let callback = browser.start_at(&corp);
        let (without, _) = callback.split_once("&iss=").unwrap();
        browser.assert_refused(&browser.get(&format!("{without}&iss={iss}")));
        assert!(browser.sent_to(TOKEN_ENDPOINT).is_empty(), "{iss}");
    }
    for twice in ["&code=other", "&iss=https://id.corp.example", "&state=x"] {
        let corp = Corp::new();
        let browser = Browser::at_corp(&corp);
        let callback = browser.start_at(&corp);
        browser.assert_refused(&browser.get(&format!("{callback}{twice}")));
        assert!(browser.sent_to(TOKEN_ENDPOINT).is_empty(), "{twice}");
    }
}

#[test]
fn s4_sign_in_of_one_provider_cannot_finish_at_another() {
    let corp = Corp::new();
    let browser = Browser::at_corp(&corp);
    let callback = browser.start_at(&corp);
    browser.assert_refused(&browser.get(&callback.replace("/auth/corp/", "/auth/github/")));
    let state = browser.start();
    browser.assert_refused(
        &browser.get(&format!("/auth/corp/callback?code=good&state={state}&iss=https://id.corp.example")),
    );
    assert!(browser.sent_to(TOKEN_ENDPOINT).is_empty() && browser.sent_to("https://github.com").is_empty());
}

#[test]
fn s3_failed_sign_in_consumes_its_state() {
    let corp = Corp::new();
    let browser = Browser::at_corp(&corp);
    let callback = browser.start_at(&corp);
    browser.assert_refused(&browser.get(&callback.replace("code=", "error=server_error&x=")));
    assert!(browser.cookies.borrow().is_empty(), "its cookie is cleared");
    browser.assert_refused(&browser.get(&callback));
    assert!(browser.sent_to(TOKEN_ENDPOINT).is_empty());
}

#[test]
fn s10_s14_m18_injected_code_is_detected_before_its_tokens_are_used() {
    let corp = Corp::new();
    let browser = Browser::at_corp(&corp);
    let callback = browser.start_at(&corp);
    // The server ignores the code_verifier and the code is an attacker's, so the nonce is the attacker's, too.
    *corp.nonce.borrow_mut() = "of-the-attackers-sign-in".to_owned();
    browser.platform.sent.borrow_mut().clear();
    browser.assert_refused(&browser.get(&callback));
    let sent = browser.platform.sent.borrow().clone();
    assert_eq!(paths(&sent), ["/token", "/jwks", "/revoke"], "the token was revoked unused");
    assert_eq!(form(&sent[0])["code_verifier"].len(), 43, "S10: a server that checks it refuses by itself");
}

#[test]
fn m17_every_sign_in_draws_new_secrets() {
    let corp = Corp::new();
    let browser = Browser::at_corp(&corp);
    let seen: Vec<Vec<String>> = (0..3)
        .map(|_| {
            let response = browser.get("/auth/corp/login");
            let url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
            let one = |name: &str| url.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned();
            ["state", "nonce", "code_challenge"].map(one).to_vec()
        })
        .collect();
    for (one, other) in [(0, 1), (1, 2), (0, 2)] {
        assert!(seen[one].iter().zip(&seen[other]).all(|(one, other)| one != other && one.len() == 43));
    }
}

#[test]
fn s49_s50_s56_invalid_id_token_claims_are_rejected() {
    for change in [
        json!({"nonce": null}),
        json!({"iss": "https://id.corp.example/"}),
        json!({"aud": ["corp-client", "other"]}),
        json!({"azp": "other"}),
        json!({"exp": "soon"}),
        json!({"sub": ""}),
        json!({"sub": null}),
        json!({"sub": "s".repeat(256)}),
        json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
    ] {
        let (browser, response) = with_claims(change.clone());
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{change}");
        assert!(browser.sent_to("https://id.corp.example/me").is_empty(), "{change}");
    }
}

#[test]
fn s54_m41_userinfo_of_another_subject_is_rejected() {
    for (sub, status) in [("other", StatusCode::BAD_REQUEST), ("s", StatusCode::SEE_OTHER)] {
        let corp = Corp::new();
        *corp.claims.borrow_mut() = json!({"name": null});
        *corp.userinfo.borrow_mut() = json!({"sub": sub, "name": "Ada of Corp", "email": "ada@corp.example"});
        let browser = Browser::at_corp(&corp);
        let response = browser.get(&browser.start_at(&corp));
        assert_eq!(response.status, status, "{sub}");
        if status == StatusCode::SEE_OTHER {
            assert_eq!(browser.session()["user"]["name"], "Ada of Corp");
        } else {
            browser.assert_refused(&response);
        }
    }
}

#[test]
fn user_without_a_name_can_sign_in() {
    let corp = Corp::new();
    *corp.claims.borrow_mut() = json!({"name": null});
    corp.down.borrow_mut().push("/me");
    let browser = Browser::at_corp(&corp);
    browser.sign_in_at(&corp);
    assert_eq!(browser.session()["user"]["name"], "s");
}

#[test]
fn s58_s59_email_address_does_not_identify_a_user() {
    let user = |sub: &str| {
        let (browser, response) = with_claims(json!({"sub": sub, "email": "ceo@corp.example", "email_verified": true}));
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        browser.session()["user"].clone()
    };
    let (one, other) = (user("1"), user("2"));
    assert_eq!(one["email"], other["email"]);
    assert_ne!(one["id"], other["id"]);
    // No rule depends on a domain, so a look-alike domain gains nothing.
    let (browser, _) = with_claims(json!({"sub": "3", "email": "evil@evil.example@corp.example"}));
    assert_eq!(browser.session()["user"]["id"], "corp:3");
}

#[test]
fn s11_s53_unsafe_metadata_stops_the_sign_in() {
    for change in [
        json!({"issuer": "https://evil.example"}),
        json!({"token_endpoint": "http://id.corp.example/token"}),
        json!({"token_endpoint": "https://169.254.169.254/token"}),
        json!({"authorization_endpoint": "javascript:alert(1)"}),
        json!({"code_challenge_methods_supported": ["plain"]}),
    ] {
        let corp = Corp::new();
        *corp.metadata.borrow_mut() = change.clone();
        let browser = Browser::at_corp(&corp);
        let response = browser.get("/auth/corp/login");
        assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE, "{change}");
        assert!(browser.cookies.borrow().is_empty());
        assert_eq!(browser.platform.sent.borrow().len(), 1, "only the metadata was fetched");
    }
}

#[test]
fn s12_provider_error_text_is_neither_shown_nor_logged() {
    let corp = Corp::new();
    let browser = Browser::at_corp(&corp);
    let callback = browser.start_at(&corp);
    let (state, _) = callback.split_once("code=").unwrap();
    let rest = callback.split_once("&").unwrap().1;
    let evil = "%3Cscript%3Ealert(1)%3C/script%3E";
    let response =
        browser.get(&format!("{state}error={evil}&error_description={evil}&error_uri=https://evil.example&{rest}"));
    browser.assert_refused(&response);
    let page = text(&response);
    let log = browser.platform.log.borrow().iter().cloned().collect::<String>();
    for bad in ["script>alert", "evil.example"] {
        assert!(!page.contains(bad) && !log.contains(bad), "{bad}");
    }
}

#[test]
fn dpop_proof_is_sent_from_the_first_request() {
    let corp = Corp::new();
    *corp.claims.borrow_mut() = json!({"name": null});
    let entry =
        r#"[{"id":"corp","name":"Corp","issuer":"https://id.corp.example","client_id":"corp-client","dpop":true}]"#;
    let at = std::rc::Rc::clone(&corp);
    let settings =
        [("OIDC_PROVIDERS", entry), ("OIDC_CLIENT_SECRETS", r#"{"corp":"Wq7Rm2Zt9Kv4Xd1Bn8Ls3Yh6Gf5Jc0Pt"}"#)];
    let browser = Browser::configured(&settings, move |sent| {
        let (status, headers, body) = at.answer(sent)?;
        Some((status, headers, body.replace(r#""token_type":"Bearer""#, r#""token_type":"DPoP""#)))
    });
    browser.sign_in_at(&corp);
    let proof = |url: &str| parts(browser.sent_to(url)[0].headers["dpop"].to_str().unwrap());
    let ((of_token, _), (of_userinfo, claims)) = (proof(TOKEN_ENDPOINT), proof("https://id.corp.example/me"));
    assert_eq!(of_token["jwk"], of_userinfo["jwk"]);
    assert!(claims["ath"].is_string());
    let userinfo = &browser.sent_to("https://id.corp.example/me")[0];
    assert_eq!(
        (&userinfo.method, &userinfo.headers["authorization"]),
        (&Method::GET, &http::HeaderValue::from_static("DPoP corp-access"))
    );
}

#[test]
fn m27_tokens_of_a_rejected_sign_in_are_revoked() {
    let (browser, _) = with_claims(json!({"nonce": "another"}));
    let sent = browser.sent_to("https://id.corp.example/revoke");
    assert_eq!((sent.len(), form(&sent[0])["token"].as_str()), (1, "corp-refresh"));
}

#[test]
fn m38_id_token_issued_before_the_sign_in_is_rejected() {
    let now = 1_800_000_000;
    assert_eq!(with_claims(json!({"iat": now - 61})).1.status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        with_claims(json!({"iat": now - 60})).1.status(),
        StatusCode::SEE_OTHER,
        "clocks may differ by a minute"
    );
}

/// A provider cannot refer to a session that it names like this.
#[test]
fn s123_provider_without_a_usable_sid_can_log_out_by_user() {
    for sid in [String::new(), "x".repeat(256)] {
        let (browser, response) = with_claims(json!({"sid": sid}));
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let token = corp::logout_token(json!({}), json!({"sid": "whichever"}), &KEY);
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let target = "/auth/corp/backchannel-logout";
        let ended = browser.send(Method::POST, target, &headers, &format!("logout_token={token}"));
        assert_eq!(ended.status, StatusCode::OK, "{:?}", browser.platform.log.borrow());
        assert_eq!(browser.session()["authenticated"], false, "{}", sid.len());
    }
}

#[test]
fn irrelevant_claim_of_another_type_is_ignored() {
    for change in [
        json!({"ver": 1}),
        json!({"groups": "one"}),
        json!({"email": ["ada@corp.example"]}),
        json!({"tid": 7, "oid": [], "hasgroups": 1, "_claim_names": "src1"}),
        json!({"auth_time": 1_799_999_999.5}),
    ] {
        let (browser, response) = with_claims(change.clone());
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{change}");
        let user = json!({"id": "corp:s", "name": "Ada", "email": null});
        assert_eq!(browser.session()["user"], user, "{change}");
    }
}

#[test]
fn userinfo_value_of_another_type_is_not_shown() {
    let corp = Corp::new();
    *corp.claims.borrow_mut() = json!({"name": ["Ada"], "email": ["ada@corp.example"]});
    *corp.userinfo.borrow_mut() =
        json!({"name": {"given": "Ada"}, "preferred_username": "ada", "email": ["a@b.example"]});
    let browser = Browser::at_corp(&corp);
    browser.sign_in_at(&corp);
    assert_eq!(browser.session()["user"], json!({"id": "corp:s", "name": "ada", "email": null}));
}

#[test]
fn s16_m40_auth_time_before_the_sign_in_is_accepted_within_the_limit() {
    let entry = r#"[{"id":"corp","issuer":"https://id.corp.example","client_id":"corp-client","max_age_seconds":0}]"#;
    let now: i64 = 1_800_000_000;
    for (auth_time, status) in
        [(now + 5, StatusCode::SEE_OTHER), (now - 60, StatusCode::SEE_OTHER), (now - 61, StatusCode::BAD_REQUEST)]
    {
        let corp = Corp::new();
        let at = std::rc::Rc::clone(&corp);
        let settings = [("OIDC_PROVIDERS", entry), SETTINGS[1]];
        let browser = Browser::configured(&settings, move |sent| at.answer(sent));
        let callback = browser.start_at(&corp);
        // A second factor took five minutes.
        browser.platform.now_ms.set(browser.platform.now_ms.get() + 300_000);
        *corp.claims.borrow_mut() = json!({"auth_time": auth_time, "iat": now + 300});
        let response = browser.get(&callback);
        assert_eq!(response.status, status, "{auth_time} {:?}", browser.platform.log.borrow());
    }
}
