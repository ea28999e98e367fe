//! What streams receive.

use super::{
    super::{MAX_AGE, MAX_BUFFER_BYTES},
    Case, EXPIRED, MAX, OVERFLOW, Received, START, Step,
    build::{
        LARGE_BYTES, append, completing, gap, in_epoch, large_records, missing, of_channel, of_generation, open,
        open_channels, pieces_of, read_on, received, record_at, record_id, slice,
    },
};
use crate::{deliver::Outcome, hub::ResetReason};

pub(super) fn cases() -> Vec<Case> {
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
            name: "a client whose record was trimmed misses the trimmed ones after it",
            steps: vec![
                append(START, slice(0, 0..OVERFLOW)),
                open(START, Some("v2.chat.1.0.3"), [missing(0, trimmed - 1), received(0, trimmed..OVERFLOW)].concat()),
                open(
                    START,
                    Some("v2.chat.1.0.3-0"),
                    [missing(0, trimmed - 1), received(0, trimmed..OVERFLOW)].concat(),
                ),
                open(START, Some("v2.chat.2.0.3"), [out_of_buffer(), received(0, trimmed..OVERFLOW)].concat()),
                open(START, Some(&record_id(0, trimmed)), received(0, trimmed + 1..OVERFLOW)),
            ],
        },
        Case {
            name: "a client is reset if records of another partition were trimmed, too",
            steps: vec![
                append(START, of_channel("feed", slice(0, 0..1))),
                append(START, slice(0, 0..OVERFLOW)),
                open(START, Some("v2.chat.1.0.3"), [out_of_buffer(), received(0, trimmed..OVERFLOW)].concat()),
                open_channels(
                    "chat",
                    Some("v2.chat.1.0.3"),
                    [missing(0, trimmed - 1), received(0, trimmed..OVERFLOW)].concat(),
                ),
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
                open(START, Some("v2.chat.1.0.0"), Vec::new()).with_missing_and_tail(&record_id(0, large)),
            ],
        },
    ]
}

fn expiry() -> Vec<Case> {
    let out_of_buffer = || vec![Received::Reset(ResetReason::OutOfBuffer)];
    vec![
        Case {
            name: "a client that received all expired records misses none, any other does",
            steps: vec![
                append(START, slice(0, 0..5)),
                open(MAX_AGE, Some("v2.chat.1.0.3"), received(0, 4..5)),
                open(EXPIRED, Some("v2.chat.1.0.4"), Vec::new()),
                open(EXPIRED, Some("v2.chat.1.0.3"), missing(0, 4)),
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
