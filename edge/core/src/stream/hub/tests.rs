use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    convert::Infallible,
};

use causeway_protocol::event::StreamEvent;
use proptest::prelude::*;

use super::*;

#[derive(Default)]
struct Memory {
    rows: RefCell<BTreeMap<i64, (Cursor, String, u64)>>,
    marks: RefCell<BTreeMap<i32, Watermark>>,
    next: Cell<i64>,
    ended: RefCell<BTreeMap<String, u64>>,
}

impl Buffer for Memory {
    type Error = Infallible;

    fn watermark(&self, partition: i32) -> Result<Option<Watermark>, Infallible> {
        Ok(self.marks.borrow().get(&partition).copied())
    }

    fn insert(&self, cursor: Cursor, json: &str, at_ms: u64) -> Result<(), Infallible> {
        let seq = self.next.get() + 1;
        self.next.set(seq);
        self.rows.borrow_mut().insert(seq, (cursor, json.to_owned(), at_ms));
        self.marks.borrow_mut().insert(cursor.partition, Watermark { cursor, seq });
        Ok(())
    }

    fn position(&self, cursor: Cursor) -> Result<Option<i64>, Infallible> {
        Ok(self.rows.borrow().iter().find(|(_, row)| row.0 == cursor).map(|(seq, _)| *seq))
    }

    fn after(&self, seq: i64, limit: usize) -> Result<Vec<Stored>, Infallible> {
        let rows = self.rows.borrow();
        let after = rows.range(seq + 1..).take(limit);
        Ok(after.map(|(seq, (cursor, json, _))| Stored { seq: *seq, cursor: *cursor, json: json.clone() }).collect())
    }

    fn bytes_between(&self, from: i64, to: i64) -> Result<usize, Infallible> {
        let rows = self.rows.borrow();
        Ok(rows.iter().filter(|(seq, _)| (from + 1..=to).contains(seq)).map(|(_, row)| row.1.len()).sum())
    }

    fn last_seq(&self) -> Result<i64, Infallible> {
        Ok(self.next.get())
    }

    fn oldest_at_ms(&self) -> Result<Option<u64>, Infallible> {
        Ok(self.rows.borrow().values().next().map(|row| row.2))
    }

    fn remember_end(&self, session: &str, at_ms: u64, forget_before_ms: u64) -> Result<(), Infallible> {
        self.ended.borrow_mut().retain(|_, at_ms| *at_ms >= forget_before_ms);
        self.ended.borrow_mut().insert(session.to_owned(), at_ms);
        Ok(())
    }

    fn has_ended(&self, session: &str) -> Result<bool, Infallible> {
        Ok(self.ended.borrow().contains_key(session))
    }

    fn trim(&self, up_to_seq: i64, older_than_ms: u64) -> Result<(), Infallible> {
        self.rows.borrow_mut().retain(|seq, row| *seq > up_to_seq && row.2 >= older_than_ms);
        Ok(())
    }
}

struct Client {
    place: Cell<NetworkScope>,
    got: RefCell<Vec<HubMessage>>,
    closed: Cell<bool>,
}

impl Client {
    fn new() -> Self {
        Self {
            place: Cell::new(NetworkScope { sent: 0, acknowledged: 0, full_since_ms: None }),
            got: RefCell::default(),
            closed: Cell::new(false),
        }
    }

    fn offsets(&self) -> Vec<i64> {
        self.got
            .borrow()
            .iter()
            .filter_map(|message| match message {
                HubMessage::Record { cursor, .. } => Some(cursor.offset),
                _ => None,
            })
            .collect()
    }

    fn resets(&self) -> Vec<ResetReason> {
        self.got
            .borrow()
            .iter()
            .filter_map(|message| match message {
                HubMessage::Reset { reason } => Some(*reason),
                _ => None,
            })
            .collect()
    }
}

impl Outlet for &Client {
    fn network_scope(&self) -> NetworkScope {
        self.place.get()
    }

    fn set_place(&self, place: NetworkScope) {
        self.place.set(place);
    }

    fn send(&self, text: &str) {
        self.got.borrow_mut().push(serde_json::from_str(text).unwrap());
    }

    fn close(&self) {
        self.closed.set(true);
    }
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

fn put(buffer: &Memory, clients: &[&Client], records: &[Record], now_ms: u64) {
    let Ok(()) = append(buffer, clients, records, now_ms);
}

fn enter(buffer: &Memory, last_event_id: Option<&str>, now_ms: u64) -> Client {
    let client = Client::new();
    let Ok(()) = open(buffer, &&client, last_event_id, now_ms);
    client
}

#[test]
fn a_new_stream_gets_the_snapshot_and_then_what_comes_with_nothing_between() {
    let buffer = Memory::default();
    put(&buffer, &[], &records(0..3), 0);
    let client = enter(&buffer, None, 0);
    put(&buffer, &[&client], &records(3..5), 0);
    assert_eq!(client.offsets(), [0, 1, 2, 3, 4]);
    assert!(client.resets().is_empty());
}

#[test]
fn a_resumed_stream_goes_on_after_its_id() {
    let buffer = Memory::default();
    put(&buffer, &[], &records(0..5), 0);
    assert_eq!(enter(&buffer, Some("v1.1.0.2"), 0).offsets(), [3, 4]);
    assert!(enter(&buffer, Some("v1.1.0.4"), 0).got.borrow().is_empty());
}

#[test]
fn a_repeated_delivery_is_stored_once_even_when_it_was_trimmed_long_ago() {
    let buffer = Memory::default();
    let client = enter(&buffer, None, 0);
    put(&buffer, &[&client], &records(0..3), 0);
    put(&buffer, &[&client], &records(0..4), 0);
    assert_eq!(client.offsets(), [0, 1, 2, 3]);
    put(&buffer, &[], &records(3..(MAX_RECORDS + 100)), 0);
    put(&buffer, &[], &records(0..3), 0);
    assert_eq!(enter(&buffer, None, 0).offsets().first(), Some(&100), "the oldest that fits");
}

#[test]
fn a_lost_place_is_admitted_and_the_whole_buffer_follows() {
    let buffer = Memory::default();
    put(&buffer, &[], &records(0..(MAX_RECORDS + 10)), 0);
    for (id, reason) in [
        ("v1.1.0.3", ResetReason::OutOfBuffer),
        ("v1.1.0.99999", ResetReason::OutOfBuffer),
        ("v1.2.0.20", ResetReason::OutOfBuffer),
        ("v1.1.7.20", ResetReason::OutOfBuffer),
        ("nonsense", ResetReason::BadCursor),
    ] {
        let client = enter(&buffer, Some(id), 0);
        assert_eq!(client.resets(), [reason], "{id}");
        assert_eq!(client.offsets().first(), Some(&10));
    }
    assert!(enter(&buffer, Some(""), 0).resets().is_empty(), "an empty id is none");
}

#[test]
fn who_has_everything_is_not_reset_when_it_all_grew_old() {
    let buffer = Memory::default();
    put(&buffer, &[], &records(0..3), 0);
    assert!(enter(&buffer, Some("v1.1.0.2"), MAX_AGE_MS + 1).got.borrow().is_empty());
    assert_eq!(enter(&buffer, Some("v1.1.0.1"), MAX_AGE_MS + 1).resets(), [ResetReason::OutOfBuffer]);
}

fn taken(buffer: &Memory, client: &Client, seq: i64) {
    let Ok(()) = acknowledge(buffer, &client, &format!("{{\"taken\":{seq}}}"), 0);
}

#[test]
fn a_stream_that_takes_nothing_gets_a_window_and_the_rest_once_it_does() {
    let buffer = Memory::default();
    let client = enter(&buffer, None, 0);
    put(&buffer, &[&client], &records(0..300), 0);
    assert_eq!(client.offsets(), (0..WINDOW_RECORDS).collect::<Vec<_>>());
    taken(&buffer, &client, 100);
    assert_eq!(client.offsets().last(), Some(&(WINDOW_RECORDS + 99)));
    let Ok(()) = acknowledge(&buffer, &&client, "nonsense", 0);
    taken(&buffer, &client, 300);
    assert_eq!(client.offsets().last(), Some(&(WINDOW_RECORDS + 99)), "what was not sent cannot be acknowledged");
}

#[test]
fn large_records_fill_the_window_by_their_bytes() {
    let buffer = Memory::default();
    let client = enter(&buffer, None, 0);
    let mut large = records(0..10);
    for record in &mut large {
        record.event.data = RawValue::from_string(format!("\"{}\"", "x".repeat(WINDOW_BYTES / 4))).unwrap();
    }
    put(&buffer, &[&client], &large, 0);
    assert_eq!(client.offsets(), [0, 1, 2, 3]);
}

#[test]
fn a_stream_that_fell_out_of_the_buffer_is_told_and_goes_on() {
    let buffer = Memory::default();
    let client = enter(&buffer, None, 0);
    put(&buffer, &[&client], &records(0..200), 0);
    put(&buffer, &[&client], &records(200..1000), 0);
    assert_eq!(client.offsets().len(), 128);
    taken(&buffer, &client, 128);
    assert_eq!(client.resets(), [ResetReason::TooSlow]);
    assert_eq!(client.offsets()[128..], (500..628).collect::<Vec<_>>());
    taken(&buffer, &client, 628);
    assert_eq!(client.offsets().last(), Some(&755));
}

#[test]
fn a_stream_that_takes_nothing_for_a_minute_is_closed() {
    let buffer = Memory::default();
    let client = enter(&buffer, None, 0);
    put(&buffer, &[&client], &records(0..300), 0);
    put(&buffer, &[&client], &records(300..301), 60_000);
    assert!(!client.closed.get());
    put(&buffer, &[&client], &records(301..302), 60_001);
    assert!(client.closed.get());
}

#[test]
fn an_ended_session_opens_no_stream_even_for_who_has_not_heard() {
    let buffer = Memory::default();
    let client = enter(&buffer, None, 0);
    assert_eq!(admit(&buffer, "s", 0), Ok(Ok(())));
    let Ok(()) = end(&buffer, &[&client], "s", EndReason::SignedOut, 0);
    assert!(matches!(client.got.borrow().last(), Some(HubMessage::End { reason: EndReason::SignedOut })));
    assert_eq!(admit(&buffer, "s", 0), Ok(Err(Closed::SessionEnded)));
    assert_eq!(admit(&buffer, "t", MAX_STREAMS), Ok(Err(Closed::TooMany)));
}

#[test]
fn the_buffer_asks_to_be_trimmed_when_its_oldest_record_is_over() {
    let buffer = Memory::default();
    assert_eq!(next_trim_ms(&buffer), Ok(None));
    put(&buffer, &[], &records(0..2), 5);
    assert_eq!(next_trim_ms(&buffer), Ok(Some(5 + MAX_AGE_MS + 1)));
}

#[test]
fn a_new_epoch_begins_again_at_zero() {
    let buffer = Memory::default();
    let client = enter(&buffer, None, 0);
    put(&buffer, &[&client], &[record(1, 0, 5), record(2, 0, 0), record(1, 0, 6)], 0);
    assert_eq!(client.offsets(), [5, 0], "the old epoch's late record is not taken for a new one");
}

proptest! {
    /// Deliveries repeat, streams come and go at any moment, acknowledgements lag: every client ends with each record
    /// exactly once and in order.
    #[test]
    fn nothing_lost_nothing_twice(steps in proptest::collection::vec((0..4u8, 0..40i64), 1..60)) {
        let buffer = Memory::default();
        let mut client = enter(&buffer, None, 0);
        let (mut delivered, mut heard) = (0, Vec::new());
        let take = |client: &Client, heard: &mut Vec<i64>| {
            heard.extend(client.offsets());
            client.got.borrow_mut().clear();
            heard.last().map(|last| format!("v1.1.0.{last}"))
        };
        for (step, amount) in steps {
            match step {
                0 => {
                    put(&buffer, &[&client], &records((delivered - amount).max(0)..delivered + 3), 0);
                    delivered += 3;
                }
                1 => {
                    let last = take(&client, &mut heard);
                    client = enter(&buffer, last.as_deref(), 0);
                }
                _ => {
                    take(&client, &mut heard);
                    taken(&buffer, &client, client.place.get().sent);
                }
            }
        }
        let _ = take(&client, &mut heard);
        prop_assert_eq!(heard, (0..delivered).collect::<Vec<_>>());
    }
}
