//! Names of topics, and `BRIDGE_TOPIC_PARTITIONS`.

use super::vars::{ConfigError, Vars};

/// The longest topic name that Kafka accepts.
const MAX_TOPIC_BYTES: usize = 249;

/// Whether Kafka accepts a topic's name, and that of its dead-letter topic.
pub(super) fn is_topic(name: &str) -> bool {
    let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    legal && !name.is_empty() && name.len() + ".dlq".len() <= MAX_TOPIC_BYTES && name != "." && name != ".."
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
