//! Logout by the provider: back-channel and front-channel.

use std::rc::Rc;

use causeway_core::{
    guard::rate::LOGOUT_RATE,
    http::web::Response,
    testing::{
        body::InMemoryBody,
        corp::{Corp, logout_token},
        entra::{self, KEY, NOW, OTHER_KEY, TENANT},
    },
};
use causeway_protocol::hub::EndReason;
use futures_util::FutureExt as _;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Browser, code, github};

const FORM: &str = "application/x-www-form-urlencoded";

fn signed_in() -> (Browser, Rc<Corp>) {
    let corp = Corp::new();
    let browser = Browser::at_corp(&corp);
    browser.sign_in_at(&corp);
    (browser, corp)
}

fn send(browser: &Browser, token: &str) -> Response<InMemoryBody> {
    let headers = [("content-type", FORM)];
    browser.send(Method::POST, "/auth/corp/backchannel-logout", &headers, &format!("logout_token={token}"))
}

fn token(change: Value) -> String {
    logout_token(json!({}), change, &KEY)
}

fn is_signed_in(browser: &Browser) -> bool {
    browser.session()["authenticated"] == true
}

#[test]
fn s123_logout_token_for_a_user_ends_all_sessions_and_streams() {
    let (browser, corp) = signed_in();
    let first = browser.swap(Vec::new());
    *corp.claims.borrow_mut() = json!({"sid": "another"});
    browser.sign_in_at(&corp);
    let response = send(&browser, &token(json!({})));
    assert_eq!(response.status, StatusCode::OK, "{:?}", browser.platform.log.borrow());
    assert_eq!(response.headers["cache-control"], "no-store");
    assert!(!is_signed_in(&browser));
    browser.swap(first);
    assert!(!is_signed_in(&browser));
    let ended: Vec<_> = browser.platform.ended_streams.borrow().iter().map(|(_, reason)| *reason).collect();
    assert_eq!(ended, [EndReason::Revoked; 2]);
}

#[test]
fn s123_same_sub_at_another_issuer_is_another_user() {
    let (browser, corp) = signed_in();
    let at_corp = browser.swap(Vec::new());
    // GitHub's account 7 and the provider's user "7".
    browser.sign_in();
    *corp.claims.borrow_mut() = json!({"sub": "7"});
    assert_eq!(send(&browser, &token(json!({"sub": "7"}))).status, StatusCode::OK);
    assert!(is_signed_in(&browser));
    browser.swap(at_corp);
    assert!(is_signed_in(&browser), "another user of the same issuer");
}

#[test]
fn logout_token_for_a_session_ends_only_that_session() {
    let (browser, corp) = signed_in();
    let first = browser.swap(Vec::new());
    *corp.claims.borrow_mut() = json!({"sid": "another"});
    browser.sign_in_at(&corp);
    assert_eq!(send(&browser, &token(json!({"sid": "at-corp"}))).status, StatusCode::OK);
    assert!(is_signed_in(&browser));
    browser.swap(first);
    assert!(!is_signed_in(&browser));
}

#[test]
fn s121_invalid_logout_tokens_end_no_session() {
    let (browser, _) = signed_in();
    let claims = json!({"iss": "https://id.corp.example", "aud": "corp-client", "iat": NOW});
    let id_token = entra::token_with(json!({}), claims, &KEY);
    for bad in [
        logout_token(json!({"alg": "none"}), json!({}), &KEY),
        logout_token(json!({"alg": "HS256"}), json!({}), &KEY),
        logout_token(json!({}), json!({}), &OTHER_KEY),
        token(json!({"iss": "https://evil.example"})),
        token(json!({"aud": "other"})),
        token(json!({"events": {}})),
        token(json!({"nonce": "n"})),
        token(json!({"sub": null})),
        token(json!({"exp": NOW - 100})),
        token(json!({"iat": NOW - 1000})),
        id_token,
        "junk".to_owned(),
        String::new(),
    ] {
        let response = send(&browser, &bad);
        assert_eq!((response.status, code(&response).as_str()), (StatusCode::BAD_REQUEST, "logout-refused"), "{bad}");
        assert_eq!(response.headers["cache-control"], "no-store");
    }
    let good = token(json!({}));
    for (content_type, body) in [
        ("application/json", format!("logout_token={good}")),
        (FORM, format!("logout_token={good}&logout_token={good}")),
        (FORM, String::new()),
    ] {
        let headers = [("content-type", content_type)];
        let response = browser.send(Method::POST, "/auth/corp/backchannel-logout", &headers, &body);
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{content_type}");
    }
    assert!(is_signed_in(&browser));
    for provider in ["github", "nope"] {
        let target = format!("/auth/{provider}/backchannel-logout");
        let response = browser.send(Method::POST, &target, &[("content-type", FORM)], &format!("logout_token={good}"));
        assert_eq!(response.status, StatusCode::NOT_FOUND, "{provider}");
    }
}

#[test]
fn s122_logout_token_is_single_use() {
    let (browser, corp) = signed_in();
    let once = token(json!({}));
    assert_eq!(send(&browser, &once).status, StatusCode::OK);
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 5000);
    *corp.claims.borrow_mut() = json!({"iat": NOW + 5});
    browser.sign_in_at(&corp);
    for _ in 0..3 {
        assert_eq!(send(&browser, &once).status, StatusCode::BAD_REQUEST);
        browser.platform.now_ms.set(browser.platform.now_ms.get() + 50_000);
    }
    assert!(is_signed_in(&browser));
}

#[test]
fn failed_logout_can_be_retried() {
    let (browser, _) = signed_in();
    let token = token(json!({}));
    browser.platform.end_session_fails.set(true);
    assert_eq!(send(&browser, &token).status, StatusCode::SERVICE_UNAVAILABLE);
    browser.platform.end_session_fails.set(false);
    assert_eq!(send(&browser, &token).status, StatusCode::OK);
    assert_eq!(
        browser.platform.ended_streams.borrow().len(),
        1,
        "the streams end now, although the session had ended before"
    );
}

#[test]
fn s122_interrupted_logout_can_be_retried() {
    let (browser, _) = signed_in();
    let token = token(json!({}));
    browser.platform.end_session_hangs.set(true);
    let (target, body) = ("/auth/corp/backchannel-logout", format!("logout_token={token}"));
    let request = browser.request(Method::POST, target, &[("content-type", FORM)], &body);
    assert!(browser.edge.handle(&browser.platform, request).now_or_never().is_none(), "cut off there");
    browser.platform.end_session_hangs.set(false);
    let response = send(&browser, &token);
    assert_eq!((response.status, code(&response).as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert_eq!(response.headers["retry-after"], "30");
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 30_000);
    assert_eq!(send(&browser, &token).status, StatusCode::OK);
    assert_eq!(browser.platform.ended_streams.borrow().len(), 1, "its streams end as well");
    assert_eq!(send(&browser, &token).status, StatusCode::BAD_REQUEST, "and now it was used");
}

#[test]
fn s122_logout_ends_a_sign_in_in_progress() {
    for change in [json!({}), json!({"sid": "at-corp"})] {
        let corp = Corp::new();
        let browser = Browser::at_corp(&corp);
        let callback = browser.start_at(&corp);
        assert_eq!(send(&browser, &token(change)).status, StatusCode::OK, "200 although there is no session");
        assert_eq!(browser.get(&callback).status, StatusCode::BAD_REQUEST);
        assert!(!is_signed_in(&browser));
    }
    // The user can sign in afterwards, but not with the provider session that ended.
    for (sid, works) in [("another", true), ("at-corp", false)] {
        let corp = Corp::new();
        let browser = Browser::at_corp(&corp);
        assert_eq!(send(&browser, &token(json!({"sid": "at-corp"}))).status, StatusCode::OK);
        *corp.claims.borrow_mut() = json!({"sid": sid, "iat": NOW + 5});
        browser.get(&browser.start_at(&corp));
        assert_eq!(is_signed_in(&browser), works, "{sid}");
    }
}

/// Lets time pass, and sets the time of the next sign-in at the provider.
fn pass(browser: &Browser, corp: &Corp, seconds: i64) {
    let now_ms = browser.platform.now_ms.get() + u64::try_from(seconds).unwrap() * 1000;
    browser.platform.now_ms.set(now_ms);
    *corp.claims.borrow_mut() = json!({"iat": now_ms / 1000});
}

#[test]
fn s156_logout_token_that_comes_late_ends_only_older_sessions() {
    for change in [json!({}), json!({"sid": "at-corp"}), json!({"sid": "at-corp", "sub": null})] {
        for (seconds, is_newer) in [(61, true), (60, false)] {
            let (browser, corp) = signed_in();
            let older = browser.swap(Vec::new());
            pass(&browser, &corp, seconds);
            browser.sign_in_at(&corp);
            pass(&browser, &corp, 100);
            assert_eq!(send(&browser, &token(change.clone())).status, StatusCode::OK);
            assert_eq!(is_signed_in(&browser), is_newer, "{change} {seconds}");
            assert_eq!(browser.platform.ended_streams.borrow().len(), if is_newer { 1 } else { 2 });
            let newer = browser.swap(older);
            assert!(!is_signed_in(&browser), "{change} {seconds}");
            // A later token ends the newer one as well.
            browser.swap(newer);
            let later = token(json!({"iat": NOW + 161, "exp": NOW + 300, "jti": "later"}));
            assert_eq!(send(&browser, &later).status, StatusCode::OK);
            assert!(!is_signed_in(&browser));
        }
    }
}

#[test]
fn s156_session_without_a_sid_is_spared_by_an_older_token_of_another_session() {
    let corp = Corp::new();
    let browser = Browser::at_corp(&corp);
    *corp.claims.borrow_mut() = json!({"sid": null});
    browser.sign_in_at(&corp);
    let older = browser.swap(Vec::new());
    pass(&browser, &corp, 100);
    corp.claims.borrow_mut()["sid"] = Value::Null;
    browser.sign_in_at(&corp);
    assert_eq!(send(&browser, &token(json!({"sid": "some"}))).status, StatusCode::OK);
    assert!(is_signed_in(&browser));
    browser.swap(older);
    assert!(!is_signed_in(&browser));
}

/// The provider repeats a token that failed. Its user has signed in again meanwhile.
#[test]
fn s156_retry_of_a_failed_logout_spares_the_sign_in_after_it() {
    let (browser, corp) = signed_in();
    let older = browser.swap(Vec::new());
    let token = token(json!({}));
    browser.platform.end_session_fails.set(true);
    assert_eq!(send(&browser, &token).status, StatusCode::SERVICE_UNAVAILABLE);
    browser.platform.end_session_fails.set(false);
    pass(&browser, &corp, 10);
    browser.sign_in_at(&corp);
    assert_eq!(send(&browser, &token).status, StatusCode::OK);
    assert!(is_signed_in(&browser));
    assert_eq!(browser.platform.ended_streams.borrow().len(), 1, "the streams of the older session");
    browser.swap(older);
    assert!(!is_signed_in(&browser));
}

#[test]
fn s156_account_connected_after_the_logout_keeps_its_session() {
    let corp = Corp::new();
    let browser = Browser::at_corp(&corp);
    browser.sign_in();
    pass(&browser, &corp, 100);
    browser.connect_at(&corp);
    assert_eq!(send(&browser, &token(json!({}))).status, StatusCode::OK);
    assert!(is_signed_in(&browser), "the session is older than the token, the account's sign-in is not");
    assert_eq!(send(&browser, &token(json!({"iat": NOW + 100, "jti": "later"}))).status, StatusCode::OK);
    assert!(!is_signed_in(&browser));
}

#[test]
fn s156_account_connected_again_counts_from_its_last_sign_in() {
    for change in [json!({}), json!({"sid": "at-corp"})] {
        let (browser, corp) = signed_in();
        pass(&browser, &corp, 100);
        browser.connect_at(&corp);
        assert_eq!(send(&browser, &token(change.clone())).status, StatusCode::OK);
        assert!(is_signed_in(&browser), "{change}");
        let mut later = change;
        later["iat"] = json!(NOW + 100);
        later["jti"] = json!("later");
        assert_eq!(send(&browser, &token(later)).status, StatusCode::OK);
        assert!(!is_signed_in(&browser));
    }
}

#[test]
fn s156_session_of_unknown_sign_in_time_ends() {
    let (browser, corp) = signed_in();
    browser.swap(Vec::new());
    pass(&browser, &corp, 100);
    browser.sign_in_at(&corp);
    for (key, state) in browser.platform.machine_states.borrow_mut().iter_mut() {
        if key.starts_with("index:") {
            let mut index: Value = serde_json::from_str(state).unwrap();
            for member in index["entries"].as_array_mut().unwrap() {
                member.as_object_mut().unwrap().remove("signed_in_at_ms");
            }
            *state = index.to_string();
        }
    }
    assert_eq!(send(&browser, &token(json!({}))).status, StatusCode::OK);
    assert!(!is_signed_in(&browser));
}

/// The request has no time, so a front-channel logout ends the sessions of the `sid` whenever they were signed in.
#[test]
fn s156_front_channel_logout_ends_every_session_of_its_sid_and_no_other() {
    let (browser, corp) = signed_in();
    let older = browser.swap(Vec::new());
    pass(&browser, &corp, 100);
    corp.claims.borrow_mut()["sid"] = json!("after-the-logout");
    browser.sign_in_at(&corp);
    for _ in 0..2 {
        assert_eq!(browser.get("/auth/corp/frontchannel-logout?sid=at-corp").status, StatusCode::OK);
    }
    assert!(is_signed_in(&browser));
    browser.swap(older);
    assert!(!is_signed_in(&browser));
}

#[test]
fn s125_flood_of_forged_tokens_fetches_keys_once_and_blocks_no_other_provider() {
    let (browser, _) = signed_in();
    let before = browser.sent_to("https://id.corp.example/jwks").len();
    let forged = logout_token(json!({"kid": "unknown"}), json!({}), &OTHER_KEY);
    let body = format!("logout_token={forged}");
    let from = |address: &str, body: &str| {
        browser.address.set(address.parse().unwrap());
        let headers = [("content-type", FORM)];
        browser.send(Method::POST, "/auth/corp/backchannel-logout", &headers, body).status
    };
    for _ in 0..LOGOUT_RATE.limit {
        assert_eq!(from("203.0.113.9", &body), StatusCode::BAD_REQUEST);
    }
    assert_eq!(from("203.0.113.9", &body), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(browser.sent_to("https://id.corp.example/jwks").len(), before + 1);
    // No keys are fetched for it either, even once the cool-down has passed.
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 120_000);
    let asked = browser.platform.machine_states.borrow().clone();
    assert_eq!(from("203.0.113.9", &body), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(browser.sent_to("https://id.corp.example/jwks").len(), before + 1);
    assert_eq!(*browser.platform.machine_states.borrow(), asked);
    browser.platform.now_ms.set(browser.platform.now_ms.get() - 120_000);
    assert!(is_signed_in(&browser));
    assert_eq!(from("198.51.100.1", &format!("logout_token={}", token(json!({})))), StatusCode::OK);
    assert!(!is_signed_in(&browser));
}

#[test]
fn s125_provider_can_log_all_its_users_out() {
    let (browser, corp) = signed_in();
    let mut jars = vec![browser.swap(Vec::new())];
    *corp.claims.borrow_mut() = json!({"sid": "last"});
    browser.sign_in_at(&corp);
    jars.push(browser.swap(Vec::new()));
    let of = |sid: &str| token(json!({"sid": sid, "jti": sid}));
    let more = (2..=LOGOUT_RATE.limit).map(|number| format!("of-another-{number}"));
    for sid in std::iter::once("at-corp".to_owned()).chain(more) {
        assert_eq!(send(&browser, &of(&sid)).status, StatusCode::OK, "{sid}");
    }
    // Forgeries from the provider's own address do not block it either.
    let forged = logout_token(json!({}), json!({}), &OTHER_KEY);
    for _ in 0..LOGOUT_RATE.limit {
        assert_eq!(send(&browser, &forged).status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(send(&browser, &forged).status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(send(&browser, &of("last")).status, StatusCode::OK);
    for jar in jars {
        browser.swap(jar);
        assert!(!is_signed_in(&browser));
    }
}

/// Another tenant whose users may sign in.
const OTHER_TENANT: &str = "9b1d6b1e-0f5c-4f0a-8a5e-0d1c2b3a4f5e";

/// A multi-tenant Entra deployment, with a user signed in whose provider session is `at-entra`.
fn at_entra() -> Browser {
    let nonce: Rc<std::cell::RefCell<String>> = Rc::default();
    let (known, fetches) = (Rc::clone(&nonce), Rc::new(std::cell::RefCell::new(1)));
    let allowed = format!("{OTHER_TENANT},{TENANT}");
    let tenants = [("ENTRA_TENANT", "organizations"), ("ENTRA_TENANTS", allowed.as_str())];
    let browser = Browser::configured(&tenants, move |sent| {
        let (status, headers, body) = entra::answer(sent, &known.borrow(), &fetches).or_else(|| github(sent))?;
        let mut body: Value = serde_json::from_str(&body).ok()?;
        if sent.url.contains("openid-configuration") {
            body["issuer"] = json!("https://login.microsoftonline.com/{tenantid}/v2.0");
        } else if sent.url.ends_with("/token") {
            let claims = json!({"nonce": *known.borrow(), "sid": "at-entra"});
            body["id_token"] = json!(entra::token_with(json!({}), claims, &KEY));
        }
        Some((status, headers, body.to_string()))
    });
    let response = browser.get("/auth/entra/login");
    let url = url::Url::parse(response.headers["location"].to_str().unwrap()).unwrap();
    let parameter = |name: &str| url.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned();
    *nonce.borrow_mut() = parameter("nonce");
    let response = browser.get(&format!("/auth/entra/callback?code=good&state={}", parameter("state")));
    assert_eq!(response.status, StatusCode::SEE_OTHER, "{:?}", browser.platform.log.borrow());
    browser
}

fn load(browser: &Browser, query: &str) -> Response<InMemoryBody> {
    let frame = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
    let cookies = browser.swap(Vec::new());
    let response = browser.send(Method::GET, &format!("/auth/entra/frontchannel-logout?{query}"), &frame, "");
    browser.swap(cookies);
    response
}

#[test]
fn m79_entra_front_channel_logout_works_without_cookies() {
    let browser = at_entra();
    let response = load(&browser, &format!("iss=https://login.microsoftonline.com/{TENANT}/v2.0&sid=at-entra"));
    assert_eq!(response.status, StatusCode::OK);
    let policy = response.headers["content-security-policy"].to_str().unwrap();
    assert_eq!(policy, "default-src 'none'; frame-ancestors https://login.microsoftonline.com");
    assert!(!is_signed_in(&browser));
    assert_eq!(browser.platform.ended_streams.borrow().len(), 1, "its streams end as well");
}

#[test]
fn m79_entra_front_channel_logout_works_without_a_tenant() {
    let browser = at_entra();
    let stored = browser.platform.machine_states.borrow().len();
    assert_eq!(load(&browser, "sid=at-entra").status, StatusCode::OK);
    assert!(!is_signed_in(&browser));
    assert_eq!(browser.platform.ended_streams.borrow().len(), 1, "its streams end as well");
    assert!(browser.platform.machine_states.borrow().len() <= stored, "nothing is stored for the other tenant");
    let log = browser.platform.log.borrow();
    assert!(log.iter().any(|line| line.contains("logout.frontchannel") && line.contains(r#""ended":1"#)), "{log:?}");
}

#[test]
fn m79_failed_front_channel_logout_is_logged_only() {
    let browser = at_entra();
    browser.platform.coordinator_down.set(true);
    assert_eq!(load(&browser, "sid=at-entra").status, StatusCode::OK);
    browser.platform.coordinator_down.set(false);
    assert!(is_signed_in(&browser));
    assert!(browser.platform.log.borrow().iter().any(|line| line.contains("logout.frontchannel-failed")));
}

#[test]
fn s125_front_channel_logouts_are_limited_per_client_network() {
    let browser = at_entra();
    let from = |address: &str, sid: &str| {
        browser.address.set(address.parse().unwrap());
        assert_eq!(load(&browser, &format!("sid={sid}")).status, StatusCode::OK);
    };
    for number in 0..LOGOUT_RATE.limit {
        from(&format!("2001:db8:1:2::{number:x}"), "at-entr");
    }
    from("2001:db8:1:2:ffff::", "at-entra");
    assert!(is_signed_in(&browser), "no request is made for it any more");
    from("2001:db8:1:3::1", "at-entra");
    assert!(!is_signed_in(&browser));
}

#[test]
fn s125_front_channel_logout_beyond_the_rate_limit_is_logged_and_works_with_an_issuer() {
    let browser = at_entra();
    for _ in 0..LOGOUT_RATE.limit {
        load(&browser, "sid=at-entr");
    }
    browser.platform.log.borrow_mut().clear();
    assert_eq!(load(&browser, "sid=at-entra").status, StatusCode::OK);
    {
        let log = browser.platform.log.borrow();
        let has = |event: &str, field: &str| log.iter().any(|line| line.contains(event) && line.contains(field));
        assert!(has(r#""event":"reject""#, r#""reason":"too-many-requests""#), "{log:?}");
        assert!(has(r#""event":"logout.frontchannel-failed""#, r#""provider":"entra""#), "{log:?}");
    }
    assert!(is_signed_in(&browser));
    load(&browser, &format!("iss=https://login.microsoftonline.com/{TENANT}/v2.0&sid=at-entra"));
    assert!(!is_signed_in(&browser));
}

#[test]
fn s126_forged_front_channel_logout_has_no_effect_and_reveals_nothing() {
    let browser = at_entra();
    let issuer = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let stored = browser.platform.machine_states.borrow().len();
    let good = load(&at_entra(), &format!("iss={issuer}&sid=at-entra"));
    for query in [
        String::new(),
        "sid=".to_owned(),
        "sid=at-entr".to_owned(),
        "sid=at-entra&sid=at-entra".to_owned(),
        "sid=at-entra&iss=".to_owned(),
        format!("sid={}", "x".repeat(300)),
        format!("iss={issuer}"),
        format!("iss={issuer}&iss={issuer}&sid=at-entra"),
        format!("iss=https://login.microsoftonline.com/{OTHER_TENANT}/v2.0&sid=at-entra"),
        format!("iss={issuer}&sid="),
        format!("iss={issuer}&sid=at-entr"),
        format!("iss={issuer}&sid=at-entra&sid=at-entra"),
        format!("iss={issuer}&sid={}", "x".repeat(300)),
        "iss=https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0&sid=at-entra".to_owned(),
        "iss=https://login.microsoftonline.com/{tenantid}/v2.0&sid=at-entra".to_owned(),
        "iss=https://evil.example&sid=at-entra".to_owned(),
    ] {
        let forged = load(&browser, &query);
        assert_eq!(forged.status, good.status, "{query}");
        let mut headers = forged.headers.clone();
        headers.insert("x-request-id", good.headers["x-request-id"].clone());
        assert_eq!(headers, good.headers, "{query}");
        assert_eq!(super::text(&forged), super::text(&good));
    }
    assert!(is_signed_in(&browser));
    assert_eq!(browser.platform.machine_states.borrow().len(), stored, "unauthenticated requests store nothing");
    assert_eq!(browser.get("/auth/github/frontchannel-logout?sid=x").status, StatusCode::NOT_FOUND);
}

#[test]
fn front_channel_logout_needs_no_issuer_at_a_single_issuer_provider() {
    let (browser, _) = signed_in();
    assert_eq!(browser.get("/auth/corp/frontchannel-logout?sid=at-corp").status, StatusCode::OK);
    assert!(!is_signed_in(&browser));
}

#[test]
fn m48_session_without_a_sid_ends_with_any_logout_of_its_user() {
    let corp = Corp::new();
    *corp.claims.borrow_mut() = json!({"sid": null});
    let browser = Browser::at_corp(&corp);
    browser.sign_in_at(&corp);
    assert_eq!(send(&browser, &token(json!({"sid": "some", "sub": "another", "jti": "1"}))).status, StatusCode::OK);
    assert!(is_signed_in(&browser));
    assert_eq!(send(&browser, &token(json!({"sid": "some", "sub": "s", "jti": "2"}))).status, StatusCode::OK);
    assert!(!is_signed_in(&browser));
}
