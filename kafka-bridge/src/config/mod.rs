//! Reads the environment once into typed settings. An error names the variable and never shows a secret.
//!
//! - [`buffer_store`]: where the users' buffers are kept.
//! - [`channel`]: the channels and their topics.
//! - [`kafka`]: how to connect to Kafka.
//! - [`kafka_tls`]: the certificates for it.
//! - [`kafka_sasl`]: the credentials for it.
//! - [`partition_share`]: which partitions this instance delivers.
//! - [`topic`]: names of topics, and how many partitions the bridge creates.
//! - [`vars`]: access to the variables, and the error for a wrong one.

mod buffer_store;
mod channel;
mod kafka;
mod kafka_sasl;
mod kafka_tls;
mod partition_share;
mod topic;
mod vars;

use std::{collections::BTreeMap, net::SocketAddr};

use causeway_protocol::signature::KeyRing;

use self::vars::Vars;
pub use self::{
    buffer_store::BufferStore, channel::ChannelSettings, partition_share::PartitionShare, vars::ConfigError,
};
use crate::kafka::KafkaSettings;

/// All `BRIDGE_` variables. The bridge does not start with an unknown one, which is probably a misspelling.
const KNOWN: [&str; 10] = [
    "BRIDGE_LISTEN",
    "BRIDGE_ADMIN_LISTEN",
    "BRIDGE_KEYS",
    "BRIDGE_CHANNELS",
    "BRIDGE_EDGE_URL",
    "BRIDGE_REDIS_URL",
    "BRIDGE_MAX_STREAMS",
    "BRIDGE_REPLICA",
    "BRIDGE_REPLICAS",
    "BRIDGE_TOPIC_PARTITIONS",
];

/// The settings of a bridge.
#[derive(Debug)]
pub struct Config {
    /// `BRIDGE_LISTEN`: the address that serves the edge.
    pub listen: SocketAddr,
    /// `BRIDGE_ADMIN_LISTEN`: the address that serves operators. If it is unset, metrics are not served.
    pub admin_listen: Option<SocketAddr>,
    /// `BRIDGE_KEYS`: the key ring shared with the edge.
    pub keys: KeyRing,
    /// `BRIDGE_CHANNELS`: the channels and their topics.
    pub channels: Vec<ChannelSettings>,
    /// `BRIDGE_EDGE_URL` or `BRIDGE_REDIS_URL`: where the users' buffers are kept.
    pub buffer_store: BufferStore,
    /// `BRIDGE_MAX_STREAMS`: the maximum number of open streams, if the buffers are in Redis.
    pub max_streams: usize,
    /// `BRIDGE_REPLICA`, `BRIDGE_REPLICAS`: which partitions this instance delivers.
    pub share: PartitionShare,
    /// `BRIDGE_TOPIC_PARTITIONS`: the number of partitions of a topic that the bridge creates. With 0 it creates none.
    pub topic_partitions: i32,
    /// `KAFKA_*`: how to connect to Kafka.
    pub kafka: KafkaSettings,
}

impl Config {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// [`ConfigError`] names the first variable that is missing, unknown or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        let mut vars = BTreeMap::new();
        for (key, value) in std::env::vars_os() {
            let Some(key) = key.to_str().filter(|key| key.starts_with("BRIDGE_") || key.starts_with("KAFKA_")) else {
                continue;
            };
            let value = value.into_string().map_err(|_| ConfigError::new(key, "is not UTF-8"))?;
            vars.insert(key.to_owned(), value);
        }
        Self::from_vars(&vars)
    }

    /// Reads the given variables.
    ///
    /// # Errors
    /// Like [`Config::from_env`].
    pub fn from_vars(vars: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        if let Some(unknown) = vars.keys().find(|key| key.starts_with("BRIDGE_") && !KNOWN.contains(&key.as_str())) {
            return Err(ConfigError::new(unknown, "is not a variable of the bridge"));
        }
        let vars = Vars(vars);
        Ok(Self {
            listen: vars.parse("BRIDGE_LISTEN", Some("127.0.0.1:8790"), "must be an address such as 127.0.0.1:8790")?,
            admin_listen: admin_listen(&vars)?,
            keys: KeyRing::parse(vars.required("BRIDGE_KEYS")?)
                .map_err(|error| ConfigError::new("BRIDGE_KEYS", error.to_string()))?,
            channels: channel::channels(vars.get("BRIDGE_CHANNELS"))?,
            buffer_store: buffer_store::buffer_store(&vars)?,
            max_streams: vars.parse("BRIDGE_MAX_STREAMS", Some("20000"), "must be a whole number")?,
            share: partition_share::partition_share(&vars)?,
            topic_partitions: topic::topic_partitions(&vars)?,
            kafka: kafka::kafka_settings(&vars)?,
        })
    }
}

fn admin_listen(vars: &Vars<'_>) -> Result<Option<SocketAddr>, ConfigError> {
    const KEY: &str = "BRIDGE_ADMIN_LISTEN";
    let address = vars.get(KEY).map(|_| vars.parse(KEY, None, "must be an address such as 127.0.0.1:8791"));
    address.transpose()
}

#[cfg(test)]
mod tests;
