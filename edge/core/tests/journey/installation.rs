//! Services called with a GitHub App's installation token: one token for all users, minted as rarely as possible.

use std::{cell::Cell, rc::Rc};

use causeway_core::{
    http::web::Response,
    testing::{
        body::InMemoryBody,
        entra::KEY,
        openid::parts,
        platform::{Answer, Sent},
        run::run_all,
    },
};
use futures_util::future::LocalBoxFuture;
use http::{Method, StatusCode};
use rsa::pkcs1::{EncodeRsaPrivateKey as _, LineEnding};
use serde_json::{Value, json};

use super::{Browser, JSON, code, github};

const API: &str = "https://api.example/x";

fn answer(status: u16, body: &Value) -> Option<Answer> {
    Some((status, vec![("content-type", JSON.to_owned())], body.to_string()))
}

const MINT: &str = "https://api.github.com/app/installations/7/access_tokens";

const SERVICES: &str = r#"[
    {"name":"docs","url":"https://api.example","users_of":["github"],"installation":{"id":7,"permissions":{"contents":"read"},"repositories":["docs"]},"allow":["GET /x"]},
    {"name":"notes","url":"https://api.example","users_of":["github"],"installation":{"id":7,"permissions":{"issues":"write"}},"allow":["GET /x"]}
]"#;

fn app_settings() -> Vec<(&'static str, String)> {
    let pem = KEY.to_pkcs1_pem(LineEnding::LF).unwrap().replace('\n', "\\n");
    vec![("SERVICES", SERVICES.to_owned()), ("GITHUB_APP_ID", "Iv1.app".to_owned()), ("GITHUB_APP_KEY", pem)]
}

fn borrowed<'a>(settings: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    settings.iter().map(|(key, value)| (*key, value.as_str())).collect()
}

/// A browser at an edge with installation services, and the number of tokens minted. `refusal`: what GitHub answers
/// instead of a token.
fn at_app(lives_seconds: i64, instead: Option<Answer>) -> (Browser, Rc<Cell<u32>>) {
    let minted = Rc::new(Cell::new(0));
    let count = Rc::clone(&minted);
    let browser = Browser::configured(&borrowed(&app_settings()), move |sent| match sent.url.as_str() {
        MINT if instead.is_some() => instead.clone(),
        MINT => {
            count.set(count.get() + 1);
            let asked: Value = serde_json::from_str(&sent.body).unwrap();
            let end = chrono::DateTime::from_timestamp(1_800_000_000 + lives_seconds, 0).unwrap();
            answer(
                201,
                &json!({"token": format!("ghs_{}", count.get()), "expires_at": end.to_rfc3339(), "permissions": asked["permissions"]}),
            )
        }
        API if sent.headers["authorization"] == "Bearer ghs_3" => answer(401, &json!({})),
        API => answer(200, &json!({})),
        _ => github(sent),
    });
    (browser, minted)
}

/// Calls the service while time passes: the edge may pause before it sends a new token again.
fn call_over_time(browser: &Browser, service: &str) -> Response<InMemoryBody> {
    let headers = [("x-csrf", "1"), ("origin", "https://edge.example")];
    let request = browser.request(Method::GET, &format!("/bff/{service}/x"), &headers, "");
    let call: LocalBoxFuture<'_, _> = Box::pin(browser.edge.handle(&browser.platform, request));
    run_all(&browser.platform, vec![call]).pop().unwrap()
}

#[test]
fn app_service_is_called_with_the_app_token_which_is_stored_sealed() {
    let (browser, minted) = at_app(3600, None);
    assert_eq!(browser.script(Method::GET, "/bff/docs/x", "").status, StatusCode::UNAUTHORIZED);
    assert_eq!(minted.get(), 0, "no token is minted without a session");
    browser.sign_in();
    for _ in 0..3 {
        assert_eq!(browser.script(Method::GET, "/bff/docs/x", "").status, StatusCode::OK);
    }
    assert_eq!(minted.get(), 1);
    assert!(browser.sent_to(API).iter().all(|sent| sent.headers["authorization"] == "Bearer ghs_1"));
    let stored: Vec<u8> = browser.platform.kv.borrow().values().flatten().copied().collect();
    assert!(!stored.windows(5).any(|bytes| bytes == b"ghs_1"));
    // Other permissions need another token.
    assert_eq!(browser.script(Method::GET, "/bff/notes/x", "").status, StatusCode::OK);
    assert_eq!(minted.get(), 2);
    assert_eq!(browser.sent_to(API).last().unwrap().headers["authorization"], "Bearer ghs_2");
    // It is not used in its last five minutes. A new token that is rejected is replaced after a minute.
    let pass = |seconds: u64| browser.platform.now_ms.set(browser.platform.now_ms.get() + seconds * 1000);
    pass(3600 - 299);
    assert_eq!(code(&call_over_time(&browser, "docs")), "bad-gateway");
    assert_eq!(minted.get(), 3);
    pass(60);
    assert_eq!(browser.script(Method::GET, "/bff/docs/x", "").status, StatusCode::OK);
    assert_eq!(minted.get(), 4);
    assert_eq!(browser.sent_to(API).last().unwrap().headers["authorization"], "Bearer ghs_4");
}

#[test]
fn call_during_a_store_outage_succeeds_with_a_new_token() {
    let (browser, minted) = at_app(3600, None);
    browser.sign_in();
    browser.platform.kv_down.set(true);
    assert_eq!(browser.script(Method::GET, "/bff/docs/x", "").status, StatusCode::OK);
    assert_eq!(minted.get(), 1);
}

#[test]
fn token_rejected_by_github_is_an_outage_not_a_user_error() {
    let (browser, _) = at_app(3600, answer(404, &json!({})));
    browser.sign_in();
    let call = || browser.script(Method::GET, "/bff/docs/x", "");
    for _ in 0..5 {
        assert_eq!(code(&call()), "bad-gateway");
    }
    assert!(browser.session()["authenticated"] == true && browser.sent_to(API).is_empty());
    assert_eq!(browser.sent_to(MINT).len(), 1, "nor does every request ask for it");
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 5_000);
    call();
    assert_eq!(browser.sent_to(MINT).len(), 2);
}

#[test]
fn github_rate_limit_is_an_outage_with_retry_after() {
    for status in [403, 429] {
        let limited = (status, vec![("retry-after", "40".to_owned())], "{}".to_owned());
        let (browser, _) = at_app(3600, Some(limited));
        browser.sign_in();
        for (wait, passes_ms) in [("40", 0), ("40", 30_000), ("10", 0)] {
            let response = browser.script(Method::GET, "/bff/docs/x", "");
            assert_eq!((response.status, code(&response).as_str()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
            assert_eq!(response.headers["retry-after"], wait);
            browser.platform.now_ms.set(browser.platform.now_ms.get() + passes_ms);
        }
        assert_eq!(browser.sent_to(MINT).len(), 1, "it is left alone");
    }
}

#[test]
fn concurrent_calls_mint_one_token() {
    let (browser, minted) = at_app(3600, None);
    browser.sign_in();
    browser.platform.network_ms.set(400);
    let calls = (0..20).map(|_| -> LocalBoxFuture<'_, StatusCode> {
        Box::pin(async {
            let headers = [("x-csrf", "1"), ("origin", "https://edge.example")];
            let request = browser.request(Method::GET, "/bff/docs/x", &headers, "");
            browser.edge.handle(&browser.platform, request).await.status
        })
    });
    assert_eq!(run_all(&browser.platform, calls.collect()), [StatusCode::OK; 20]);
    assert_eq!((minted.get(), browser.sent_to(API).len()), (1, 20));
    let other = browser.at_another_edge(&borrowed(&app_settings()));
    other.platform.network_ms.set(0);
    assert_eq!(other.script(Method::GET, "/bff/docs/x", "").status, StatusCode::OK);
    assert_eq!(minted.get(), 1, "other isolates read it from the store");
}

#[test]
fn expiring_token_is_used_during_an_outage_if_it_outlives_the_call() {
    for (status, retry_after) in [(503, vec![]), (429, vec![("retry-after", "40".to_owned())])] {
        let fails = Rc::new(Cell::new(false));
        let (is_down, refuses) = (Rc::clone(&fails), Rc::new(Cell::new(false)));
        let refused = Rc::clone(&refuses);
        let browser = Browser::configured(&borrowed(&app_settings()), move |sent| match sent.url.as_str() {
            MINT if is_down.get() => Some((status, retry_after.clone(), String::new())),
            MINT => answer(201, &json!({"token": "ghs_1", "expires_at": "2027-01-15T09:00:00Z"})),
            API if refused.get() => answer(401, &json!({})),
            API => answer(200, &json!({})),
            _ => github(sent),
        });
        browser.sign_in();
        let pass = |browser: &Browser, seconds: u64| {
            browser.platform.now_ms.set(browser.platform.now_ms.get() + seconds * 1000);
        };
        let call = |browser: &Browser| browser.script(Method::GET, "/bff/docs/x", "").status;
        assert_eq!(call(&browser), StatusCode::OK);
        fails.set(true);
        pass(&browser, 56 * 60);
        // Another isolate reads it from the store.
        let browser = browser.at_another_edge(&borrowed(&app_settings()));
        for _ in 0..5 {
            assert_eq!(call(&browser), StatusCode::OK, "4 min are left: {status}");
        }
        assert_eq!(browser.sent_to(MINT).len(), 2, "GitHub is left alone all the same");
        refuses.set(true);
        assert_eq!(call(&browser), StatusCode::SERVICE_UNAVAILABLE, "nothing is left of one that the API refuses");
        refuses.set(false);
        pass(&browser, 3 * 60 + 31);
        let before = browser.sent_to(API).len();
        assert_eq!(call(&browser), StatusCode::SERVICE_UNAVAILABLE, "29 s are left, of a call that may take 30");
        assert_eq!(browser.sent_to(API).len(), before);
    }
}

#[test]
fn s72_token_stored_under_another_key_does_not_open() {
    let (browser, minted) = at_app(3600, None);
    browser.sign_in();
    for service in ["docs", "notes"] {
        browser.script(Method::GET, &format!("/bff/{service}/x"), "");
    }
    let mut kv = browser.platform.kv.borrow_mut();
    let keys: Vec<String> = kv.keys().filter(|key| key.starts_with("installation:")).cloned().collect();
    let [one, other] = keys.try_into().unwrap();
    let (first, second) = (kv.remove(&one).unwrap(), kv.remove(&other).unwrap());
    kv.insert(one, second);
    kv.insert(other, first);
    drop(kv);
    let browser = browser.at_another_edge(&borrowed(&app_settings()));
    call_over_time(&browser, "notes");
    assert_eq!(
        minted.get(),
        3,
        "what was found was of no use; the new one is refused here, too, and not replaced at once"
    );
}

#[test]
fn m16_token_of_another_github_instance_is_never_sent() {
    const ELSEWHERE: &str = "https://ghe.example/api/v3/app/installations/7/access_tokens";
    let browser = Browser::configured(&borrowed(&app_settings()), |sent| match sent.url.as_str() {
        MINT => answer(201, &json!({"token": "ghs_here", "expires_at": "2027-01-15T09:00:00Z"})),
        ELSEWHERE => answer(201, &json!({"token": "ghs_elsewhere", "expires_at": "2027-01-15T09:00:00Z"})),
        API => answer(200, &json!({})),
        _ => github(sent),
    });
    browser.sign_in();
    browser.script(Method::GET, "/bff/docs/x", "");
    let mut settings = app_settings();
    settings.push(("GITHUB_API_URL", "https://ghe.example/api/v3".to_owned()));
    let browser = browser.at_another_edge(&borrowed(&settings));
    assert_eq!(browser.script(Method::GET, "/bff/docs/x", "").status, StatusCode::OK);
    let sent = browser.sent_to(API);
    let tokens: Vec<_> = sent.iter().map(|sent| &sent.headers["authorization"]).collect();
    assert_eq!(tokens, ["Bearer ghs_here", "Bearer ghs_elsewhere"]);
}

/// Clock skews that GitHub accepts, in minutes ahead of its own clock.
const CLOCKS: [i64; 6] = [-4, -1, 0, 1, 2, 5];

/// Whether GitHub accepts the app's JWT, by its own clock (in seconds).
fn is_believed(sent: &Sent, now: i64) -> bool {
    let (_, claims) = parts(sent.headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap());
    let time = |name: &str| claims[name].as_i64().unwrap();
    time("iat") <= now && (now + 1..=now + 600).contains(&time("exp"))
}

/// An edge whose clock is this many minutes ahead of GitHub's, calling an API that rejects chosen tokens; the number of
/// tokens minted; and a function that advances time by seconds.
fn at_clock(
    minutes: i64,
    refuses: impl Fn(&str) -> bool + 'static,
) -> (Browser, Rc<Cell<u32>>, impl Fn(&Browser, i64)) {
    let (minted, github_now) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(1_800_000_000_i64)));
    let (count, clock) = (Rc::clone(&minted), Rc::clone(&github_now));
    let browser = Browser::configured(&borrowed(&app_settings()), move |sent| match sent.url.as_str() {
        MINT if !is_believed(sent, clock.get()) => answer(401, &json!({})),
        MINT => {
            count.set(count.get() + 1);
            let end = chrono::DateTime::from_timestamp(clock.get() + 3600, 0).unwrap();
            answer(201, &json!({"token": format!("ghs_{}", count.get()), "expires_at": end.to_rfc3339()}))
        }
        API if refuses(sent.headers["authorization"].to_str().unwrap()) => answer(401, &json!({})),
        API => answer(200, &json!({})),
        _ => github(sent),
    });
    let set = move |browser: &Browser, seconds: i64| {
        github_now.set(github_now.get() + seconds);
        let ahead = github_now.get() + minutes * 60;
        browser.platform.now_ms.set(u64::try_from(ahead).unwrap() * 1000);
    };
    set(&browser, 0);
    browser.sign_in();
    (browser, minted, set)
}

#[test]
fn s117_always_rejected_token_is_replaced_once_a_minute_despite_clock_skew() {
    for minutes in CLOCKS {
        let (browser, minted, pass) = at_clock(minutes, |_| true);
        let call = |browser: &Browser| code(&call_over_time(browser, "docs"));
        for _ in 0..10 {
            assert_eq!(call(&browser), "bad-gateway");
        }
        assert_eq!(minted.get(), 1, "{minutes} min");
        pass(&browser, 61);
        for _ in 0..10 {
            assert_eq!(call(&browser), "bad-gateway");
        }
        assert_eq!(minted.get(), 2, "{minutes} min");
        // An isolate that read it from the store knows its age as well as the one that minted it.
        let other = browser.at_another_edge(&borrowed(&app_settings()));
        call(&other);
        assert_eq!(minted.get(), 2, "{minutes} min");
    }
}

#[test]
fn new_token_that_the_api_does_not_know_yet_is_sent_again_after_a_pause() {
    for (age_seconds, refusals, status, sends, waited_ms) in [
        (0, 1, StatusCode::OK, 2, 1000),
        (0, 2, StatusCode::OK, 3, 3000),
        (9, 1, StatusCode::OK, 2, 1000),
        (0, 9, StatusCode::BAD_GATEWAY, 3, 3000),
        // Then the API has another reason.
        (10, 9, StatusCode::BAD_GATEWAY, 2, 0),
    ] {
        let left = Rc::new(Cell::new(0_u32));
        let refusing = Rc::clone(&left);
        let refuses = move |_: &str| refusing.replace(refusing.get().saturating_sub(1)) > 0;
        let (browser, minted, pass) = at_clock(0, refuses);
        assert_eq!(browser.script(Method::GET, "/bff/docs/x", "").status, StatusCode::OK);
        pass(&browser, age_seconds);
        left.set(refusals);
        let began_ms = browser.platform.now_ms.get();
        let case = format!("{age_seconds} s old, refused {refusals} times");
        assert_eq!(call_over_time(&browser, "docs").status, status, "{case}");
        assert_eq!(browser.platform.now_ms.get() - began_ms, waited_ms, "{case}");
        assert_eq!((browser.sent_to(API).len() - 1, minted.get()), (sends, 1), "{case}");
    }
}

#[test]
fn new_token_is_not_sent_again_without_the_time_for_a_pause() {
    let services = SERVICES.replace("\"name\":\"docs\"", "\"name\":\"docs\",\"timeout_seconds\":1");
    let mut settings = app_settings();
    settings[0].1 = services;
    let browser = Browser::configured(&borrowed(&settings), |sent| match sent.url.as_str() {
        MINT => answer(201, &json!({"token": "ghs_1", "expires_at": "2027-01-15T09:00:00Z"})),
        API => answer(401, &json!({})),
        _ => github(sent),
    });
    browser.sign_in();
    assert_eq!(code(&browser.script(Method::GET, "/bff/docs/x", "")), "bad-gateway");
}

#[test]
fn clock_skew_beyond_githubs_limit_is_reported() {
    for minutes in [-6, 6] {
        let (browser, minted, _) = at_clock(minutes, |_| false);
        assert_eq!(code(&browser.script(Method::GET, "/bff/docs/x", "")), "bad-gateway", "{minutes} min");
        assert_eq!((minted.get(), browser.sent_to(API).len()), (0, 0));
        assert!(browser.platform.log.borrow().iter().any(|line| line.contains("installation.refused")));
    }
}

#[test]
fn s117_revoked_token_is_replaced_at_once_despite_clock_skew() {
    for minutes in CLOCKS {
        let (browser, minted, pass) = at_clock(minutes, |authorization| authorization == "Bearer ghs_1");
        call_over_time(&browser, "docs");
        pass(&browser, 90);
        assert_eq!(browser.script(Method::GET, "/bff/docs/x", "").status, StatusCode::OK, "{minutes} min");
        assert_eq!(minted.get(), 2, "{minutes} min");
    }
}

#[test]
fn s117_token_is_not_used_in_its_last_minutes_despite_clock_skew() {
    for minutes in CLOCKS {
        let (browser, minted, pass) = at_clock(minutes, |_| false);
        browser.script(Method::GET, "/bff/docs/x", "");
        pass(&browser, 45 * 60);
        browser.script(Method::GET, "/bff/docs/x", "");
        assert_eq!(minted.get(), 1, "{minutes} min");
        pass(&browser, 10 * 60 + 1);
        browser.script(Method::GET, "/bff/docs/x", "");
        assert_eq!(minted.get(), 2, "{minutes} min");
    }
}
