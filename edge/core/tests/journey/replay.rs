//! What a hub no longer has comes from Kafka, through the bridge: to a stream that resumes, and as pages of history.

use std::{cell::Cell, rc::Rc};

use causeway_core::testing::{
    platform::{Answer, Sent},
    run::run_all,
};
use causeway_protocol::{
    cursor::Cursor,
    feed::KEEP_ALIVE,
    frame::gap_frame,
    hub::ResetReason,
    replay::{MAX_REPLAY_REQUESTS, ReplayHead, ReplayRange, ReplayRequest},
    signature::{Direction, SIGNATURE_HEADER, Signed},
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    Browser, code,
    deliver::{deliver, slice, subject},
    github,
    listen::{ADA, Listener, hub},
    text,
};

/// How the bridge answers a replay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bridge {
    /// With at most so many records.
    Pages(i64),
    /// Nothing is left.
    Gone,
    Fails,
    Busy,
    /// Only the first request fails.
    FailsOnce,
}

fn cursor(offset: i64) -> Cursor {
    format!("v2.chat.1.0.{offset}").parse().unwrap()
}

/// The records 0 to 99 of the channel `chat`.
fn replay(request: &ReplayRequest, page: i64) -> (ReplayHead, String) {
    let frames = |offsets: std::ops::Range<i64>| -> String {
        slice("chat", 1, offsets).items.iter().map(|item| item.frame.clone()).collect()
    };
    match &request.range {
        ReplayRange::After { cursor: after, until } => {
            let (from, end) = (after.position.offset + 1, until.as_ref().unwrap().position.offset + 1);
            let to = end.min(from + page);
            (ReplayHead { next: (to < end).then(|| cursor(to - 1)), ..ReplayHead::default() }, frames(from..to))
        }
        ReplayRange::Before { cursor: before, limit } => {
            let to = before.as_ref().map_or(100, |before| before.position.offset);
            let from = (to - i64::from(*limit)).max(0);
            (ReplayHead { next: (from > 0).then(|| cursor(from)), ..ReplayHead::default() }, frames(from..to))
        }
        ReplayRange::Since { .. } => panic!("the edge asks for no time"),
    }
}

fn signed_in(bridge: Bridge) -> (Browser, Rc<Cell<Bridge>>) {
    let how = Rc::new(Cell::new(bridge));
    let answers = Rc::clone(&how);
    let upstream = move |sent: &Sent| -> Option<Answer> {
        let Some(query) = sent.url.strip_prefix("https://bridge.example/v1/replay?") else { return github(sent) };
        let request = ReplayRequest::from_query(query).unwrap();
        assert_eq!((request.subject.to_string().as_str(), request.channel.as_str()), (ADA, "chat"));
        let answer = |(head, frames): (ReplayHead, String)| Some((200, vec![], head.to_text(&frames)));
        match answers.get() {
            Bridge::Pages(page) => answer(replay(&request, page)),
            Bridge::Gone => {
                answer((ReplayHead { gone: Some(ResetReason::Retention), ..ReplayHead::default() }, String::new()))
            }
            Bridge::Fails => None,
            Bridge::Busy => Some((429, vec![], String::new())),
            Bridge::FailsOnce => {
                answers.set(Bridge::Pages(1000));
                Some((503, vec![], String::new()))
            }
        }
    };
    let browser = Browser::configured(&[("CHANNELS", "chat,news")], upstream);
    browser.sign_in();
    (browser, how)
}

/// A hub that has the records 50 to 59 and forgot those before.
fn with_short_hub(browser: &Browser) {
    deliver(browser, &[ADA], &slice("chat", 1, 0..60));
    hub(browser).forget(50);
}

fn numbers(offsets: std::ops::Range<i64>) -> Vec<String> {
    offsets.map(|offset| offset.to_string()).collect()
}

fn replays(browser: &Browser) -> Vec<Sent> {
    let sent = browser.platform.sent.borrow();
    sent.iter().filter(|sent| sent.url.contains("/v1/replay")).cloned().collect()
}

/// What the edge asked the bridge for.
fn range_of(sent: &Sent) -> ReplayRange {
    let (_, query) = sent.url.split_once('?').unwrap();
    ReplayRequest::from_query(query).unwrap().range
}

#[test]
fn stream_gets_what_its_hub_no_longer_has_before_what_it_has() {
    for page in [1000, 7] {
        let (browser, _) = signed_in(Bridge::Pages(page));
        with_short_hub(&browser);
        let mut stream = Listener::open(&browser, "/stream", Some("v2.chat.1.0.9"));
        // Arrives meanwhile.
        deliver(&browser, &[ADA], &slice("chat", 1, 60..62));
        assert_eq!(stream.events(52), numbers(10..62));
        assert!(stream.is_silent());
        let sent = replays(&browser);
        assert_eq!(sent.len(), if page == 7 { 6 } else { 1 });
        let target = sent[0].url.strip_prefix("https://bridge.example").unwrap();
        let signed = Signed { direction: Direction::EdgeToBridge, method: "GET", target, body: &[] };
        let header = sent[0].headers[SIGNATURE_HEADER].to_str().unwrap();
        let now_seconds = browser.platform.now_ms.get() / 1000;
        assert_eq!(causeway_core::testing::settings::key_ring("br").verify(header, signed, now_seconds), Ok(()));
    }
}

#[test]
fn hub_that_moves_in_the_middle_of_a_replay_costs_no_record() {
    let (browser, _) = signed_in(Bridge::Pages(10));
    with_short_hub(&browser);
    let mut stream = Listener::open(&browser, "/stream", Some("v2.chat.1.0.9"));
    assert_eq!(stream.events(20), numbers(10..30));
    hub(&browser).evict();
    assert_eq!(stream.events(30), numbers(30..60));
    let opened_after = hub(&browser).opened_after.borrow().clone();
    assert_eq!(opened_after.last().unwrap().as_deref(), Some("v2.chat.1.0.49"), "after what was replayed");
}

#[test]
fn what_cannot_be_replayed_is_told_and_the_stream_goes_on_after_it() {
    for (bridge, reason) in [
        (Bridge::Gone, ResetReason::Retention),
        (Bridge::Fails, ResetReason::OutOfBuffer),
        (Bridge::Busy, ResetReason::OutOfBuffer),
    ] {
        let (browser, _) = signed_in(bridge);
        with_short_hub(&browser);
        let mut stream = Listener::open(&browser, "/stream", Some("v2.chat.1.0.9"));
        let began_ms = browser.platform.now_ms.get();
        let told = std::iter::from_fn(|| stream.next()).find(|chunk| chunk != KEEP_ALIVE);
        assert_eq!(told.unwrap(), gap_frame(&cursor(49), reason));
        let is_retried = browser.platform.now_ms.get() - began_ms >= 20_000;
        assert_eq!(is_retried, reason == ResetReason::OutOfBuffer);
        assert_eq!(stream.events(10), numbers(50..60));
    }
    let (browser, _) = signed_in(Bridge::FailsOnce);
    with_short_hub(&browser);
    let mut stream = Listener::open(&browser, "/stream", Some("v2.chat.1.0.9"));
    assert_eq!(stream.events(50), numbers(10..60), "the second attempt counts");
}

#[test]
fn replay_has_a_bound() {
    let (browser, _) = signed_in(Bridge::Pages(1));
    with_short_hub(&browser);
    let mut stream = Listener::open(&browser, "/stream", Some("v2.chat.1.0.9"));
    let most = i64::from(MAX_REPLAY_REQUESTS);
    assert_eq!(stream.events(MAX_REPLAY_REQUESTS as usize), numbers(10..10 + most));
    assert_eq!(stream.next().unwrap(), gap_frame(&cursor(49), ResetReason::OutOfBuffer));
    assert_eq!(stream.events(10), numbers(50..60));
}

#[test]
fn history_pages_back() {
    let (browser, _) = signed_in(Bridge::Pages(0));
    let page = |target: &str| -> Value {
        let response = browser.get(target);
        assert_eq!(response.status, StatusCode::OK);
        assert_eq!(response.headers["content-type"], "application/json");
        assert_eq!(response.headers["cache-control"], "no-store");
        serde_json::from_str(&text(&response)).unwrap()
    };
    assert_eq!(
        page("/events/chat/history?limit=3"),
        json!({
            "events": [97, 98, 99],
            "ids": ["v2.chat.1.0.97", "v2.chat.1.0.98", "v2.chat.1.0.99"],
            "before": "v2.chat.1.0.97",
            "complete": true
        })
    );
    assert_eq!(
        page("/events/chat/history?before=v2.chat.1.0.2&limit=3"),
        json!({"events": [0, 1], "ids": ["v2.chat.1.0.0", "v2.chat.1.0.1"], "before": null, "complete": true})
    );
    assert_eq!(page("/events/chat/history")["events"].as_array().unwrap().len(), 50);
    assert!(replays(&browser).iter().all(|sent| sent.method == Method::GET));
}

#[test]
fn history_comes_from_the_hub_first_and_only_what_is_older_from_kafka() {
    let (browser, how) = signed_in(Bridge::Pages(0));
    deliver(&browser, &[ADA], &slice("chat", 1, 0..100));
    hub(&browser).forget(50);
    let page = |target: &str| -> Value { serde_json::from_str(&text(&browser.get(target))).unwrap() };
    let expected = |events: std::ops::Range<i64>, before: &str| {
        let ids: Vec<_> = events.clone().map(|offset| cursor(offset).to_string()).collect();
        json!({"events": events.collect::<Vec<_>>(), "ids": ids, "before": before, "complete": true})
    };
    assert_eq!(page("/events/chat/history?limit=3"), expected(97..100, "v2.chat.1.0.97"));
    assert_eq!(page("/events/chat/history?before=v2.chat.1.0.97"), expected(47..97, "v2.chat.1.0.47"));
    let asked: Vec<_> = replays(&browser).iter().map(range_of).collect();
    assert_eq!(asked, [ReplayRange::Before { cursor: Some(cursor(50)), limit: 3 }], "once, for the rest");

    // Without the bridge, the page has what the hub has, and the next one fails.
    how.set(Bridge::Fails);
    assert_eq!(page("/events/chat/history?before=v2.chat.1.0.60"), expected(50..60, "v2.chat.1.0.50"));
    assert_eq!(code(&browser.get("/events/chat/history?before=v2.chat.1.0.50")), "unavailable");
}

#[test]
fn history_comes_from_kafka_if_the_hub_fails_or_does_not_answer() {
    let (browser, _) = signed_in(Bridge::Pages(0));
    deliver(&browser, &[ADA], &slice("chat", 1, 0..100));
    let numbers = || -> Value {
        let request = browser.request(Method::GET, "/events/chat/history?limit=2", &[], "");
        let handled = browser.edge.handle(&browser.platform, request);
        let response = run_all(&browser.platform, vec![Box::pin(handled)]).remove(0);
        let page: Value = serde_json::from_str(&text(&response)).unwrap();
        page["events"].clone()
    };
    browser.platform.history_fails.set(true);
    assert_eq!(numbers(), json!([98, 99]));
    browser.platform.history_fails.set(false);
    browser.platform.history_hangs.set(true);
    assert_eq!(numbers(), json!([98, 99]));
    assert_eq!(replays(&browser).len(), 2);
}

#[test]
fn history_that_kafka_no_longer_has_is_incomplete() {
    let (browser, how) = signed_in(Bridge::Gone);
    let get = || browser.get("/events/chat/history");
    assert_eq!(text(&get()), r#"{"events":[],"ids":[],"before":null,"complete":false}"#);
    how.set(Bridge::Busy);
    assert_eq!(code(&get()), "too-many-requests");
    how.set(Bridge::Fails);
    assert_eq!(code(&get()), "unavailable");
}

#[test]
fn malformed_request_for_history_asks_nobody() {
    let (browser, _) = signed_in(Bridge::Pages(0));
    for query in [
        "limit=0",
        "limit=201",
        "limit=%2B1",
        "limit=",
        "limit=1&limit=2",
        "before=",
        "before=nonsense",
        "before=v2.news.1.0.2",
        "before=v2.chat.1.0.2&before=v2.chat.1.0.3",
    ] {
        let response = browser.get(&format!("/events/chat/history?{query}"));
        assert_eq!((response.status, code(&response).as_str()), (StatusCode::BAD_REQUEST, "bad-request"), "{query}");
    }
    assert_eq!(code(&browser.get("/events/nope/history")), "not-found");
    let stranger = Browser::new(github);
    assert_eq!(code(&stranger.get("/events/chat/history")), "unauthenticated");
    let from_elsewhere = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")];
    let response = browser.send(Method::GET, "/events/chat/history", &from_elsewhere, "");
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    assert!(replays(&browser).is_empty());
}

#[test]
fn s140_s166_an_id_never_chooses_the_user() {
    let (browser, _) = signed_in(Bridge::Pages(1000));
    // Another user's record has this id.
    deliver(&browser, &["github:8"], &slice("chat", 1, 0..3));
    assert_eq!(browser.get("/events/chat/history?before=v2.chat.1.0.2&subject=github:8").status, StatusCode::OK);
    let (_, query) = replays(&browser)[0].url.split_once('?').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(ReplayRequest::from_query(&query).unwrap().subject, subject(ADA));
}
