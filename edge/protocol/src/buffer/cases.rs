//! The cases that every buffer must satisfy: each is a list of steps with the messages that a stream must receive.
//!
//! A test runs each [`Case`] on an empty buffer. It performs the steps in order and compares what the stream receives.

use std::{ops::Range, time::Duration};

use serde_json::value::RawValue;

use super::{MAX_AGE, MAX_RECORDS};
use crate::{cursor::Cursor, deliver::Record, event::StreamEvent, hub::ResetReason};

/// One case. The buffer has the limits of [`super`].
#[derive(Debug)]
pub struct Case {
    /// The behaviour it checks.
    pub name: &'static str,
    /// Its steps, in order.
    pub steps: Vec<Step>,
}

/// One step. Times count from the start of the case.
#[derive(Debug)]
pub enum Step {
    /// Appends records of one partition.
    Append {
        /// When.
        at: Duration,
        /// In the order of delivery.
        records: Vec<Record>,
    },
    /// Opens a stream and reads until there is no more.
    Open {
        /// When.
        at: Duration,
        /// The client's `Last-Event-ID`.
        last_event_id: Option<&'static str>,
        /// What the stream receives.
        expected: Vec<Received>,
    },
    /// Reads on with the stream that was opened last, until there is no more.
    ReadOn {
        /// What the stream receives.
        expected: Vec<Received>,
    },
}

/// A message that a stream receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A record, by its SSE id.
    Record(Cursor),
    /// A gap.
    Reset(ResetReason),
}

const START: Duration = Duration::ZERO;
const EXPIRED: Duration = MAX_AGE.saturating_add(Duration::from_millis(1));
const MAX: i64 = MAX_RECORDS as i64;

/// All cases.
#[must_use]
pub fn cases() -> Vec<Case> {
    [streaming(), resuming(), limits(), expiry()].into_iter().flatten().collect()
}

fn streaming() -> Vec<Case> {
    let arrivals = || [0, 3, 1, 0, 12].into_iter().cycle().zip(0..40);
    let appended = arrivals().map(|(partition, offset)| append(START, records(1, partition, offset..offset + 1)));
    let merged = arrivals().map(|(partition, offset)| record_at(1, partition, offset)).collect();
    vec![
        Case {
            name: "a new stream gets the stored records and then the new ones",
            steps: vec![
                append(START, records(1, 0, 0..3)),
                open(START, None, received(0, 0..3)),
                append(START, records(1, 0, 3..5)),
                read_on(received(0, 3..5)),
                read_on(Vec::new()),
            ],
        },
        Case {
            name: "records of several partitions are merged in the order of arrival",
            steps: appended.chain([open(START, None, merged)]).collect(),
        },
        Case {
            name: "a repeat is skipped, even if the record was trimmed",
            steps: vec![
                append(START, records(1, 0, 0..3)),
                append(START, records(1, 0, 0..4)),
                open(START, None, received(0, 0..4)),
                append(START, records(1, 0, 4..MAX + 100)),
                append(START, records(1, 0, 0..3)),
                open(START, None, received(0, 100..MAX + 100)),
            ],
        },
        Case {
            name: "a new epoch begins at 0, and late records of the old one are rejected",
            steps: vec![
                append(START, [records(1, 0, 5..6), records(2, 0, 0..1), records(1, 0, 6..7)].concat()),
                open(START, None, vec![record_at(1, 0, 5), record_at(2, 0, 0)]),
            ],
        },
        Case {
            name: "records of any size are received whole",
            steps: vec![append(START, large_records(0..6)), open(START, None, received(0, 0..6))],
        },
    ]
}

fn resuming() -> Vec<Case> {
    let all = || received(0, 0..5);
    let lost = || [vec![Received::Reset(ResetReason::OutOfBuffer)], all()].concat();
    let bad = || [vec![Received::Reset(ResetReason::BadCursor)], all()].concat();
    vec![
        Case {
            name: "a client resumes after its cursor, or is reset and gets the whole buffer",
            steps: vec![
                append(START, records(1, 0, 0..5)),
                open(START, Some("v1.1.0.2"), received(0, 3..5)),
                open(START, Some("v1.1.0.4"), Vec::new()),
                open(START, Some(""), all()),
                open(START, Some("v1.1.0.5"), lost()),
                open(START, Some("v1.2.0.2"), lost()),
                open(START, Some("v1.1.7.2"), lost()),
                open(START, Some("v1.4294967295.2147483647.9223372036854775807"), lost()),
                open(START, Some("nonsense"), bad()),
                open(START, Some("v2.1.0.2"), bad()),
            ],
        },
        Case {
            name: "an empty buffer has no position but the beginning",
            steps: vec![
                open(START, None, Vec::new()),
                open(START, Some("v1.1.0.2"), vec![Received::Reset(ResetReason::OutOfBuffer)]),
                open(START, Some("nonsense"), vec![Received::Reset(ResetReason::BadCursor)]),
            ],
        },
    ]
}

fn limits() -> Vec<Case> {
    let out_of_buffer = || vec![Received::Reset(ResetReason::OutOfBuffer)];
    vec![
        Case {
            name: "the number of records is limited across all partitions",
            steps: vec![
                append(START, records(1, 0, 0..MAX - 100)),
                append(START, records(1, 1, 0..MAX - 100)),
                open(START, None, [received(0, MAX - 200..MAX - 100), received(1, 0..MAX - 100)].concat()),
            ],
        },
        Case {
            name: "a client whose record was trimmed is reset",
            steps: vec![
                append(START, records(1, 0, 0..MAX + 10)),
                open(START, Some("v1.1.0.3"), [out_of_buffer(), received(0, 10..MAX + 10)].concat()),
                open(START, Some("v1.1.0.10"), received(0, 11..MAX + 10)),
            ],
        },
        Case {
            name: "an open stream whose position was trimmed is reset",
            steps: vec![
                append(START, records(1, 0, 0..4)),
                open(START, None, received(0, 0..4)),
                append(START, records(1, 0, 4..MAX + 100)),
                read_on([vec![Received::Reset(ResetReason::TooSlow)], received(0, 100..MAX + 100)].concat()),
            ],
        },
    ]
}

fn expiry() -> Vec<Case> {
    let out_of_buffer = || vec![Received::Reset(ResetReason::OutOfBuffer)];
    vec![
        Case {
            name: "a client that received all expired records is not reset, any other is",
            steps: vec![
                append(START, records(1, 0, 0..5)),
                open(MAX_AGE, Some("v1.1.0.3"), received(0, 4..5)),
                open(EXPIRED, Some("v1.1.0.4"), Vec::new()),
                open(EXPIRED, Some("v1.1.0.3"), out_of_buffer()),
                open(EXPIRED, None, Vec::new()),
                append(EXPIRED, records(1, 1, 0..1)),
                open(EXPIRED, Some("v1.1.0.4"), received(1, 0..1)),
            ],
        },
        Case {
            name: "the newest record of a partition is no exact position once a later one of another has expired",
            steps: vec![
                append(START, records(1, 0, 0..1)),
                append(START, records(1, 1, 0..1)),
                open(EXPIRED, Some("v1.1.0.0"), out_of_buffer()),
                open(EXPIRED, Some("v1.1.1.0"), Vec::new()),
            ],
        },
        Case {
            name: "an expired record is still recognized when it is repeated",
            steps: vec![
                append(START, records(1, 0, 0..3)),
                append(EXPIRED, records(1, 0, 0..4)),
                open(EXPIRED, None, received(0, 3..4)),
            ],
        },
    ]
}

fn append(at: Duration, records: Vec<Record>) -> Step {
    Step::Append { at, records }
}

fn open(at: Duration, last_event_id: Option<&'static str>, expected: Vec<Received>) -> Step {
    Step::Open { at, last_event_id, expected }
}

fn read_on(expected: Vec<Received>) -> Step {
    Step::ReadOn { expected }
}

/// Records of one partition whose data is the offset.
fn records(epoch: u32, partition: i32, offsets: Range<i64>) -> Vec<Record> {
    offsets.map(|offset| record(Cursor { epoch, partition, offset }, offset.to_string())).collect()
}

/// Records that are larger than a page together, and whose characters take several bytes.
fn large_records(offsets: Range<i64>) -> Vec<Record> {
    let json = format!("\"{}\"", "ü\\u0000".repeat(15_000));
    offsets.map(|offset| record(Cursor { epoch: 1, partition: 0, offset }, json.clone())).collect()
}

fn record(cursor: Cursor, json: String) -> Record {
    let event = StreamEvent {
        id: cursor.offset.to_string(),
        kind: "message".to_owned(),
        time: "2026-01-02T03:04:05Z".to_owned(),
        traceparent: None,
        data: RawValue::from_string(json).unwrap_or_default(),
    };
    Record { cursor, event }
}

/// Records of epoch 1, as a stream receives them.
fn received(partition: i32, offsets: Range<i64>) -> Vec<Received> {
    offsets.map(|offset| record_at(1, partition, offset)).collect()
}

fn record_at(epoch: u32, partition: i32, offset: i64) -> Received {
    Received::Record(Cursor { epoch, partition, offset })
}
