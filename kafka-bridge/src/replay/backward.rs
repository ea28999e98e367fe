//! Records before a position: a page of a channel's history. Kafka reads forwards only, so ranges before the position are
//! read one after another, each larger than the last.

use bytes::Bytes;
use causeway_protocol::{
    cursor::Cursor,
    deliver::Item,
    hub::ResetReason,
    replay::{MAX_REPLAY_BYTES, ReplayHead},
};

use super::{
    ReplayAnswer, cursor_at,
    scan::{Finished, Found, Scan},
};
use crate::kafka::KafkaError;

/// How many offsets the first range has. A range that can't be read to its end is of no use, so the first one must be
/// read within the budget however large the records are.
const FIRST_WIDTH: i64 = 64;

/// The largest range. The user's records of a range are in memory together.
const MAX_WIDTH: i64 = 16_000;

/// The most bytes of the user's records in a range. A range that has more is read as several.
const MAX_RANGE_BYTES: usize = 4 * MAX_REPLAY_BYTES;

/// The user's last records before an offset, or before the end.
pub(super) async fn before(scan: &mut Scan<'_>, offset: Option<i64>, limit: u32) -> Result<ReplayAnswer, KafkaError> {
    let now = scan.watermarks().await?;
    let mut page = Page {
        items: Vec::new(),
        bytes: 0,
        limit,
        is_within_message: false,
        finished: Finished::default(),
        gone: None,
    };
    let begin = offset.unwrap_or(now.latest).min(now.latest);
    let (mut end, mut width) = (begin, FIRST_WIDTH);
    while end > now.earliest && !page.is_done() {
        let from = end.saturating_sub(width).max(now.earliest);
        let part = scan.read(from, end, MAX_RANGE_BYTES).await?;
        if part.next_offset < end {
            if scan.is_exhausted() || width <= 1 {
                break;
            }
            width = (width / 4).max(1);
            continue;
        }
        end = page.add(part.found).unwrap_or(from);
        width = width.saturating_mul(2).min(MAX_WIDTH);
        if scan.is_exhausted() {
            break;
        }
    }
    if end == begin && end > now.earliest {
        return Err(KafkaError::Unavailable("the records are too large to be read in time".to_owned()));
    }
    let next = (end > now.earliest).then(|| cursor_at(scan, end));
    if next.is_none() && now.earliest > 0 {
        page.gone = page.gone.or(Some(ResetReason::Retention));
    }
    Ok(page.answer(next))
}

/// The records of the page so far.
struct Page {
    /// The newest first.
    items: Vec<Item>,
    bytes: usize,
    limit: u32,
    /// Whether the oldest record so far belongs to a complete message. More of its pieces may be before it.
    is_within_message: bool,
    finished: Finished,
    gone: Option<ResetReason>,
}

impl Page {
    fn is_full(&self) -> bool {
        self.items.len() >= usize::try_from(self.limit).unwrap_or(usize::MAX) || self.bytes >= MAX_REPLAY_BYTES
    }

    /// A full page ends before the pieces of its oldest message: the page before it would not know that it is complete.
    fn is_done(&self) -> bool {
        self.is_full() && !self.is_within_message
    }

    /// Adds an earlier range. Returns the offset at which the page ends if there is more in the range than it takes.
    fn add(&mut self, found: Vec<Found>) -> Option<i64> {
        self.is_within_message = false;
        for one in found.into_iter().rev() {
            match one {
                Found::Item(item) if !self.finished.needs(&item) => self.is_within_message = true,
                Found::Item(Item { offset: last, .. }) | Found::Gap { last, .. } if self.is_full() => {
                    self.is_within_message = false;
                    return Some(last.saturating_add(1));
                }
                Found::Item(item) => {
                    self.is_within_message = item.completes.is_some();
                    self.bytes = self.bytes.saturating_add(item.frame.len());
                    self.items.push(item);
                }
                Found::Gap { reason, .. } => self.gone = Some(reason),
            }
        }
        None
    }

    fn answer(self, next: Option<Cursor>) -> ReplayAnswer {
        let frames: String = self.items.iter().rev().map(|item| item.frame.as_str()).collect();
        let records = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        ReplayAnswer { head: ReplayHead { records, next, gone: self.gone }, frames: Bytes::from(frames) }
    }
}
