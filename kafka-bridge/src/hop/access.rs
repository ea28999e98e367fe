//! Where Redis is. The URL may hold a password, so nothing here can print it.

use redis::Client;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// `BRIDGE_REDIS_URL`.
#[derive(Clone, Debug)]
pub struct RedisAccess(SecretString);

/// The URL can't be used. Shows nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be written redis://[user:password@]host[:port][/database] or rediss://…")]
pub struct RedisAccessError;

impl RedisAccess {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`RedisAccessError`] if it is not one of Redis.
    pub fn parse(text: &str) -> Result<Self, RedisAccessError> {
        let url = Url::parse(text).map_err(|_| RedisAccessError)?;
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        if !matches!(url.scheme(), "redis" | "rediss") || !has_host || Client::open(text).is_err() {
            return Err(RedisAccessError);
        }
        Ok(Self(text.into()))
    }

    /// What opens connections; opens none yet.
    pub(super) fn client(&self) -> Result<Client, RedisAccessError> {
        Client::open(self.0.expose_secret()).map_err(|_| RedisAccessError)
    }
}
