//! The environment, read once into types. An error names the variable, and never shows a secret's value.

use std::{collections::BTreeMap, net::SocketAddr};

use causeway_protocol::{event::is_name, signature::KeyRing};
use url::Url;

use crate::{
    hop::RedisAccess,
    kafka::{KafkaAccess, Sasl, SaslMechanism},
};

/// Every variable that is read; another one that begins with `BRIDGE_` is a mistake worth stopping for.
const KNOWN: [&str; 11] = [
    "BRIDGE_LISTEN",
    "BRIDGE_ADMIN_LISTEN",
    "BRIDGE_KEYS",
    "BRIDGE_CHANNELS",
    "BRIDGE_OUTBOUND_TOPIC",
    "BRIDGE_EDGE_URL",
    "BRIDGE_REDIS_URL",
    "BRIDGE_MAX_STREAMS",
    "BRIDGE_REPLICA",
    "BRIDGE_REPLICAS",
    "BRIDGE_TOPIC_PARTITIONS",
];

/// Longest topic name Kafka takes.
const MAX_TOPIC_BYTES: usize = 249;

/// What a bridge is told.
#[derive(Debug)]
pub struct Config {
    /// `BRIDGE_LISTEN`: where HTTP is served.
    pub listen: SocketAddr,
    /// `BRIDGE_ADMIN_LISTEN`: where operators find the figures; nowhere if not set.
    pub admin_listen: Option<SocketAddr>,
    /// `BRIDGE_KEYS`: the key ring shared with the edge.
    pub keys: KeyRing,
    /// `BRIDGE_CHANNELS`: the inbound topic of each channel.
    pub channels: BTreeMap<String, String>,
    /// `BRIDGE_OUTBOUND_TOPIC`: whose records are delivered.
    pub outbound_topic: String,
    /// `BRIDGE_EDGE_URL` or `BRIDGE_REDIS_URL`: where the users' buffers are.
    pub hop: Hop,
    /// `BRIDGE_MAX_STREAMS`: most streams served at a time, where the buffers are in Redis.
    pub max_streams: usize,
    /// `BRIDGE_REPLICA`, `BRIDGE_REPLICAS`: which partitions are this instance's to deliver.
    pub share: Share,
    /// `BRIDGE_TOPIC_PARTITIONS`: partitions of a topic the bridge creates; 0 creates none.
    pub topic_partitions: i32,
    /// `KAFKA_BROKERS`, `KAFKA_SECURITY_PROTOCOL`, `KAFKA_SASL_*`: where Kafka is and how it lets the bridge in.
    pub kafka: KafkaAccess,
}

/// Between Kafka and the users' streams.
#[derive(Debug)]
pub enum Hop {
    /// The edge keeps the buffers and serves the streams itself: its base URL.
    Edge(Url),
    /// Redis keeps the buffers and this bridge serves the streams.
    Redis(RedisAccess),
}

/// Which of the outbound topic's partitions an instance delivers: those with `partition % replicas == replica`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// This instance's ordinal.
    pub replica: u32,
    /// How many instances there are.
    pub replicas: u32,
}

impl Share {
    /// Whether a partition is this instance's.
    #[must_use]
    pub fn owns(self, partition: i32) -> bool {
        partition.unsigned_abs() % self.replicas.max(1) == self.replica
    }
}

/// What is wrong with a variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}")]
pub struct ConfigError {
    key: String,
    problem: String,
}

impl ConfigError {
    fn new(key: &str, problem: impl Into<String>) -> Self {
        Self { key: key.to_owned(), problem: problem.into() }
    }
}

impl Config {
    /// Reads the variables of the process.
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

    /// Reads given variables.
    ///
    /// # Errors
    /// As [`Config::from_env`].
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
            channels: channels(vars.get("BRIDGE_CHANNELS").unwrap_or("chat=chat.inbound"))?,
            outbound_topic: topic(
                "BRIDGE_OUTBOUND_TOPIC",
                vars.get("BRIDGE_OUTBOUND_TOPIC").unwrap_or("chat.outbound"),
            )?,
            hop: hop(&vars)?,
            max_streams: vars.parse("BRIDGE_MAX_STREAMS", Some("20000"), "must be a whole number")?,
            share: share(&vars)?,
            topic_partitions: topic_partitions(&vars)?,
            kafka: kafka_access(&vars)?,
        })
    }
}

/// The variables; one that is empty counts as not set.
struct Vars<'a>(&'a BTreeMap<String, String>);

impl<'a> Vars<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn required(&self, key: &str) -> Result<&'a str, ConfigError> {
        self.get(key).ok_or_else(|| ConfigError::new(key, "is not set"))
    }

    fn parse<T: std::str::FromStr>(&self, key: &str, default: Option<&'a str>, form: &str) -> Result<T, ConfigError> {
        let text = self.get(key).or(default).unwrap_or_default();
        text.parse().map_err(|_| ConfigError::new(key, form))
    }
}

fn channels(text: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    const KEY: &str = "BRIDGE_CHANNELS";
    let mut channels = BTreeMap::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (name, topic_name) = entry
            .split_once('=')
            .filter(|(name, _)| is_name(name))
            .ok_or_else(|| ConfigError::new(KEY, "must be written channel=topic, several separated by commas"))?;
        if channels.insert(name.to_owned(), topic(KEY, topic_name)?).is_some() {
            return Err(ConfigError::new(KEY, format!("names the channel {name} twice")));
        }
    }
    if channels.is_empty() {
        return Err(ConfigError::new(KEY, "names no channel"));
    }
    Ok(channels)
}

fn topic(key: &str, name: &str) -> Result<String, ConfigError> {
    let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    // Its dead-letter topic must have a legal name too.
    if !legal || name.is_empty() || name.len() + ".dlq".len() > MAX_TOPIC_BYTES || name == "." || name == ".." {
        return Err(ConfigError::new(key, "names a topic that is no legal Kafka topic name"));
    }
    Ok(name.to_owned())
}

fn admin_listen(vars: &Vars<'_>) -> Result<Option<SocketAddr>, ConfigError> {
    const KEY: &str = "BRIDGE_ADMIN_LISTEN";
    let given = vars.get(KEY).map(|_| vars.parse(KEY, None, "must be an address such as 127.0.0.1:8791"));
    given.transpose()
}

fn hop(vars: &Vars<'_>) -> Result<Hop, ConfigError> {
    const REDIS: &str = "BRIDGE_REDIS_URL";
    match (vars.get("BRIDGE_EDGE_URL"), vars.get(REDIS)) {
        (Some(edge), None) => Ok(Hop::Edge(edge_url(edge)?)),
        (None, Some(url)) => {
            RedisAccess::parse(url).map(Hop::Redis).map_err(|error| ConfigError::new(REDIS, error.to_string()))
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

fn share(vars: &Vars<'_>) -> Result<Share, ConfigError> {
    let replica = vars.parse("BRIDGE_REPLICA", Some("0"), "must be a whole number from 0")?;
    let replicas = vars.parse("BRIDGE_REPLICAS", Some("1"), "must be a whole number from 1")?;
    if replicas == 0 {
        return Err(ConfigError::new("BRIDGE_REPLICAS", "must be a whole number from 1"));
    }
    if replica >= replicas {
        return Err(ConfigError::new("BRIDGE_REPLICA", "must be less than BRIDGE_REPLICAS"));
    }
    Ok(Share { replica, replicas })
}

fn topic_partitions(vars: &Vars<'_>) -> Result<i32, ConfigError> {
    const KEY: &str = "BRIDGE_TOPIC_PARTITIONS";
    const FORM: &str = "must be a whole number from 0 to 1000";
    let count = vars.parse(KEY, Some("4"), FORM)?;
    if !(0..=1000).contains(&count) {
        return Err(ConfigError::new(KEY, FORM));
    }
    Ok(count)
}

fn kafka_access(vars: &Vars<'_>) -> Result<KafkaAccess, ConfigError> {
    const PROTOCOL: &str = "KAFKA_SECURITY_PROTOCOL";
    const MECHANISM: &str = "KAFKA_SASL_MECHANISM";
    let brokers = brokers(vars.required("KAFKA_BROKERS")?)?;
    let (tls, with_sasl) = match vars.get(PROTOCOL).unwrap_or("PLAINTEXT") {
        "PLAINTEXT" => (false, false),
        "SSL" => (true, false),
        "SASL_PLAINTEXT" => (false, true),
        "SASL_SSL" => (true, true),
        _ => return Err(ConfigError::new(PROTOCOL, "must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")),
    };
    let sasl_keys = [MECHANISM, "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"];
    if !with_sasl {
        // Credentials that are given and not used would leave an operator believing in them.
        return match sasl_keys.into_iter().find(|key| vars.get(key).is_some()) {
            Some(key) => Err(ConfigError::new(key, "is set but KAFKA_SECURITY_PROTOCOL is without SASL")),
            None => Ok(KafkaAccess { brokers, tls, sasl: None }),
        };
    }
    let mechanism = match vars.required(MECHANISM)? {
        "PLAIN" => SaslMechanism::Plain,
        "SCRAM-SHA-256" => SaslMechanism::ScramSha256,
        "SCRAM-SHA-512" => SaslMechanism::ScramSha512,
        _ => return Err(ConfigError::new(MECHANISM, "must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")),
    };
    let username = vars.required("KAFKA_SASL_USERNAME")?.to_owned();
    let password = vars.required("KAFKA_SASL_PASSWORD")?.into();
    Ok(KafkaAccess { brokers, tls, sasl: Some(Sasl { mechanism, username, password }) })
}

fn brokers(text: &str) -> Result<Vec<String>, ConfigError> {
    let brokers: Vec<_> = text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect();
    let legal = |broker: &String| {
        let port = broker.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
        matches!(port, Some(Ok(_))) && !broker.contains("://")
    };
    if brokers.is_empty() || !brokers.iter().all(legal) {
        return Err(ConfigError::new("KAFKA_BROKERS", "must be written host:port, several separated by commas"));
    }
    Ok(brokers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
        let keys = "a:f7eAwgURGJfaAuFCah89McGSGntwB7cnPybLmr5iOcw";
        let base = [("BRIDGE_KEYS", keys), ("BRIDGE_EDGE_URL", "https://e.test"), ("KAFKA_BROKERS", "k:9092")];
        base.iter().chain(changes).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn defaults_fill_what_is_not_set() {
        let config = Config::from_vars(&vars(&[])).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8790");
        assert_eq!(config.admin_listen, None);
        assert_eq!(config.channels.get("chat").map(String::as_str), Some("chat.inbound"));
        assert_eq!(config.outbound_topic, "chat.outbound");
        assert_eq!(config.share, Share { replica: 0, replicas: 1 });
        assert_eq!(config.topic_partitions, 4);
    }

    #[test]
    fn each_mistake_names_its_variable_and_shows_no_secret() {
        for (key, value) in [
            ("BRIDGE_LISTEN", "nowhere"),
            ("BRIDGE_ADMIN_LISTEN", "8791"),
            ("BRIDGE_KEYS", "hunter2"),
            ("BRIDGE_KEYS", ""),
            ("BRIDGE_CHANNELS", "chat"),
            ("BRIDGE_CHANNELS", "a=b,a=c"),
            ("BRIDGE_CHANNELS", "a=b c"),
            ("BRIDGE_OUTBOUND_TOPIC", "a/b"),
            ("BRIDGE_EDGE_URL", "ftp://e.test"),
            ("BRIDGE_EDGE_URL", "https://user:hunter2@e.test"),
            ("BRIDGE_EDGE_URL", ""),
            ("BRIDGE_MAX_STREAMS", "many"),
            ("BRIDGE_REPLICA", "1"),
            ("BRIDGE_REPLICAS", "0"),
            ("BRIDGE_TOPIC_PARTITIONS", "-1"),
            ("KAFKA_BROKERS", "localhost"),
            ("KAFKA_BROKERS", ","),
            ("KAFKA_SECURITY_PROTOCOL", "TLS"),
            ("KAFKA_SASL_PASSWORD", "hunter2"),
            ("BRIDGE_CHANELS", "chat=chat.inbound"),
        ] {
            let error = Config::from_vars(&vars(&[(key, value)])).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{key} ")), "{key}={value}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_buffers_are_at_the_edge_or_in_redis_and_the_url_is_never_shown() {
        let with = |edge, redis| Config::from_vars(&vars(&[("BRIDGE_EDGE_URL", edge), ("BRIDGE_REDIS_URL", redis)]));
        let config = with("", "rediss://user:hunter2@r.test:6380/1").unwrap();
        assert!(matches!(config.hop, Hop::Redis(_)));
        assert!(!format!("{config:?}").contains("hunter2"));
        for (edge, redis) in [
            ("", ""),
            ("https://e.test", "redis://r.test"),
            ("", "https://hunter2@r.test"),
            ("", "redis://:hunter2@"),
            ("", "hunter2"),
        ] {
            let error = with(edge, redis).unwrap_err().to_string();
            assert!(error.contains("BRIDGE_REDIS_URL") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn sasl_needs_all_of_its_parts() {
        let all = [
            ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"),
            ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
            ("KAFKA_SASL_USERNAME", "bridge"),
            ("KAFKA_SASL_PASSWORD", "hunter2"),
        ];
        let config = Config::from_vars(&vars(&all)).unwrap();
        assert!(config.kafka.tls);
        assert_eq!(config.kafka.sasl.as_ref().unwrap().mechanism, SaslMechanism::ScramSha512);
        assert!(!format!("{config:?}").contains("hunter2"));
        for missing in 1..4 {
            let some: Vec<_> = all.iter().enumerate().filter(|(n, _)| *n != missing).map(|(_, var)| *var).collect();
            let error = Config::from_vars(&vars(&some)).unwrap_err().to_string();
            assert_eq!(error, format!("{} is not set", all[missing].0));
        }
    }

    #[test]
    fn every_partition_has_exactly_one_owner() {
        for partition in 0..20 {
            let owners = (0..3).filter(|replica| Share { replica: *replica, replicas: 3 }.owns(partition)).count();
            assert_eq!(owners, 1, "{partition}");
        }
    }
}
