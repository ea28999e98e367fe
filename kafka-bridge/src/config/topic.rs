//! `BRIDGE_CHANNELS`, `BRIDGE_OUTBOUND_TOPIC` and `BRIDGE_TOPIC_PARTITIONS`.

use std::collections::BTreeMap;

use causeway_protocol::event::is_name;

use super::vars::{ConfigError, Vars};

/// The longest topic name that Kafka accepts.
const MAX_TOPIC_BYTES: usize = 249;

/// The inbound topic of each channel.
pub(super) fn channels(text: &str) -> Result<BTreeMap<String, String>, ConfigError> {
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

pub(super) fn topic(key: &str, name: &str) -> Result<String, ConfigError> {
    let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    // The name of its dead-letter topic must be legal, too.
    if !legal || name.is_empty() || name.len() + ".dlq".len() > MAX_TOPIC_BYTES || name == "." || name == ".." {
        return Err(ConfigError::new(key, "names a topic that is no legal Kafka topic name"));
    }
    Ok(name.to_owned())
}

pub(super) fn topic_partitions(vars: &Vars<'_>) -> Result<i32, ConfigError> {
    const KEY: &str = "BRIDGE_TOPIC_PARTITIONS";
    const FORM: &str = "must be a whole number from 0 to 1000";
    let count = vars.parse(KEY, Some("4"), FORM)?;
    if !(0..=1000).contains(&count) {
        return Err(ConfigError::new(KEY, FORM));
    }
    Ok(count)
}
