//! The connection that all commands share. Commands are pipelined, so none waits for another's answer, and none blocks.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use redis::{
    Client, Cmd, ErrorKind, FromRedisValue, ScriptInvocation, ServerErrorKind,
    aio::{ConnectionManager, ConnectionManagerConfig, PubSub},
};

use super::access::{RedisAccess, RedisAccessError};

/// Longest a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest any command may take, waiting for a connection included.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Redis as the bridge uses it.
pub struct Redis {
    client: Client,
    /// It reconnects by itself; replaced when that is not enough.
    manager: Mutex<ConnectionManager>,
}

/// Why Redis did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// It did not answer in time.
    #[error("redis did not answer in time")]
    Timeout,
    /// It can't be reached, or serves nobody for now.
    #[error("redis can't be reached: {0}")]
    Unavailable(String),
    /// It refuses this command.
    #[error("redis refuses: {0}")]
    Refused(String),
    /// What it holds is not what the bridge writes.
    #[error("redis holds what the bridge did not write: {0}")]
    BadValue(&'static str),
}

impl RedisError {
    /// Whether it says nothing about the command, and others would fail as well.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable(_))
    }

    /// One word for the figures.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unavailable(_) => "unreachable",
            Self::Refused(_) => "refused",
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
            _ => Self::Refused(error.to_string()),
        }
    }
}

impl Redis {
    /// Prepares to connect; must be called within a runtime.
    ///
    /// # Errors
    /// If the URL can't be used after all.
    pub fn new(access: &RedisAccess) -> Result<Self, RedisAccessError> {
        // Fails only where a provider is installed already, and that one then serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = access.client()?;
        let manager = Mutex::new(manager(&client).map_err(|_| RedisAccessError)?);
        Ok(Self { client, manager })
    }

    /// Runs a script.
    pub(super) async fn script<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, RedisError> {
        let mut connection = self.connection();
        self.within(async { Ok(script.invoke_async(&mut connection).await?) }).await
    }

    /// Runs a command.
    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let mut connection = self.connection();
        self.within(async { Ok(command.query_async(&mut connection).await?) }).await
    }

    /// Whether it answers.
    pub(super) async fn ping(&self) -> Result<(), RedisError> {
        self.command::<String>(&redis::cmd("PING")).await.map(drop)
    }

    /// A connection of its own, for messages.
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

    async fn within<T>(&self, work: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
        let result = tokio::time::timeout(TIMEOUT, work).await.unwrap_or(Err(RedisError::Timeout));
        // A peer that vanished without a word, or became a replica, keeps its connection open: only another one helps.
        let stuck = match &result {
            Err(RedisError::Timeout) => true,
            Err(RedisError::Unavailable(what)) => what.contains("READONLY"),
            _ => false,
        };
        if stuck && let Ok(manager) = manager(&self.client) {
            *self.manager.lock().unwrap_or_else(PoisonError::into_inner) = manager;
        }
        result
    }
}

fn manager(client: &Client) -> Result<ConnectionManager, redis::RedisError> {
    // Who waits longer than a try or two takes tries again itself.
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(TIMEOUT))
        .set_number_of_retries(2)
        .set_min_delay(Duration::from_millis(50))
        .set_max_delay(Duration::from_millis(500));
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}
