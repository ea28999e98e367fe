//! Holds the fetched records that are not delivered yet, by user. Decides what the next request carries and how far the
//! checkpoint may move.
//!
//! A user whose hub fails waits alone, with growing pauses. Records of other users are still delivered; only the
//! checkpoint stays before that user's first record. No I/O, and `now` is passed in.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use causeway_protocol::{
    deliver::{Delivery, MAX_DELIVER_BYTES, Record},
    subject::Subject,
};
use tokio::time::Instant;

use super::{decode::AddressedRecord, memory_budget::Reservation};
use crate::backoff::Backoff;

/// Limits of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestLimits {
    /// The maximum number of users. Each costs the edge a call to a hub.
    pub(super) users: usize,
    /// The maximum number of records.
    pub(super) records: usize,
    /// The maximum size of all records, in bytes.
    pub(super) bytes: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        // Three quarters of the limit leave room for the JSON around the records.
        Self { users: 100, records: 2000, bytes: MAX_DELIVER_BYTES / 4 * 3 }
    }
}

/// Fetching pauses at this many records.
const MAX_RECORDS: usize = 10_000;

/// The content of the next request.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// Records by user, in offset order.
    pub(super) deliveries: Vec<Delivery>,
    /// Once these are delivered, all records before this offset are.
    pub(super) advance_to: i64,
    /// The number of records.
    pub(super) records: usize,
}

/// The records of one partition that wait for delivery.
#[derive(Debug)]
pub(super) struct Backlog {
    users: BTreeMap<Subject, Queue>,
    records: usize,
    reservation: Reservation,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Record, usize)>,
    backoff: Option<Backoff>,
    not_before: Option<Instant>,
}

impl Queue {
    fn first_offset(&self) -> Option<i64> {
        self.waiting.front().map(|(record, _)| record.cursor.offset)
    }

    fn is_due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }
}

impl Backlog {
    /// Starts empty. Its records count towards `reservation`.
    pub(super) fn new(reservation: Reservation) -> Self {
        Self { users: BTreeMap::new(), records: 0, reservation }
    }

    /// Adds a record. Offsets must increase.
    pub(super) fn push(&mut self, addressed: AddressedRecord) {
        self.records += 1;
        self.reservation.add(addressed.size);
        let queue = self.users.entry(addressed.subject).or_default();
        queue.waiting.push_back((addressed.record, addressed.size));
    }

    /// Removes and returns a user's first record.
    pub(super) fn take_first(&mut self, subject: &Subject) -> Option<AddressedRecord> {
        let queue = self.users.get_mut(subject)?;
        let (record, size) = queue.waiting.pop_front()?;
        if queue.waiting.is_empty() {
            self.users.remove(subject);
        }
        self.records -= 1;
        self.reservation.release(size);
        Some(AddressedRecord { subject: subject.clone(), record, size })
    }

    /// Returns a removed record to the front of the user's queue.
    pub(super) fn put_back(&mut self, AddressedRecord { subject, record, size }: AddressedRecord) {
        self.records += 1;
        self.reservation.add(size);
        self.users.entry(subject).or_default().waiting.push_front((record, size));
    }

    /// The number of records.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.records
    }

    /// Whether fetching must pause.
    #[must_use]
    pub(super) fn is_full(&self) -> bool {
        self.records >= MAX_RECORDS || self.reservation.is_exhausted()
    }

    /// The records to send now. All records before `next_fetch_offset` were pushed.
    #[must_use]
    pub(super) fn request(&self, now: Instant, next_fetch_offset: i64, limits: RequestLimits) -> Request {
        let mut oldest_first: Vec<_> = self.users.iter().collect();
        oldest_first.sort_by_key(|(_, queue)| queue.first_offset());
        let mut request = Request { advance_to: next_fetch_offset, ..Request::default() };
        let mut bytes = 0;
        for (subject, queue) in oldest_first {
            let mut records = Vec::new();
            if queue.is_due(now) && request.deliveries.len() < limits.users {
                for (record, size) in &queue.waiting {
                    // The first record ignores the limit: alone, it always fits.
                    let first = request.records == 0 && records.is_empty();
                    if !first && (request.records + records.len() >= limits.records || bytes + size > limits.bytes) {
                        break;
                    }
                    bytes += size;
                    records.push(record.clone());
                }
            }
            if let Some((left_out, _)) = queue.waiting.get(records.len()) {
                request.advance_to = request.advance_to.min(left_out.cursor.offset);
            }
            if !records.is_empty() {
                request.records += records.len();
                request.deliveries.push(Delivery { subject: subject.clone(), records });
            }
        }
        request
    }

    /// Removes the records that were sent. Those of failed users stay and wait for a retry.
    pub(super) fn settle(&mut self, now: Instant, sent: &[Delivery], failed: &[Subject]) {
        for delivery in sent {
            let Some(queue) = self.users.get_mut(&delivery.subject) else { continue };
            if failed.contains(&delivery.subject) {
                let backoff = queue
                    .backoff
                    .get_or_insert_with(|| Backoff::new(Duration::from_millis(200), Duration::from_secs(10)));
                queue.not_before = Some(now + backoff.next_wait());
                continue;
            }
            for (_, size) in queue.waiting.drain(..delivery.records.len().min(queue.waiting.len())) {
                self.records -= 1;
                self.reservation.release(size);
            }
            queue.backoff = None;
            queue.not_before = None;
            if queue.waiting.is_empty() {
                self.users.remove(&delivery.subject);
            }
        }
    }

    /// Removes records before an offset, which another instance delivered.
    pub(super) fn drop_before(&mut self, offset: i64) {
        for queue in self.users.values_mut() {
            while queue.first_offset().is_some_and(|first| first < offset) {
                let Some((_, size)) = queue.waiting.pop_front() else { break };
                self.records -= 1;
                self.reservation.release(size);
            }
        }
        self.users.retain(|_, queue| !queue.waiting.is_empty());
    }

    /// When the next waiting user is due.
    #[must_use]
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.users.values().filter_map(|queue| queue.not_before).min()
    }
}

#[cfg(test)]
mod tests {
    use causeway_protocol::{cursor::Cursor, event::StreamEvent};
    use serde_json::value::RawValue;

    use super::{super::memory_budget::MemoryBudget, *};

    fn addressed(user: &str, offset: i64) -> AddressedRecord {
        let event = StreamEvent {
            id: offset.to_string(),
            kind: "message".to_owned(),
            time: String::new(),
            traceparent: None,
            data: RawValue::from_string("1".to_owned()).unwrap(),
        };
        let record = Record { cursor: Cursor { epoch: 0, partition: 0, offset }, event };
        AddressedRecord { subject: Subject::new("t", user).unwrap(), record, size: 10 }
    }

    fn backlog(records: &[(&str, i64)]) -> Backlog {
        let mut backlog = Backlog::new(MemoryBudget::new(1).reserve());
        records.iter().for_each(|(user, offset)| backlog.push(addressed(user, *offset)));
        backlog
    }

    fn offsets(request: &Request) -> Vec<(String, Vec<i64>)> {
        let of = |delivery: &Delivery| delivery.records.iter().map(|record| record.cursor.offset).collect();
        request.deliveries.iter().map(|delivery| (delivery.subject.user().to_owned(), of(delivery))).collect()
    }

    #[tokio::test]
    async fn records_are_grouped_by_user_and_the_checkpoint_follows() {
        let mut backlog = backlog(&[("a", 0), ("b", 1), ("a", 2)]);
        let request = backlog.request(Instant::now(), 3, RequestLimits::default());
        assert_eq!(offsets(&request), [("a".to_owned(), vec![0, 2]), ("b".to_owned(), vec![1])]);
        assert_eq!(request.advance_to, 3);
        backlog.settle(Instant::now(), &request.deliveries, &[]);
        assert_eq!(backlog.len(), 0);
    }

    #[tokio::test]
    async fn a_failed_user_waits_alone_and_holds_the_checkpoint() {
        let mut backlog = backlog(&[("a", 0), ("b", 1)]);
        let now = Instant::now();
        let request = backlog.request(now, 2, RequestLimits::default());
        backlog.settle(now, &request.deliveries, &[Subject::new("t", "b").unwrap()]);
        backlog.push(addressed("a", 2));

        let request = backlog.request(now, 3, RequestLimits::default());
        assert_eq!(offsets(&request), [("a".to_owned(), vec![2])]);
        assert_eq!(request.advance_to, 1);
        backlog.settle(now, &request.deliveries, &[]);

        let later = backlog.next_due().unwrap();
        let request = backlog.request(later, 3, RequestLimits::default());
        assert_eq!(offsets(&request), [("b".to_owned(), vec![1])]);
        assert_eq!(request.advance_to, 3);
    }

    #[tokio::test]
    async fn records_beyond_the_limits_hold_back_the_checkpoint_and_are_sent_next() {
        let limits = RequestLimits { users: 1, records: 10, bytes: 25 };
        let mut backlog = backlog(&[("a", 0), ("a", 1), ("b", 2), ("a", 3)]);
        let request = backlog.request(Instant::now(), 4, limits);
        assert_eq!((offsets(&request), request.advance_to), (vec![("a".to_owned(), vec![0, 1])], 2));
        backlog.settle(Instant::now(), &request.deliveries, &[]);
        let request = backlog.request(Instant::now(), 4, limits);
        assert_eq!((offsets(&request), request.advance_to), (vec![("b".to_owned(), vec![2])], 3));
    }

    #[tokio::test]
    async fn records_that_another_instance_delivered_are_dropped() {
        let mut backlog = backlog(&[("a", 0), ("b", 1), ("a", 2)]);
        backlog.drop_before(2);
        assert_eq!(backlog.len(), 1);
        assert_eq!(offsets(&backlog.request(Instant::now(), 3, RequestLimits::default())), [("a".to_owned(), vec![2])]);
    }
}
