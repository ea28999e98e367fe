use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use causeway_protocol::{
    feed::KEEP_ALIVE,
    hub::{Head, PING, PONG},
    session::SessionHandle,
    subject::Subject,
};
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{LocalBoxFuture, pending},
    stream,
};

use super::*;
use crate::{
    http::web::{Incoming, Outgoing},
    runtime::{clock::millis, dependency::Dependency},
    testing::{body::InMemoryBody, settings::key_ring},
};

/// A platform whose sleeps end at once and advance the time.
#[derive(Clone, Default)]
struct JumpingClock {
    now_ms: Rc<Cell<u64>>,
    client_left: Rc<Cell<bool>>,
    /// The bridge does not answer, and no time passes.
    hangs: Rc<Cell<bool>>,
}

impl Clock for JumpingClock {
    fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    fn sleep(&self, wait: Duration) -> LocalBoxFuture<'static, ()> {
        if self.hangs.get() {
            return Box::pin(pending());
        }
        let (now_ms, until_ms) = (Rc::clone(&self.now_ms), self.now_ms.get() + millis(wait));
        Box::pin(async move { now_ms.set(now_ms.get().max(until_ms)) })
    }
}

impl ClientDisconnect for JumpingClock {
    fn client_disconnected(&self) -> LocalBoxFuture<'static, ()> {
        let left = Rc::clone(&self.client_left);
        Box::pin(std::future::poll_fn(move |_| if left.get() { Poll::Ready(()) } else { Poll::Pending }))
    }
}

impl HttpClient for JumpingClock {
    type Body = InMemoryBody;

    async fn send(&self, _: Outgoing<InMemoryBody>) -> Result<Incoming<InMemoryBody>, Unavailable> {
        if self.hangs.get() {
            pending::<()>().await;
        }
        Err(Unavailable::new(Dependency::Bridge, "there is none"))
    }
}

/// What a hub sends on one connection.
#[derive(Default)]
struct Script {
    texts: Vec<String>,
    /// Whether the connection stays open after them.
    stays_open: bool,
    answers_pings: bool,
}

/// A hub whose connections follow a script each, in order. There are no more connections than scripts.
#[derive(Clone, Default)]
struct ScriptedHub {
    scripts: Rc<RefCell<VecDeque<Script>>>,
    opened_after: Rc<RefCell<Vec<Option<String>>>>,
    sent: Rc<RefCell<Vec<String>>>,
}

impl HubConnector for ScriptedHub {
    async fn open(&self, last_event_id: Option<&str>) -> Result<Opened<HubSocket>, Unavailable> {
        self.opened_after.borrow_mut().push(last_event_id.map(str::to_owned));
        let Some(script) = self.scripts.borrow_mut().pop_front() else {
            return Err(Unavailable::new(Dependency::Hub, "no script"));
        };
        let answers = Rc::new(RefCell::new(VecDeque::new()));
        let (pongs, sent) = (Rc::clone(&answers), Rc::clone(&self.sent));
        let send = move |text: &str| {
            sent.borrow_mut().push(text.to_owned());
            if text == PING && script.answers_pings {
                pongs.borrow_mut().push_back(PONG.to_owned());
            }
        };
        let rest = stream::poll_fn(move |_| match answers.borrow_mut().pop_front() {
            Some(text) => Poll::Ready(Some(text)),
            None if script.stays_open => Poll::Pending,
            None => Poll::Ready(None),
        });
        Ok(Opened::Stream(HubSocket {
            messages: stream::iter(script.texts).chain(rest).boxed_local(),
            send: Box::new(send),
        }))
    }
}

fn hub(scripts: Vec<Script>) -> ScriptedHub {
    ScriptedHub { scripts: Rc::new(RefCell::new(scripts.into())), ..ScriptedHub::default() }
}

fn that_stays(texts: Vec<String>) -> Script {
    Script { texts, stays_open: true, answers_pings: true }
}

fn that_breaks(texts: Vec<String>) -> Script {
    Script { texts, ..Script::default() }
}

fn opened(clock: &JumpingClock, hub: &ScriptedHub) -> Chunks {
    let request = OpenStream {
        subject: Subject::new("t", "u").unwrap(),
        session: SessionHandle::parse(&"a".repeat(43)).unwrap(),
        channels: Vec::new(),
        last_event_id: Some("v2.chat.1.0.0".to_owned()),
        session_ends_in: Duration::from_hours(1),
        bridge: BridgeAccess {
            url: "https://bridge.example".parse().unwrap(),
            keys: Rc::new(key_ring("br")),
            request_id: String::new(),
        },
        jitter: 0.0,
    };
    match open(clock.clone(), hub.clone(), &request).now_or_never() {
        Some(Ok(Opened::Stream(chunks))) => chunks,
        other => panic!("{:?}", other.is_some()),
    }
}

/// All that a client receives until the stream ends.
fn collect(hub: &ScriptedHub) -> Vec<String> {
    let chunks = opened(&JumpingClock::default(), hub).collect::<Vec<_>>();
    let chunks = chunks.now_or_never().expect("the clock jumps, so the stream ends");
    chunks.iter().map(|chunk| String::from_utf8(chunk.as_ref().to_vec()).unwrap()).collect()
}

fn frame(offset: i64) -> String {
    format!("id: v2.chat.1.0.{offset}\ndata: {{\"n\":{offset}}}\n\n")
}

fn record(offset: i64) -> String {
    let head = Head { seq: offset, records: 1, id: format!("v2.chat.1.0.{offset}").parse().ok() };
    HubMessage::Frames(head, &frame(offset)).to_text()
}

fn without_silence(chunks: Vec<String>) -> Vec<String> {
    let is_silence = |chunk: &str| chunk == KEEP_ALIVE || chunk.starts_with(": ") || chunk.starts_with("retry");
    chunks.into_iter().filter(|chunk| !is_silence(chunk)).collect()
}

#[test]
fn opens_sends_records_keeps_alive_and_rotates() {
    let hub = hub(vec![that_stays(vec![record(1)])]);
    let chunks = collect(&hub);
    assert_eq!(chunks[0], format!("retry: 500\n{KEEP_ALIVE}"));
    assert_eq!(chunks[1], frame(1));
    assert!(chunks[2..chunks.len() - 1].iter().all(|chunk| chunk == KEEP_ALIVE));
    assert_eq!(chunks.last().unwrap(), ": rotate\n\n");
    assert_eq!(hub.opened_after.borrow().len(), 1, "a hub that answers is not left");
}

#[test]
fn ends_with_the_session_and_on_an_unknown_message() {
    let end = HubMessage::End(EndReason::Revoked).to_text();
    let ended = hub(vec![that_stays(vec![end, record(1)])]);
    assert_eq!(collect(&ended).last().unwrap(), "event: end\ndata: {\"reason\":\"revoked\"}\n\n");
    for unknown in ["{\"future\":1}\n", "{\"future\":1}", ""] {
        let unknown = hub(vec![that_stays(vec![unknown.to_owned(), record(1)])]);
        assert_eq!(collect(&unknown).len(), 1);
        assert_eq!(unknown.opened_after.borrow().len(), 1, "the client itself resumes");
    }
}

#[test]
fn acknowledges_only_records_that_the_client_took() {
    let hub = hub(vec![that_stays((1..=32).map(record).collect())]);
    let mut chunks = opened(&JumpingClock::default(), &hub);
    for _ in 0..33 {
        chunks.next().now_or_never().unwrap().unwrap();
    }
    assert!(hub.sent.borrow().is_empty(), "the client has not taken the last record yet");
    chunks.next().now_or_never().unwrap().unwrap();
    assert_eq!(hub.sent.borrow()[0], r#"{"taken":32}"#);
}

#[test]
fn broken_connection_is_opened_again_after_the_last_record() {
    let reset = HubMessage::Frames(Head { seq: 5, records: 0, id: None }, "id\nevent: reset\ndata: {}\n\n").to_text();
    let hub = hub(vec![
        that_breaks(vec![]),
        that_breaks(vec![record(1), record(2)]),
        that_breaks(vec![record(3), reset]),
        that_stays(vec![record(4)]),
    ]);
    let chunks = without_silence(collect(&hub));
    let expected = [&frame(1), &frame(2), &frame(3), "id\nevent: reset\ndata: {}\n\n", &frame(4)];
    assert_eq!(chunks, expected);
    let opened_after: Vec<_> = hub.opened_after.borrow().iter().map(|id| id.clone().unwrap_or_default()).collect();
    assert_eq!(opened_after, ["v2.chat.1.0.0", "v2.chat.1.0.0", "v2.chat.1.0.2", ""]);
}

#[test]
fn connection_that_breaks_again_and_again_is_given_up() {
    let flapping = hub((1..20).map(|n| that_breaks(vec![record(n)])).collect());
    let chunks = without_silence(collect(&flapping));
    assert_eq!(chunks, (1..=6).map(frame).collect::<Vec<_>>(), "five times within a minute");
    // Each of these is silent until the stream gives it up, after 40 s.
    let silent = |n| Script { texts: vec![record(n)], stays_open: true, answers_pings: false };
    let rare = hub((1..=20).map(silent).collect());
    let chunks = collect(&rare);
    assert_eq!(chunks.last().unwrap(), ": rotate\n\n");
    assert_eq!(without_silence(chunks), (1..=12).map(frame).collect::<Vec<_>>());
}

#[test]
fn what_the_hub_lacks_is_a_gap_if_the_bridge_does_not_answer_for_a_while() {
    let missing = HubMessage::Missing("v2.chat.1.0.3".parse().unwrap()).to_text();
    let hub = hub(vec![that_breaks(vec![missing]), that_stays(vec![record(4)])]);
    let chunks = without_silence(collect(&hub));
    let gap = "id: v2.chat.1.0.3\nevent: reset\ndata: {\"reason\":\"out_of_buffer\"}\n\n";
    assert_eq!(chunks, [gap, &frame(4)]);
    assert_eq!(hub.opened_after.borrow().last().unwrap().as_deref(), Some("v2.chat.1.0.3"));
}

#[test]
fn end_of_a_session_does_not_wait_for_what_the_hub_lacks() {
    let clock = JumpingClock::default();
    clock.hangs.set(true);
    let missing = HubMessage::Missing("v2.chat.1.0.3".parse().unwrap()).to_text();
    let hub = hub(vec![that_stays(vec![missing, record(4), HubMessage::End(EndReason::Revoked).to_text()])]);
    let mut chunks = opened(&clock, &hub);
    chunks.next().now_or_never().unwrap().unwrap();
    let chunk = chunks.next().now_or_never().expect("no wait").unwrap();
    assert!(String::from_utf8_lossy(chunk.as_ref()).contains("revoked"), "{chunk:?}");
    assert_eq!(chunks.next().now_or_never(), Some(None));
}

#[test]
fn timers_do_not_wait_for_all_that_the_hub_lacks() {
    let clock = JumpingClock::default();
    let missing = HubMessage::Missing("v2.chat.1.0.3".parse().unwrap()).to_text();
    let hub = hub(vec![that_stays(vec![missing])]);
    let mut chunks = opened(&clock, &hub);
    chunks.next().now_or_never().unwrap().unwrap();
    clock.hangs.set(true);
    clock.now_ms.set(millis(Duration::from_mins(13)));
    let chunk = chunks.next().now_or_never().expect("no wait").unwrap();
    assert_eq!(chunk.as_ref(), b": rotate\n\n");
    assert_eq!(chunks.next().now_or_never(), Some(None));
}

#[test]
fn stream_ends_with_its_client_and_opens_nothing_for_it() {
    let (clock, hub) = (JumpingClock::default(), hub(vec![that_breaks(vec![record(1)]), that_stays(vec![])]));
    let mut chunks = opened(&clock, &hub);
    for _ in 0..2 {
        chunks.next().now_or_never().unwrap().unwrap();
    }
    clock.client_left.set(true);
    assert_eq!(chunks.next().now_or_never(), Some(None));
    assert_eq!(hub.opened_after.borrow().len(), 1);
}
