//! Builds everything, serves until told to stop, drains. The caller owns the listeners and the signal, so a test binds
//! port 0 and stops when it likes.

use std::{future::Future, sync::Arc, time::Duration};

use causeway_protocol::feed::FeedPolicy;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Config, Hop},
    dead_letter::DeadLetters,
    health::{Health, Neighbour},
    hop::{Buffer, Limits, Redis, RedisAccessError, RedisSink, Subscription},
    http::{Context, admin_router, router, unix_seconds},
    inbound::{Inbound, InboundLimits},
    kafka::KafkaIo,
    listen::{self, Patience},
    metrics::Metrics,
    outbound::{Clock, EdgeClient, Outbound, Sink},
    stream::{Registry, Streams},
    topics::{REFRESH, Topics},
};

/// Longest the drain may take; what an orchestrator usually allows before it kills is 30 s.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// What tests set otherwise than operators need to.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Bounds of the inbound side.
    pub inbound: InboundLimits,
    /// How often topics are looked at for new partitions.
    pub refresh: Duration,
    /// How long a client may take.
    pub patience: Patience,
    /// When things happen in a stream's life.
    pub feed: FeedPolicy,
    /// What is kept in Redis.
    pub buffer: Limits,
    /// Most streams of one user.
    pub user_streams: usize,
    /// Where epochs are taken from, if not from the system's clock.
    pub clock: Option<Clock>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            inbound: InboundLimits::default(),
            refresh: REFRESH,
            patience: Patience::default(),
            feed: FeedPolicy::default(),
            buffer: Limits::default(),
            // Tabs share a stream, so these are a user's devices, and connections whose end nobody told yet.
            user_streams: 32,
            clock: None,
        }
    }
}

/// Where HTTP is served.
#[derive(Debug)]
pub struct Listeners {
    /// For the edge.
    pub edge: TcpListener,
    /// For operators, if they have their own.
    pub admin: Option<TcpListener>,
}

/// Why a bridge can't be built or served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Two figures have the same name.
    #[error("metrics can't be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The address of Redis can't be used.
    #[error("BRIDGE_REDIS_URL {0}")]
    Redis(#[from] RedisAccessError),
    /// The trust store can't be read.
    #[error("the client for the edge can't be built: {0}")]
    EdgeClient(#[from] reqwest::Error),
    /// Something did not end in time after the signal.
    #[error("not everything ended within {0:?} of the signal")]
    Drain(Duration),
}

/// Serves until `shutdown` completes, then takes no more, answers what it took, ends delivery after the request in
/// flight, and returns.
///
/// # Errors
/// [`ServeError`] if it can't begin, or does not end in time.
pub async fn run(
    config: Config,
    kafka: Arc<dyn KafkaIo>,
    listeners: Listeners,
    tuning: Tuning,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let keeper = if matches!(config.hop, Hop::Edge(_)) { Neighbour::Edge } else { Neighbour::Redis };
    let health = Arc::new(Health::new(keeper));
    let metrics = Arc::new(Metrics::new()?);
    let keys = Arc::new(config.keys);
    let topics = Arc::new(Topics::new(Arc::clone(&kafka), config.topic_partitions));
    let (sink, streams): (Arc<dyn Sink>, _) = match &config.hop {
        Hop::Edge(url) => (Arc::new(EdgeClient::new(url, Arc::clone(&keys), Arc::clone(&health))?), None),
        Hop::Redis(access) => {
            let redis = Arc::new(Redis::new(access)?);
            let buffer = Arc::new(Buffer::new(Arc::clone(&redis), tuning.buffer));
            let registry = Arc::new(Registry::new(config.max_streams, tuning.user_streams, metrics.streams.clone()));
            let (health, metrics) = (Arc::clone(&health), Arc::clone(&metrics));
            let sink = Arc::new(RedisSink::new(Arc::clone(&redis), Arc::clone(&buffer)));
            let streams = Streams::new(buffer, Arc::clone(&registry), tuning.feed, Arc::clone(&metrics));
            let drained = Arc::clone(&registry);
            let stopped = stop.clone();
            tasks.spawn(async move {
                stopped.cancelled().await;
                drained.drain();
            });
            tasks.spawn(Subscription { redis, registry, health, metrics }.run(stop.clone()));
            (sink, Some(Arc::new(streams)))
        }
    };
    let dead_letters = Arc::new(DeadLetters::new(Arc::clone(&kafka), Arc::clone(&topics), Arc::clone(&metrics)));
    let inbound_topics = config.channels.values().cloned().collect();

    let inbound =
        Inbound::new(Arc::clone(&kafka), Arc::clone(&topics), Arc::clone(&metrics), config.channels, tuning.inbound);
    let outbound = Outbound::new(
        kafka,
        sink,
        Arc::clone(&topics),
        dead_letters,
        (Arc::clone(&metrics), Arc::clone(&health)),
        (config.outbound_topic, config.share, tuning.refresh, tuning.clock.unwrap_or(unix_seconds)),
    );
    let watched = Arc::clone(&health);
    let watch_stop = stop.clone();
    tasks.spawn(async move { topics.watch(inbound_topics, watched, watch_stop).await });
    tasks.spawn(outbound.run(stop.clone()));

    if let Some(admin) = listeners.admin {
        let router = admin_router(Arc::clone(&health), Arc::clone(&metrics));
        tasks.spawn(listen::serve(admin, router, tuning.patience, stop.clone()));
    }
    let context = Context { inbound: Arc::new(inbound), keys, health, metrics, streams };
    tasks.spawn(listen::serve(listeners.edge, router(context), tuning.patience, stop.clone()));

    shutdown.await;
    tracing::info!("draining");
    stop.cancel();
    tasks.close();
    tokio::time::timeout(DRAIN_TIMEOUT, tasks.wait()).await.map_err(|_| ServeError::Drain(DRAIN_TIMEOUT))?;
    tracing::info!("drained");
    Ok(())
}
