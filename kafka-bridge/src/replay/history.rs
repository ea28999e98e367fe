//! Pages of history where the bridge keeps the users' buffers: what a buffer has comes from there, and Kafka is read only
//! for what is older.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use causeway_protocol::{
    cursor::Cursor,
    history::{HistoryPage, HistoryRequest},
    replay::ReplayRequest,
    subject::Subject,
};

use super::{ReplayAnswer, Replays};
use crate::{outbound::OutboundChannel, rejection::Rejection};

/// The users' buffers, which have their last records.
#[async_trait]
pub trait RecentRecords: Send + Sync + 'static {
    /// What a user's buffer has of a page. `None` if it has none of it, or can't be read.
    async fn part_of_page(&self, subject: &Subject, request: &HistoryRequest) -> Option<HistoryPage>;
}

impl Replays {
    /// Answers a request for a page. If Kafka can't be read, the page has what the buffer has.
    pub(super) async fn page(
        &self,
        channel: &OutboundChannel,
        request: &ReplayRequest,
        before: Option<&Cursor>,
        limit: u32,
    ) -> Result<Arc<ReplayAnswer>, Rejection> {
        let asked = HistoryRequest { channel: request.channel.clone(), before: before.cloned(), limit };
        let newer = match &self.recent {
            Some(recent) => recent.part_of_page(&request.subject, &asked).await,
            None => None,
        };
        let Some(newer) = newer else { return self.read(channel, request).await };
        let Some(rest) = newer.rest_of(&asked) else { return Ok(Arc::new(newer.into())) };
        match self.read(channel, &ReplayRequest::for_page(request.subject.clone(), &rest)).await {
            Ok(older) => Ok(Arc::new(joined(newer, &older))),
            Err(_) if newer.head.records > 0 => Ok(Arc::new(newer.into())),
            Err(rejection) => Err(rejection),
        }
    }
}

/// A page with its older part before it.
fn joined(newer: HistoryPage, older: &ReplayAnswer) -> ReplayAnswer {
    let parts: [&[u8]; 2] = [older.frames.as_ref(), newer.frames.as_bytes()];
    let frames = parts.concat();
    let head = newer.with_older(HistoryPage { head: older.head.clone(), frames: String::new() }).head;
    ReplayAnswer { head, frames: Bytes::from(frames) }
}

impl From<HistoryPage> for ReplayAnswer {
    fn from(page: HistoryPage) -> Self {
        Self { head: page.head, frames: Bytes::from(page.frames) }
    }
}
