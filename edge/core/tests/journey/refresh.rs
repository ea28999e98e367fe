//! Access tokens that expire while the user works.

use std::{cell::Cell, rc::Rc};

use causeway_core::{
    runtime::platform::Machines as _,
    session::state::{Command, SessionMachine},
    testing::{
        corp::{self, Corp},
        entra::NOW,
        platform::{Answer, Sent},
        run::{run, run_all},
    },
};
use http::{Method, StatusCode};
use serde_json::json;

use super::{Browser, CORP_API, JSON, code, github, text};

const TOKEN: &str = "https://github.com/login/oauth/access_token";
const EIGHT_HOURS_MS: u64 = 8 * 60 * 60 * 1000;

/// A browser signed in with expired GitHub tokens; GitHub answers refreshes with `answer`.
fn with_expired_tokens(answer: impl Fn(u32) -> Option<Answer> + 'static) -> (Browser, Rc<Cell<u32>>) {
    let count = Rc::new(Cell::new(0));
    let refreshes = Rc::clone(&count);
    let browser = Browser::new(move |sent: &Sent| {
        if sent.url == TOKEN && sent.body.contains("code=good") {
            return tokens("ghu_0", "ghr_0");
        }
        if sent.url == TOKEN {
            assert!(sent.body.contains("grant_type=refresh_token"), "{}", sent.body);
            refreshes.set(refreshes.get() + 1);
            return answer(refreshes.get());
        }
        github(sent)
    });
    browser.sign_in();
    wait(&browser, EIGHT_HOURS_MS);
    (browser, count)
}

fn wait(browser: &Browser, ms: u64) {
    // Short enough that the session does not become idle.
    for _ in 0..(ms / 3_600_000) {
        browser.platform.now_ms.set(browser.platform.now_ms.get() + 3_600_000);
        browser.session();
    }
    browser.platform.now_ms.set(browser.platform.now_ms.get() + ms % 3_600_000);
}

fn answer(status: u16, body: &str) -> Option<Answer> {
    Some((status, vec![("content-type", JSON.to_owned())], body.to_owned()))
}

fn tokens(access: &str, refresh: &str) -> Option<Answer> {
    let refresh = if refresh.is_empty() { String::new() } else { format!(r#""refresh_token":"{refresh}","#) };
    answer(200, &format!(r#"{{"access_token":"{access}",{refresh}"token_type":"bearer","expires_in":28800}}"#))
}

fn call(browser: &Browser) -> (StatusCode, String) {
    let response = browser.script(Method::GET, "/bff/github/user", "");
    let code = if response.status == StatusCode::OK { text(&response) } else { code(&response) };
    (response.status, code)
}

fn last_bearer(browser: &Browser) -> String {
    let sent = browser.sent_to("https://api.github.com/user").pop().unwrap();
    sent.headers["authorization"].to_str().unwrap().to_owned()
}

#[test]
fn s109_client_disconnect_cancels_the_call_not_the_refresh() {
    let (browser, refreshes) = with_expired_tokens(|_| tokens("ghu_1", "ghr_1"));
    let calls = || browser.sent_to("https://api.github.com/user").len();
    let before = calls();
    browser.platform.client_disconnects.set(true);
    assert_eq!(call(&browser), (StatusCode::REQUEST_TIMEOUT, "client-left".to_owned()));
    assert_eq!((calls(), refreshes.get()), (before, 1));
    browser.platform.client_disconnects.set(false);
    assert_eq!(call(&browser).0, StatusCode::OK);
    assert_eq!((last_bearer(&browser), refreshes.get()), ("Bearer ghu_1".to_owned(), 1));
}

#[test]
fn expired_token_is_refreshed_transparently() {
    let (browser, refreshes) = with_expired_tokens(|_| tokens("ghu_1", "ghr_1"));
    assert_eq!(call(&browser).0, StatusCode::OK);
    assert_eq!(last_bearer(&browser), "Bearer ghu_1");
    assert_eq!(call(&browser).0, StatusCode::OK);
    assert_eq!(refreshes.get(), 1);
    assert!(browser.sent_to(TOKEN).pop().unwrap().body.contains("refresh_token=ghr_0"));
}

#[test]
fn s120_old_refresh_token_is_kept_when_none_is_returned() {
    let short = r#"{"access_token":"ghu_1","token_type":"bearer","expires_in":7200}"#;
    let (browser, _) = with_expired_tokens(move |n| if n == 1 { answer(200, short) } else { tokens("ghu_2", "ghr_2") });
    assert_eq!(call(&browser).0, StatusCode::OK);
    wait(&browser, 3 * 3_600_000);
    assert_eq!(call(&browser).0, StatusCode::OK);
    assert!(browser.sent_to(TOKEN).pop().unwrap().body.contains("ghr_0"), "sent with it again");
    assert_eq!(last_bearer(&browser), "Bearer ghu_2");
}

#[test]
fn s113_provider_outage_ends_no_session() {
    for outage in [
        || answer(503, "{}"),
        || answer(429, "{}"),
        || answer(302, ""),
        || answer(400, r#"{"error":"temporarily_unavailable"}"#),
        || answer(401, r#"{"error":"invalid_client"}"#),
        || answer(200, r#"{"error":"incorrect_client_credentials"}"#),
    ] {
        let (browser, refreshes) =
            with_expired_tokens(move |n| if n == 1 { outage() } else { tokens("ghu_1", "ghr_1") });
        assert_eq!(call(&browser), (StatusCode::SERVICE_UNAVAILABLE, "unavailable".to_owned()));
        assert_eq!(call(&browser).0, StatusCode::SERVICE_UNAVAILABLE, "and it is left alone for a while");
        assert_eq!(refreshes.get(), 1);
        assert_eq!(browser.session()["authenticated"], true);
        wait(&browser, 6000);
        assert_eq!(call(&browser).0, StatusCode::OK);
        assert!(browser.sent_to(TOKEN).pop().unwrap().body.contains("ghr_0"), "nothing was consumed");
    }
}

#[test]
fn s113_valid_token_is_used_during_a_provider_outage() {
    let (browser, refreshes) = with_expired_tokens(|_| answer(503, "{}"));
    browser.platform.now_ms.set(browser.platform.now_ms.get() - 20_000);
    for _ in 0..2 {
        assert_eq!(call(&browser).0, StatusCode::OK);
        assert_eq!(last_bearer(&browser), "Bearer ghu_0");
    }
    assert_eq!(refreshes.get(), 1, "the provider is not asked again for a while");
    wait(&browser, 21_000);
    assert_eq!(call(&browser).0, StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn s113_invalid_grant_after_a_server_error_ends_the_account_not_the_session() {
    for (breaks_down, lives) in [(true, true), (false, false)] {
        let (browser, _) = with_expired_tokens(move |n| match n {
            1 if breaks_down => answer(502, "<html>"),
            _ => answer(200, r#"{"error":"bad_refresh_token"}"#),
        });
        if breaks_down {
            assert_eq!(call(&browser).0, StatusCode::SERVICE_UNAVAILABLE);
            wait(&browser, 6000);
        }
        assert_eq!(call(&browser).0, StatusCode::UNAUTHORIZED);
        assert_eq!(browser.session()["authenticated"], lives);
    }
}

#[test]
fn s113_long_outage_consumes_no_refresh_token() {
    let corp = Corp::new();
    let at_provider = Rc::clone(&corp);
    let services = r#"[{"name":"api","url":"https://api.example","provider":"corp","allow":["GET /x"]}]"#;
    let settings = [corp::SETTINGS[0], corp::SETTINGS[1], ("SERVICES", services)];
    let browser = Browser::configured(&settings, move |sent: &Sent| match sent.url.as_str() {
        "https://api.example/x" => answer(200, "[]"),
        _ => at_provider.answer(sent),
    });
    browser.sign_in_at(&corp);
    wait(&browser, 3_600_000);
    *corp.down.borrow_mut() = vec!["/token", "/.well-known/openid-configuration"];
    for _ in 0..5 {
        assert_eq!(browser.script(Method::GET, "/bff/api/x", "").status, StatusCode::SERVICE_UNAVAILABLE);
        wait(&browser, 6000);
    }
    assert_eq!(browser.sent_to("https://id.corp.example/token").len(), 2, "the sign-in and one lost refresh");
    corp.down.borrow_mut().clear();
    assert_eq!(browser.script(Method::GET, "/bff/api/x", "").status, StatusCode::OK);
}

#[test]
fn m10_revoked_grant_of_the_sessions_own_account_ends_the_session() {
    for refusal in [r#"{"error":"bad_refresh_token"}"#, r#"{"error":"invalid_grant"}"#] {
        let (browser, refreshes) = with_expired_tokens(move |_| answer(200, refusal));
        assert_eq!(call(&browser), (StatusCode::UNAUTHORIZED, "unauthenticated".to_owned()));
        assert_eq!(browser.session()["authenticated"], false);
        assert_eq!(browser.platform.ended_streams.borrow().len(), 1, "and its streams");
        assert_eq!(refreshes.get(), 1);
    }
}

/// After a lost answer, `invalid_grant` may mean that the lost answer held new tokens. The user links the account again
/// and stays signed in.
#[test]
fn s108_invalid_grant_after_a_lost_answer_ends_the_account_not_the_session() {
    let (browser, refreshes) =
        with_expired_tokens(|n| if n == 1 { None } else { answer(200, r#"{"error":"bad_refresh_token"}"#) });
    assert_eq!(call(&browser).0, StatusCode::SERVICE_UNAVAILABLE);
    wait(&browser, 6000);
    for _ in 0..3 {
        assert_eq!(call(&browser), (StatusCode::UNAUTHORIZED, "provider-sign-in-needed".to_owned()));
    }
    assert_eq!(refreshes.get(), 2, "it is not asked repeatedly");
    assert_eq!(browser.session()["authenticated"], true);
}

#[test]
fn s108_lost_answer_is_retried_once() {
    let (browser, refreshes) = with_expired_tokens(|_| None);
    assert_eq!(call(&browser).0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(call(&browser).0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refreshes.get(), 1);
    wait(&browser, 6000);
    assert_eq!(call(&browser).0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refreshes.get(), 2);
    wait(&browser, 6000);
    for _ in 0..3 {
        assert_eq!(call(&browser), (StatusCode::UNAUTHORIZED, "provider-sign-in-needed".to_owned()));
    }
    assert_eq!(refreshes.get(), 2);
}

#[test]
fn s108_refresh_succeeds_after_a_lost_answer_at_a_provider_with_a_grace_period() {
    let (browser, _) = with_expired_tokens(|n| if n == 1 { None } else { tokens("ghu_1", "ghr_1") });
    assert_eq!(call(&browser).0, StatusCode::SERVICE_UNAVAILABLE);
    wait(&browser, 6000);
    assert_eq!(call(&browser).0, StatusCode::OK);
}

#[test]
fn s108_answer_that_never_ends_counts_as_lost() {
    let (browser, refreshes) = with_expired_tokens(|_| tokens("ghu_1", "ghr_1"));
    browser.platform.incomplete_body_from.set(Some("/login/oauth/access_token"));
    let request = browser.request(Method::GET, "/bff/github/user", &[("x-csrf", "1")], "");
    let answered = run_all(&browser.platform, vec![Box::pin(browser.edge.handle(&browser.platform, request))]);
    assert_eq!(answered[0].status, StatusCode::SERVICE_UNAVAILABLE);
    browser.platform.incomplete_body_from.set(None);
    wait(&browser, 6000);
    assert_eq!(call(&browser).0, StatusCode::OK);
    assert_eq!(refreshes.get(), 2);
}

#[test]
fn s114_tokens_refreshed_for_an_ended_session_are_revoked() {
    let (browser, _) = with_expired_tokens(|_| tokens("ghu_1", "ghr_1"));
    browser.platform.revoke_at_send.set(true);
    assert_eq!(call(&browser).0, StatusCode::UNAUTHORIZED);
    let revocation = browser.sent_to("https://api.github.com/applications/").pop().unwrap();
    assert!(revocation.body.contains("ghu_1"));
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn s111_refresh_token_of_a_stale_copy_is_never_sent() {
    let (browser, refreshes) = with_expired_tokens(|n| tokens(&format!("ghu_{n}"), &format!("ghr_{n}")));
    let stale = browser.platform.kv.borrow().clone();
    call(&browser);
    *browser.platform.kv.borrow_mut() = stale;
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 60_000);
    assert_eq!(call(&browser).0, StatusCode::OK);
    assert_eq!(last_bearer(&browser), "Bearer ghu_1");
    assert_eq!(refreshes.get(), 1);
}

/// The coordinator counts a use before the token is sent, so a writer that vanished is known.
#[test]
fn s109_crash_before_storing_counts_as_a_lost_answer() {
    let (browser, refreshes) = with_expired_tokens(|_| tokens("ghu_1", "ghr_1"));
    let mut handle = None;
    for key in browser.platform.machine_states.borrow().keys() {
        handle = handle.or_else(|| key.strip_prefix("session:").map(str::to_owned));
    }
    let begin =
        Command::AcquireLease { account: Some("github".to_owned()), refused: None, known_generation: 1, attempt_id: 1 };
    run(browser.platform.run::<SessionMachine>(&handle.unwrap(), begin)).unwrap();
    wait(&browser, 60_000);
    assert_eq!(call(&browser).0, StatusCode::OK);
    assert_eq!(refreshes.get(), 1);
}

#[test]
fn s100_token_rejected_by_the_upstream_is_refreshed_and_the_request_retried_once() {
    for (taken, status) in [("Bearer ghu_1", StatusCode::OK), ("Bearer none", StatusCode::UNAUTHORIZED)] {
        let refreshes = Rc::new(Cell::new(0));
        let count = Rc::clone(&refreshes);
        let browser =
            Browser::configured(&[("GITHUB_ALLOW", "GET /user/repos")], move |sent: &Sent| match sent.url.as_str() {
                TOKEN if sent.body.contains("code=good") => tokens("ghu_0", "ghr_0"),
                TOKEN => {
                    count.set(count.get() + 1);
                    tokens(&format!("ghu_{}", count.get()), "ghr_1")
                }
                "https://api.github.com/user/repos" if sent.headers["authorization"] != taken => answer(401, "{}"),
                "https://api.github.com/user/repos" => answer(200, "[]"),
                _ => github(sent),
            });
        browser.sign_in();
        let response = browser.script(Method::GET, "/bff/github/user/repos", "");
        assert_eq!(response.status, status, "and never a redirect");
        assert_eq!(refreshes.get(), 1);
        assert_eq!(browser.sent_to("https://api.github.com/user/repos").len(), 2);
    }
}

/// An OAuth app's token does not expire. Only its rejection shows that the user revoked the authorization.
#[test]
fn m67_token_unknown_to_github_is_sent_once() {
    let services =
        r#"[{"name":"api","url":"https://api.example","provider":"github","shares_token":true,"allow":["GET /x"]}]"#;
    let known = Rc::new(Cell::new(true));
    let is_known = Rc::clone(&known);
    let settings = [("GITHUB_ALLOW", "GET /user/repos"), ("SERVICES", services)];
    let browser = Browser::configured(&settings, move |sent: &Sent| match sent.url.as_str() {
        "https://api.github.com/user/repos" if is_known.get() => answer(200, "[]"),
        "https://api.github.com/user/repos" | "https://api.example/x" => answer(401, "{}"),
        _ => github(sent),
    });
    browser.sign_in();
    let call = |target: &str| {
        let response = browser.script(Method::GET, target, "");
        if response.status == StatusCode::OK { String::new() } else { code(&response) }
    };
    let is_needed = || browser.session()["connections"][0]["sign_in_needed"] == true;
    assert_eq!(call("/bff/api/x"), "provider-sign-in-needed");
    assert!(!is_needed(), "what another upstream takes is no word of GitHub's");
    assert_eq!(call("/bff/github/user/repos"), "");
    known.set(false);
    assert_eq!(call("/bff/github/user/repos"), "provider-sign-in-needed");
    assert!(is_needed());
    let sent = browser.platform.sent.borrow().len();
    for target in ["/bff/github/user/repos", "/bff/api/x"] {
        assert_eq!(call(target), "provider-sign-in-needed");
    }
    assert_eq!(browser.platform.sent.borrow().len(), sent);
    assert_eq!(browser.session()["authenticated"], true);
    known.set(true);
    browser.sign_in();
    assert_eq!(call("/bff/github/user/repos"), "");
}

#[test]
fn s55_irrelevant_claim_of_another_type_ends_no_session() {
    let corp = Corp::new();
    *corp.claims.borrow_mut() = json!({"ver": 1, "groups": ["one", "two"], "auth_time": NOW});
    let browser = Browser::configured(&[corp::SETTINGS[0], corp::SETTINGS[1], ("SERVICES", CORP_API)], {
        let corp = Rc::clone(&corp);
        move |sent| match sent.url.as_str() {
            "https://api.corp.example/x" => answer(200, "{}"),
            _ => corp.answer(sent),
        }
    });
    browser.sign_in_at(&corp);
    for (hour, change) in [
        (1, json!({"ver": "1", "groups": "one", "email": ["ada@corp.example"], "auth_time": 1_800_000_000.5})),
        (2, json!({"ver": [1], "groups": 1, "tid": 7, "oid": {}, "hasgroups": "", "_claim_names": ""})),
    ] {
        wait(&browser, 3_600_000);
        let mut claims = change.clone();
        (claims["iat"], claims["exp"]) = (json!(NOW + hour * 3600), json!(NOW + hour * 3600 + 7200));
        *corp.claims.borrow_mut() = claims;
        assert_eq!(browser.script(Method::GET, "/bff/api/x", "").status, StatusCode::OK, "{change}");
        assert_eq!(browser.session()["authenticated"], true, "{change}");
    }
    assert_eq!(browser.sent_to("https://id.corp.example/token").len(), 3, "the sign-in and two refreshes");
    assert!(browser.sent_to("https://id.corp.example/revoke").is_empty());
}

#[test]
fn s55_slow_revocation_of_mismatched_tokens_does_not_delay_the_end_of_the_session() {
    let corp = Corp::new();
    let browser = Browser::configured(&[corp::SETTINGS[0], corp::SETTINGS[1], ("SERVICES", CORP_API)], {
        let corp = Rc::clone(&corp);
        move |sent| corp.answer(sent)
    });
    browser.sign_in_at(&corp);
    wait(&browser, 3_600_000);
    *corp.claims.borrow_mut() = json!({"sub": "other"});
    // Token response and revocation together take longer than a refresh may.
    browser.platform.network_ms.set(12_000);
    let headers = [("x-csrf", "1"), ("origin", "https://edge.example")];
    let request = browser.request(Method::GET, "/bff/api/x", &headers, "");
    let answers = run_all(&browser.platform, vec![Box::pin(browser.edge.handle(&browser.platform, request))]);
    assert_eq!(answers[0].status, StatusCode::UNAUTHORIZED, "{:?}", browser.platform.log.borrow());
    browser.platform.network_ms.set(0);
    assert_eq!(browser.session()["authenticated"], false);
    assert_eq!(browser.sent_to("https://id.corp.example/revoke").len(), 1);
}
