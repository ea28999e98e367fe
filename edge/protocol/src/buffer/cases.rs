//! The cases that every buffer must satisfy: each is a list of steps with the events that a stream must receive.
//!
//! A test runs each [`Case`] on an empty buffer. It performs the steps in order and compares what the stream receives,
//! which [`received_in`] reads from the frames.

use std::{ops::Range, time::Duration};

use super::{MAX_AGE, MAX_BUFFER_BYTES, MAX_MESSAGES, TRIM_SLACK_PERCENT};
use crate::{
    channel::Channel,
    cursor::{Cursor, Position},
    deliver::{Item, Outcome, Slice, Source},
    frame::{gap_frame, record_frame},
    hub::ResetReason,
};

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
    /// Appends items of one partition.
    Append {
        /// When.
        at: Duration,
        /// In the order of delivery.
        slice: Slice,
        /// What becomes of them.
        expected: Outcome,
    },
    /// Opens a stream and reads until there is no more.
    Open {
        /// When.
        at: Duration,
        /// The client's `Last-Event-ID`.
        last_event_id: Option<String>,
        /// The channels that it hears. Empty means all.
        channels: Vec<Channel>,
        /// What the stream receives.
        expected: Vec<Received>,
    },
    /// Reads on with the stream that was opened last, until there is no more.
    ReadOn {
        /// What the stream receives.
        expected: Vec<Received>,
    },
}

/// An event that a stream receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A record's, by its SSE id.
    Record(String),
    /// A gap.
    Reset(ResetReason),
}

/// The events in frames.
///
/// # Panics
/// If the text does not consist of complete events.
#[must_use]
pub fn received_in(frames: &str) -> Vec<Received> {
    assert!(frames.is_empty() || frames.ends_with("\n\n"), "complete events: {frames:?}");
    let events = frames.split("\n\n").filter(|event| !event.is_empty());
    let field = |event: &str, name: &str| {
        event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    let read = |event: &str| match field(event, "event").as_deref() {
        Some("reset") => {
            let data = field(event, "data").unwrap_or_default();
            let reason = data.trim_start_matches("{\"reason\":").trim_end_matches('}');
            Received::Reset(serde_json::from_str(reason).unwrap_or(ResetReason::BadCursor))
        }
        _ => Received::Record(field(event, "id").unwrap_or_default()),
    };
    events.map(read).collect()
}

const START: Duration = Duration::ZERO;
const EXPIRED: Duration = MAX_AGE.saturating_add(Duration::from_millis(1));
const MAX: i64 = MAX_MESSAGES as i64;
/// One more than a buffer holds before it is trimmed to [`MAX`].
const OVERFLOW: i64 = MAX + MAX * TRIM_SLACK_PERCENT as i64 / 100 + 1;

/// All cases.
#[must_use]
pub fn cases() -> Vec<Case> {
    [streaming(), resuming(), channels(), pieces(), limits(), expiry()].into_iter().flatten().collect()
}

fn streaming() -> Vec<Case> {
    let arrivals = || [0, 3, 1, 0, 12].into_iter().cycle().zip(0..40);
    let appended = arrivals().map(|(partition, offset)| append(START, slice(partition, offset..offset + 1)));
    let merged = arrivals().map(|(partition, offset)| record_at(partition, offset)).collect();
    vec![
        Case {
            name: "a new stream gets the stored records and then the new ones",
            steps: vec![
                append(START, slice(0, 0..3)),
                open(START, None, received(0, 0..3)),
                append(START, slice(0, 3..5)),
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
                append(START, slice(0, 0..3)),
                append(START, slice(0, 0..4)),
                open(START, None, received(0, 0..4)),
                append(START, slice(0, 4..OVERFLOW)),
                append(START, slice(0, 0..3)),
                open(START, None, received(0, OVERFLOW - MAX..OVERFLOW)),
            ],
        },
        Case {
            name: "a new epoch begins at 0, and late records of the old one are skipped",
            steps: vec![
                append(START, slice(0, 5..6)),
                append(START, in_epoch(2, slice(0, 0..1))),
                append(START, slice(0, 6..7)),
                open(START, None, vec![record_at(0, 5), Received::Record("v2.chat.2.0.0".to_owned())]),
            ],
        },
        Case {
            name: "records of any size are received whole",
            steps: vec![append(START, large_records(0..6)), open(START, None, received(0, 0..6))],
        },
        Case {
            name: "nothing is stored for a reader that was replaced",
            steps: vec![
                append(START, of_generation(2, slice(0, 0..1))),
                Step::Append { at: START, slice: of_generation(1, slice(0, 1..2)), expected: Outcome::Stale },
                append(START, of_generation(3, slice(0, 1..2))),
                open(START, None, received(0, 0..2)),
            ],
        },
        Case {
            name: "a gap is received like a record, and once",
            steps: vec![
                append(START, slice(0, 0..1)),
                append(START, gap(0, 7, ResetReason::Parked)),
                open(START, None, vec![record_at(0, 0), Received::Reset(ResetReason::Parked)]),
                open(START, Some("v2.chat.1.0.0"), vec![Received::Reset(ResetReason::Parked)]),
                open(START, Some("v2.chat.1.0.7"), Vec::new()),
            ],
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
                append(START, slice(0, 0..5)),
                open(START, Some("v2.chat.1.0.2"), received(0, 3..5)),
                open(START, Some("v2.chat.1.0.4"), Vec::new()),
                open(START, Some(""), all()),
                open(START, Some("v2.chat.2.0.2"), lost()),
                open(START, Some("v2.chat.1.7.2"), lost()),
                open(START, Some("v2.feed.1.0.2"), lost()),
                open(START, Some("v2.chat.4294967295.2147483647.9223372036854775807"), lost()),
                open(START, Some("nonsense"), bad()),
                open(START, Some("v1.1.0.2"), bad()),
            ],
        },
        Case {
            name: "a client that has only some of a record's events gets the record again",
            steps: vec![
                append(START, slice(0, 0..3)),
                open(START, Some("v2.chat.1.0.1-0"), received(0, 1..3)),
                open(START, Some("v2.chat.1.0.0-3"), received(0, 0..3)),
            ],
        },
        Case {
            name: "a client that is ahead of the buffer is believed, and hears nothing twice",
            steps: vec![
                append(START, slice(0, 0..3)),
                open(START, Some("v2.chat.1.0.4"), Vec::new()),
                append(START, slice(0, 3..6)),
                read_on(received(0, 5..6)),
                open(START, Some("v2.chat.1.0.2"), received(0, 3..6)),
            ],
        },
        Case {
            name: "an empty buffer has no position but the beginning",
            steps: vec![
                open(START, None, Vec::new()),
                open(START, Some("v2.chat.1.0.2"), vec![Received::Reset(ResetReason::OutOfBuffer)]),
                open(START, Some("nonsense"), vec![Received::Reset(ResetReason::BadCursor)]),
            ],
        },
    ]
}

fn channels() -> Vec<Case> {
    let feed = || vec![Received::Record("v2.feed.1.0.0".to_owned())];
    vec![Case {
        name: "a stream hears the channels that it asks for",
        steps: vec![
            append(START, slice(0, 0..2)),
            append(START, of_channel("feed", slice(0, 0..1))),
            append(START, slice(0, 2..3)),
            open(START, None, [received(0, 0..2), feed(), received(0, 2..3)].concat()),
            open_channels("feed", None, feed()),
            open_channels("feed", Some("v2.feed.1.0.0"), Vec::new()),
            append(START, slice(0, 3..4)),
            read_on(Vec::new()),
            append(START, of_channel("feed", slice(0, 1..2))),
            read_on(vec![Received::Record("v2.feed.1.0.1".to_owned())]),
        ],
    }]
}

fn pieces() -> Vec<Case> {
    let piece = |offset| pieces_of("m", slice(0, offset..offset + 1));
    let whole = |offset| completing("m", slice(0, offset..offset + 1));
    let many = OVERFLOW * 2;
    vec![
        Case {
            name: "the pieces of a message go when it is complete",
            steps: vec![
                append(START, slice(0, 0..1)),
                append(START, piece(1)),
                append(START, piece(2)),
                open(START, None, received(0, 0..3)),
                append(START, whole(3)),
                read_on(received(0, 3..4)),
                open(START, None, vec![record_at(0, 0), record_at(0, 3)]),
                open(START, Some("v2.chat.1.0.1"), received(0, 3..4)),
            ],
        },
        Case {
            name: "pieces push no message out of the buffer",
            steps: vec![
                append(START, slice(0, 0..1)),
                append(START, pieces_of("m", slice(0, 1..many))),
                append(START, whole(many)),
                open(START, Some("v2.chat.1.0.0"), received(0, many..many + 1)),
            ],
        },
    ]
}

fn limits() -> Vec<Case> {
    let out_of_buffer = || vec![Received::Reset(ResetReason::OutOfBuffer)];
    let trimmed = OVERFLOW - MAX;
    let large = i64::try_from(MAX_BUFFER_BYTES / LARGE_BYTES as u64).unwrap_or(i64::MAX) * 2;
    vec![
        Case {
            name: "the number of messages is limited across all partitions",
            steps: vec![
                append(START, slice(0, 0..MAX - 100)),
                append(START, slice(1, 0..OVERFLOW - MAX + 100)),
                open(START, None, [received(0, trimmed..MAX - 100), received(1, 0..OVERFLOW - MAX + 100)].concat()),
            ],
        },
        Case {
            name: "a client whose record was trimmed is reset",
            steps: vec![
                append(START, slice(0, 0..OVERFLOW)),
                open(START, Some("v2.chat.1.0.3"), [out_of_buffer(), received(0, trimmed..OVERFLOW)].concat()),
                open(START, Some(&record_id(0, trimmed)), received(0, trimmed + 1..OVERFLOW)),
            ],
        },
        Case {
            name: "a client that had all that was trimmed is not reset",
            steps: vec![
                append(START, slice(0, 0..OVERFLOW)),
                open(START, Some(&record_id(0, trimmed - 1)), received(0, trimmed..OVERFLOW)),
            ],
        },
        Case {
            name: "the bytes are limited, too",
            steps: vec![
                append(START, slice(0, 0..1)),
                append(START, large_records(1..large)),
                append(START, slice(0, large..large + 1)),
                open(START, Some("v2.chat.1.0.0"), Vec::new()).with_reset_and_tail(&record_id(0, large)),
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
                append(START, slice(0, 0..5)),
                open(MAX_AGE, Some("v2.chat.1.0.3"), received(0, 4..5)),
                open(EXPIRED, Some("v2.chat.1.0.4"), Vec::new()),
                open(EXPIRED, Some("v2.chat.1.0.3"), out_of_buffer()),
                open(EXPIRED, None, Vec::new()),
                append(EXPIRED, slice(1, 0..1)),
                open(EXPIRED, Some("v2.chat.1.0.4"), received(1, 0..1)),
            ],
        },
        Case {
            name: "the newest record of a partition is no exact position once a later one of another has expired",
            steps: vec![
                append(START, slice(0, 0..1)),
                append(START, slice(1, 0..1)),
                open(EXPIRED, Some("v2.chat.1.0.0"), out_of_buffer()),
                open(EXPIRED, Some("v2.chat.1.1.0"), Vec::new()),
            ],
        },
        Case {
            name: "an expired record is still recognized when it is repeated",
            steps: vec![
                append(START, slice(0, 0..3)),
                append(EXPIRED, slice(0, 0..4)),
                open(EXPIRED, None, received(0, 3..4)),
            ],
        },
    ]
}

impl Step {
    /// The stream of this step receives a reset, then any records, and this one last.
    fn with_reset_and_tail(self, last: &str) -> Self {
        match self {
            Self::Open { at, last_event_id, channels, .. } => Self::Open {
                at,
                last_event_id,
                channels,
                expected: vec![Received::Reset(ResetReason::OutOfBuffer), Received::Record(format!("…{last}"))],
            },
            other => other,
        }
    }
}

/// Whether a stream received what a step expects. An expected id that begins with `…` stands for any records before it.
#[must_use]
pub fn is_expected(received: &[Received], expected: &[Received]) -> bool {
    match expected {
        [first @ .., Received::Record(last)] if last.starts_with('…') => {
            let last = Received::Record(last.trim_start_matches('…').to_owned());
            received.starts_with(first) && received.last() == Some(&last)
        }
        _ => received == expected,
    }
}

fn append(at: Duration, slice: Slice) -> Step {
    Step::Append { at, slice, expected: Outcome::Stored }
}

fn open(at: Duration, last_event_id: Option<&str>, expected: Vec<Received>) -> Step {
    Step::Open { at, last_event_id: last_event_id.map(str::to_owned), channels: Vec::new(), expected }
}

fn open_channels(channel: &str, last_event_id: Option<&str>, expected: Vec<Received>) -> Step {
    let channels = Channel::parse(channel).into_iter().collect();
    Step::Open { at: START, last_event_id: last_event_id.map(str::to_owned), channels, expected }
}

fn read_on(expected: Vec<Received>) -> Step {
    Step::ReadOn { expected }
}

/// Records of one partition of the channel `chat`, in epoch 1, whose data is the offset.
fn slice(partition: i32, offsets: Range<i64>) -> Slice {
    with_frames(partition, offsets, |cursor| record_frame(cursor, &[cursor.position.offset.to_string()]))
}

/// The least size of a large record's frame, in bytes.
const LARGE_BYTES: usize = 60_000;

/// Records that are larger than a page together, and whose characters take several bytes.
fn large_records(offsets: Range<i64>) -> Slice {
    let event = format!("\"{}\"", "ü\\u0000".repeat(LARGE_BYTES / 8));
    with_frames(0, offsets, |cursor| record_frame(cursor, std::slice::from_ref(&event)))
}

fn gap(partition: i32, offset: i64, reason: ResetReason) -> Slice {
    with_frames(partition, offset..offset + 1, |cursor| gap_frame(cursor, reason))
}

fn with_frames(partition: i32, offsets: Range<i64>, frame: impl Fn(&Cursor) -> String) -> Slice {
    let source = source(partition);
    let item = |offset| {
        let cursor = Cursor::of_record(&source.channel, partition, source.at(offset));
        Item { offset, frame: frame(&cursor), ..Item::default() }
    };
    Slice { items: offsets.map(item).collect(), after: None, source }
}

fn source(partition: i32) -> Source {
    Source { channel: chat(), partition, epoch: 1, generation: 1 }
}

#[expect(clippy::expect_used, reason = "a constant that is a name")]
fn chat() -> Channel {
    Channel::parse("chat").expect("a name")
}

fn in_epoch(epoch: u32, slice: Slice) -> Slice {
    of_source(Source { epoch, ..slice.source.clone() }, slice)
}

fn of_generation(generation: u64, slice: Slice) -> Slice {
    of_source(Source { generation, ..slice.source.clone() }, slice)
}

fn of_channel(channel: &str, slice: Slice) -> Slice {
    let channel = Channel::parse(channel).unwrap_or_else(|_| chat());
    of_source(Source { channel, ..slice.source.clone() }, slice)
}

/// The same records, from elsewhere.
fn of_source(source: Source, slice: Slice) -> Slice {
    let frame = |offset: i64| {
        let cursor = Cursor::of_record(&source.channel, source.partition, source.at(offset));
        record_frame(&cursor, &[offset.to_string()])
    };
    let items = slice.items.into_iter().map(|item| Item { frame: frame(item.offset), ..item }).collect();
    Slice { source, after: None, items }
}

fn pieces_of(message: &str, mut slice: Slice) -> Slice {
    slice.items.iter_mut().for_each(|item| item.piece_of = Some(message.to_owned()));
    slice
}

fn completing(message: &str, mut slice: Slice) -> Slice {
    slice.items.iter_mut().for_each(|item| item.completes = Some(message.to_owned()));
    slice
}

/// Records of the channel `chat`, in epoch 1, as a stream receives them.
fn received(partition: i32, offsets: Range<i64>) -> Vec<Received> {
    offsets.map(|offset| record_at(partition, offset)).collect()
}

fn record_at(partition: i32, offset: i64) -> Received {
    Received::Record(record_id(partition, offset))
}

fn record_id(partition: i32, offset: i64) -> String {
    Cursor::of_record(&chat(), partition, Position { epoch: 1, offset }).to_string()
}
