//! Builds all parts, serves until shutdown, then drains. The caller owns the listeners and the shutdown signal, so a
//! test can bind port 0 and stop the bridge at any time.

use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

use causeway_protocol::{buffer::MAX_USER_STREAMS, feed::FeedPolicy};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::{Clock, unix_seconds},
    config::{BufferStore, ChannelSettings, Config},
    dead_letter::DeadLetters,
    health::{Dependency, Health},
    http::{Context, admin_router, router},
    inbound::{Inbound, InboundLimits, OtherInstances},
    kafka::{self as clients, KafkaClients},
    listen::{self, ClientTimeouts},
    metrics::Metrics,
    outbound::{self, EchoKeys, EdgeClient, Outbound, OutboundChannel, Ownership, Sink},
    redis_store::{BufferLimits, Redis, RedisNotes, RedisSink, RedisUrl, RedisUrlError, Subscription, UserBuffers},
    replay::{RecentRecords, ReplayLimits, Replays},
    span::Spans,
    stream::{Registry, Streams},
    topics::{REFRESH_INTERVAL, Topics},
};

/// The longest time to drain. Orchestrators usually kill a process 30 s after the signal.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// Settings that only tests change.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Limits of the inbound side.
    pub inbound: InboundLimits,
    /// How often topics are checked for new partitions.
    pub refresh: Duration,
    /// How long a client may take to send a request and to read a response.
    pub client_timeouts: ClientTimeouts,
    /// Timing of a stream: keep-alive, rotation, retry.
    pub feed: FeedPolicy,
    /// Limits of the users' buffers in Redis.
    pub buffer: BufferLimits,
    /// The maximum number of streams of one user.
    pub user_streams: usize,
    /// Limits of what is read from Kafka again.
    pub replay: ReplayLimits,
    /// The source of epochs, if not the system's clock.
    pub clock: Option<Clock>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            inbound: InboundLimits::default(),
            refresh: REFRESH_INTERVAL,
            client_timeouts: ClientTimeouts::default(),
            feed: FeedPolicy::default(),
            buffer: BufferLimits::default(),
            user_streams: MAX_USER_STREAMS,
            replay: ReplayLimits::default(),
            clock: None,
        }
    }
}

/// The sockets that HTTP is served on.
#[derive(Debug)]
pub struct Listeners {
    /// Reached by the edge.
    pub edge: TcpListener,
    /// Reached by operators only; without it, metrics are not served.
    pub admin: Option<TcpListener>,
}

/// Why a bridge can't be built or served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Two metrics have the same name.
    #[error("metrics can't be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The URL of Redis can't be used.
    #[error("BRIDGE_REDIS_URL {0}")]
    Redis(#[from] RedisUrlError),
    /// The trust store can't be read.
    #[error("the client for the edge can't be built: {0}")]
    EdgeClient(#[from] reqwest::Error),
    /// The consumer group can't be joined.
    #[error("KAFKA_GROUP_ID {0}")]
    Group(#[from] clients::ClientError),
    /// Some tasks did not end in time after the signal.
    #[error("some tasks did not end within {0:?} of the signal")]
    Drain(Duration),
}

/// Serves until `shutdown` completes. Then accepts no more requests, answers those in progress, finishes the delivery
/// requests in flight, and returns.
///
/// # Errors
/// [`ServeError`] if it can't start or does not end in time.
pub async fn run(
    config: Config,
    kafka: KafkaClients,
    listeners: Listeners,
    tuning: Tuning,
    spans: Spans,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let KafkaClients { live: kafka, replay: replay_kafka, search: search_kafka, rebuilds } = kafka;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let store = if matches!(config.buffer_store, BufferStore::Edge(_)) { Dependency::Edge } else { Dependency::Redis };
    let health = Arc::new(Health::new(store));
    let metrics = Arc::new(Metrics::new()?);
    rebuilds.count_in(metrics.kafka_rebuilds.clone());
    let keys = Arc::new(config.keys);
    let topics = Arc::new(Topics::new(Arc::clone(&kafka), config.topic_partitions));
    let (sink, redis): (Arc<dyn Sink>, _) = match &config.buffer_store {
        BufferStore::Edge(url) => (Arc::new(EdgeClient::new(url, Arc::clone(&keys), Arc::clone(&health))?), None),
        BufferStore::Redis(url) => {
            let open = metrics.stream.streams.clone();
            let registry = Arc::new(Registry::new(config.max_streams, tuning.user_streams, open));
            let store = RedisStore::new(url, registry, tuning.buffer)?;
            (Arc::new(store.sink()), Some(store))
        }
    };
    let others = match &redis {
        Some(store) => OtherInstances::Notes(Box::new(store.notes())),
        None => OtherInstances::Kafka(search_kafka),
    };
    if let Some(store) = &redis {
        spawn_stream_tasks(&store.redis, &store.registry, (&health, &metrics), &tasks, &stop);
    }
    let dead_letters = Arc::new(DeadLetters::new(Arc::clone(&kafka), Arc::clone(&topics), Arc::clone(&metrics)));
    let written_topics = written_topics(&config.channels);
    let echo_keys = EchoKeys::new(Arc::clone(&keys));
    let inbound = Inbound::new(
        Arc::clone(&kafka),
        Arc::clone(&topics),
        (Arc::clone(&metrics), spans.clone()),
        (&config.channels, &echo_keys),
        tuning.inbound,
        others,
        tasks.clone(),
    );
    let channels = OutboundChannel::all(&config.channels, &echo_keys);
    let replays = Arc::new(Replays::new(
        Arc::clone(&replay_kafka),
        Arc::clone(&sink),
        Arc::clone(&topics),
        channels.clone(),
        redis.as_ref().map(|store| Arc::clone(&store.buffers) as Arc<dyn RecentRecords>),
        tuning.replay,
    ));
    let streams = redis.map(|store| Arc::new(store.streams(tuning.feed, &metrics, &replays)));
    let dependencies = outbound::Dependencies {
        kafka,
        replay_kafka,
        sink,
        topics: Arc::clone(&topics),
        dead_letters,
        metrics: Arc::clone(&metrics),
        spans,
        health: Arc::clone(&health),
    };
    let clock = tuning.clock.unwrap_or(unix_seconds);
    let read = config.channels.iter().filter_map(|channel| channel.outbound.clone()).collect();
    let ownership = match clients::join_group(&config.kafka, read, &tasks, &stop).await? {
        Some(membership) => Ownership::Group(membership),
        None => Ownership::Static(config.share),
    };
    let settings = outbound::Settings { ownership, refresh: tuning.refresh, clock };
    let outbound = Outbound::new(dependencies, channels, settings);
    let (watch_health, watch_stop) = (Arc::clone(&health), stop.clone());
    tasks.spawn(async move { topics.watch(written_topics, watch_health, watch_stop).await });
    tasks.spawn(outbound.run(stop.clone()));

    if let Some(admin) = listeners.admin {
        let router = admin_router(Arc::clone(&health), Arc::clone(&metrics));
        tasks.spawn(listen::serve(admin, router, tuning.client_timeouts, stop.clone()));
    }
    let context = Context { inbound: Arc::new(inbound), keys, health, metrics, streams, replays };
    tasks.spawn(listen::serve(listeners.edge, router(context), tuning.client_timeouts, stop.clone()));

    shutdown.await;
    drain(&tasks, &stop).await
}

/// The topics that what users say is written to. Events are accepted only while all of them can be.
fn written_topics(channels: &[ChannelSettings]) -> Vec<String> {
    let inbound = channels.iter().filter_map(|channel| channel.inbound.clone());
    let echoes = channels.iter().filter(|channel| channel.echo).filter_map(|channel| channel.outbound.clone());
    let topics: BTreeSet<_> = inbound.chain(echoes).collect();
    topics.into_iter().collect()
}

/// The buffers in Redis, and what works with them.
struct RedisStore {
    redis: Arc<Redis>,
    buffers: Arc<UserBuffers>,
    registry: Arc<Registry>,
}

impl RedisStore {
    fn new(url: &RedisUrl, registry: Arc<Registry>, limits: BufferLimits) -> Result<Self, RedisUrlError> {
        let redis = Arc::new(Redis::new(url)?);
        let buffers = Arc::new(UserBuffers::new(Arc::clone(&redis), limits));
        Ok(Self { redis, buffers, registry })
    }

    fn sink(&self) -> RedisSink {
        RedisSink::new(Arc::clone(&self.redis), Arc::clone(&self.buffers), Arc::clone(&self.registry))
    }

    fn notes(&self) -> RedisNotes {
        RedisNotes::new(Arc::clone(&self.redis))
    }

    fn streams(self, policy: FeedPolicy, metrics: &Arc<Metrics>, replays: &Arc<Replays>) -> Streams {
        Streams::new(self.buffers, self.registry, policy, Arc::clone(metrics), Arc::clone(replays))
    }
}

/// Starts the tasks that wake and end the streams: the subscription to Redis, and the drain at the end.
fn spawn_stream_tasks(
    redis: &Arc<Redis>,
    registry: &Arc<Registry>,
    (health, metrics): (&Arc<Health>, &Arc<Metrics>),
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    let (drained, stopped) = (Arc::clone(registry), stop.clone());
    tasks.spawn(async move {
        stopped.cancelled().await;
        drained.drain();
    });
    let subscription = Subscription {
        redis: Arc::clone(redis),
        registry: Arc::clone(registry),
        health: Arc::clone(health),
        metrics: Arc::clone(metrics),
    };
    tasks.spawn(subscription.run(stop.clone()));
}

/// Stops all tasks and waits until they have ended.
async fn drain(tasks: &TaskTracker, stop: &CancellationToken) -> Result<(), ServeError> {
    tracing::info!("draining");
    stop.cancel();
    tasks.close();
    tokio::time::timeout(DRAIN_TIMEOUT, tasks.wait()).await.map_err(|_| ServeError::Drain(DRAIN_TIMEOUT))?;
    tracing::info!("drained");
    Ok(())
}
