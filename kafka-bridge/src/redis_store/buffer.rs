//! The users' buffers: each holds a user's last records.
//!
//! A buffer is one Redis stream per partition and one hash. The ids in the streams are Kafka's coordinates, so Redis
//! itself rejects a record that a stream had before. The hash counts the records as they arrive, which orders a user's
//! records across all partitions.
//!
//! The rules are those of the edge's hub: which records are kept, how a client's position is found, and when a gap is
//! reported.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use causeway_protocol::{
    buffer::{IDLE_EXPIRY, MAX_AGE, MAX_RECORDS, PAGE_BYTES, PAGE_RECORDS},
    cursor::Cursor,
    deliver::Record,
    hub::{EndReason, HubMessage, ResetReason},
    session::SessionHandle,
    stream::ended_key,
    subject::Subject,
};
use redis::Script;
use serde_json::value::RawValue;

use super::{
    connection::{Redis, RedisError},
    key,
};

static APPEND: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("script/shared.lua"), include_str!("script/append.lua"))));
static OPEN: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("script/shared.lua"), include_str!("script/open.lua"))));
static PAGE: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("script/shared.lua"), include_str!("script/page.lua"))));

/// Limits of a buffer, and of one read. The defaults are those of [`causeway_protocol::buffer`].
#[derive(Clone, Copy, Debug)]
pub struct BufferLimits {
    /// The maximum number of records of a user.
    pub records: u32,
    /// How long a record is kept.
    pub age: Duration,
    /// How long after the last record a user's buffer expires.
    pub idle: Duration,
    /// The maximum number of records in one read.
    pub page_records: u32,
    /// The maximum number of bytes in one read. A single record may exceed it.
    pub page_bytes: u32,
}

impl Default for BufferLimits {
    fn default() -> Self {
        Self {
            records: MAX_RECORDS,
            age: MAX_AGE,
            idle: IDLE_EXPIRY,
            page_records: PAGE_RECORDS,
            page_bytes: PAGE_BYTES,
        }
    }
}

/// How far a stream has read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadPosition {
    /// The buffer that `seq` belongs to: a new buffer counts from 1 again. Empty if there was no buffer.
    buffer_id: Box<str>,
    /// The sequence number of the last record read.
    seq: i64,
    /// The last id read in each partition.
    read: Vec<(i32, Box<str>)>,
}

/// The result of one read.
#[derive(Debug, Default)]
pub struct Page {
    /// Messages for the client, in order.
    pub messages: Vec<HubMessage>,
    /// Whether more can be read at once.
    pub more: bool,
}

/// The buffers of all users.
pub struct UserBuffers {
    redis: Arc<Redis>,
    limits: BufferLimits,
}

/// A record in the result of `page.lua`: partition, id, sequence number, event.
type Row = (i32, String, i64, String);

impl UserBuffers {
    /// Keeps the buffers in this Redis.
    #[must_use]
    pub fn new(redis: Arc<Redis>, limits: BufferLimits) -> Self {
        Self { redis, limits }
    }

    /// Appends records of one partition, in offset order and atomically. Skips records that the buffer has or once had.
    /// Returns the number of new records.
    ///
    /// # Errors
    /// [`RedisError`]. The call may be repeated.
    pub async fn append(
        &self,
        subject: &Subject,
        partition: i32,
        records: &[Record],
        now_ms: u64,
    ) -> Result<u64, RedisError> {
        let mut call = APPEND.key(key::buffer(subject));
        call.key(key::partition(subject, partition))
            .arg(partition)
            .arg(now_ms)
            .arg(self.limits.records)
            .arg(millis(self.limits.age))
            .arg(millis(self.limits.idle))
            .arg(format!("{:032x}", fastrand::u128(..)))
            .arg(key::WAKE_CHANNEL)
            .arg(subject.to_string());
        for record in records {
            let event = serde_json::to_string(&record.event).map_err(|_| RedisError::BadValue("an event"))?;
            call.arg(key::id(record.cursor)).arg(event);
        }
        self.redis.script(&call).await
    }

    /// Finds the position of a client. If it is lost, returns the reason and the position before the oldest record.
    ///
    /// # Errors
    /// [`RedisError`]
    pub async fn open(
        &self,
        subject: &Subject,
        last_event_id: Option<&str>,
        now_ms: u64,
    ) -> Result<(ReadPosition, Option<ResetReason>), RedisError> {
        let cursor = last_event_id.filter(|id| !id.is_empty()).map(str::parse::<Cursor>);
        let (partition, id) = match cursor {
            Some(Ok(cursor)) => (cursor.partition.to_string(), key::id(cursor)),
            _ => (String::new(), String::new()),
        };
        let mut call = OPEN.key(key::buffer(subject));
        call.arg(now_ms).arg(self.limits.records).arg(millis(self.limits.age)).arg(partition).arg(id);
        let (buffer_id, seq, found): (String, i64, bool) = self.redis.script(&call).await?;
        let reset = match cursor {
            None => None,
            Some(Err(_)) => Some(ResetReason::BadCursor),
            Some(Ok(_)) => (!found).then_some(ResetReason::OutOfBuffer),
        };
        Ok((ReadPosition { buffer_id: buffer_id.into(), seq, read: Vec::new() }, reset))
    }

    /// Reads the records after a position, and advances it.
    ///
    /// # Errors
    /// [`RedisError`]. The position then stays where it was.
    pub async fn page(&self, subject: &Subject, position: &mut ReadPosition) -> Result<Page, RedisError> {
        let mut call = PAGE.key(key::buffer(subject));
        call.arg(&*position.buffer_id).arg(position.seq).arg(self.limits.page_records).arg(self.limits.page_bytes);
        for (partition, id) in &position.read {
            call.arg(*partition).arg(&**id);
        }
        let (buffer_id, last, read, rows): (String, i64, Vec<(i32, String)>, Vec<Row>) =
            self.redis.script(&call).await?;
        if !position.buffer_id.is_empty() && *position.buffer_id != *buffer_id {
            // Redis lost the buffer, or it expired. Which records the client missed is unknown.
            *position = ReadPosition { buffer_id: buffer_id.into(), seq: last, read: Vec::new() };
            let messages = vec![HubMessage::Reset { reason: ResetReason::OutOfBuffer }];
            return Ok(Page { messages, more: true });
        }
        let read = read.into_iter().map(|(partition, id)| (partition, id.into())).collect();
        let mut next = ReadPosition { buffer_id: buffer_id.into(), seq: position.seq, read };
        let mut messages = Vec::with_capacity(rows.len());
        for (partition, id, seq, event) in rows {
            if seq != next.seq + 1 {
                messages.push(HubMessage::Reset { reason: ResetReason::TooSlow });
            }
            let cursor = key::cursor(partition, &id).ok_or(RedisError::BadValue("an id"))?;
            let event = RawValue::from_string(event).map_err(|_| RedisError::BadValue("an event"))?;
            messages.push(HubMessage::Record { seq, cursor, event });
            next.seq = seq;
        }
        let more = !messages.is_empty() && next.seq < last;
        *position = next;
        Ok(Page { messages, more })
    }

    /// Why the edge ended a session, if it did.
    ///
    /// # Errors
    /// [`RedisError`]
    pub async fn end_reason(&self, session: &SessionHandle) -> Result<Option<EndReason>, RedisError> {
        let reason: Option<String> = self.redis.command(redis::cmd("GET").arg(ended_key(session))).await?;
        let parse = |reason: String| serde_json::from_value(serde_json::Value::String(reason));
        reason.map(parse).transpose().map_err(|_| RedisError::BadValue("a session's end reason"))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
