//! The users' buffers: each holds a user's last records.
//!
//! A buffer is a list of records, numbered as they arrive across all partitions, and a hash with the newest position of
//! each partition, by which a repeat is recognised.
//!
//! The rules are those of the edge's hub: which records are kept, how a client's position is found, and when a gap is
//! reported.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use causeway_protocol::{
    buffer::{
        IDLE_EXPIRY, MAX_AGE, MAX_BUFFER_BYTES, MAX_MESSAGES, MAX_RECORDS, PAGE_BYTES, PAGE_RECORDS, TRIM_SLACK_PERCENT,
    },
    channel::{Channel, hears},
    cursor::{Cursor, Position},
    hub::{EndReason, ResetReason},
    session::SessionHandle,
    stream::ended_key,
    subject::Subject,
};
use redis::Script;
use tokio::time::Instant;

use super::{
    connection::{Redis, RedisError},
    key,
    position::{BUSY, PartitionRead, ReadPosition},
    record,
};

static OPEN: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("script/shared.lua"), include_str!("script/open.lua"))));
static PAGE: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("script/shared.lua"), include_str!("script/page.lua"))));

/// Limits of a buffer, and of one read. The defaults are those of [`causeway_protocol::buffer`].
#[derive(Clone, Copy, Debug)]
pub struct BufferLimits {
    /// The maximum number of messages of a user, without the pieces of unfinished ones.
    pub messages: u32,
    /// The maximum number of bytes of a user's frames.
    pub bytes: u64,
    /// The maximum number of records of a user.
    pub records: u32,
    /// How far a buffer may exceed these limits before it is trimmed, in per cent.
    pub slack_percent: u32,
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
            messages: MAX_MESSAGES,
            bytes: MAX_BUFFER_BYTES,
            records: MAX_RECORDS,
            slack_percent: TRIM_SLACK_PERCENT,
            age: MAX_AGE,
            idle: IDLE_EXPIRY,
            page_records: PAGE_RECORDS,
            page_bytes: PAGE_BYTES,
        }
    }
}

/// The result of one read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Why records before these are missing, if any are.
    pub reset: Option<ResetReason>,
    /// What left the buffer before it was read, of each partition: the position that the client has, and the last record
    /// that is gone. Kafka may have it. The client must get these ranges in this order.
    pub missing: Vec<(Cursor, Cursor)>,
    /// The frames for the client, in order.
    pub frames: Vec<Bytes>,
    /// Whether more can be read at once.
    pub more: bool,
}

/// Why a client can't simply go on with what is in the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Its position is lost.
    Reset(ResetReason),
    /// The buffer begins after this range, from the client's position to the last record that is gone. Kafka may have it.
    Missing {
        /// The client's position.
        after: Cursor,
        /// The last record of the range.
        until: Cursor,
    },
}

/// The buffers of all users.
pub struct UserBuffers {
    pub(super) redis: Arc<Redis>,
    pub(super) limits: BufferLimits,
}

/// The result of `open.lua`: the buffer's id, the number after which to read on, whether the position was found, each
/// partition with its mark, the offset of the last missing record if only records of the client's partition are missing.
type OpenResult = (String, i64, bool, Vec<(String, String)>, String);

/// The result of `page.lua`: the buffer's id, whether the position was lost, the last number read, the buffer's last
/// number, the last gone record of each partition, the records.
type PageResult = (String, bool, i64, i64, Vec<(String, String)>, Vec<Bytes>);

impl UserBuffers {
    /// Keeps the buffers in this Redis.
    #[must_use]
    pub fn new(redis: Arc<Redis>, limits: BufferLimits) -> Self {
        Self { redis, limits }
    }

    /// Finds the position of a client. If it is lost, says so, and returns the position before the oldest record.
    ///
    /// # Errors
    /// [`RedisError`]
    pub async fn open(
        &self,
        subject: &Subject,
        channels: &[Channel],
        last_event_id: Option<&str>,
        now_ms: u64,
    ) -> Result<(ReadPosition, Option<Lost>), RedisError> {
        let cursor = last_event_id.filter(|id| !id.is_empty()).map(str::parse::<Cursor>);
        let mut call = OPEN.prepare_invoke();
        call.key(&key::buffer(subject)).arg(now_ms).arg(millis(self.limits.age));
        match &cursor {
            Some(Ok(Cursor { channel, partition, position, event })) => {
                call.arg(channel.as_str()).arg(*partition).arg(position.epoch).arg(position.offset);
                call.arg(u8::from(event.is_some()))
            }
            _ => call.arg(&["", "", "", "", ""]),
        };
        for channel in channels {
            call.arg(channel.as_str());
        }
        let (buffer_id, seq, found, marks, missing): OpenResult = self.redis.read_script(&call).await?;
        let now = Instant::now();
        let partition = |(partition, mark): (String, String)| read_mark(&partition, &mark, now_ms, now);
        let partitions: Option<Vec<_>> = marks.into_iter().map(partition).collect();
        let partitions = partitions.ok_or(RedisError::BadValue("a mark"))?;
        let mut position = ReadPosition { buffer_id: buffer_id.into(), seq, partitions };
        let lost = match cursor {
            None => None,
            Some(Err(_)) => Some(Lost::Reset(ResetReason::BadCursor)),
            Some(Ok(cursor)) if found => {
                position.set_had(&cursor, cursor.received());
                None
            }
            Some(Ok(after)) => match missing.parse::<i64>() {
                Err(_) => Some(Lost::Reset(ResetReason::OutOfBuffer)),
                Ok(offset) => {
                    let last = Position { offset, ..after.position };
                    let until = Cursor::of_record(&after.channel, after.partition, last);
                    position.set_had(&until, last);
                    Some(Lost::Missing { after, until })
                }
            },
        };
        Ok((position, lost))
    }

    /// Reads the records after a position, and advances it.
    ///
    /// # Errors
    /// [`RedisError`]. The position then stays where it was.
    pub async fn page(
        &self,
        subject: &Subject,
        channels: &[Channel],
        position: &mut ReadPosition,
    ) -> Result<Page, RedisError> {
        let mut call = PAGE.prepare_invoke();
        call.key(&key::buffer(subject)).arg(&*position.buffer_id).arg(position.seq);
        call.arg(self.limits.page_records).arg(self.limits.page_bytes);
        for channel in channels {
            call.arg(channel.as_str());
        }
        let (buffer_id, is_lost, seq, last, gone, stored): PageResult = self.redis.read_script(&call).await?;
        if is_lost {
            // Redis lost the buffer, or it expired. Which records the client missed is unknown.
            *position = ReadPosition { buffer_id: buffer_id.into(), seq, partitions: Vec::new() };
            return Ok(Page { reset: Some(ResetReason::OutOfBuffer), more: seq < last, ..Page::default() });
        }
        let missed = gone.iter().map(|(partition, gone)| missed(position, channels, partition, gone));
        let missed: Option<Vec<_>> = missed.collect();
        let missed = missed.ok_or(RedisError::BadValue("a position"))?;
        let records: Option<Vec<_>> = stored.iter().map(record::parse_stored).collect();
        let now = Instant::now();
        let mut frames = Vec::new();
        for record in records.ok_or(RedisError::BadValue("a record"))? {
            if !position.has(record.channel, record.partition, record.position) {
                position.advance(record.channel, record.partition, record.position, now);
                if !record.frame.is_empty() {
                    frames.push(record.frame);
                }
            }
        }
        position.pass(&buffer_id, seq);
        let reset = missed.contains(&MissedPart::Unknown).then_some(ResetReason::TooSlow);
        // A reset says it already.
        let missing = if reset.is_none() { in_order(missed) } else { Vec::new() };
        Ok(Page { reset, missing, frames, more: seq < last })
    }

    /// Why the edge ended a session, if it did.
    ///
    /// # Errors
    /// [`RedisError`]
    pub async fn end_reason(&self, session: &SessionHandle) -> Result<Option<EndReason>, RedisError> {
        let reason: Option<String> = self.redis.read_command(redis::cmd("GET").arg(ended_key(session))).await?;
        let parse = |reason: String| serde_json::from_value(serde_json::Value::String(reason));
        reason.map(parse).transpose().map_err(|_| RedisError::BadValue("a session's end reason"))
    }
}

/// What a client misses of a partition.
#[derive(Debug, PartialEq, Eq)]
enum MissedPart {
    Nothing,
    /// The records after one, up to another one.
    Range {
        after: Cursor,
        until: Cursor,
        /// The number that the last one had in the buffer.
        seq: i64,
    },
    /// Nobody knows from where: it has none of the partition, or one of another epoch.
    Unknown,
}

/// The ranges, by the number of their last record. A client that has the last one of all that is gone counts as one that
/// misses nothing. If that came before another range, and the stream ended in between, nobody would tell.
fn in_order(missed: Vec<MissedPart>) -> Vec<(Cursor, Cursor)> {
    let mut ranges = BTreeMap::new();
    for part in missed {
        if let MissedPart::Range { after, until, seq } = part {
            ranges.insert(seq, (after, until));
        }
    }
    ranges.into_values().collect()
}

/// What a client misses of the records that are gone of a partition. It may have them from memory.
fn missed(position: &ReadPosition, channels: &[Channel], partition: &str, gone: &str) -> Option<MissedPart> {
    let (channel, partition) = partition.rsplit_once(':')?;
    let mut words = gone.split(' ');
    let at = Position { epoch: words.next()?.parse().ok()?, offset: words.next()?.parse().ok()? };
    let seq: i64 = words.next()?.parse().ok()?;
    let (channel, partition) = (Channel::parse(channel).ok()?, partition.parse().ok()?);
    let had = position.had(channel.as_str(), partition);
    if !hears(channels, channel.as_str()) || seq <= position.seq || had >= Some(at) {
        return Some(MissedPart::Nothing);
    }
    let cursor = |position| Cursor::of_record(&channel, partition, position);
    Some(match had.filter(|had| had.epoch == at.epoch) {
        Some(had) => MissedPart::Range { after: cursor(had), until: cursor(at), seq },
        None => MissedPart::Unknown,
    })
}

/// A partition that the buffer has or had records of, from which a stream that opens has none.
fn read_mark(partition: &str, mark: &str, now_ms: u64, now: Instant) -> Option<PartitionRead> {
    let (channel, partition) = partition.rsplit_once(':')?;
    let newest_ms: u64 = mark.rsplit(' ').next()?.parse().ok()?;
    let quiet = Duration::from_millis(now_ms.saturating_sub(newest_ms));
    Some(PartitionRead {
        channel: Channel::parse(channel).ok()?,
        partition: partition.parse().ok()?,
        had: None,
        busy_until: now + BUSY.saturating_sub(quiet),
    })
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
