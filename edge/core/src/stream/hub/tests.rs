use std::cell::{Cell, RefCell};

use causeway_protocol::{
    buffer::cases::{Received, Step, cases},
    event::StreamEvent,
};
use proptest::prelude::*;

use super::*;
use crate::stream::sql_buffer::{
    SqlBuffer,
    sqlite::{Sqlite, empty_buffer},
};

type TestBuffer = SqlBuffer<Sqlite>;

struct Client {
    position: Cell<StreamPosition>,
    received: RefCell<Vec<HubMessage>>,
    closed: Cell<bool>,
}

impl Client {
    fn new() -> Self {
        Self { position: Cell::default(), received: RefCell::default(), closed: Cell::new(false) }
    }

    fn offsets(&self) -> Vec<i64> {
        self.received
            .borrow()
            .iter()
            .filter_map(|message| match message {
                HubMessage::Record { cursor, .. } => Some(cursor.offset),
                _ => None,
            })
            .collect()
    }

    fn resets(&self) -> Vec<ResetReason> {
        self.received
            .borrow()
            .iter()
            .filter_map(|message| match message {
                HubMessage::Reset { reason } => Some(*reason),
                _ => None,
            })
            .collect()
    }
}

impl StreamSocket for &Client {
    fn position(&self) -> StreamPosition {
        self.position.get()
    }

    fn set_position(&self, position: StreamPosition) {
        self.position.set(position);
    }

    fn send(&self, text: &str) {
        self.received.borrow_mut().push(serde_json::from_str(text).unwrap());
    }

    fn close(&self) {
        self.closed.set(true);
    }
}

const MAX: i64 = MAX_RECORDS as i64;

fn session(n: u8) -> SessionHandle {
    SessionHandle::from_digest(&[n; 32])
}

fn record(epoch: u32, partition: i32, offset: i64) -> Record {
    let data = RawValue::from_string(format!("{offset}")).unwrap();
    let event =
        StreamEvent { id: offset.to_string(), kind: "message".into(), time: "t".into(), traceparent: None, data };
    Record { cursor: Cursor { epoch, partition, offset }, event }
}

fn records(offsets: std::ops::Range<i64>) -> Vec<Record> {
    offsets.map(|offset| record(1, 0, offset)).collect()
}

fn append_now(buffer: &TestBuffer, clients: &[&Client], records: &[Record], now_ms: u64) {
    let Ok(()) = append(buffer, clients, records, now_ms);
}

fn open_stream(buffer: &TestBuffer, last_event_id: Option<&str>, now_ms: u64) -> Client {
    let client = Client::new();
    let Ok(()) = open(buffer, &&client, last_event_id, now_ms);
    client
}

#[test]
fn a_new_stream_gets_the_stored_records_and_then_new_ones_without_a_gap() {
    let buffer = empty_buffer();
    append_now(&buffer, &[], &records(0..3), 0);
    let client = open_stream(&buffer, None, 0);
    append_now(&buffer, &[&client], &records(3..5), 0);
    assert_eq!(client.offsets(), [0, 1, 2, 3, 4]);
    assert!(client.resets().is_empty());
}

#[test]
fn a_resumed_stream_continues_after_its_id() {
    let buffer = empty_buffer();
    append_now(&buffer, &[], &records(0..5), 0);
    assert_eq!(open_stream(&buffer, Some("v1.1.0.2"), 0).offsets(), [3, 4]);
    assert!(open_stream(&buffer, Some("v1.1.0.4"), 0).received.borrow().is_empty());
}

#[test]
fn a_redelivered_record_is_skipped_even_if_it_was_trimmed() {
    let buffer = empty_buffer();
    let client = open_stream(&buffer, None, 0);
    append_now(&buffer, &[&client], &records(0..3), 0);
    append_now(&buffer, &[&client], &records(0..4), 0);
    assert_eq!(client.offsets(), [0, 1, 2, 3]);
    append_now(&buffer, &[], &records(3..MAX + 100), 0);
    append_now(&buffer, &[], &records(0..3), 0);
    assert_eq!(open_stream(&buffer, None, 0).offsets().first(), Some(&100), "the oldest that fits");
}

#[test]
fn an_unknown_position_is_reset_and_the_whole_buffer_follows() {
    let buffer = empty_buffer();
    append_now(&buffer, &[], &records(0..MAX + 10), 0);
    for (id, reason) in [
        ("v1.1.0.3", ResetReason::OutOfBuffer),
        ("v1.1.0.99999", ResetReason::OutOfBuffer),
        ("v1.2.0.20", ResetReason::OutOfBuffer),
        ("v1.1.7.20", ResetReason::OutOfBuffer),
        ("nonsense", ResetReason::BadCursor),
    ] {
        let client = open_stream(&buffer, Some(id), 0);
        assert_eq!(client.resets(), [reason], "{id}");
        assert_eq!(client.offsets().first(), Some(&10));
    }
    assert!(open_stream(&buffer, Some(""), 0).resets().is_empty(), "an empty id counts as no id");
}

#[test]
fn a_client_with_every_record_is_not_reset_when_they_expire() {
    let buffer = empty_buffer();
    append_now(&buffer, &[], &records(0..3), 0);
    assert!(open_stream(&buffer, Some("v1.1.0.2"), millis(MAX_AGE) + 1).received.borrow().is_empty());
    assert_eq!(open_stream(&buffer, Some("v1.1.0.1"), millis(MAX_AGE) + 1).resets(), [ResetReason::OutOfBuffer]);
}

fn take_up_to(buffer: &TestBuffer, client: &Client, seq: i64) {
    let Ok(()) = acknowledge(buffer, &client, &format!("{{\"taken\":{seq}}}"), 0);
}

#[test]
fn a_stream_gets_one_window_and_the_rest_once_it_acknowledges() {
    let buffer = empty_buffer();
    let client = open_stream(&buffer, None, 0);
    append_now(&buffer, &[&client], &records(0..300), 0);
    assert_eq!(client.offsets(), (0..WINDOW_RECORDS).collect::<Vec<_>>());
    take_up_to(&buffer, &client, 100);
    assert_eq!(client.offsets().last(), Some(&(WINDOW_RECORDS + 99)));
    let Ok(()) = acknowledge(&buffer, &&client, "nonsense", 0);
    take_up_to(&buffer, &client, 300);
    assert_eq!(
        client.offsets().last(),
        Some(&(WINDOW_RECORDS + 99)),
        "only records that were sent can be acknowledged"
    );
}

#[test]
fn large_records_fill_the_window_by_their_bytes() {
    let buffer = empty_buffer();
    let client = open_stream(&buffer, None, 0);
    let mut large = records(0..10);
    for record in &mut large {
        record.event.data = RawValue::from_string(format!("\"{}\"", "x".repeat(WINDOW_BYTES / 4))).unwrap();
    }
    append_now(&buffer, &[&client], &large, 0);
    assert_eq!(client.offsets(), [0, 1, 2, 3]);
}

#[test]
fn a_stream_that_fell_out_of_the_buffer_is_reset_and_continues() {
    let buffer = empty_buffer();
    let client = open_stream(&buffer, None, 0);
    append_now(&buffer, &[&client], &records(0..200), 0);
    append_now(&buffer, &[&client], &records(200..1000), 0);
    assert_eq!(client.offsets().len(), 128);
    take_up_to(&buffer, &client, 128);
    assert_eq!(client.resets(), [ResetReason::TooSlow]);
    assert_eq!(client.offsets()[128..], (500..628).collect::<Vec<_>>());
    take_up_to(&buffer, &client, 628);
    assert_eq!(client.offsets().last(), Some(&755));
}

#[test]
fn a_stream_that_acknowledges_nothing_for_a_minute_is_closed() {
    let buffer = empty_buffer();
    let client = open_stream(&buffer, None, 0);
    append_now(&buffer, &[&client], &records(0..300), 0);
    append_now(&buffer, &[&client], &records(300..301), 60_000);
    assert!(!client.closed.get());
    append_now(&buffer, &[&client], &records(301..302), 60_001);
    assert!(client.closed.get());
}

#[test]
fn an_ended_session_opens_no_stream() {
    let buffer = empty_buffer();
    let client = open_stream(&buffer, None, 0);
    assert_eq!(admit(&buffer, &session(1), 0), Ok(Ok(())));
    let Ok(()) = end(&buffer, &[&client], &session(1), EndReason::SignedOut, 0);
    assert!(matches!(client.received.borrow().last(), Some(HubMessage::End { reason: EndReason::SignedOut })));
    assert_eq!(admit(&buffer, &session(1), 0), Ok(Err(Rejection::SessionEnded)));
    assert_eq!(admit(&buffer, &session(2), MAX_USER_STREAMS), Ok(Err(Rejection::TooManyStreams)));
}

#[test]
fn the_buffer_is_due_for_trimming_when_its_oldest_record_expires() {
    let buffer = empty_buffer();
    assert_eq!(next_trim_ms(&buffer), Ok(None));
    append_now(&buffer, &[], &records(0..2), 5);
    assert_eq!(next_trim_ms(&buffer), Ok(Some(5 + millis(MAX_AGE) + 1)));
}

#[test]
fn a_new_epoch_starts_at_offset_zero() {
    let buffer = empty_buffer();
    let client = open_stream(&buffer, None, 0);
    append_now(&buffer, &[&client], &[record(1, 0, 5), record(2, 0, 0), record(1, 0, 6)], 0);
    assert_eq!(client.offsets(), [5, 0], "a late record of the old epoch is skipped");
}

/// Acknowledges until no more records are sent. Returns everything received.
fn read_all(buffer: &TestBuffer, client: &Client, now_ms: u64) -> Vec<Received> {
    let Ok(()) = send_pending(buffer, &client, now_ms);
    loop {
        let before = client.received.borrow().len();
        let ack = format!("{{\"taken\":{}}}", client.position.get().sent);
        let Ok(()) = acknowledge(buffer, &client, &ack, now_ms);
        if client.received.borrow().len() == before {
            break;
        }
    }
    let messages = client.received.take().into_iter();
    let received = messages.map(|message| match message {
        HubMessage::Record { cursor, .. } => Received::Record(cursor),
        HubMessage::Reset { reason } => Received::Reset(reason),
        HubMessage::End { .. } => panic!("the session has not ended"),
    });
    received.collect()
}

/// The cases that the bridge's buffer in Redis satisfies as well.
#[test]
fn the_hub_satisfies_the_shared_cases() {
    const START_MS: u64 = 1_800_000_000_000;
    for case in cases() {
        let (buffer, name) = (empty_buffer(), case.name);
        let (mut client, mut now_ms) = (Client::new(), START_MS);
        for (number, step) in case.steps.into_iter().enumerate() {
            match step {
                // Without sockets: the stream reads only when a step says so.
                Step::Append { at, records } => append_now(&buffer, &[], &records, START_MS + millis(at)),
                Step::Open { at, last_event_id, expected } => {
                    now_ms = START_MS + millis(at);
                    client = open_stream(&buffer, last_event_id, now_ms);
                    assert_eq!(read_all(&buffer, &client, now_ms), expected, "{name}, step {number}");
                }
                Step::ReadOn { expected } => {
                    assert_eq!(read_all(&buffer, &client, now_ms), expected, "{name}, step {number}");
                }
            }
        }
    }
}

proptest! {
    /// Deliveries repeat, streams open and close at any time, acknowledgements lag. Every client still receives each
    /// record exactly once and in order.
    #[test]
    fn every_record_arrives_exactly_once_and_in_order(steps in proptest::collection::vec((0..4u8, 0..40i64), 1..60)) {
        let buffer = empty_buffer();
        let mut client = open_stream(&buffer, None, 0);
        let (mut delivered, mut received) = (0, Vec::new());
        let take = |client: &Client, received: &mut Vec<i64>| {
            received.extend(client.offsets());
            client.received.borrow_mut().clear();
            received.last().map(|last| format!("v1.1.0.{last}"))
        };
        for (step, amount) in steps {
            match step {
                0 => {
                    append_now(&buffer, &[&client], &records((delivered - amount).max(0)..delivered + 3), 0);
                    delivered += 3;
                }
                1 => {
                    let last = take(&client, &mut received);
                    client = open_stream(&buffer, last.as_deref(), 0);
                }
                _ => {
                    take(&client, &mut received);
                    take_up_to(&buffer, &client, client.position.get().sent);
                }
            }
        }
        let _ = take(&client, &mut received);
        prop_assert_eq!(received, (0..delivered).collect::<Vec<_>>());
    }
}
