//! The subscription whose messages bring records to the streams of this process, and end them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use causeway_protocol::stream::{END_CHANNEL, EndStreams};
use futures_util::{Stream, StreamExt as _};
use redis::{Msg, aio::PubSubSink};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{
    connection::{Redis, RedisError},
    key::WAKE_CHANNEL,
    wake,
};
use crate::{
    backoff::Backoff,
    health::{Dependency, Health},
    metrics::Metrics,
    stream::Registry,
};

/// How often the connections are pinged.
const PING_EVERY: Duration = Duration::from_secs(5);

/// The longest time for the answer to a ping of the subscription.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// Subscribes to Redis for all streams.
pub struct Subscription {
    /// The server to subscribe to.
    pub redis: Arc<Redis>,
    /// The streams to wake and end.
    pub registry: Arc<Registry>,
    /// Receives the state of Redis.
    pub health: Arc<Health>,
    /// Counts interruptions.
    pub metrics: Arc<Metrics>,
}

impl Subscription {
    /// Listens until stopped. Reconnects whenever the connection breaks.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        loop {
            let error = tokio::select! {
                () = stop.cancelled() => return,
                error = self.listen(&mut backoff) => error,
            };
            self.health.set(Dependency::Redis, false);
            self.metrics.stream.subscription_breaks.inc();
            let wait = backoff.next_wait();
            tracing::warn!(failures = backoff.tries(), ?wait, %error, "the subscription broke, connecting again");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Listens until the connection breaks, and returns the cause.
    async fn listen(&self, backoff: &mut Backoff) -> RedisError {
        let connection = match self.redis.subscribe(&[WAKE_CHANNEL, END_CHANNEL]).await {
            Ok(connection) => connection,
            Err(error) => return error,
        };
        backoff.reset();
        // Messages published while disconnected are lost, so every stream checks its buffer and its session once.
        self.registry.wake_all();
        let (sink, messages) = connection.split();
        // No message waits for the answer to a ping, least of all to one on another connection.
        tokio::select! {
            () = self.receive(messages) => RedisError::Unavailable("the connection was closed".to_owned()),
            error = ping(sink) => error,
            error = self.watch_health() => error,
        }
    }

    async fn receive(&self, mut messages: impl Stream<Item = Msg> + Unpin) {
        while let Some(message) = messages.next().await {
            self.on_message(&message);
        }
    }

    /// Reports whether streams can read. Does not return.
    async fn watch_health(&self) -> RedisError {
        let mut tick = pings();
        loop {
            tick.tick().await;
            self.health.set(Dependency::Redis, self.redis.ping().await.is_ok());
        }
    }

    fn on_message(&self, message: &Msg) {
        let payload = message.get_payload_bytes();
        if message.get_channel_name() == END_CHANNEL {
            match serde_json::from_slice::<EndStreams>(payload) {
                Ok(end) => self.registry.end(&end),
                Err(error) => tracing::warn!(%error, "a message on {END_CHANNEL} can't be read"),
            }
            return;
        }
        let Some((subject, at)) = wake::subject_of(payload) else {
            tracing::warn!("a message on {WAKE_CHANNEL} can't be read");
            return;
        };
        // Most wakes are for users without streams here.
        if !self.registry.has_streams(subject) {
            return;
        }
        let body = Bytes::copy_from_slice(payload.get(at..).unwrap_or_default());
        match wake::parse(&body) {
            Some(wake) => self.registry.wake(subject, &wake),
            None => tracing::warn!("a message on {WAKE_CHANNEL} can't be read"),
        }
    }
}

fn pings() -> tokio::time::Interval {
    let mut tick = tokio::time::interval(PING_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// Pings the subscription until it does not answer.
async fn ping(mut sink: PubSubSink) -> RedisError {
    let mut tick = pings();
    loop {
        tick.tick().await;
        match tokio::time::timeout(PING_TIMEOUT, sink.ping::<redis::Value>()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return error.into(),
            Err(_) => return RedisError::Timeout,
        }
    }
}
