//! Serves `GET /v1/replay`: reads from Kafka again what a user's buffer no longer has.
//!
//! - [`limits`]: what one answer may cost.
//! - [`permit`]: how many scans run at a time, of one user, and for history.
//! - [`history`]: pages that come from the users' buffers first.
//! - [`cache`]: answers that are kept for a moment.
//! - [`partition_state`]: which epoch a partition is in, and its last hole.
//! - [`scan`]: finds a user's records among those of a partition.
//! - [`forward`], [`backward`]: the answers for records after and before a position.
//!
//! A user's records are in one partition of each topic, among those of others. So a scan reads more than it finds, and
//! everything about it is limited. Records are decoded as for live delivery: their ids and bytes are the same.

mod backward;
mod cache;
mod forward;
mod history;
pub mod limits;
mod partition_state;
mod permit;
mod scan;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use causeway_protocol::{
    checkpoint::Hole,
    cursor::{Cursor, Position},
    deliver::{Slice, WIRE_VERSION},
    hub::ResetReason,
    replay::{MAX_BEFORE, ReplayHead, ReplayRange, ReplayRequest},
    subject::Subject,
};
use tokio::time::Instant;

use self::{
    cache::{Cache, Key},
    partition_state::PartitionStates,
    permit::{Permits, Purpose},
    scan::{Budget, Scan},
};
pub use self::{history::RecentRecords, limits::ReplayLimits};
use crate::{
    kafka::{KafkaError, KafkaIo},
    outbound::{OutboundChannel, Sink, SinkError},
    partitioner,
    rejection::Rejection,
    topics::{TopicError, Topics},
};

/// What a scan found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ReplayAnswer {
    /// The first line.
    pub head: ReplayHead,
    /// Complete events, in the order of their offsets.
    pub frames: Bytes,
}

/// Reads records again.
pub struct Replays {
    /// Not the client of live delivery: a fetch would wait behind one that waits for new records.
    kafka: Arc<dyn KafkaIo>,
    channels: Vec<OutboundChannel>,
    topics: Arc<Topics>,
    states: PartitionStates,
    recent: Option<Arc<dyn RecentRecords>>,
    cache: Cache,
    permits: Permits,
    limits: ReplayLimits,
}

/// Why a scan failed.
#[derive(Debug, thiserror::Error)]
enum ScanError {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Topic(#[from] TopicError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("nobody has read the partition yet")]
    Unread,
    #[error("it took too long")]
    TooSlow,
}

impl Replays {
    /// Reads the topics of these channels. Epochs are those of the sink. `recent` are the users' buffers, if the bridge has
    /// them.
    #[must_use]
    pub fn new(
        kafka: Arc<dyn KafkaIo>,
        sink: Arc<dyn Sink>,
        topics: Arc<Topics>,
        channels: Vec<OutboundChannel>,
        recent: Option<Arc<dyn RecentRecords>>,
        limits: ReplayLimits,
    ) -> Self {
        let (cache, permits) = (Cache::new(limits), Permits::new(limits));
        Self { kafka, channels, topics, states: PartitionStates::new(sink), recent, cache, permits, limits }
    }

    /// Answers a request.
    ///
    /// # Errors
    /// [`Rejection`] if the request is not one that the edge sends, too many scans run, or Kafka can't be read in time.
    pub async fn answer(&self, request: &ReplayRequest) -> Result<Arc<ReplayAnswer>, Rejection> {
        let channel = self.check(request)?;
        match &request.range {
            ReplayRange::Before { cursor, limit } => self.page(channel, request, cursor.as_ref(), *limit).await,
            ReplayRange::After { .. } | ReplayRange::Since { .. } => self.read(channel, request).await,
        }
    }

    /// Reads from Kafka, or takes the answer that an equal request got a moment ago.
    async fn read(&self, channel: &OutboundChannel, request: &ReplayRequest) -> Result<Arc<ReplayAnswer>, Rejection> {
        let cell = self.cache.cell(Key::of(request));
        let scanned = cell.get_or_try_init(async || {
            let purpose = match request.range {
                ReplayRange::Before { .. } => Purpose::History,
                ReplayRange::After { .. } | ReplayRange::Since { .. } => Purpose::Resume,
            };
            let _permit = self.permits.acquire(&request.subject, purpose).await?;
            let scan = tokio::time::timeout(self.limits.time, self.scan(channel, request));
            match scan.await.unwrap_or(Err(ScanError::TooSlow)) {
                Ok(answer) => Ok(Arc::new(answer)),
                Err(error) => Err(Rejection::ReplayUnavailable(error.to_string())),
            }
        });
        let answer = scanned.await.map(Arc::clone)?;
        self.cache.trim();
        Ok(answer)
    }

    /// How long a stream tries again while what it missed can't be read.
    pub(crate) fn retried_for(&self) -> Duration {
        self.limits.retried_for
    }

    /// Answers a request in the time that one scan takes at most, even if it waits for those of others.
    ///
    /// # Errors
    /// As [`Replays::answer`].
    pub(crate) async fn answer_in_time(&self, request: &ReplayRequest) -> Result<Arc<ReplayAnswer>, Rejection> {
        let answer = tokio::time::timeout(self.limits.wait + self.limits.time, self.answer(request)).await;
        answer.unwrap_or_else(|_| Err(Rejection::ReplayUnavailable(ScanError::TooSlow.to_string())))
    }

    /// The gap of the last hole of a cursor's partition, if there is one. A user whose position is before it must hear of
    /// it.
    ///
    /// # Errors
    /// [`Rejection`] if there is no such channel, or the stored state can't be read.
    pub async fn hole(&self, cursor: &Cursor) -> Result<Option<Slice>, Rejection> {
        let channel = self.channels.iter().find(|known| known.channel == cursor.channel);
        let channel = channel.ok_or(Rejection::UnknownChannel)?;
        let unavailable = |error: &dyn std::fmt::Display| Rejection::ReplayUnavailable(error.to_string());
        let partitions = self.topics.partitions(&channel.topic).await.map_err(|error| unavailable(&error))?;
        if cursor.partition >= partitions {
            return Ok(None);
        }
        let state = self.states.of(channel, cursor.partition).await.map_err(|error| unavailable(&error))?;
        let slice = |hole: Hole| hole.slice(&channel.channel, cursor.partition, state.generation);
        Ok(state.passed_hole().map(slice))
    }

    fn check(&self, request: &ReplayRequest) -> Result<&OutboundChannel, Rejection> {
        if request.version != WIRE_VERSION {
            return Err(Rejection::Version { theirs: request.version, ours: WIRE_VERSION });
        }
        let channel = self.channels.iter().find(|known| known.channel == request.channel);
        let channel = channel.ok_or(Rejection::UnknownChannel)?;
        let is_other = |cursor: &Cursor| cursor.channel != request.channel;
        let is_valid = match &request.range {
            ReplayRange::After { cursor, until } => {
                let is_same = |until: &Cursor| {
                    !is_other(until)
                        && until.partition == cursor.partition
                        && until.position.epoch == cursor.position.epoch
                };
                !is_other(cursor) && until.as_ref().is_none_or(is_same)
            }
            ReplayRange::Since { .. } => true,
            ReplayRange::Before { cursor, limit } => {
                (1..=MAX_BEFORE).contains(limit) && !cursor.as_ref().is_some_and(is_other)
            }
        };
        if is_valid { Ok(channel) } else { Err(Rejection::Malformed("the range is none of the channel".to_owned())) }
    }

    async fn scan(&self, channel: &OutboundChannel, request: &ReplayRequest) -> Result<ReplayAnswer, ScanError> {
        let partitions = self.topics.partitions(&channel.topic).await?;
        let named = match &request.range {
            ReplayRange::After { cursor, .. } | ReplayRange::Before { cursor: Some(cursor), .. } => Some(cursor),
            ReplayRange::Since { .. } | ReplayRange::Before { cursor: None, .. } => None,
        };
        // A topic that has grown has earlier records of the user in another partition.
        let partition = match named {
            Some(cursor) if cursor.partition < partitions => cursor.partition,
            Some(_) => return Ok(gone(ResetReason::OutOfBuffer)),
            None => partition_of(&request.subject, partitions),
        };
        let epoch = self.states.of(channel, partition).await?.checkpoint.ok_or(ScanError::Unread)?.epoch;
        if named.is_some_and(|cursor| cursor.position.epoch != epoch) {
            // The topic is another one, or its end moved back. Offsets mean something else now.
            return Ok(gone(ResetReason::OutOfBuffer));
        }
        let budget = Budget {
            records: self.limits.records,
            bytes: self.limits.bytes,
            // Before the time is up, so that what was found until then is answered.
            until: Instant::now() + self.limits.time / 2,
        };
        let mut scan = Scan::new(&*self.kafka, channel, (partition, epoch), &request.subject, budget);
        let answer = match &request.range {
            ReplayRange::After { cursor, until } => {
                let from = cursor.received().offset.saturating_add(1);
                forward::after(&mut scan, from, until.as_ref().map(|until| until.position.offset)).await?
            }
            ReplayRange::Since { time_ms } => match scan.offset_at(*time_ms).await? {
                Some(from) => forward::after(&mut scan, from, None).await?,
                None => ReplayAnswer::default(),
            },
            ReplayRange::Before { cursor, limit } => {
                backward::before(&mut scan, cursor.as_ref().map(|cursor| cursor.position.offset), *limit).await?
            }
        };
        Ok(answer)
    }
}

/// The partition that a user's records are written to.
fn partition_of(subject: &Subject, partitions: i32) -> i32 {
    partitioner::partition(subject.to_string().as_bytes(), partitions)
}

fn gone(reason: ResetReason) -> ReplayAnswer {
    ReplayAnswer { head: ReplayHead { gone: Some(reason), ..ReplayHead::default() }, frames: Bytes::new() }
}

/// The cursor of an offset.
fn cursor_at(scan: &Scan<'_>, offset: i64) -> Cursor {
    let position = Position { epoch: scan.epoch, offset };
    Cursor::of_record(&scan.channel.channel, scan.partition, position)
}
