//! The connection that all commands share. Commands are pipelined: none waits for the result of another, so none may
//! block.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{
    Client, Cmd, ErrorKind, FromRedisValue, ScriptInvocation, ServerErrorKind,
    aio::{ConnectionManager, ConnectionManagerConfig, PubSub},
};

use super::url::{RedisUrl, RedisUrlError};

/// The longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The longest time for a command, including the wait for a connection.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to Redis.
pub struct Redis {
    client: Client,
    /// Reconnects by itself. It is replaced when its connection is stuck.
    manager: Mutex<ConnectionManager>,
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
        let manager = Mutex::new(manager(&client).map_err(|_| RedisUrlError)?);
        Ok(Self { client, manager })
    }

    /// Runs a script.
    pub(super) async fn script<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, RedisError> {
        let mut connection = self.connection();
        self.with_timeout(async { Ok(script.invoke_async(&mut connection).await?) }).await
    }

    /// Runs a command.
    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let mut connection = self.connection();
        self.with_timeout(async { Ok(command.query_async(&mut connection).await?) }).await
    }

    /// Checks that Redis answers.
    pub(super) async fn ping(&self) -> Result<(), RedisError> {
        self.command::<String>(&redis::cmd("PING")).await.map(drop)
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

    fn connection(&self) -> ConnectionManager {
        self.manager.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn with_timeout<T>(&self, work: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
        let result = tokio::time::timeout(COMMAND_TIMEOUT, work).await.unwrap_or(Err(RedisError::Timeout));
        // The connection to a server that vanished, or became a replica, stays open. Only a new one reaches the right
        // server.
        let stuck = match &result {
            Err(RedisError::Timeout) => true,
            Err(RedisError::Unavailable(message)) => message.contains("READONLY"),
            _ => false,
        };
        if stuck && let Ok(manager) = manager(&self.client) {
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
