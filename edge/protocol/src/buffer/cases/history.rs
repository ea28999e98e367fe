//! Pages of earlier events, as far as a buffer has them.

use super::{
    Case, EXPIRED, MAX, OVERFLOW, Received, START, Step,
    build::{append, chat, completing, gap, in_epoch, of_channel, pieces_of, received, record_at, slice},
};
use crate::{channel::Channel, cursor::Cursor, history::HistoryRequest, hub::ResetReason};

/// A page of the channel `chat`, before an id.
fn page(before: Option<&str>, limit: u32, expected: Option<(Vec<Received>, i64)>) -> Step {
    let before = before.and_then(|id| id.parse::<Cursor>().ok());
    let channel = before.as_ref().map_or_else(chat, |before| before.channel.clone());
    Step::History { at: START, request: HistoryRequest { channel, before, limit }, expected }
}

/// The last page of another channel.
fn page_of(channel: &str, limit: u32, expected: (Vec<Received>, i64)) -> Step {
    let channel = Channel::parse(channel).unwrap_or_else(|_| chat());
    let request = HistoryRequest { channel, before: None, limit };
    Step::History { at: START, request, expected: Some(expected) }
}

/// The same page later.
fn later(step: Step) -> Step {
    match step {
        Step::History { request, expected, .. } => Step::History { at: EXPIRED, request, expected },
        other => other,
    }
}

pub(super) fn cases() -> Vec<Case> {
    [reading(), pieces(), limits()].into_iter().flatten().collect()
}

fn reading() -> Vec<Case> {
    vec![
        Case {
            name: "a page has the last records before a position, the newest last",
            steps: vec![
                append(START, slice(0, 0..100)),
                page(None, 3, Some((received(0, 97..100), 97))),
                page(Some("v2.chat.1.0.97"), 70, Some((received(0, 27..97), 27))),
                page(Some("v2.chat.1.0.3"), 50, Some((received(0, 0..3), 0))),
                page(Some("v2.chat.1.0.3-1"), 1, Some((received(0, 2..3), 2))),
                page(Some("v2.chat.1.0.0"), 50, None),
            ],
        },
        Case {
            name: "a buffer has no page that ends after its newest record, or in another epoch",
            steps: vec![
                page(None, 3, None),
                append(START, slice(0, 0..5)),
                page(Some("v2.chat.1.0.5"), 2, Some((received(0, 3..5), 3))),
                page(Some("v2.chat.1.0.6"), 2, None),
                page(Some("v2.chat.1.0.9223372036854775807"), 2, None),
                page(Some("v2.chat.2.0.3"), 2, None),
                append(START, in_epoch(2, slice(0, 0..1))),
                page(Some("v2.chat.1.0.3"), 2, None),
                page(None, 2, Some((vec![Received::Record("v2.chat.2.0.0".to_owned())], 0))),
            ],
        },
        Case {
            name: "a page is of one partition, and without a position the channel must have only one",
            steps: vec![
                append(START, slice(0, 0..3)),
                append(START, of_channel("feed", slice(0, 0..2))),
                append(START, slice(0, 3..4)),
                page(None, 2, Some((received(0, 2..4), 2))),
                page_of("feed", 1, (vec![Received::Record("v2.feed.1.0.1".to_owned())], 1)),
                append(START, slice(1, 0..2)),
                append(START, slice(0, 4..5)),
                page(None, 2, None),
                page(Some("v2.chat.1.1.2"), 9, Some((received(1, 0..2), 0))),
                page(Some("v2.chat.1.0.5"), 3, Some((received(0, 2..5), 2))),
                page(Some("v2.chat.1.7.5"), 3, None),
            ],
        },
        Case {
            name: "a page ends at a gap: Kafka may have what is missing there",
            steps: vec![
                append(START, slice(0, 0..3)),
                append(START, gap(0, 7, ResetReason::Parked)),
                page(None, 9, None),
                append(START, slice(0, 9..11)),
                page(None, 9, Some((received(0, 9..11), 9))),
                // What is missing is before the gap.
                page(Some("v2.chat.1.0.7"), 9, None),
                page(Some("v2.chat.1.0.5"), 9, None),
                page(Some("v2.chat.1.0.2"), 9, Some((received(0, 0..2), 0))),
            ],
        },
    ]
}

fn pieces() -> Vec<Case> {
    let piece = |offset| pieces_of("m", slice(0, offset..offset + 1));
    vec![Case {
        name: "a page has the pieces of a message until it is complete, and then reaches beyond them",
        steps: vec![
            append(START, slice(0, 0..2)),
            append(START, piece(2)),
            append(START, piece(3)),
            page(None, 3, Some((received(0, 1..4), 1))),
            append(START, completing("m", slice(0, 4..5))),
            page(None, 1, Some((vec![record_at(0, 4)], 2))),
            page(None, 2, Some((vec![record_at(0, 1), record_at(0, 4)], 1))),
            page(Some("v2.chat.1.0.2"), 9, Some((received(0, 0..2), 0))),
        ],
    }]
}

fn limits() -> Vec<Case> {
    let trimmed = OVERFLOW - MAX;
    let oldest = format!("v2.chat.1.0.{}", trimmed + 2);
    vec![Case {
        name: "what has left the buffer is on no page",
        steps: vec![
            append(START, slice(0, 0..OVERFLOW)),
            page(Some(&oldest), 9, Some((received(0, trimmed..trimmed + 2), trimmed))),
            page(Some("v2.chat.1.0.2"), 9, None),
            later(page(None, 9, None)),
            append(EXPIRED, slice(0, OVERFLOW..OVERFLOW + 1)),
            later(page(None, 9, Some((received(0, OVERFLOW..OVERFLOW + 1), OVERFLOW)))),
        ],
    }]
}
