//! The subscription whose messages wake and end the streams of this process.

use std::{sync::Arc, time::Duration};

use causeway_protocol::{
    stream::{END_CHANNEL, EndStreams},
    subject::Subject,
};
use futures_util::StreamExt as _;
use redis::Msg;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{
    connection::{Redis, RedisError},
    key::WAKE_CHANNEL,
};
use crate::{
    backoff::Backoff,
    health::{Dependency, Health},
    metrics::Metrics,
    stream::Registry,
};

/// How often the shared connection and the subscription are pinged.
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
            self.metrics.subscription_breaks.inc();
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
        let (mut sink, mut messages) = connection.split();
        let mut ping = tokio::time::interval(PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => self.on_message(&message),
                    None => return RedisError::Unavailable("the connection was closed".to_owned()),
                },
                _ = ping.tick() => {
                    self.health.set(Dependency::Redis, self.redis.ping().await.is_ok());
                    match tokio::time::timeout(PING_TIMEOUT, sink.ping::<redis::Value>()).await {
                        Ok(Ok(_)) => {}
                        Ok(Err(error)) => return error.into(),
                        Err(_) => return RedisError::Timeout,
                    }
                }
            }
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
        match std::str::from_utf8(payload).ok().map(Subject::parse) {
            Some(Ok(subject)) => self.registry.wake(&subject),
            _ => tracing::warn!("a message on {WAKE_CHANNEL} is not a subject"),
        }
    }
}
