//! The connections that all commands share: one for what streams read, one for what is delivered, one for the claims of
//! events. Commands are pipelined: none waits for the result of another, so none may block.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{
    Client, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisResult, Script, ScriptInvocation, ServerErrorKind,
    aio::{ConnectionManager, ConnectionManagerConfig, PubSub},
};

use super::url::{RedisUrl, RedisUrlError};
use crate::outbound::SinkError;

/// The longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The longest time for a command, including the wait for a connection.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// The connections to Redis.
pub struct Redis {
    client: Client,
    /// For streams. What they read may be large, and must not hold up deliveries.
    reads: SharedConnection,
    /// For deliveries, checkpoints and what was written.
    writes: SharedConnection,
    /// For claims. An event waits for its claim, which must not wait for the answers to large deliveries.
    claims: SharedConnection,
}

/// A connection that several tasks use.
struct SharedConnection {
    /// Reconnects by itself. It is replaced when its connection is stuck.
    manager: Mutex<ConnectionManager>,
    /// How many calls failed because of an outage.
    outages: AtomicU64,
}

/// Why a call to Redis failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// No answer in time.
    #[error("redis did not answer in time")]
    Timeout,
    /// Redis can't be reached, or can't serve now.
    #[error("redis can't be reached: {0}")]
    Unavailable(String),
    /// Redis rejects this command.
    #[error("redis rejects the command: {0}")]
    Rejected(String),
    /// The value is not one that the bridge writes.
    #[error("redis holds a value that the bridge did not write: {0}")]
    BadValue(&'static str),
}

impl RedisError {
    /// Whether Redis itself is unavailable, so that other commands would fail as well.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable(_))
    }

    /// The value of the metric's label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unavailable(_) => "unreachable",
            Self::Rejected(_) => "refused",
            Self::BadValue(_) => "bad_value",
        }
    }
}

impl From<RedisError> for SinkError {
    fn from(error: RedisError) -> Self {
        Self::Failed { label: error.label(), message: error.to_string() }
    }
}

impl From<redis::RedisError> for RedisError {
    fn from(error: redis::RedisError) -> Self {
        use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly, TryAgain};
        if error.is_timeout() {
            return Self::Timeout;
        }
        match error.kind() {
            ErrorKind::Io
            | ErrorKind::AuthenticationFailed
            | ErrorKind::Parse
            | ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | ReadOnly | TryAgain) => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Rejected(error.to_string()),
        }
    }
}

impl Redis {
    /// Prepares to connect. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// If the URL can't be used.
    pub fn new(url: &RedisUrl) -> Result<Self, RedisUrlError> {
        // Fails only if a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = url.client()?;
        let connection = || SharedConnection::new(&client).map_err(|_| RedisUrlError);
        let (reads, writes, claims) = (connection()?, connection()?, connection()?);
        Ok(Self { client, reads, writes, claims })
    }

    /// Runs a script for a stream.
    pub(super) async fn read_script<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, RedisError> {
        let call = |mut connection| async move { script.invoke_async(&mut connection).await };
        self.reads.run(&self.client, call).await
    }

    /// Runs a command for a stream.
    pub(super) async fn read_command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let call = |mut connection| async move { command.query_async(&mut connection).await };
        self.reads.run(&self.client, call).await
    }

    /// Runs a script for a delivery.
    pub(super) async fn write_script<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, RedisError> {
        let call = |mut connection| async move { script.invoke_async(&mut connection).await };
        self.writes.run(&self.client, call).await
    }

    /// Runs commands for a delivery in one round trip. Each has its own result.
    pub(super) async fn write_pipeline<T: FromRedisValue>(
        &self,
        pipeline: &mut Pipeline,
    ) -> Result<Vec<Result<T, RedisError>>, RedisError> {
        let results = self.writes.query(&self.client, pipeline).await?;
        Ok(results.into_iter().map(|result| result.map_err(RedisError::from)).collect())
    }

    /// Runs calls of one script for deliveries in one round trip, `EVALSHA` each. One more, if Redis does not know the
    /// script yet.
    pub(super) async fn scripts<T: FromRedisValue>(
        &self,
        script: &Script,
        pipeline: &mut Pipeline,
    ) -> Result<Vec<Result<T, RedisError>>, RedisError> {
        self.writes.scripts(&self.client, script, pipeline).await
    }

    /// As [`Redis::scripts`], for claims.
    pub(super) async fn claims<T: FromRedisValue>(
        &self,
        script: &Script,
        pipeline: &mut Pipeline,
    ) -> Result<Vec<Result<T, RedisError>>, RedisError> {
        self.claims.scripts(&self.client, script, pipeline).await
    }

    /// How many calls of deliveries failed because of an outage. After one, the server may be another, or may have lost
    /// data.
    pub(super) fn write_outages(&self) -> u64 {
        self.writes.outages.load(Ordering::Acquire)
    }

    /// Checks that Redis answers streams.
    pub(super) async fn ping(&self) -> Result<(), RedisError> {
        self.read_command::<String>(&redis::cmd("PING")).await.map(drop)
    }

    /// Opens a separate connection for published messages.
    pub(super) async fn subscribe(&self, channels: &[&str]) -> Result<PubSub, RedisError> {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, async {
            let mut connection = self.client.get_async_pubsub().await?;
            connection.subscribe(channels).await?;
            Ok(connection)
        });
        connected.await.map_err(|_| RedisError::Timeout)?
    }
}

impl SharedConnection {
    fn new(client: &Client) -> Result<Self, redis::RedisError> {
        Ok(Self { manager: Mutex::new(manager(client)?), outages: AtomicU64::new(0) })
    }

    /// Runs calls of one script.
    async fn scripts<T: FromRedisValue>(
        &self,
        client: &Client,
        script: &Script,
        pipeline: &mut Pipeline,
    ) -> Result<Vec<Result<T, RedisError>>, RedisError> {
        let mut results: Vec<RedisResult<T>> = self.query(client, pipeline).await?;
        let is_unknown = |result: &RedisResult<T>| {
            result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
        };
        if results.iter().any(is_unknown) {
            let load = |mut connection| async move { script.load_async(&mut connection).await };
            self.run(client, load).await?;
            let mut again = redis::pipe();
            let calls = pipeline.cmd_iter().zip(&results).filter(|(_, result)| is_unknown(result));
            calls.for_each(|(command, _)| {
                again.add_command(command.clone());
            });
            let mut repeated = self.query(client, &mut again).await?.into_iter();
            for result in results.iter_mut().filter(|result| is_unknown(result)) {
                if let Some(repeated) = repeated.next() {
                    *result = repeated;
                }
            }
        }
        Ok(results.into_iter().map(|result| result.map_err(RedisError::from)).collect())
    }

    async fn query<T: FromRedisValue>(
        &self,
        client: &Client,
        pipeline: &mut Pipeline,
    ) -> Result<Vec<RedisResult<T>>, RedisError> {
        pipeline.ignore_errors();
        let pipeline = &*pipeline;
        self.run(client, |mut connection| async move { pipeline.query_async(&mut connection).await }).await
    }

    /// Makes a call, for a limited time.
    async fn run<T, F>(&self, client: &Client, call: impl FnOnce(ConnectionManager) -> F) -> Result<T, RedisError>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let connection = self.manager.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let result = match tokio::time::timeout(COMMAND_TIMEOUT, call(connection)).await {
            Ok(result) => result.map_err(RedisError::from),
            Err(_) => Err(RedisError::Timeout),
        };
        if matches!(&result, Err(error) if error.is_outage()) {
            self.outages.fetch_add(1, Ordering::AcqRel);
        }
        // The connection to a server that vanished, or became a replica, stays open. Only a new one reaches the right
        // server.
        let stuck = match &result {
            Err(RedisError::Timeout) => true,
            Err(RedisError::Unavailable(message)) => message.contains("READONLY"),
            _ => false,
        };
        if stuck && let Ok(manager) = manager(client) {
            *self.manager.lock().unwrap_or_else(PoisonError::into_inner) = manager;
        }
        result
    }
}

fn manager(client: &Client) -> Result<ConnectionManager, redis::RedisError> {
    // A few retries suffice here: callers that need more retry themselves.
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(COMMAND_TIMEOUT))
        .set_number_of_retries(2)
        .set_min_delay(Duration::from_millis(50))
        .set_max_delay(Duration::from_millis(500));
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}
