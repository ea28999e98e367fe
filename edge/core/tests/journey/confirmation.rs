//! The coordinator confirms a session once per revocation bound and isolate, for all its requests.

use causeway_core::testing::run::run_all;
use futures_util::future::LocalBoxFuture;
use http::{Method, StatusCode};

use super::{Browser, github, text};

const BOUND_MS: u64 = 10_000;

impl Browser {
    /// Requests the session so many times at once. Returns whether each was authenticated.
    fn sessions_at_once(&self, count: usize) -> Vec<bool> {
        run_all(&self.platform, (0..count).map(|_| self.asks_for_session(0)).collect())
    }

    /// Requests the session after a while.
    fn asks_for_session(&self, after_ms: u64) -> LocalBoxFuture<'_, bool> {
        let headers = [("x-csrf", "1"), ("origin", "https://edge.example")];
        let request = self.request(Method::GET, "/auth/session", &headers, "");
        Box::pin(async move {
            self.after(after_ms).await;
            let response = self.edge.handle(&self.platform, request).await;
            response.status == StatusCode::OK && text(&response).contains(r#""authenticated":true"#)
        })
    }

    fn after(&self, ms: u64) -> LocalBoxFuture<'static, ()> {
        use causeway_core::runtime::clock::Clock as _;
        self.platform.sleep(std::time::Duration::from_millis(ms))
    }
}

#[test]
fn coordinator_is_asked_once_per_session_and_bound() {
    let mut browser = Browser::new(github);
    browser.sign_in();
    let asked = |browser: &Browser| browser.platform.command_count.replace(0);
    asked(&browser);
    browser.sessions_at_once(20);
    assert_eq!(asked(&browser), 0, "the isolate that created the session knows it");
    browser.goes_to(None);
    browser.platform.coordinator_ms.set(40);
    for bound in 0..5 {
        assert_eq!(browser.sessions_at_once(50), [true; 50]);
        for _ in 0..50 {
            assert_eq!(browser.sessions_at_once(1), [true]);
        }
        assert_eq!(asked(&browser), 1, "bound {bound}");
        browser.platform.now_ms.set(browser.platform.now_ms.get() + BOUND_MS);
    }
    // Two sessions are two questions.
    let first = browser.swap(Vec::new());
    browser.platform.coordinator_ms.set(0);
    browser.sign_in();
    browser.goes_to(None);
    asked(&browser);
    browser.sessions_at_once(10);
    browser.swap(first);
    browser.sessions_at_once(10);
    assert_eq!(asked(&browser), 2);
}

#[test]
fn call_without_a_usable_account_keeps_the_sessions_confirmation() {
    let browser = Browser::new(github);
    browser.sign_in();
    let call = || super::code(&browser.script(Method::GET, "/bff/graph/v1.0/me", ""));
    let asked = || browser.platform.command_count.replace(0);
    let pass = |ms| browser.platform.now_ms.set(browser.platform.now_ms.get() + ms);
    asked();
    for expected in [0, 1, 1] {
        for _ in 0..20 {
            assert_eq!(call(), "provider-sign-in-needed");
        }
        assert_eq!(asked(), expected, "at most once a second");
        pass(1_000);
    }
    // At once as well.
    browser.platform.coordinator_ms.set(40);
    let calls = (0..20).map(|_| -> LocalBoxFuture<'_, StatusCode> {
        let headers = [("x-csrf", "1"), ("origin", "https://edge.example")];
        let request = browser.request(Method::GET, "/bff/graph/v1.0/me", &headers, "");
        Box::pin(async { browser.edge.handle(&browser.platform, request).await.status })
    });
    assert_eq!(run_all(&browser.platform, calls.collect()), [StatusCode::UNAUTHORIZED; 20]);
    assert_eq!(asked(), 1);
    // During an outage such a call fails, but takes nothing from the other requests of its session.
    pass(1_000);
    browser.platform.coordinator_down.set(true);
    assert_eq!(call(), "unavailable");
    assert_eq!(browser.sessions_at_once(3), [true; 3]);
}

#[test]
fn slow_coordinator_is_asked_once_a_second_however_many_wait() {
    let mut browser = Browser::new(github);
    browser.sign_in();
    browser.goes_to(None);
    browser.platform.coordinator_ms.set(2_500);
    browser.platform.command_count.set(0);
    let began_ms = browser.platform.now_ms.get();
    assert_eq!(browser.sessions_at_once(50), [true; 50]);
    assert!(browser.platform.command_count.get() <= 3, "{} questions", browser.platform.command_count.get());
    assert!(browser.platform.now_ms.get() - began_ms < 5_500, "nobody waits for long");
}

#[test]
fn without_a_bound_each_request_asks_the_coordinator() {
    let browser = Browser::configured(&[("REVOCATION_BOUND_SECONDS", "0")], github);
    browser.sign_in();
    browser.platform.coordinator_ms.set(40);
    browser.platform.command_count.set(0);
    let began_ms = browser.platform.now_ms.get();
    assert_eq!(browser.sessions_at_once(10), [true; 10]);
    assert_eq!((browser.platform.command_count.get(), browser.platform.now_ms.get() - began_ms), (10, 40));
}

#[test]
fn shared_confirmation_counts_from_when_it_was_asked_for() {
    let mut browser = Browser::new(github);
    browser.sign_in();
    browser.goes_to(None);
    let began_ms = browser.platform.now_ms.get();
    browser.platform.coordinator_ms.set(900);
    browser.platform.command_count.set(0);
    assert_eq!(
        run_all(&browser.platform, vec![browser.asks_for_session(0), browser.asks_for_session(800)]),
        [true, true]
    );
    assert_eq!(browser.platform.command_count.get(), 1);
    browser.platform.coordinator_ms.set(0);
    browser.platform.now_ms.set(began_ms + BOUND_MS - 1);
    browser.sessions_at_once(1);
    assert_eq!(browser.platform.command_count.get(), 1);
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 1);
    browser.sessions_at_once(1);
    assert_eq!(browser.platform.command_count.get(), 2);
}

#[test]
fn hung_request_delays_others_of_its_session_by_a_second() {
    let mut browser = Browser::new(github);
    browser.sign_in();
    browser.goes_to(None);
    let (platform, began_ms) = (&browser.platform, browser.platform.now_ms.get());
    platform.coordinator_hangs.set(true);
    let recovers: LocalBoxFuture<'_, bool> = Box::pin(async {
        browser.after(10).await;
        platform.coordinator_hangs.set(false);
        let answered = browser.asks_for_session(0).await;
        assert!((1010..1250).contains(&(platform.now_ms.get() - began_ms)));
        // From then on the session is known.
        assert!(browser.asks_for_session(0).await && platform.now_ms.get() - began_ms < 1250);
        answered
    });
    assert_eq!(run_all(platform, vec![browser.asks_for_session(0), recovers]), [false, true]);
    assert_eq!(platform.now_ms.get() - began_ms, 5000, "the hung one gives up by itself");
}

/// Requests that lose their patience with each other must not keep each other's answers out of memory.
#[test]
fn slow_coordinator_is_not_asked_by_every_request() {
    let mut browser = Browser::new(github);
    browser.sign_in();
    browser.goes_to(None);
    browser.platform.coordinator_ms.set(1500);
    browser.platform.command_count.set(0);
    let requests: Vec<_> = (0..50).map(|n| browser.asks_for_session(100 * n)).collect();
    assert_eq!(run_all(&browser.platform, requests), [true; 50]);
    assert!(browser.platform.command_count.get() < 10, "{}", browser.platform.command_count.get());
}

#[test]
fn session_that_ended_here_is_not_revived_by_an_earlier_confirmation() {
    let mut browser = Browser::new(github);
    browser.sign_in();
    browser.goes_to(None);
    let platform = &browser.platform;
    platform.coordinator_ms.set(300);
    let (logout, cookies) = (
        browser.request(Method::POST, "/auth/logout", &[("x-csrf", "1"), ("origin", "https://edge.example")], ""),
        browser.cookies.borrow().clone(),
    );
    let signs_out: LocalBoxFuture<'_, bool> = Box::pin(async {
        browser.after(100).await;
        platform.coordinator_ms.set(0);
        let response = browser.edge.handle(platform, logout).await;
        assert_eq!(response.status, StatusCode::NO_CONTENT);
        browser.asks_for_session(0).await
    });
    let answers = run_all(platform, vec![browser.asks_for_session(0), signs_out]);
    assert_eq!(answers, [true, false], "the first was confirmed before the end");
    assert_eq!(*browser.cookies.borrow(), cookies);
    assert_eq!(browser.sessions_at_once(3), [false; 3]);
}
