//! What of a bridge works with Redis: its sink, its streams and its subscription. A test delivers to it, and reads the
//! streams without HTTP.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use causeway_protocol::{
    buffer::MAX_USER_STREAMS,
    deliver::{Outcome, Slice},
    feed::FeedPolicy,
    stream::StreamRequest,
    subject::Subject,
};
use futures_util::{Stream, StreamExt as _};
use kafka_bridge::{
    health::{Dependency, Health, State},
    metrics::Metrics,
    outbound::{Sink as _, UserSlices},
    redis_store::{BufferLimits, Redis, RedisSink, RedisUrl, Subscription, UserBuffers},
    rejection::Rejection,
    replay::{ReplayLimits, Replays},
    stream::{Registry, Streams},
    topics::Topics,
};
use tokio_util::sync::CancellationToken;

use super::RedisServer;
use crate::support::{
    TEST_TIMEOUT,
    memory_kafka::MemoryKafka,
    sse::{Frame, take_frame},
    until,
};

/// One process.
pub struct Instance {
    pub sink: Arc<RedisSink>,
    pub buffers: Arc<UserBuffers>,
    pub metrics: Arc<Metrics>,
    streams: Streams,
    stop: CancellationToken,
}

impl Instance {
    pub async fn start(server: &RedisServer) -> Self {
        Self::start_with(server, BufferLimits::default()).await
    }

    pub async fn start_with(server: &RedisServer, limits: BufferLimits) -> Self {
        let redis = Arc::new(Redis::new(&RedisUrl::parse(&server.url()).unwrap()).unwrap());
        let metrics = Arc::new(Metrics::new().unwrap());
        let health = Arc::new(Health::new(Dependency::Redis));
        let registry = Arc::new(Registry::new(1000, MAX_USER_STREAMS, metrics.stream.streams.clone()));
        let buffers = Arc::new(UserBuffers::new(Arc::clone(&redis), limits));
        let stop = CancellationToken::new();
        let subscription = Subscription {
            redis: Arc::clone(&redis),
            registry: Arc::clone(&registry),
            health: Arc::clone(&health),
            metrics: Arc::clone(&metrics),
        };
        tokio::spawn(subscription.run(stop.clone()));
        until("redis answers", || health.report().redis == Some(State::Ok)).await;
        let sink = Arc::new(RedisSink::new(redis, Arc::clone(&buffers), Arc::clone(&registry)));
        // Without Kafka, what is not in the buffer is a gap.
        let kafka = MemoryKafka::new(&[]);
        let topics = Arc::new(Topics::new(kafka.clone(), 0));
        let replays = Replays::new(kafka, Arc::clone(&sink) as _, topics, Vec::new(), None, ReplayLimits::default());
        let policy = FeedPolicy::default();
        let streams = Streams::new(Arc::clone(&buffers), registry, policy, Arc::clone(&metrics), Arc::new(replays));
        Self { sink, buffers, metrics, streams, stop }
    }

    /// Shows a user's records to the streams, then stores them.
    pub async fn deliver(&self, subject: &Subject, slices: &[Slice]) {
        self.push(subject, slices);
        assert_eq!(self.store(subject, slices).await, Outcome::Stored);
    }

    pub fn push(&self, subject: &Subject, slices: &[Slice]) {
        slices.iter().for_each(|slice| self.sink.push(subject, slice));
    }

    pub async fn store(&self, subject: &Subject, slices: &[Slice]) -> Outcome {
        let user = UserSlices { subject: subject.clone(), slices: slices.to_vec() };
        self.sink.deliver(&[user]).await.unwrap()[0]
    }

    pub async fn try_open(&self, request: &StreamRequest) -> Result<Client, Rejection> {
        let stream = self.streams.open(request.clone()).await?;
        Ok(Client { chunks: Box::pin(stream.into_chunks()), buffered: Vec::new() })
    }

    /// Opens a stream, and reads what it begins with.
    pub async fn open(&self, request: &StreamRequest) -> Client {
        let mut client = self.try_open(request).await.unwrap();
        assert!(client.frame().await.unwrap().retry);
        client
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The client of a stream.
pub struct Client {
    chunks: Pin<Box<dyn Stream<Item = Bytes> + Send>>,
    buffered: Vec<u8>,
}

impl Client {
    /// The next frame, or `None` at the end of the stream.
    pub async fn frame(&mut self) -> Option<Frame> {
        let read = async {
            loop {
                if let Some(frame) = take_frame(&mut self.buffered) {
                    return Some(frame);
                }
                self.buffered.extend_from_slice(&self.chunks.next().await?);
            }
        };
        tokio::time::timeout(TEST_TIMEOUT, read).await.expect("no frame in time")
    }

    /// The ids of the next events, which must be records.
    pub async fn ids(&mut self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let frame = self.frame().await.expect("the stream ended");
            assert_eq!(frame.event, None, "{frame:?}");
            ids.extend(frame.data.and(frame.id));
        }
        ids
    }

    /// Reads on until the stream waits for something to happen. So it is level, unless a read failed.
    pub async fn settle(&mut self) {
        let quiet = std::time::Duration::from_millis(50);
        let next = tokio::time::timeout(quiet, self.chunks.next()).await;
        assert!(next.is_err(), "{next:?}");
    }
}
