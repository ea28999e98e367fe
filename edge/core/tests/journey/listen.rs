//! What a listening page receives: records as the bridge made them, whatever its hub goes through.

use std::rc::Rc;

use causeway_core::{
    http::web::{Body, Response},
    testing::{body::InMemoryBody, hub::InMemoryHub, run::run_all},
};
use causeway_protocol::{
    deliver::Outcome,
    feed::KEEP_ALIVE,
    hub::{EndReason, PING},
};
use futures_util::{FutureExt as _, StreamExt as _, stream::LocalBoxStream};
use http::{Method, StatusCode};

use super::{
    Browser, code,
    deliver::{deliver, slice, subject},
    github,
};

/// The user that signs in.
pub(super) const ADA: &str = "github:7";

/// A page that listens.
pub(super) struct Listener<'a> {
    browser: &'a Browser,
    chunks: LocalBoxStream<'static, Vec<u8>>,
}

impl<'a> Listener<'a> {
    pub(super) fn open(browser: &'a Browser, target: &str, last_event_id: Option<&str>) -> Self {
        let headers: Vec<_> = last_event_id.map(|id| ("last-event-id", id)).into_iter().collect();
        Self::of(browser, browser.send(Method::GET, target, &headers, ""))
    }

    /// The page that got this answer.
    pub(super) fn of(browser: &'a Browser, response: Response<InMemoryBody>) -> Self {
        assert_eq!(response.status, StatusCode::OK);
        let Body::Native(body) = response.body else { panic!("not a stream") };
        let mut listener = Self { browser, chunks: body.into_chunks() };
        assert!(listener.next().unwrap().starts_with("retry: "));
        listener
    }

    /// The next bytes, for which time passes if needed, or `None` at the end.
    pub(super) fn next(&mut self) -> Option<String> {
        let next = run_all(&self.browser.platform, vec![Box::pin(self.chunks.next())]).remove(0);
        next.map(|chunk| String::from_utf8(chunk).unwrap())
    }

    /// Whether there is nothing at this moment.
    pub(super) fn is_silent(&mut self) -> bool {
        self.chunks.next().now_or_never().is_none()
    }

    /// The data of the next `count` events, between which only keep-alives come.
    pub(super) fn events(&mut self, count: usize) -> Vec<String> {
        let mut events = Vec::new();
        while events.len() < count {
            let chunk = self.next().expect("the stream goes on");
            let records = chunk.replace(KEEP_ALIVE, "");
            events.extend(records.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned));
        }
        events
    }
}

pub(super) fn hub(browser: &Browser) -> Rc<InMemoryHub> {
    browser.platform.hub(&subject(ADA))
}

fn signed_in(more: &[(&str, &str)]) -> Browser {
    let browser = Browser::configured(more, github);
    browser.sign_in();
    browser
}

#[test]
fn records_pass_to_the_client_as_the_bridge_made_them() {
    let browser = signed_in(&[]);
    let records = slice("chat", 1, 0..2);
    deliver(&browser, &[ADA], &records);
    let mut page = Listener::open(&browser, "/stream", None);
    for item in records.items {
        assert_eq!(page.next().unwrap(), item.frame);
    }
    let live = slice("chat", 1, 2..3);
    assert_eq!(deliver(&browser, &[ADA, "github:8"], &live), [Outcome::Stored; 2]);
    assert_eq!(page.next().unwrap(), live.items[0].frame);
    let mut resumed = Listener::open(&browser, "/stream", Some("v2.chat.1.0.1"));
    assert_eq!(resumed.events(1), ["2"]);
    let mut lost = Listener::open(&browser, "/stream", Some("v1.1.0.1"));
    assert_eq!(lost.events(4), [r#"{"reason":"bad_cursor"}"#, "0", "1", "2"]);
}

#[test]
fn stream_hears_the_channels_that_it_chooses() {
    let browser = signed_in(&[("CHANNELS", "chat,news,feed")]);
    let mut all = Listener::open(&browser, "/stream", None);
    let mut two = Listener::open(&browser, "/stream?channel=feed&x=1&channel=news&channel=feed", None);
    for (channel, offset) in [("chat", 1), ("news", 2), ("feed", 3), ("chat", 4), ("news", 5)] {
        deliver(&browser, &[ADA], &slice(channel, 1, offset..offset + 1));
    }
    assert_eq!(all.events(5), ["1", "2", "3", "4", "5"]);
    assert_eq!(two.events(3), ["2", "3", "5"]);
    assert!(two.is_silent());
    let opened = browser.platform.opened_streams.borrow();
    let chosen: Vec<Vec<_>> = opened.iter().map(|open| open.channels.iter().map(|it| it.as_str()).collect()).collect();
    assert_eq!(chosen, [vec![], vec!["feed", "news"]]);
}

#[test]
fn s166_unknown_channel_is_not_found_rather_than_silent() {
    let names: Vec<_> = (0..20).map(|n| format!("c{n}")).collect();
    let browser = signed_in(&[("CHANNELS", &names.join(","))]);
    for unknown in ["nope", "c0,c1", "", "C0", "c0%20", "c0%00"] {
        let response = browser.get(&format!("/stream?channel=c0&channel={unknown}"));
        assert_eq!((response.status, code(&response).as_str()), (StatusCode::NOT_FOUND, "not-found"), "{unknown}");
    }
    let every = names.iter().map(|name| format!("channel={name}")).collect::<Vec<_>>().join("&");
    assert_eq!(code(&browser.get(&format!("/stream?{every}"))), "bad-request");
    assert!(browser.platform.opened_streams.borrow().is_empty());
    Listener::open(&browser, "/stream?channel=c%30", None);
}

#[test]
fn hub_that_moves_is_not_noticed_by_the_client() {
    let browser = signed_in(&[]);
    let mut page = Listener::open(&browser, "/stream", None);
    // Nothing has come yet; the client has no id.
    hub(&browser).evict();
    assert!(page.is_silent());
    deliver(&browser, &[ADA], &slice("chat", 1, 0..3));
    assert_eq!(page.events(2), ["0", "1"]);
    // Lost on the way, as well as what comes before the connection is open again.
    hub(&browser).evict();
    deliver(&browser, &[ADA], &slice("chat", 1, 3..5));
    assert_eq!(page.events(3), ["2", "3", "4"]);
    deliver(&browser, &[ADA], &slice("chat", 1, 5..6));
    assert_eq!(page.events(1), ["5"]);
    let opened_after: Vec<_> = hub(&browser).opened_after.borrow().clone();
    assert_eq!(opened_after, [None, None, Some("v2.chat.1.0.1".to_owned())]);
    assert_eq!((hub(&browser).open_streams(), browser.platform.opened_streams.borrow().len()), (1, 1));
}

#[test]
fn client_that_resumed_resumes_there_again_if_nothing_came() {
    let browser = signed_in(&[]);
    deliver(&browser, &[ADA], &slice("chat", 1, 0..3));
    let mut page = Listener::open(&browser, "/stream", Some("v2.chat.1.0.2"));
    hub(&browser).evict();
    assert!(page.is_silent());
    deliver(&browser, &[ADA], &slice("chat", 1, 3..4));
    assert_eq!(page.events(1), ["3"]);
    // One that was reset forgets its position, and so does the stream.
    let mut lost = Listener::open(&browser, "/stream", Some("nonsense"));
    assert_eq!(lost.events(1), [r#"{"reason":"bad_cursor"}"#]);
    hub(&browser).evict();
    assert_eq!(lost.events(4), ["0", "1", "2", "3"]);
    assert_eq!(hub(&browser).opened_after.borrow().last().unwrap(), &None);
}

#[test]
fn hub_that_stays_away_ends_the_stream_within_seconds() {
    for is_down in [true, false] {
        let browser = signed_in(&[]);
        let mut page = Listener::open(&browser, "/stream", None);
        let began_ms = browser.platform.now_ms.get();
        hub(&browser).failing_opens.set(if is_down { u32::MAX } else { 4 });
        hub(&browser).evict();
        if is_down {
            assert_eq!(page.next(), None);
        } else {
            assert_eq!(page.next().unwrap(), KEEP_ALIVE, "the fifth attempt succeeds");
            deliver(&browser, &[ADA], &slice("chat", 1, 0..1));
            assert_eq!(page.events(1), ["0"]);
        }
        let waited_ms = browser.platform.now_ms.get() - began_ms;
        assert!(!is_down || (2_000..8_000).contains(&waited_ms), "{waited_ms}");
    }
}

#[test]
fn hub_that_hangs_does_not_hold_back_keep_alives() {
    let browser = signed_in(&[]);
    let mut page = Listener::open(&browser, "/stream", None);
    hub(&browser).open_hangs.set(true);
    hub(&browser).evict();
    assert_eq!(page.next().unwrap(), KEEP_ALIVE);
    hub(&browser).open_hangs.set(false);
    deliver(&browser, &[ADA], &slice("chat", 1, 0..1));
    assert_eq!(page.events(1), ["0"]);
}

#[test]
fn s130_session_that_ends_while_its_hub_moves_ends_the_stream() {
    let browser = signed_in(&[]);
    let mut page = Listener::open(&browser, "/stream", None);
    let session = browser.platform.opened_streams.borrow()[0].session.clone();
    hub(&browser).evict();
    hub(&browser).end_session(&session, EndReason::SignedOut);
    assert_eq!(page.next().unwrap(), "event: end\ndata: {\"reason\":\"revoked\"}\n\n");
    assert_eq!(page.next(), None);
    // The end itself, from a hub that stays.
    let other = signed_in(&[]);
    let mut page = Listener::open(&other, "/stream", None);
    other.script(Method::POST, "/auth/logout", "");
    assert_eq!(page.next().unwrap(), "event: end\ndata: {\"reason\":\"signed_out\"}\n\n");
    assert_eq!(page.next(), None);
}

#[test]
fn connection_that_is_cut_without_a_sign_is_noticed_and_replaced() {
    let browser = signed_in(&[]);
    let mut page = Listener::open(&browser, "/stream", None);
    let quiet = |page: &mut Listener<'_>, count| {
        (0..count).for_each(|_| assert_eq!(page.next().unwrap(), KEEP_ALIVE));
    };
    quiet(&mut page, 3);
    assert_eq!(hub(&browser).sent(), [PING], "asked after 30 s, and answered");
    quiet(&mut page, 2);
    assert_eq!((hub(&browser).sent().len(), hub(&browser).opened_after.borrow().len()), (2, 1));
    hub(&browser).cut();
    deliver(&browser, &[ADA], &slice("chat", 1, 0..1));
    let began_ms = browser.platform.now_ms.get();
    assert_eq!(page.events(1), ["0"], "once, over a new connection");
    assert!(browser.platform.now_ms.get() - began_ms <= 40_000);
    assert_eq!(hub(&browser).open_streams(), 1);
    assert!(page.is_silent());
}
