//! What nobody received is told: a client whose position is before it hears of a gap when it opens a stream.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use causeway_core::testing::{
    platform::{Answer, Sent},
    run::run_all,
};
use causeway_protocol::{
    channel::Channel, checkpoint::Hole, deliver::WIRE_VERSION, hub::ResetReason, replay::HoleAnswer,
};
use http::Method;

use super::{
    Browser,
    deliver::{deliver, slice},
    github,
    listen::{ADA, Listener, hub},
};

/// The bridge knows of a hole, or fails.
type Known = Rc<RefCell<Option<Hole>>>;

fn signed_in() -> (Browser, Known) {
    let known = Known::default();
    let answers = Rc::clone(&known);
    let upstream = move |sent: &Sent| -> Option<Answer> {
        if !sent.url.starts_with("https://bridge.example/v1/hole?of=v2.chat.1.0.") {
            return github(sent);
        }
        let hole = (*answers.borrow())?;
        let slice = Some(hole.slice(&Channel::parse("chat").unwrap(), 0, 1));
        let answer = HoleAnswer { version: WIRE_VERSION, slice };
        Some((200, vec![], serde_json::to_string(&answer).unwrap()))
    };
    let browser = Browser::configured(&[], upstream);
    browser.sign_in();
    (browser, known)
}

fn asked(browser: &Browser) -> usize {
    browser.platform.sent.borrow().iter().filter(|sent| sent.url.contains("/v1/hole")).count()
}

const GAP: &str = r#"{"reason":"retention"}"#;

#[test]
fn client_hears_of_a_hole_once_and_where_it_was() {
    let (browser, known) = signed_in();
    known.replace(Some(Hole { epoch: 1, last_offset: 5, reason: ResetReason::Retention, noticed_at: 0 }));
    deliver(&browser, &[ADA], &slice("chat", 1, 0..2));
    let mut new = Listener::open(&browser, "/stream", None);
    assert_eq!((new.events(2), asked(&browser)), (vec!["0".to_owned(), "1".to_owned()], 0));
    let mut back = Listener::open(&browser, "/stream", Some("v2.chat.1.0.0"));
    assert_eq!(back.events(2), ["1", GAP]);
    assert_eq!(new.events(1), [GAP], "the user's other streams hear of it, too");
    let mut heard = Listener::open(&browser, "/stream", Some("v2.chat.1.0.5"));
    deliver(&browser, &[ADA], &slice("chat", 1, 6..7));
    for stream in [&mut back, &mut heard] {
        assert_eq!(stream.events(1), ["6"]);
        assert!(stream.is_silent());
    }
    assert_eq!(asked(&browser), 1, "an isolate asks once in a while");
    assert_eq!(hub(&browser).frames().len(), 4);
}

#[test]
fn stream_does_not_wait_for_the_bridge_and_its_gap_comes_after_what_the_hub_has() {
    let (browser, known) = signed_in();
    known.replace(Some(Hole { epoch: 1, last_offset: 5, reason: ResetReason::Retention, noticed_at: 0 }));
    deliver(&browser, &[ADA], &slice("chat", 1, 0..2));
    let platform = &browser.platform;
    platform.network_ms.set(800);
    let (began_ms, answered_ms) = (platform.now_ms.get(), Cell::new(0));
    let request = browser.request(Method::GET, "/stream", &[("last-event-id", "v2.chat.1.0.0")], "");
    let page = RefCell::new(None);
    let open = async {
        let (response, left) = browser.edge.answer(platform, request).await;
        answered_ms.set(platform.now_ms.get());
        page.replace(Some(response));
        browser.edge.run_deferred(platform, left.unwrap()).await;
    };
    run_all(platform, vec![Box::pin(open)]);
    assert!(answered_ms.get() - began_ms < 100 && platform.now_ms.get() - began_ms >= 800);
    let mut page = Listener::of(&browser, page.take().unwrap());
    assert_eq!(page.events(2), ["1", GAP]);
    assert!(page.is_silent());
}

#[test]
fn stream_opens_although_the_bridge_does_not_answer() {
    let (browser, known) = signed_in();
    deliver(&browser, &[ADA], &slice("chat", 1, 0..2));
    for _ in 0..3 {
        let mut stream = Listener::open(&browser, "/stream", Some("v2.chat.1.0.0"));
        assert_eq!(stream.events(1), ["1"]);
        assert!(stream.is_silent());
    }
    assert_eq!(asked(&browser), 1);
    assert!(browser.platform.log.borrow().iter().any(|line| line.contains("stream.hole")));
    // One that opens a moment later hears of it.
    known.replace(Some(Hole { epoch: 1, last_offset: 5, reason: ResetReason::Retention, noticed_at: 0 }));
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 1_100);
    let mut stream = Listener::open(&browser, "/stream", Some("v2.chat.1.0.1"));
    assert_eq!(stream.events(1), [GAP]);
}

#[test]
fn known_hole_is_told_although_the_bridge_fails_since() {
    let (browser, known) = signed_in();
    known.replace(Some(Hole { epoch: 1, last_offset: 5, reason: ResetReason::Retention, noticed_at: 0 }));
    deliver(&browser, &[ADA], &slice("chat", 1, 0..2));
    // This one is behind the hole, and needs no gap.
    let _after = Listener::open(&browser, "/stream", Some("v2.chat.1.0.5"));
    assert_eq!((asked(&browser), hub(&browser).frames().len()), (1, 2));
    known.replace(None);
    browser.platform.now_ms.set(browser.platform.now_ms.get() + 11_000);
    let mut back = Listener::open(&browser, "/stream", Some("v2.chat.1.0.0"));
    assert_eq!(back.events(2), ["1", GAP]);
    assert_eq!(asked(&browser), 2);
}
