//! A user's hub: the buffer of the user's last records and the streams that read it.
//!
//! A runtime provides storage and sockets. This module decides what is stored, skipped, sent and withheld.
//!
//! Records are numbered as they arrive (`seq`), which gives a user one order over all partitions. Each stream has a
//! [`StreamPosition`]: the last record sent to it and the last one it acknowledged. [`send_pending`] sends what fits into
//! the window between them. It runs whenever a record arrives or a stream acknowledges.

use causeway_protocol::{
    buffer::{END_REMEMBERED, MAX_AGE, MAX_RECORDS, MAX_STALL, MAX_USER_STREAMS, PAGE_RECORDS},
    cursor::Cursor,
    deliver::Record,
    hub::{ACK_EVERY_RECORDS, Ack, EndReason, HubMessage, ResetReason, WINDOW_BYTES, WINDOW_RECORDS},
    session::SessionHandle,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::runtime::clock::millis;

/// A stored record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its number in the order of arrival.
    pub seq: i64,
    /// Its Kafka coordinates.
    pub cursor: Cursor,
    /// The event as JSON.
    pub json: String,
}

/// The last record stored from a partition. It outlives the record itself, so that a redelivery is recognized even if the
/// record was trimmed long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// Its Kafka coordinates.
    pub cursor: Cursor,
    /// Its number.
    pub seq: i64,
}

/// Durable storage of one user. The runtime makes all calls during one of its events one transaction.
pub trait Buffer {
    /// A failure of the storage.
    type Error;
    /// The watermark of a partition.
    ///
    /// # Errors
    /// The storage failed.
    fn watermark(&self, partition: i32) -> Result<Option<Watermark>, Self::Error>;
    /// Stores a record under the next number and makes it the watermark of its partition.
    ///
    /// # Errors
    /// The storage failed.
    fn insert(&self, cursor: Cursor, json: &str, at_ms: u64) -> Result<(), Self::Error>;
    /// The number of a stored record.
    ///
    /// # Errors
    /// The storage failed.
    fn seq_of(&self, cursor: Cursor) -> Result<Option<i64>, Self::Error>;
    /// At most `limit` records after a number, in order.
    ///
    /// # Errors
    /// The storage failed.
    fn after(&self, seq: i64, limit: u32) -> Result<Vec<StoredRecord>, Self::Error>;
    /// The bytes of the records in `(from, to]` that are still stored.
    ///
    /// # Errors
    /// The storage failed.
    fn bytes_between(&self, from: i64, to: i64) -> Result<usize, Self::Error>;
    /// The highest number used so far, or 0.
    ///
    /// # Errors
    /// The storage failed.
    fn last_seq(&self) -> Result<i64, Self::Error>;
    /// Deletes records up to and including a number, and those older than a time.
    ///
    /// # Errors
    /// The storage failed.
    fn trim(&self, up_to_seq: i64, older_than_ms: u64) -> Result<(), Self::Error>;
    /// The time at which the oldest record arrived.
    ///
    /// # Errors
    /// The storage failed.
    fn oldest_at_ms(&self) -> Result<Option<u64>, Self::Error>;
    /// Stores that a session ended, and deletes the ends before a time.
    ///
    /// # Errors
    /// The storage failed.
    fn remember_end(&self, session: &SessionHandle, at_ms: u64, forget_before_ms: u64) -> Result<(), Self::Error>;
    /// Whether a session's end is stored.
    ///
    /// # Errors
    /// The storage failed.
    fn has_ended(&self, session: &SessionHandle) -> Result<bool, Self::Error>;
}

/// How far a stream has read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamPosition {
    /// The last record sent.
    pub sent: i64,
    /// The last record acknowledged.
    pub acknowledged: i64,
    /// The time since which records wait because the window is full.
    #[serde(default)]
    pub full_since_ms: Option<u64>,
}

/// A stream's socket, as the hub sees it. Its position must survive the hub's hibernation.
pub trait StreamSocket {
    /// The stored position.
    fn position(&self) -> StreamPosition;
    /// Stores the position.
    fn set_position(&self, position: StreamPosition);
    /// Sends a [`HubMessage`]. The runtime notices a socket that has closed.
    fn send(&self, text: &str);
    /// Closes the socket. The client resumes when it reads again.
    fn close(&self);
}

/// Appends records in order, skips known ones, and sends the rest to the streams.
///
/// # Errors
/// The storage failed. Nothing of this call may be acknowledged.
pub fn append<B: Buffer>(
    buffer: &B,
    sockets: &[impl StreamSocket],
    records: &[Record],
    now_ms: u64,
) -> Result<(), B::Error> {
    for record in records {
        let is_known = buffer
            .watermark(record.cursor.partition)?
            .is_some_and(|mark| (mark.cursor.epoch, mark.cursor.offset) >= (record.cursor.epoch, record.cursor.offset));
        if !is_known && let Ok(json) = serde_json::to_string(&record.event) {
            buffer.insert(record.cursor, &json, now_ms)?;
        }
    }
    trim(buffer, now_ms)?;
    sockets.iter().try_for_each(|socket| send_pending(buffer, socket, now_ms))
}

/// Deletes records beyond the limits of age and number.
///
/// # Errors
/// The storage failed.
pub fn trim<B: Buffer>(buffer: &B, now_ms: u64) -> Result<(), B::Error> {
    buffer.trim(buffer.last_seq()? - i64::from(MAX_RECORDS), now_ms.saturating_sub(millis(MAX_AGE)))
}

/// The time at which the buffer should be trimmed if nothing arrives before.
///
/// # Errors
/// The storage failed.
pub fn next_trim_ms<B: Buffer>(buffer: &B) -> Result<Option<u64>, B::Error> {
    Ok(buffer.oldest_at_ms()?.map(|at_ms| at_ms.saturating_add(millis(MAX_AGE) + 1)))
}

/// Why a stream is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The session ended. The isolate that opened the stream did not know it yet.
    SessionEnded,
    /// The user has the maximum number of streams.
    TooManyStreams,
}

/// Whether a session may open another stream beside the user's open ones.
///
/// # Errors
/// The storage failed.
pub fn admit<B: Buffer>(
    buffer: &B,
    session: &SessionHandle,
    open_streams: usize,
) -> Result<Result<(), Rejection>, B::Error> {
    if buffer.has_ended(session)? {
        return Ok(Err(Rejection::SessionEnded));
    }
    Ok(if open_streams < MAX_USER_STREAMS { Ok(()) } else { Err(Rejection::TooManyStreams) })
}

/// Opens a stream: finds its position, sends a reset if the position is lost, and sends the records after it.
///
/// # Errors
/// The storage failed.
pub fn open<B: Buffer>(
    buffer: &B,
    socket: &impl StreamSocket,
    last_event_id: Option<&str>,
    now_ms: u64,
) -> Result<(), B::Error> {
    trim(buffer, now_ms)?;
    let resumed = match last_event_id.filter(|id| !id.is_empty()) {
        None => None,
        Some(id) => match id.parse::<Cursor>() {
            Err(_) => Some(Err(ResetReason::BadCursor)),
            Ok(cursor) => Some(exact_seq_of(buffer, cursor)?.ok_or(ResetReason::OutOfBuffer)),
        },
    };
    let seq = match resumed {
        Some(Ok(seq)) => seq,
        Some(Err(reason)) => {
            send(socket, &HubMessage::Reset { reason });
            seq_before_oldest(buffer)?
        }
        None => seq_before_oldest(buffer)?,
    };
    socket.set_position(StreamPosition { sent: seq, acknowledged: seq, full_since_ms: None });
    send_pending(buffer, socket, now_ms)
}

/// The number of a record that is stored, or that was the last of its partition when it expired.
fn exact_seq_of<B: Buffer>(buffer: &B, cursor: Cursor) -> Result<Option<i64>, B::Error> {
    if let Some(seq) = buffer.seq_of(cursor)? {
        return Ok(Some(seq));
    }
    let mark = buffer.watermark(cursor.partition)?.filter(|mark| mark.cursor == cursor);
    let Some(mark) = mark else { return Ok(None) };
    // Exact only if no later record, of another partition, has been deleted as well.
    let next = buffer.after(mark.seq, 1)?;
    let next_seq = next.first().map_or(buffer.last_seq()? + 1, |stored| stored.seq);
    Ok((next_seq == mark.seq + 1).then_some(mark.seq))
}

/// The number before the oldest record.
fn seq_before_oldest<B: Buffer>(buffer: &B) -> Result<i64, B::Error> {
    match buffer.after(0, 1)?.first() {
        Some(stored) => Ok(stored.seq - 1),
        None => buffer.last_seq(),
    }
}

/// Handles a stream's acknowledgement: moves its window and sends what then fits.
///
/// # Errors
/// The storage failed.
pub fn acknowledge<B: Buffer>(buffer: &B, socket: &impl StreamSocket, text: &str, now_ms: u64) -> Result<(), B::Error> {
    // Anything else is ignored: only Causeway's own streams hold these sockets.
    let Ok(Ack { taken }) = serde_json::from_str(text) else { return Ok(()) };
    let position = socket.position();
    if taken > position.acknowledged && taken <= position.sent {
        socket.set_position(StreamPosition { acknowledged: taken, full_since_ms: None, ..position });
    }
    send_pending(buffer, socket, now_ms)
}

/// Sends the records that fit into the stream's window. Closes a stream that has acknowledged nothing for too long.
///
/// # Errors
/// The storage failed.
pub fn send_pending<B: Buffer>(buffer: &B, socket: &impl StreamSocket, now_ms: u64) -> Result<(), B::Error> {
    loop {
        let mut position = socket.position();
        let mut unacknowledged_bytes = buffer.bytes_between(position.acknowledged, position.sent)?;
        let page = buffer.after(position.sent, PAGE_RECORDS)?;
        if page.is_empty() {
            return Ok(());
        }
        for stored in page {
            if position.sent - position.acknowledged >= WINDOW_RECORDS || unacknowledged_bytes >= WINDOW_BYTES {
                match position.full_since_ms {
                    None => socket.set_position(StreamPosition { full_since_ms: Some(now_ms), ..position }),
                    Some(since_ms) if now_ms.saturating_sub(since_ms) > millis(MAX_STALL) => socket.close(),
                    Some(_) => {}
                }
                return Ok(());
            }
            if stored.seq != position.sent + 1 {
                // Records before the gap are in flight: their acknowledgement comes first. Fewer than
                // `ACK_EVERY_RECORDS` may never be acknowledged, so the stream does not wait for them.
                if position.sent - position.acknowledged >= ACK_EVERY_RECORDS {
                    return Ok(());
                }
                send(socket, &HubMessage::Reset { reason: ResetReason::TooSlow });
                position.acknowledged = stored.seq - 1;
            }
            unacknowledged_bytes += stored.json.len();
            if let Ok(event) = RawValue::from_string(stored.json) {
                send(socket, &HubMessage::Record { seq: stored.seq, cursor: stored.cursor, event });
            }
            position.sent = stored.seq;
            socket.set_position(position);
        }
    }
}

/// Ends a session: notifies its streams, and lets [`admit`] reject further ones. The runtime then closes the streams.
///
/// # Errors
/// The storage failed. No stream has been notified.
pub fn end<B: Buffer>(
    buffer: &B,
    sockets: &[impl StreamSocket],
    session: &SessionHandle,
    reason: EndReason,
    now_ms: u64,
) -> Result<(), B::Error> {
    let forget_before_ms = now_ms.saturating_sub(millis(END_REMEMBERED));
    buffer.remember_end(session, now_ms, forget_before_ms)?;
    for socket in sockets {
        send(socket, &HubMessage::End { reason });
    }
    Ok(())
}

fn send(socket: &impl StreamSocket, message: &HubMessage) {
    if let Ok(text) = serde_json::to_string(message) {
        socket.send(&text);
    }
}

#[cfg(test)]
mod tests;
