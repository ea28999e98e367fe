//! A page of a user's earlier events, as far as the user's buffer has it.

use std::sync::LazyLock;

use async_trait::async_trait;
use bytes::Bytes;
use causeway_protocol::{
    frame::is_gap,
    history::{BufferedPage, HistoryPage, HistoryRequest},
    replay::MAX_REPLAY_BYTES,
    subject::Subject,
};
use redis::Script;

use super::{
    buffer::{UserBuffers, millis},
    connection::RedisError,
    key,
    record::{self, BufferedRecord},
};
use crate::{clock::unix_millis, replay::RecentRecords};

static HISTORY: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("script/shared.lua"), include_str!("script/history.lua"))));

impl UserBuffers {
    /// What the buffer has of a page, if it has any of it.
    ///
    /// # Errors
    /// [`RedisError`]
    pub async fn history(
        &self,
        subject: &Subject,
        request: &HistoryRequest,
        now_ms: u64,
    ) -> Result<Option<HistoryPage>, RedisError> {
        let mut call = HISTORY.prepare_invoke();
        call.key(&key::buffer(subject)).arg(request.channel.as_str());
        match &request.before {
            Some(before) => call.arg(before.partition).arg(before.position.epoch).arg(before.position.offset),
            None => call.arg(&["", "", ""]),
        };
        call.arg(request.limit).arg(MAX_REPLAY_BYTES).arg(now_ms).arg(millis(self.limits.age));
        let (epoch, stored, following): (String, Vec<Bytes>, Bytes) = self.redis.read_script(&call).await?;
        // What is missing at a gap is before it.
        if epoch.is_empty() || (!following.is_empty() && is_gap(frame_of(&following)?.1)) {
            return Ok(None);
        }
        let epoch = epoch.parse().map_err(|_| RedisError::BadValue("an epoch"))?;
        let mut page: Option<BufferedPage> = None;
        for stored in &stored {
            let (record, frame) = frame_of(stored)?;
            let page = page.get_or_insert_with(|| BufferedPage::new(request, record.partition, epoch));
            if !page.add(record.position.offset, frame) {
                break;
            }
        }
        Ok(page.and_then(BufferedPage::finish))
    }
}

/// A record and its frame.
fn frame_of(stored: &Bytes) -> Result<(BufferedRecord<'_>, &str), RedisError> {
    let bad = RedisError::BadValue("a record");
    let record = record::parse_stored(stored).ok_or(bad.clone())?;
    let begin = stored.len().saturating_sub(record.frame.len());
    let frame = stored.get(begin..).and_then(|frame| str::from_utf8(frame).ok()).ok_or(bad)?;
    Ok((record, frame))
}

#[async_trait]
impl RecentRecords for UserBuffers {
    async fn part_of_page(&self, subject: &Subject, request: &HistoryRequest) -> Option<HistoryPage> {
        match self.history(subject, request, unix_millis()).await {
            Ok(page) => page,
            Err(error) => {
                tracing::debug!(%error, "a buffer can't be read for a page of history, which Kafka has");
                None
            }
        }
    }
}
