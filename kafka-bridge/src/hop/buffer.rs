//! A user's last records: one Redis stream per partition, whose ids are Kafka's coordinates, so that Redis itself
//! refuses what it had; and a hash that numbers them as they arrive, which gives a user one order over all partitions.
//!
//! The rules are those of the edge's own hub: what is kept, how a client's place is found, when a loss is admitted.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use causeway_protocol::{
    cursor::Cursor,
    deliver::Record,
    hub::{EndReason, HubMessage, ResetReason},
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

/// What is kept, and how much of it is read at a time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most records of a user.
    pub records: u32,
    /// How long a record is kept.
    pub age: Duration,
    /// How long after the last record everything of a user is dropped.
    pub idle: Duration,
    /// Most records read at a time.
    pub page_records: u32,
    /// Bytes after which no more is read at a time; one record may exceed it alone.
    pub page_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            records: 500,
            age: Duration::from_hours(24),
            idle: Duration::from_hours(7 * 24),
            page_records: 32,
            page_bytes: 64 * 1024,
        }
    }
}

/// Where a stream stands: after which number, and how far each partition is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Which buffer the number is of: another one begins again at 1. Empty while there is none.
    born: Box<str>,
    number: i64,
    read: Vec<(i32, Box<str>)>,
}

/// What a read brought.
#[derive(Debug, Default)]
pub struct Page {
    /// For the client, in order.
    pub messages: Vec<HubMessage>,
    /// Whether there is more already.
    pub more: bool,
}

/// All users' buffers.
pub struct Buffer {
    redis: Arc<Redis>,
    limits: Limits,
}

/// A record as `page.lua` answers it: partition, id, number, event.
type Row = (i32, String, i64, String);

impl Buffer {
    /// Keeps them in this Redis.
    #[must_use]
    pub fn new(redis: Arc<Redis>, limits: Limits) -> Self {
        Self { redis, limits }
    }

    /// Appends records of one partition in offset order and in one step, skipping what is there already or was
    /// once; returns how many were new.
    ///
    /// # Errors
    /// [`RedisError`]; it may be repeated.
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

    /// Finds a client's place, or says why it is lost; the place is then before the oldest record.
    ///
    /// # Errors
    /// [`RedisError`]
    pub async fn open(
        &self,
        subject: &Subject,
        last_event_id: Option<&str>,
        now_ms: u64,
    ) -> Result<(Place, Option<ResetReason>), RedisError> {
        let cursor = last_event_id.filter(|id| !id.is_empty()).map(str::parse::<Cursor>);
        let (partition, id) = match cursor {
            Some(Ok(cursor)) => (cursor.partition.to_string(), key::id(cursor)),
            _ => (String::new(), String::new()),
        };
        let mut call = OPEN.key(key::buffer(subject));
        call.arg(now_ms).arg(self.limits.records).arg(millis(self.limits.age)).arg(partition).arg(id);
        let (born, number, found): (String, i64, bool) = self.redis.script(&call).await?;
        let reset = match cursor {
            None => None,
            Some(Err(_)) => Some(ResetReason::BadCursor),
            Some(Ok(_)) => (!found).then_some(ResetReason::OutOfBuffer),
        };
        Ok((Place { born: born.into(), number, read: Vec::new() }, reset))
    }

    /// Reads what comes after a place, and moves it.
    ///
    /// # Errors
    /// [`RedisError`]; the place is then where it was.
    pub async fn page(&self, subject: &Subject, place: &mut Place) -> Result<Page, RedisError> {
        let mut call = PAGE.key(key::buffer(subject));
        call.arg(&*place.born).arg(place.number).arg(self.limits.page_records).arg(self.limits.page_bytes);
        for (partition, id) in &place.read {
            call.arg(*partition).arg(&**id);
        }
        let (born, last, read, rows): (String, i64, Vec<(i32, String)>, Vec<Row>) = self.redis.script(&call).await?;
        if !place.born.is_empty() && *place.born != *born {
            // Redis lost it, or it expired: what the client missed nobody knows.
            *place = Place { born: born.into(), number: last, read: Vec::new() };
            let messages = vec![HubMessage::Reset { reason: ResetReason::OutOfBuffer }];
            return Ok(Page { messages, more: true });
        }
        let read = read.into_iter().map(|(partition, id)| (partition, id.into())).collect();
        let mut next = Place { born: born.into(), number: place.number, read };
        let mut messages = Vec::with_capacity(rows.len());
        for (partition, id, seq, event) in rows {
            if seq != next.number + 1 {
                messages.push(HubMessage::Reset { reason: ResetReason::TooSlow });
            }
            let cursor = key::cursor(partition, &id).ok_or(RedisError::BadValue("an id"))?;
            let event = RawValue::from_string(event).map_err(|_| RedisError::BadValue("an event"))?;
            messages.push(HubMessage::Record { seq, cursor, event });
            next.number = seq;
        }
        let more = !messages.is_empty() && next.number < last;
        *place = next;
        Ok(Page { messages, more })
    }

    /// Why a session's streams are over, if the edge said so.
    ///
    /// # Errors
    /// [`RedisError`]
    pub async fn ended(&self, session: &str) -> Result<Option<EndReason>, RedisError> {
        let reason: Option<String> = self.redis.command(redis::cmd("GET").arg(ended_key(session))).await?;
        let named = |reason: String| serde_json::from_value(serde_json::Value::String(reason));
        reason.map(named).transpose().map_err(|_| RedisError::BadValue("why a session ended"))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
