//! `BRIDGE_EDGE_URL` or `BRIDGE_REDIS_URL`: where the users' buffers are kept.

use url::Url;

use super::vars::{ConfigError, Vars};
use crate::redis_store::RedisUrl;

/// Where the users' buffers are kept, between Kafka and the streams.
#[derive(Debug)]
pub enum BufferStore {
    /// The edge, by its base URL. It serves the streams itself.
    Edge(Url),
    /// Redis. The bridge serves the streams.
    Redis(RedisUrl),
}

pub(super) fn buffer_store(vars: &Vars<'_>) -> Result<BufferStore, ConfigError> {
    const REDIS: &str = "BRIDGE_REDIS_URL";
    match (vars.get("BRIDGE_EDGE_URL"), vars.get(REDIS)) {
        (Some(edge), None) => Ok(BufferStore::Edge(edge_url(edge)?)),
        (None, Some(url)) => {
            RedisUrl::parse(url).map(BufferStore::Redis).map_err(|error| ConfigError::new(REDIS, error.to_string()))
        }
        (None, None) => {
            Err(ConfigError::new("BRIDGE_EDGE_URL", "and BRIDGE_REDIS_URL are not set: one of them must be"))
        }
        (Some(_), Some(_)) => {
            Err(ConfigError::new("BRIDGE_EDGE_URL", "and BRIDGE_REDIS_URL are both set: only one of them may be"))
        }
    }
}

fn edge_url(text: &str) -> Result<Url, ConfigError> {
    const KEY: &str = "BRIDGE_EDGE_URL";
    let url = Url::parse(text).map_err(|_| ConfigError::new(KEY, "is not a URL"))?;
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return Err(ConfigError::new(KEY, "must begin with https:// (or http:// within a trusted network)"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(ConfigError::new(KEY, "must hold no credentials, query or fragment"));
    }
    Ok(url)
}
