//! The URL of Redis. It may contain a password, so it can't be printed.

use redis::{Client, IntoConnectionInfo as _, io::tcp::TcpSettings};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

/// The value of `BRIDGE_REDIS_URL`.
#[derive(Clone, Debug)]
pub struct RedisUrl(SecretString);

/// The URL can't be used. The message does not contain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be written redis://[user:password@]host[:port][/database] or rediss://…")]
pub struct RedisUrlError;

impl RedisUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// [`RedisUrlError`] if it is not a URL of Redis.
    pub fn parse(text: &str) -> Result<Self, RedisUrlError> {
        let url = Url::parse(text).map_err(|_| RedisUrlError)?;
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        if !matches!(url.scheme(), "redis" | "rediss") || !has_host || Client::open(text).is_err() {
            return Err(RedisUrlError);
        }
        Ok(Self(text.into()))
    }

    /// A client that has not connected yet.
    pub(super) fn client(&self) -> Result<Client, RedisUrlError> {
        // Otherwise Nagle's algorithm holds a command back while the answer to the one before is on its way.
        let settings = TcpSettings::default().set_nodelay(true);
        let info = self.0.expose_secret().into_connection_info().map_err(|_| RedisUrlError)?;
        Client::open(info.set_tcp_settings(settings)).map_err(|_| RedisUrlError)
    }
}
