//! No answer waits for a copy in the key-value store, and nothing depends on one.

use std::cell::Cell;

use causeway_core::{
    edge::Deferred,
    http::web::{Request, Response},
    testing::{
        body::InMemoryBody,
        run::{run, run_all},
    },
};
use http::{Method, StatusCode};

use super::{Browser, JSON, github};

/// What the edge answers, how long that takes, and the work that it leaves.
fn answer(browser: &Browser, request: Request<InMemoryBody>) -> (Response<InMemoryBody>, u64, Option<Deferred>) {
    let platform = &browser.platform;
    let began_ms = platform.now_ms.get();
    let (response, deferred) = run_all(platform, vec![Box::pin(browser.edge.answer(platform, request))]).remove(0);
    browser.store_cookies(&response);
    (response, platform.now_ms.get() - began_ms, deferred)
}

fn script(browser: &Browser, method: Method, target: &str) -> Request<InMemoryBody> {
    browser.request(method, target, &[("x-csrf", "1"), ("origin", "https://edge.example")], "")
}

fn copies(browser: &Browser) -> Vec<Vec<u8>> {
    let kv = browser.platform.kv.borrow();
    kv.iter().filter(|(key, _)| key.starts_with("session:")).map(|(_, copy)| copy.clone()).collect()
}

#[test]
fn sign_in_refresh_and_sign_out_do_not_wait_for_the_key_value_store() {
    const TOKEN: &str = "https://github.com/login/oauth/access_token";
    let mut browser = Browser::new(|sent| match sent.url.as_str() {
        TOKEN => {
            let number = if sent.body.contains("code=good") { 1 } else { 2 };
            let tokens = format!(
                r#"{{"access_token":"ghu_{number}","refresh_token":"ghr_{number}","token_type":"bearer","expires_in":3600}}"#
            );
            Some((200, vec![("content-type", JSON.to_owned())], tokens))
        }
        _ => github(sent),
    });
    let callback = format!("/auth/github/callback?code=good&state={}", browser.start());
    browser.platform.kv_hangs.set(true);
    let (response, took_ms, sign_in) = answer(&browser, browser.request(Method::GET, &callback, &[], ""));
    assert_eq!((response.status, took_ms), (StatusCode::SEE_OTHER, 0));
    // The same session, with its first copy still to be written.
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 3_600_000);
    let (response, took_ms, refresh) = answer(&browser, script(&browser, Method::GET, "/bff/github/user"));
    assert_eq!((response.status, took_ms), (StatusCode::OK, 0));
    assert_eq!(browser.sent_to(TOKEN).len(), 2);
    assert!(copies(&browser).is_empty());
    browser.platform.kv_hangs.set(false);
    // The newer copy is overtaken by the older one.
    run(browser.edge.run_deferred(&browser.platform, refresh.unwrap()));
    let second = copies(&browser);
    run(browser.edge.run_deferred(&browser.platform, sign_in.unwrap()));
    assert_eq!((second.len(), copies(&browser).len()), (1, 1));
    assert_ne!(copies(&browser), second);
    // No isolate takes it for the session's record.
    browser.goes_to(None);
    assert_eq!(browser.script(Method::GET, "/bff/github/user", "").status, StatusCode::OK);
    assert_eq!(browser.sent_to(TOKEN).len(), 2, "the refreshed token is used");
    browser.platform.kv_hangs.set(true);
    let (response, took_ms, sign_out) = answer(&browser, script(&browser, Method::POST, "/auth/logout"));
    assert!(response.status.is_success());
    assert_eq!(took_ms, 0);
    assert_eq!(copies(&browser).len(), 1);
    browser.platform.kv_hangs.set(false);
    run(browser.edge.run_deferred(&browser.platform, sign_out.unwrap()));
    assert!(copies(&browser).is_empty());
}

#[test]
fn damaged_copy_is_replaced_by_the_coordinators_record() {
    let mut browser = Browser::new(github);
    browser.sign_in();
    let intact = copies(&browser);
    for (key, copy) in browser.platform.kv.borrow_mut().iter_mut() {
        if key.starts_with("session:") {
            *copy.last_mut().unwrap() ^= 1;
        }
    }
    assert_ne!(copies(&browser), intact);
    for (expected, why) in [(2, "status and record"), (1, "the copy is good again")] {
        browser.goes_to(None);
        browser.platform.command_count.set(0);
        for _ in 0..10 {
            assert_eq!(browser.script(Method::GET, "/bff/github/user", "").status, StatusCode::OK);
        }
        assert_eq!(browser.platform.command_count.get(), expected, "{why}");
        assert_eq!(copies(&browser), intact);
    }
}

#[test]
fn isolate_that_ends_before_the_copy_is_written_costs_nothing_but_the_copy() {
    let mut browser = Browser::new(github);
    let state = browser.start();
    let callback = format!("/auth/github/callback?code=good&state={state}");
    let (_, _, left) = answer(&browser, browser.request(Method::GET, &callback, &[], ""));
    drop(left.unwrap());
    browser.goes_to(None);
    assert!(copies(&browser).is_empty());
    assert_eq!(browser.session()["authenticated"], true);
    // And a copy that is written after the session's end opens nothing.
    let state = browser.start();
    let callback = format!("/auth/github/callback?code=good&state={state}");
    let (_, _, left) = answer(&browser, browser.request(Method::GET, &callback, &[], ""));
    let cookies = browser.cookies.borrow().clone();
    assert!(browser.script(Method::POST, "/auth/logout", "").status.is_success());
    run(browser.edge.run_deferred(&browser.platform, left.unwrap()));
    assert_eq!(copies(&browser).len(), 1);
    browser.swap(cookies);
    browser.goes_to(None);
    assert_eq!(browser.session()["authenticated"], false);
}

#[test]
fn failed_copy_is_logged_with_the_id_of_its_request() {
    let browser = Browser::new(github);
    let state = browser.start();
    browser.platform.kv_hangs.set(true);
    let callback = format!("/auth/github/callback?code=good&state={state}");
    let (response, _, left) = answer(&browser, browser.request(Method::GET, &callback, &[], ""));
    let (platform, began_ms) = (&browser.platform, browser.platform.now_ms.get());
    run_all(platform, vec![Box::pin(browser.edge.run_deferred(platform, left.unwrap()))]);
    assert_eq!(platform.now_ms.get() - began_ms, 5000);
    let log = platform.log.borrow();
    let line = log.iter().find(|line| line.contains("session.kv-put")).unwrap();
    assert!(line.contains(response.headers["x-request-id"].to_str().unwrap()) && line.contains("no answer in time"));
}

#[test]
fn slow_copy_is_not_waited_for() {
    let mut browser = Browser::new(github);
    browser.sign_in();
    browser.goes_to(None);
    browser.platform.kv_hangs.set(true);
    let asked = Cell::new(browser.platform.command_count.get());
    let commands = || browser.platform.command_count.get() - asked.replace(browser.platform.command_count.get());
    let (response, took_ms, _) = answer(&browser, script(&browser, Method::GET, "/auth/session"));
    assert_eq!((response.status, took_ms, commands()), (StatusCode::OK, 500, 2));
    // An isolate that knows the record does not look for the copy again.
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 60_000);
    let (response, took_ms, _) = answer(&browser, script(&browser, Method::GET, "/auth/session"));
    assert_eq!((response.status, took_ms, commands()), (StatusCode::OK, 0, 1));
}
