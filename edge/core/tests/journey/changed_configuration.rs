//! Variables and secrets that change while an isolate lives.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use causeway_core::{
    config::{Coordination, Source},
    edge::{
        Edge,
        current::{CurrentEdge, Deployed, Reading},
    },
    http::web::Response,
    runtime::clock::Clock as _,
    testing::{
        body::InMemoryBody,
        run::{run, run_all},
        settings::{app_settings, key_ring_text, settings},
    },
};
use http::{Method, StatusCode};

use super::{
    Browser, code,
    deliver::{deliver, slice},
    github,
    listen::{ADA, Listener},
    text,
};

type Values = BTreeMap<String, String>;

/// An isolate and the variables of its deployment.
struct Isolate {
    variables: RefCell<Values>,
    /// Whether the runtime can read the variables.
    is_readable: bool,
    current: CurrentEdge<Values>,
}

impl Isolate {
    fn new() -> Self {
        Self { variables: RefCell::new(settings()), is_readable: true, current: CurrentEdge::new() }
    }

    fn set(&self, key: &str, value: &str) {
        self.variables.borrow_mut().insert(key.to_owned(), value.to_owned());
    }

    /// The edge of the next request.
    fn deployed(&self, now_ms: u64) -> Rc<Deployed<Values>> {
        let values = self.variables.borrow().clone();
        let reading = Reading { values, is_complete: self.is_readable, read_at_ms: now_ms };
        self.current.of(reading, |values| Edge::new(&Table(values), Coordination::Objects))
    }

    fn call(&self, browser: &Browser, target: &str) -> Response<InMemoryBody> {
        let headers = [("x-csrf", "1"), ("origin", "https://edge.example")];
        let deployed = self.deployed(browser.platform.now_ms());
        run(deployed.edge.handle(&browser.platform, browser.request(Method::GET, target, &headers, "")))
    }

    fn is_signed_in(&self, browser: &Browser) -> bool {
        text(&self.call(browser, "/auth/session")).contains("\"authenticated\":true")
    }
}

struct Table<'a>(&'a Values);

impl Source for Table<'_> {
    fn get(&self, key: &str) -> Option<String> {
        self.0.get(key).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

fn signed_in() -> Browser {
    let browser = Browser::new(github);
    browser.sign_in();
    browser
}

/// How many lines of this event the log has.
fn logged(browser: &Browser, event: &str) -> usize {
    let event = format!("\"event\":\"{event}\"");
    browser.platform.log.borrow().iter().filter(|line| line.contains(&event)).count()
}

#[test]
fn s165_removed_session_key_ends_its_sessions_with_the_next_request() {
    let (browser, isolate) = (signed_in(), Isolate::new());
    assert!(isolate.is_signed_in(&browser));
    isolate.set("SESSION_KEYS", &key_ring_text("s,new"));
    assert!(isolate.is_signed_in(&browser), "a key that was added changes nothing");
    isolate.set("SESSION_KEYS", &key_ring_text("new"));
    assert!(!isolate.is_signed_in(&browser));
    assert_eq!(isolate.call(&browser, "/bff/github/user").status, StatusCode::UNAUTHORIZED);
    assert_eq!(browser.sent_to("https://api.github.com/user").len(), 1, "only the sign-in called it");
    isolate.set("SESSION_KEYS", &key_ring_text("new,s"));
    assert!(isolate.is_signed_in(&browser), "the key opens as long as the ring has it");
}

/// The published bound: an open stream is not asked for its session again, and ends with its rotation.
#[test]
fn s165_removed_session_key_opens_no_stream_and_ends_open_ones_within_twelve_minutes() {
    let (browser, isolate) = (signed_in(), Isolate::new());
    let mut page = Listener::of(&browser, isolate.call(&browser, "/stream"));
    isolate.set("SESSION_KEYS", &key_ring_text("new"));
    assert_eq!(isolate.call(&browser, "/stream").status, StatusCode::UNAUTHORIZED);
    let removed_ms = browser.platform.now_ms();
    deliver(&browser, &[ADA], &slice("chat", 1, 0..1));
    assert_eq!(page.events(1), ["0"]);
    while page.next().is_some() {}
    assert!(browser.platform.now_ms() - removed_ms <= 12 * 60_000);
    assert_eq!(isolate.call(&browser, "/stream").status, StatusCode::UNAUTHORIZED);
}

#[test]
fn s165_changed_allow_list_holds_with_the_next_request() {
    let (browser, isolate) = (signed_in(), Isolate::new());
    assert_eq!(isolate.call(&browser, "/bff/github/user").status, StatusCode::OK);
    let sent = browser.platform.sent.borrow().len();
    isolate.set("GITHUB_ALLOW", "GET /repos/*");
    assert_eq!(isolate.call(&browser, "/bff/github/user").status, StatusCode::NOT_FOUND);
    assert_eq!(browser.platform.sent.borrow().len(), sent);
    isolate.variables.borrow_mut().remove("GITHUB_ALLOW");
    assert_eq!(isolate.call(&browser, "/bff/github/user").status, StatusCode::OK, "the default is in force again");
}

#[test]
fn s165_changed_client_secret_is_sent_with_the_next_sign_in() {
    let (browser, isolate) = (Browser::new(github), Isolate::new());
    let secrets = ["github-secret-value-5d0c8b3f9a6e2714", "another-secret-value-93b1c7e4a8d25f60"];
    for secret in secrets {
        isolate.set("GITHUB_CLIENT_SECRET", secret);
        let state = browser.start();
        let response = isolate.call(&browser, &format!("/auth/github/callback?code=good&state={state}"));
        assert_eq!(response.status, StatusCode::SEE_OTHER, "{}", text(&response));
    }
    let sent = browser.sent_to("https://github.com/login/oauth/access_token");
    let has = |at: usize, secret: &str| sent[at].body.contains(secret);
    assert_eq!(sent.len(), 2);
    assert!(has(0, secrets[0]) && has(1, secrets[1]) && !has(1, secrets[0]));
}

#[test]
fn s165_configuration_that_became_invalid_closes_every_route_until_it_is_valid_again() {
    let (browser, isolate) = (signed_in(), Isolate::new());
    assert!(isolate.is_signed_in(&browser));
    for (key, wrong) in [
        ("SESSION_KEYS", ""),
        ("HOST_ORIGINS", "*"),
        ("EVENTS_PER_MINUTE", "many"),
        // A name that is new and unknown is a change, too.
        ("SESSION_HOUR", "1"),
    ] {
        let before = isolate.variables.borrow().clone();
        isolate.set(key, wrong);
        browser.platform.log.borrow_mut().clear();
        for path in ["/", "/healthz", "/readyz", "/auth/session", "/bff/github/user", "/stream", "/nowhere"] {
            let response = isolate.call(&browser, path);
            assert_eq!((response.status, code(&response).as_str()), (StatusCode::SERVICE_UNAVAILABLE, "misconfigured"));
            assert!(!text(&response).contains(key), "{key} is disclosed to visitors");
        }
        let named = format!("\"{key} ");
        let log = browser.platform.log.borrow().iter().any(|line| line.contains("\"config\"") && line.contains(&named));
        assert!(log, "{key} is not named");
        isolate.variables.replace(before);
        assert!(isolate.is_signed_in(&browser), "{key}");
    }
}

#[test]
fn s165_requests_that_have_begun_end_with_the_configuration_that_they_began_with() {
    let (browser, isolate) = (signed_in(), Isolate::new());
    browser.platform.network_ms.set(50);
    let platform = &browser.platform;
    let call = |after_ms: u64, change: Option<(&'static str, &'static str)>| {
        let headers = [("x-csrf", "1"), ("origin", "https://edge.example")];
        let request = browser.request(Method::GET, "/bff/github/user", &headers, "");
        let isolate = &isolate;
        async move {
            platform.sleep(Duration::from_millis(after_ms)).await;
            if let Some((key, value)) = change {
                isolate.set(key, value);
            }
            isolate.deployed(platform.now_ms()).edge.handle(platform, request).await.status
        }
    };
    let begun = call(0, None);
    let later = call(10, Some(("GITHUB_ALLOW", "GET /repos/*")));
    assert_eq!(
        run_all(platform, vec![Box::pin(begun), Box::pin(later)]),
        [StatusCode::OK, StatusCode::NOT_FOUND],
        "the first one was waiting for its upstream when the list changed"
    );
}

#[test]
fn unchanged_configuration_keeps_what_the_isolate_remembers_and_a_change_forgets_it() {
    let (browser, isolate) = (signed_in(), Isolate::new());
    let commands = || {
        let before = browser.platform.command_count.get();
        assert!(isolate.is_signed_in(&browser));
        browser.platform.command_count.get() - before
    };
    assert!(commands() > 0);
    assert_eq!((commands(), commands()), (0, 0), "the session is confirmed");
    assert_eq!(logged(&browser, "config.changed"), 0);
    isolate.set("REVOCATION_BOUND_SECONDS", "5");
    assert!(commands() > 0, "under the new bound it is not");
    assert_eq!((commands(), logged(&browser, "config.changed")), (0, 1));
}

#[test]
fn installation_token_of_the_previous_app_is_not_sent() {
    let service = r#"[{"name":"app","url":"https://app.example","allow":["GET /x"],"users_of":["github"],"installation":{"id":7,"permissions":{"contents":"read"}}}]"#;
    let browser = Browser::new(|sent| match sent.url.as_str() {
        "https://api.github.com/app/installations/7/access_tokens" => {
            let body =
                r#"{"token":"ghs_minted","expires_at":"2099-01-01T00:00:00Z","permissions":{"contents":"read"}}"#;
            Some((201, vec![("content-type", super::JSON.to_owned())], body.to_owned()))
        }
        "https://app.example/x" => Some((200, vec![], String::new())),
        _ => github(sent),
    });
    browser.sign_in();
    let isolate = Isolate::new();
    isolate.set("SERVICES", service);
    isolate.variables.borrow_mut().extend(app_settings());
    let minted = || {
        assert_eq!(isolate.call(&browser, "/bff/app/x").status, StatusCode::OK);
        browser.sent_to("https://api.github.com/app/installations/").len()
    };
    assert_eq!((minted(), minted()), (1, 1));
    let narrower = service.replace(r#""contents":"read""#, r#""contents":"read","issues":"read""#);
    isolate.set("SERVICES", &narrower);
    isolate.set("SERVICES", service);
    assert_eq!(minted(), 1, "no request saw the change");
    isolate.set("GITHUB_APP_ID", "Iv1.other");
    assert_eq!((minted(), minted()), (2, 2));
}

/// A store of variables that does not respond proves no change. It closes every route if it does not for a minute.
#[test]
fn s165_unreadable_variables_leave_the_last_ones_in_force_for_a_minute() {
    let (browser, mut isolate) = (signed_in(), Isolate::new());
    assert!(isolate.is_signed_in(&browser));
    let commands = browser.platform.command_count.get();
    let now_ms = browser.platform.now_ms();
    let before = isolate.deployed(now_ms);
    let is_before = |edge: Rc<Deployed<Values>>| Rc::ptr_eq(&before, &edge);
    isolate.is_readable = false;
    isolate.set("SESSION_HOURS", "1");
    assert!(is_before(isolate.deployed(now_ms + 1000)), "what was read in part is not in force");
    assert!(isolate.current.recent(now_ms + 1999).is_some_and(is_before), "no request reads again at once");
    assert!(isolate.current.recent(now_ms + 2000).is_none());
    assert!(is_before(isolate.deployed(now_ms + 59_999)));
    assert!(isolate.current.recent(now_ms + 60_000).is_none(), "the minute ends between two readings");
    let closed = isolate.deployed(now_ms + 60_000);
    assert!(!Rc::ptr_eq(&before, &closed));
    assert!(isolate.current.recent(now_ms + 60_999).is_some_and(|recent| Rc::ptr_eq(&closed, &recent)));
    isolate.is_readable = true;
    isolate.variables.borrow_mut().remove("SESSION_HOURS");
    assert!(is_before(isolate.deployed(now_ms + 61_000)));
    assert!(isolate.is_signed_in(&browser));
    assert_eq!(browser.platform.command_count.get(), commands, "what it remembered is still there");
    assert_eq!(logged(&browser, "config.changed"), 0);
}

#[test]
fn s165_unreadable_variables_without_any_before_close_every_route() {
    let mut isolate = Isolate::new();
    isolate.is_readable = false;
    let closed = isolate.deployed(10_000);
    assert!(isolate.current.recent(10_999).is_some_and(|recent| Rc::ptr_eq(&closed, &recent)));
    isolate.is_readable = true;
    assert!(!Rc::ptr_eq(&closed, &isolate.deployed(11_000)));
}

#[test]
fn s165_a_reading_that_another_overtook_is_not_in_force() {
    let isolate = Isolate::new();
    let (old, new) = (settings(), {
        isolate.set("GITHUB_ALLOW", "GET /repos/*");
        isolate.variables.borrow().clone()
    });
    let read = |values: &Values, is_complete, read_at_ms| {
        let reading = Reading { values: values.clone(), is_complete, read_at_ms };
        isolate.current.of(reading, |values| Edge::new(&Table(values), Coordination::Objects))
    };
    drop(read(&old, true, 100_000));
    let newer = read(&new, true, 105_000);
    assert!(Rc::ptr_eq(&newer, &read(&old, true, 104_999)));
    assert!(Rc::ptr_eq(&newer, &read(&old, false, 104_000)));
    assert!(isolate.current.recent(105_999).is_some_and(|recent| Rc::ptr_eq(&newer, &recent)));
    assert!(!Rc::ptr_eq(&newer, &read(&old, true, 105_000)), "the same millisecond proves no order");
    let set_back = read(&new, true, 45_000);
    assert!(!Rc::ptr_eq(&newer, &set_back));
    assert!(
        isolate.current.recent(45_001).is_some_and(|recent| Rc::ptr_eq(&set_back, &recent)),
        "the clock was set back"
    );
}

#[test]
fn s165_variables_are_read_again_after_a_second() {
    let isolate = Isolate::new();
    assert!(isolate.current.recent(0).is_none());
    let before = isolate.deployed(10_000);
    let is_recent = |now_ms| isolate.current.recent(now_ms).is_some_and(|recent| Rc::ptr_eq(&recent, &before));
    assert!(is_recent(10_000) && is_recent(10_999));
    assert!(!is_recent(11_000));
    assert!(!is_recent(9_999), "a clock that was set back does not prolong the time");
    drop(isolate.deployed(12_000));
    assert!(is_recent(12_500), "values that are unchanged count as read again");
    isolate.set("SESSION_HOURS", "1");
    drop(isolate.deployed(13_000));
    assert!(!is_recent(13_000) && isolate.current.recent(13_000).is_some());
}
