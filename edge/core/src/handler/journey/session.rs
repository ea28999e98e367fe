//! What a session is worth: cookies that are broken, stores that lag, revocation, expiry.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use http::{Method, StatusCode};
use serde_json::Value;

use super::{Browser, github, text};
use crate::{
    seal::{self, Binding, Purpose},
    session::store::SESSION_COOKIE,
    simulated::{key_ring, key_ring_text},
};

#[test]
fn s133_no_log_line_and_no_store_holds_a_token() {
    let browser = Browser::new(github);
    browser.sign_in();
    browser.session();
    browser.get("/auth/github/callback?code=bad&state=x");
    let log: Vec<String> = browser.platform.log.borrow().iter().cloned().collect();
    for secret in ["gho_secret", "github-secret-value", "code=good"] {
        assert!(!log.iter().any(|line| line.contains(secret)));
    }
    let stored = browser.platform.kv.borrow().values().cloned().collect::<Vec<_>>().concat();
    assert!(!stored.windows(10).any(|window| window == b"gho_secret"), "tokens rest sealed");
}

#[test]
fn s60_s62_s145_every_broken_cookie_is_the_same_401() {
    let browser = Browser::new(github);
    browser.sign_in();
    let (name, good) = browser.cookies.borrow()[0].clone();
    let cut = &good[..good.len() - 1];
    let answers =
        [String::new(), "x".to_owned(), cut.to_owned(), format!("{good}A"), good.to_uppercase()].map(|value| {
            *browser.cookies.borrow_mut() = vec![(name.clone(), value)];
            let response = browser.get("/stream");
            assert_eq!(response.status, StatusCode::UNAUTHORIZED);
            let mut problem: Value = serde_json::from_str(&text(&response)).unwrap();
            problem["request_id"] = Value::Null;
            problem.to_string()
        });
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    *browser.cookies.borrow_mut() = vec![(name.clone(), good.clone()), (name, good.clone())];
    assert_eq!(browser.get("/stream").status, StatusCode::UNAUTHORIZED, "a tossed twin");
    *browser.cookies.borrow_mut() = vec![("session".to_owned(), good)];
    assert_eq!(browser.get("/stream").status, StatusCode::UNAUTHORIZED, "an unprefixed twin");
}

#[test]
fn s71_a_session_is_over_when_it_is_over() {
    let browser = Browser::new(github);
    browser.sign_in();
    let expires_in = browser.session()["expires_in"].as_u64().unwrap();
    browser.platform.now_ms.set(browser.platform.now_ms.get() + expires_in * 1000);
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn s112_s119_a_store_that_lags_or_fails_signs_nobody_out() {
    let browser = Browser::new(github);
    browser.sign_in();
    browser.platform.kv.borrow_mut().clear();
    assert_eq!(browser.session()["authenticated"], true, "a record that has not arrived yet");
    browser.platform.kv_down.set(true);
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 60_000);
    assert_eq!(browser.session()["authenticated"], true, "no key-value store at all");
    browser.platform.coordinator_down.set(true);
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 60_000);
    let response = browser.script(Method::GET, "/auth/session", "");
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE, "nobody can tell, so nobody is signed in or out");
}

#[test]
fn s129_a_session_revoked_elsewhere_acts_no_longer_than_the_bound() {
    let browser = Browser::new(github);
    browser.sign_in();
    assert_eq!(browser.session()["authenticated"], true);
    browser.platform.change_sessions(|state| {
        state.revoked = true;
        state.record = None;
    });
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 10_000);
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn s63_s72_a_record_moved_to_another_session_opens_for_nobody() {
    let (first, second) = (Browser::new(github), Browser::new(github));
    first.sign_in();
    second.platform.random.skip();
    second.sign_in();
    let stolen = first.platform.kv.borrow().values().next().unwrap().clone();
    for value in second.platform.kv.borrow_mut().values_mut() {
        *value = stolen.clone();
    }
    assert_eq!(second.session()["authenticated"], true, "a damaged copy signs nobody out");
    let mut foreign = None;
    first.platform.change_sessions(|state| foreign = state.record.clone());
    second.platform.change_sessions(|state| state.record = foreign.clone());
    second.platform.now_ms.set(second.platform.now_ms.get() + 60_000);
    assert_eq!(second.get("/stream").status, StatusCode::UNAUTHORIZED);
}

#[test]
fn s64_an_older_key_opens_until_it_is_retired_and_what_it_sealed_is_sealed_anew() {
    let old = Browser::configured(&[("SESSION_KEYS", &key_ring_text("a"))], github);
    old.sign_in();
    let rotated = old.at_another_edge(&[("SESSION_KEYS", &key_ring_text("b,a"))]);
    let before = rotated.cookies.borrow().clone();
    assert_eq!(rotated.session()["authenticated"], true);
    assert_ne!(*rotated.cookies.borrow(), before, "a new cookie under the new key");
    let after = rotated.cookies.borrow().clone();
    assert_eq!(rotated.session()["authenticated"], true);
    assert_eq!(*rotated.cookies.borrow(), after, "once");
    let retired = rotated.at_another_edge(&[("SESSION_KEYS", &key_ring_text("b"))]);
    assert_eq!(retired.session()["authenticated"], true, "nothing needs the old key any more");
    *retired.cookies.borrow_mut() = before;
    assert_eq!(retired.session()["authenticated"], false, "and it opens nothing any more");
}

/// The cookie's own end is inside the seal: even a store that forgot to forget does not make it live longer.
#[test]
fn s65_a_cookie_without_its_end_or_after_it_is_no_cookie() {
    let browser = Browser::new(github);
    browser.sign_in();
    let (name, good) = browser.cookies.borrow()[0].clone();
    let context: [&[u8]; 2] = [SESSION_COOKIE.as_bytes(), b"https://edge.example"];
    let binding = Binding { purpose: Purpose::SessionCookie, context: &context, secret: b"" };
    let ring = key_ring("s");
    let plain = seal::open(&ring, binding, &BASE64.decode(&good).unwrap()).unwrap();
    let (_, id) = plain.split_first_chunk::<8>().unwrap();
    let answer = |plain: &[u8]| {
        browser.platform.random.skip();
        let sealed = seal::seal(&ring, &browser.platform, binding, plain).unwrap();
        *browser.cookies.borrow_mut() = vec![(name.clone(), BASE64.encode(sealed))];
        browser.session()["authenticated"] == true
    };
    assert!(answer(&plain), "as it was");
    assert!(!answer(id), "without an end");
    assert!(!answer(&[&(browser.platform.now_ms.get() - 1).to_be_bytes(), id].concat()), "after its end");
    assert!(!answer(&[plain.as_slice(), b"x"].concat()), "with something behind it");
    assert!(!answer(b""), "with nothing in it");
}

#[test]
fn s117_an_isolate_whose_clock_is_minutes_off_signs_nobody_out_and_lengthens_nothing() {
    let minutes_ms = 5 * 60 * 1000;
    let browser = Browser::new(github);
    browser.sign_in();
    let signed_in_at_ms = browser.platform.now_ms.get();
    for now_ms in [signed_in_at_ms + minutes_ms, signed_in_at_ms - minutes_ms, signed_in_at_ms] {
        browser.platform.now_ms.set(now_ms);
        assert_eq!(browser.session()["authenticated"], true, "{now_ms}");
    }
    browser.platform.change_sessions(|state| {
        state.revoked = true;
        state.record = None;
    });
    // What was remembered at a time that has not come yet is not believed until then.
    browser.platform.now_ms.set(signed_in_at_ms - minutes_ms);
    assert_eq!(browser.session()["authenticated"], false);
}
