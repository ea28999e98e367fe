//! A user's hub: the buffer of their last records and the streams that read it. A runtime gives it storage and sockets;
//! what is kept, skipped, sent and withheld is decided here.
//!
//! Records are numbered as they arrive (`seq`), which gives a user one order over all partitions. Each stream has a
//! [`NetworkScope`]: what it was sent and what it acknowledged. [`pump`] sends what fits between the two, whenever either moves.

use std::time::Duration;

use causeway_protocol::{
    cursor::Cursor,
    deliver::Record,
    hub::{ACK_EVERY_RECORDS, Ack, EndReason, HubMessage, ResetReason, WINDOW_BYTES, WINDOW_RECORDS},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::runtime::clock::millis;

/// Most records kept.
pub const MAX_RECORDS: i64 = 500;
/// How long a record is kept, in milliseconds.
pub const MAX_AGE_MS: u64 = 24 * 60 * 60 * 1000;
/// Most streams of one user.
pub const MAX_STREAMS: usize = 32;
/// How long an ended session is remembered, here and wherever else hubs are: longer than any other part believes a
/// session without asking, and than any stream lives before it asks again.
pub const END_REMEMBERED: Duration = Duration::from_secs(60 * 60);
/// How long a stream may take nothing of what waits for it before it is closed.
const MAX_STALL_MS: u64 = 60 * 1000;
/// How many records are read at a time.
const PAGE_RECORDS: usize = 32;

/// A stored record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its number in order of arrival.
    pub seq: i64,
    /// Its Kafka coordinates.
    pub cursor: Cursor,
    /// The event as JSON.
    pub json: String,
}

/// The last record taken from a partition. Outlives the record itself, so that a redelivery of what was trimmed long
/// ago is still recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// Its coordinates.
    pub cursor: Cursor,
    /// Its number.
    pub seq: i64,
}

/// Durable storage of one user. The runtime makes all calls between two of its events one transaction.
pub trait Buffer {
    /// The storage failed.
    type Error;
    /// The watermark of a partition.
    ///
    /// # Errors
    /// The storage failed.
    fn watermark(&self, partition: i32) -> Result<Option<Watermark>, Self::Error>;
    /// Stores a record under the next number and makes it its partition's watermark.
    ///
    /// # Errors
    /// The storage failed.
    fn insert(&self, cursor: Cursor, json: &str, at_ms: u64) -> Result<(), Self::Error>;
    /// The number of a stored record.
    ///
    /// # Errors
    /// The storage failed.
    fn position(&self, cursor: Cursor) -> Result<Option<i64>, Self::Error>;
    /// At most `limit` records after a number, in order.
    ///
    /// # Errors
    /// The storage failed.
    fn after(&self, seq: i64, limit: usize) -> Result<Vec<Stored>, Self::Error>;
    /// Bytes of the records in `(from, to]` that are still stored.
    ///
    /// # Errors
    /// The storage failed.
    fn bytes_between(&self, from: i64, to: i64) -> Result<usize, Self::Error>;
    /// The highest number given so far, 0 if none.
    ///
    /// # Errors
    /// The storage failed.
    fn last_seq(&self) -> Result<i64, Self::Error>;
    /// Drops records up to and including a number, and those older than a time.
    ///
    /// # Errors
    /// The storage failed.
    fn trim(&self, up_to_seq: i64, older_than_ms: u64) -> Result<(), Self::Error>;
    /// When the oldest record arrived.
    ///
    /// # Errors
    /// The storage failed.
    fn oldest_at_ms(&self) -> Result<Option<u64>, Self::Error>;
    /// Remembers that a session ended, and forgets those that ended before a time.
    ///
    /// # Errors
    /// The storage failed.
    fn remember_end(&self, session: &str, at_ms: u64, forget_before_ms: u64) -> Result<(), Self::Error>;
    /// Whether a session is remembered to have ended.
    ///
    /// # Errors
    /// The storage failed.
    fn has_ended(&self, session: &str) -> Result<bool, Self::Error>;
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkScope {
    /// The last record sent.
    pub sent: i64,
    /// The last record acknowledged.
    pub acknowledged: i64,
    /// Since when records wait because the window is full.
    #[serde(default)]
    pub full_since_ms: Option<u64>,
}

/// A stream's socket, as the hub sees it. Its place must survive the hub's hibernation.
pub trait Outlet {
    /// Where it stands.
    fn network_scope(&self) -> NetworkScope;
    /// Remembers where it stands.
    fn set_place(&self, place: NetworkScope);
    /// Sends a [`HubMessage`]; a socket that is gone is the runtime's to notice.
    fn send(&self, text: &str);
    /// Closes it; its client resumes when it reads again.
    fn close(&self);
}

/// Appends records in order, skipping what is known already, and sends them on.
///
/// # Errors
/// The storage failed; nothing of this call may be acknowledged.
pub fn append<B: Buffer>(buffer: &B, outlets: &[impl Outlet], records: &[Record], now_ms: u64) -> Result<(), B::Error> {
    for record in records {
        let known = buffer
            .watermark(record.cursor.partition)?
            .is_some_and(|mark| (mark.cursor.epoch, mark.cursor.offset) >= (record.cursor.epoch, record.cursor.offset));
        if !known && let Ok(json) = serde_json::to_string(&record.event) {
            buffer.insert(record.cursor, &json, now_ms)?;
        }
    }
    trim(buffer, now_ms)?;
    outlets.iter().try_for_each(|outlet| pump(buffer, outlet, now_ms))
}

/// Drops what is too old or too much.
///
/// # Errors
/// The storage failed.
pub fn trim<B: Buffer>(buffer: &B, now_ms: u64) -> Result<(), B::Error> {
    buffer.trim(buffer.last_seq()? - MAX_RECORDS, now_ms.saturating_sub(MAX_AGE_MS))
}

/// When the buffer should be trimmed next although nothing arrives.
///
/// # Errors
/// The storage failed.
pub fn next_trim_ms<B: Buffer>(buffer: &B) -> Result<Option<u64>, B::Error> {
    Ok(buffer.oldest_at_ms()?.map(|at_ms| at_ms.saturating_add(MAX_AGE_MS + 1)))
}

/// Why a stream is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The session ended. Whoever opened the stream had not heard of it yet.
    SessionEnded,
    /// The user has as many streams as a user may.
    TooMany,
}

/// Whether a session may open another stream beside those its user has.
///
/// # Errors
/// The storage failed.
pub fn admit<B: Buffer>(buffer: &B, session: &str, open_streams: usize) -> Result<Result<(), Closed>, B::Error> {
    if buffer.has_ended(session)? {
        return Ok(Err(Closed::SessionEnded));
    }
    Ok(if open_streams < MAX_STREAMS { Ok(()) } else { Err(Closed::TooMany) })
}

/// Lets a new stream in: finds its place, tells it if that place is lost, and sends what it missed.
///
/// # Errors
/// The storage failed.
pub fn open<B: Buffer>(
    buffer: &B,
    outlet: &impl Outlet,
    last_event_id: Option<&str>,
    now_ms: u64,
) -> Result<(), B::Error> {
    trim(buffer, now_ms)?;
    let found = match last_event_id.filter(|id| !id.is_empty()) {
        None => None,
        Some(id) => match id.parse::<Cursor>() {
            Err(_) => Some(Err(ResetReason::BadCursor)),
            Ok(cursor) => Some(find(buffer, cursor)?.ok_or(ResetReason::OutOfBuffer)),
        },
    };
    let seq = match found {
        Some(Ok(seq)) => seq,
        Some(Err(reason)) => {
            send(outlet, &HubMessage::Reset { reason });
            oldest(buffer)?
        }
        None => oldest(buffer)?,
    };
    outlet.set_place(NetworkScope { sent: seq, acknowledged: seq, full_since_ms: None });
    pump(buffer, outlet, now_ms)
}

/// The number of a record that is stored, or was the last of its partition when it was dropped for its age.
fn find<B: Buffer>(buffer: &B, cursor: Cursor) -> Result<Option<i64>, B::Error> {
    if let Some(seq) = buffer.position(cursor)? {
        return Ok(Some(seq));
    }
    let mark = buffer.watermark(cursor.partition)?.filter(|mark| mark.cursor == cursor);
    let Some(mark) = mark else { return Ok(None) };
    // Exact only if nothing that came after it was dropped, too.
    let next = buffer.after(mark.seq, 1)?;
    let next_seq = next.first().map_or(buffer.last_seq()? + 1, |stored| stored.seq);
    Ok((next_seq == mark.seq + 1).then_some(mark.seq))
}

/// The number before the oldest record.
fn oldest<B: Buffer>(buffer: &B) -> Result<i64, B::Error> {
    match buffer.after(0, 1)?.first() {
        Some(stored) => Ok(stored.seq - 1),
        None => buffer.last_seq(),
    }
}

/// A stream acknowledged: moves its window.
///
/// # Errors
/// The storage failed.
pub fn acknowledge<B: Buffer>(buffer: &B, outlet: &impl Outlet, text: &str, now_ms: u64) -> Result<(), B::Error> {
    // What is no acknowledgement is not answered: only our own streams hold these sockets.
    let Ok(Ack { taken }) = serde_json::from_str(text) else { return Ok(()) };
    let place = outlet.network_scope();
    if taken > place.acknowledged && taken <= place.sent {
        outlet.set_place(NetworkScope { acknowledged: taken, full_since_ms: None, ..place });
    }
    pump(buffer, outlet, now_ms)
}

/// Sends what the stream has room for.
///
/// # Errors
/// The storage failed.
pub fn pump<B: Buffer>(buffer: &B, outlet: &impl Outlet, now_ms: u64) -> Result<(), B::Error> {
    loop {
        let mut place = outlet.network_scope();
        let mut bytes = buffer.bytes_between(place.acknowledged, place.sent)?;
        let page = buffer.after(place.sent, PAGE_RECORDS)?;
        if page.is_empty() {
            return Ok(());
        }
        for stored in page {
            if place.sent - place.acknowledged >= WINDOW_RECORDS || bytes >= WINDOW_BYTES {
                match place.full_since_ms {
                    None => outlet.set_place(NetworkScope { full_since_ms: Some(now_ms), ..place }),
                    Some(since_ms) if now_ms.saturating_sub(since_ms) > MAX_STALL_MS => outlet.close(),
                    Some(_) => {}
                }
                return Ok(());
            }
            if stored.seq != place.sent + 1 {
                // What is in flight before the gap will be acknowledged, but for a rest too small to be worth it.
                if place.sent - place.acknowledged >= ACK_EVERY_RECORDS {
                    return Ok(());
                }
                send(outlet, &HubMessage::Reset { reason: ResetReason::TooSlow });
                place.acknowledged = stored.seq - 1;
            }
            bytes += stored.json.len();
            if let Ok(event) = RawValue::from_string(stored.json) {
                send(outlet, &HubMessage::Record { seq: stored.seq, cursor: stored.cursor, event });
            }
            place.sent = stored.seq;
            outlet.set_place(place);
        }
    }
}

/// Ends a session: its streams are told, and no other is let in. The runtime then closes them.
///
/// # Errors
/// The storage failed; nobody was told.
pub fn end<B: Buffer>(
    buffer: &B,
    outlets: &[impl Outlet],
    session: &str,
    reason: EndReason,
    now_ms: u64,
) -> Result<(), B::Error> {
    let forget_before_ms = now_ms.saturating_sub(millis(END_REMEMBERED));
    buffer.remember_end(session, now_ms, forget_before_ms)?;
    for outlet in outlets {
        send(outlet, &HubMessage::End { reason });
    }
    Ok(())
}

fn send(outlet: &impl Outlet, message: &HubMessage) {
    if let Ok(text) = serde_json::to_string(message) {
        outlet.send(&text);
    }
}

#[cfg(test)]
mod tests;
