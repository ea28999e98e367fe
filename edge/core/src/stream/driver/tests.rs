use std::{cell::RefCell, rc::Rc, time::Duration};

use causeway_protocol::{session::SessionHandle, subject::Subject};
use futures_util::{FutureExt as _, future::LocalBoxFuture, stream};

use super::*;

/// A clock whose sleeps end at once and advance the time.
#[derive(Clone, Default)]
struct JumpingClock(Rc<RefCell<u64>>);

impl Clock for JumpingClock {
    fn now_ms(&self) -> u64 {
        *self.0.borrow()
    }

    fn sleep(&self, wait: Duration) -> LocalBoxFuture<'static, ()> {
        let now = Rc::clone(&self.0);
        Box::pin(async move { *now.borrow_mut() += u64::try_from(wait.as_millis()).unwrap() })
    }
}

fn request() -> OpenStream {
    OpenStream {
        subject: Subject::new("t", "u").unwrap(),
        session: SessionHandle::parse(&"a".repeat(43)).unwrap(),
        last_event_id: None,
        session_ends_in: Duration::from_secs(3600),
        jitter: 0.0,
    }
}

fn socket(messages: Vec<String>, stays_open: bool) -> (HubSocket, Rc<RefCell<Vec<String>>>) {
    let acks = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&acks);
    let messages = stream::iter(messages);
    let messages = if stays_open { messages.chain(stream::pending()).boxed_local() } else { messages.boxed_local() };
    (HubSocket { messages, acknowledge: Box::new(move |ack| sink.borrow_mut().push(ack)) }, acks)
}

fn record(offset: i64) -> String {
    format!(r#"{{"record":{{"seq":{offset},"cursor":"v1.1.0.{offset}","event":{{"n":{offset}}}}}}}"#)
}

fn collect(socket: HubSocket) -> Vec<String> {
    let stream = drive(JumpingClock::default(), socket, &request());
    let chunks = stream.collect::<Vec<_>>().now_or_never().expect("the clock jumps, so the stream ends");
    chunks.into_iter().map(|chunk| String::from_utf8(chunk).unwrap()).collect()
}

#[test]
fn opens_sends_records_keeps_alive_and_rotates() {
    let (socket, _) = socket(vec![record(1)], true);
    let chunks = collect(socket);
    assert_eq!(chunks[0], "retry: 500\n: open\n\n");
    assert_eq!(chunks[1], "id: v1.1.0.1\ndata: {\"n\":1}\n\n");
    assert!(chunks[2..chunks.len() - 1].iter().all(|chunk| chunk == ": keep-alive\n\n"));
    assert_eq!(chunks.last().unwrap(), ": rotate\n\n");
}

#[test]
fn ends_with_the_session_and_when_the_hub_closes() {
    let (ended, _) = socket(vec![r#"{"end":{"reason":"revoked"}}"#.to_owned(), record(1)], true);
    assert_eq!(collect(ended).last().unwrap(), "event: end\ndata: {\"reason\":\"revoked\"}\n\n");
    let (closed, _) = socket(vec![record(1)], false);
    assert_eq!(collect(closed).len(), 2);
    let (unknown, _) = socket(vec!["{\"future\":1}".to_owned()], true);
    assert_eq!(collect(unknown).len(), 1);
}

#[test]
fn acknowledges_only_records_that_the_client_took() {
    let (socket, acks) = socket((1..=32).map(record).collect(), true);
    let mut stream = Box::pin(drive(JumpingClock::default(), socket, &request()));
    for _ in 0..33 {
        stream.next().now_or_never().unwrap().unwrap();
    }
    assert!(acks.borrow().is_empty(), "the client has not taken the last record yet");
    stream.next().now_or_never().unwrap().unwrap();
    assert_eq!(*acks.borrow(), [r#"{"taken":32}"#]);
}
