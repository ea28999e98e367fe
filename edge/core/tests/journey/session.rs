//! Sessions under invalid cookies, stale stores, revocation and expiry.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_core::{
    http::{
        cookie::{MAX_COOKIE_BYTES, SESSION_COOKIE},
        web::Response,
    },
    seal::{self, Binding, Purpose},
    testing::{
        body::InMemoryBody,
        settings::{key_ring, key_ring_text},
    },
};
use http::{Method, StatusCode};
use serde_json::Value;

use super::{Browser, github, text};

#[test]
fn s133_no_log_line_or_store_holds_a_token() {
    let browser = Browser::new(github);
    browser.sign_in();
    browser.session();
    browser.get("/auth/github/callback?code=bad&state=x");
    let log: Vec<String> = browser.platform.log.borrow().iter().cloned().collect();
    for secret in ["gho_secret", "github-secret-value", "code=good"] {
        assert!(!log.iter().any(|line| line.contains(secret)));
    }
    let copies = browser.platform.kv.borrow().values().cloned().collect::<Vec<_>>();
    let states = browser.platform.machine_states.borrow().values().cloned().collect::<Vec<_>>();
    assert!(!copies.is_empty() && states.iter().any(|state| state.len() > 500), "a record is kept in both");
    // The coordinator's state holds bytes as text.
    let words =
        states.iter().flat_map(|state| state.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_'));
    let decoded = words.filter_map(|word| BASE64.decode(word).ok());
    let numbers = states.iter().filter_map(|state| serde_json::from_str::<Value>(state).ok());
    let listed = numbers.flat_map(|state| byte_lists(&state));
    let stored =
        copies.into_iter().chain(states.iter().map(|state| state.clone().into_bytes())).chain(decoded).chain(listed);
    for place in stored {
        assert!(!place.windows(10).any(|window| window == b"gho_secret"), "tokens are stored sealed");
    }
}

/// Every byte string in a JSON value.
fn byte_lists(value: &Value) -> Vec<Vec<u8>> {
    match value {
        Value::Array(list) => {
            let bytes: Option<Vec<u8>> = list.iter().map(|one| u8::try_from(one.as_u64()?).ok()).collect();
            bytes.map_or_else(|| list.iter().flat_map(byte_lists).collect(), |bytes| vec![bytes])
        }
        Value::Object(fields) => fields.values().flat_map(byte_lists).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn s60_s62_s145_every_invalid_cookie_gets_the_same_401() {
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
    assert_eq!(browser.get("/stream").status, StatusCode::UNAUTHORIZED, "a second cookie of the same name");
    *browser.cookies.borrow_mut() = vec![("session".to_owned(), good)];
    assert_eq!(browser.get("/stream").status, StatusCode::UNAUTHORIZED, "an unprefixed twin");
}

/// The names of the cookies that an answer removes; it sets none.
fn removed(response: &Response<InMemoryBody>) -> Vec<String> {
    let lines = response.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
    lines
        .map(|line| {
            assert!(line.contains("=; ") && line.contains("Max-Age=0"), "{line}");
            line.split_once('=').unwrap().0.to_owned()
        })
        .collect()
}

#[test]
fn s159_cookie_that_does_not_open_is_removed_once() {
    let browser = Browser::new(github);
    browser.sign_in();
    let (name, good) = browser.cookies.borrow()[0].clone();
    let targets = [
        ("/auth/session", StatusCode::OK),
        ("/auth/sessions", StatusCode::UNAUTHORIZED),
        ("/stream", StatusCode::UNAUTHORIZED),
        ("/bff/github/user", StatusCode::UNAUTHORIZED),
    ];
    for bad in ["", "x", &good[..good.len() - 1], &format!("{good}A"), &good.to_uppercase()] {
        for (target, status) in targets {
            *browser.cookies.borrow_mut() = vec![(name.clone(), bad.to_owned()), ("other".to_owned(), "1".to_owned())];
            let response = browser.script(Method::GET, target, "");
            assert_eq!(response.status, status, "{target} {bad}");
            assert_eq!(removed(&response), [SESSION_COOKIE; 2], "{target} {bad}");
            assert_eq!(*browser.cookies.borrow(), [("other".to_owned(), "1".to_owned())]);
            let response = browser.script(Method::GET, target, "");
            assert_eq!((response.status, removed(&response).len()), (status, 0), "{target} {bad}: once");
        }
    }
    // A navigation gets a page and no redirect.
    *browser.cookies.borrow_mut() = vec![(name.clone(), "x".to_owned())];
    let own = [("sec-fetch-site", "same-origin"), ("accept", "text/html")];
    let response = browser.send(Method::GET, "/auth/github/login?connect=1", &own, "");
    assert_eq!((response.status, removed(&response).len()), (StatusCode::UNAUTHORIZED, 2));
    // The user can sign in with such a cookie, and keeps the new one.
    *browser.cookies.borrow_mut() = vec![(name, "x".to_owned())];
    browser.sign_in();
    assert_eq!(browser.session()["authenticated"], true);
}

#[test]
fn s159_nothing_of_a_good_cookie_is_removed() {
    let browser = Browser::new(github);
    browser.sign_in();
    let (name, good) = browser.cookies.borrow()[0].clone();
    for pair in [["x", &*good], [&*good, "x"]] {
        let jar: Vec<_> = pair.map(|value| (name.clone(), value.to_owned())).into();
        *browser.cookies.borrow_mut() = jar.clone();
        for target in ["/auth/session", "/stream"] {
            assert_eq!(removed(&browser.script(Method::GET, target, "")).len(), 0, "{target}");
        }
        assert_eq!(*browser.cookies.borrow(), jar);
    }
    // A cookie that opens stays, whether its session has ended, or the coordinator does not answer.
    *browser.cookies.borrow_mut() = vec![(name.clone(), good)];
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 60_000);
    browser.platform.coordinator_down.set(true);
    assert_eq!(removed(&browser.script(Method::GET, "/stream", "")).len(), 0);
    browser.platform.coordinator_down.set(false);
    browser.platform.change_sessions(|state| {
        state.revoked = true;
        state.record = None;
    });
    let response = browser.script(Method::GET, "/stream", "");
    assert_eq!((response.status, removed(&response).len()), (StatusCode::UNAUTHORIZED, 0));
    // A request that is refused before its cookie is read removes nothing: another site could have sent it.
    *browser.cookies.borrow_mut() = vec![(name, "x".to_owned())];
    for headers in [&[][..], &[("x-csrf", "1"), ("origin", "https://evil.example")]] {
        let response = browser.send(Method::GET, "/auth/session", headers, "");
        assert_eq!((response.status, removed(&response).len()), (StatusCode::FORBIDDEN, 0));
    }
}

#[test]
fn s159_cookie_of_a_removed_key_is_removed() {
    let old = Browser::configured(&[("SESSION_KEYS", &key_ring_text("a"))], github);
    old.sign_in();
    let retired = old.at_another_edge(&[("SESSION_KEYS", &key_ring_text("b"))]);
    assert_eq!(retired.session()["authenticated"], false);
    assert!(retired.cookies.borrow().is_empty());
}

/// `city=Zürich; Domain=.example.com`: a browser keeps such a cookie, and its user could not sign in until it expires.
#[test]
fn s60_non_ascii_cookie_of_another_application_hides_neither_sign_in_nor_session() {
    let browser = Browser::new(github);
    browser.cookies.borrow_mut().push(("city".to_owned(), "Zürich".to_owned()));
    browser.sign_in();
    assert_eq!(browser.session()["authenticated"], true, "before the edge's own");
    browser.cookies.borrow_mut().reverse();
    assert_eq!(browser.session()["authenticated"], true, "after the edge's own");
    assert_eq!(browser.cookies.borrow().len(), 2);
}

#[test]
fn s71_session_expires_at_its_end() {
    let browser = Browser::new(github);
    browser.sign_in();
    let expires_in = browser.session()["expires_in"].as_u64().unwrap();
    browser.platform.now_ms.set(browser.platform.now_ms.get() + expires_in * 1000);
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn s112_s119_stale_or_failing_store_ends_no_session() {
    let browser = Browser::new(github);
    browser.sign_in();
    browser.platform.kv.borrow_mut().clear();
    assert_eq!(browser.session()["authenticated"], true, "a record that has not arrived yet");
    browser.platform.kv_down.set(true);
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 60_000);
    assert_eq!(browser.session()["authenticated"], true, "without a key-value store");
    browser.platform.coordinator_down.set(true);
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 60_000);
    let response = browser.script(Method::GET, "/auth/session", "");
    assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE, "the outcome is unknown, so nothing changes");
}

#[test]
fn s129_session_revoked_elsewhere_stops_within_the_bound() {
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
fn s63_s72_record_moved_to_another_session_does_not_open() {
    let (first, mut second) = (Browser::new(github), Browser::new(github));
    first.sign_in();
    second.platform.random.skip();
    second.sign_in();
    let stolen = first.platform.kv.borrow().values().next().unwrap().clone();
    for value in second.platform.kv.borrow_mut().values_mut() {
        *value = stolen.clone();
    }
    second.goes_to(None);
    assert_eq!(second.session()["authenticated"], true, "a damaged copy signs nobody out");
    let mut first_record = None;
    first.platform.change_sessions(|state| first_record = state.record.clone());
    second.platform.change_sessions(|state| state.record = first_record.clone());
    // The copy was good again.
    for value in second.platform.kv.borrow_mut().values_mut() {
        *value = stolen.clone();
    }
    second.goes_to(None);
    assert_eq!(second.get("/stream").status, StatusCode::UNAUTHORIZED);
}

#[test]
fn s64_old_key_opens_until_retired_and_its_data_is_resealed() {
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
    assert_eq!(retired.session()["authenticated"], true, "nothing is sealed under the old key");
    *retired.cookies.borrow_mut() = before;
    assert_eq!(retired.session()["authenticated"], false, "and it opens nothing any more");
}

/// The cookie's expiry is inside the seal, so a store that keeps data too long does not extend it.
#[test]
fn s65_truncated_or_expired_cookie_is_rejected() {
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
    assert!(!answer(id), "without an expiry");
    assert!(!answer(&[&(browser.platform.now_ms.get() - 1).to_be_bytes(), id].concat()), "after its end");
    assert!(!answer(&[plain.as_slice(), b"x"].concat()), "with trailing bytes");
    assert!(!answer(b""), "empty");
}

#[test]
fn s117_clock_skew_neither_signs_out_nor_extends_a_session() {
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
    // A record cached in the clock's future is not used.
    browser.platform.now_ms.set(signed_in_at_ms - minutes_ms);
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn s70_oversized_cookies_are_cleared_with_an_explanation() {
    let browser = Browser::new(github);
    browser.sign_in();
    let signed_in = browser.cookies.borrow().clone();
    let junk = |bytes: usize| ("junk".to_owned(), "x".repeat(bytes));
    browser.cookies.borrow_mut().push(junk(MAX_COOKIE_BYTES - 1_000));
    assert_eq!(browser.session()["authenticated"], true, "as many as are read");
    for headers in [vec![("x-csrf", "1")], vec![("accept", "text/html"), ("sec-fetch-mode", "navigate")]] {
        browser.platform.log.borrow_mut().clear();
        let mut cookies = signed_in.clone();
        cookies.extend([junk(MAX_COOKIE_BYTES), ("__Host-Http-login-x".to_owned(), String::new())]);
        // Cookies of other applications are left alone.
        cookies
            .extend(["__Host-Http-", "__Host-Http-a\"b", "__Host-other"].map(|name| (name.to_owned(), String::new())));
        *browser.cookies.borrow_mut() = cookies;
        let response = browser.send(Method::GET, "/auth/session", &headers, "");
        assert_eq!(response.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        assert!(text(&response).contains("headers-too-large"));
        let wants_page = headers.iter().any(|(name, _)| *name == "accept");
        let media = response.headers["content-type"].to_str().unwrap();
        assert_eq!(media, if wants_page { "text/html; charset=utf-8" } else { "application/problem+json" });
        assert_eq!(response.headers["cache-control"], "no-store");
        let cleared = response.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
        let cleared: Vec<&str> = cleared
            .filter_map(|line| line.contains("Max-Age=0").then(|| line.split_once('='))?)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(cleared, ["__Host-Http-login-x", SESSION_COOKIE, SESSION_COOKIE], "and its namesake");
        assert!(browser.platform.log.borrow().iter().any(|line| line.contains("\"reason\":\"headers-too-large\"")));
    }
    // The number of cleared cookies per response is bounded.
    let many = (0..3_000).map(|at| (format!("__Host-Http-login-{at}"), "x".to_owned()));
    *browser.cookies.borrow_mut() = many.collect();
    let response = browser.get("/auth/github/login");
    assert_eq!(response.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert!(response.headers.get_all("set-cookie").iter().count() <= 16);
    // Other headers count towards the limit, too.
    *browser.cookies.borrow_mut() = signed_in;
    let response = browser.send(Method::GET, "/auth/session", &[("x-csrf", "1"), ("x-long", &"x".repeat(70_000))], "");
    assert_eq!(response.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}
