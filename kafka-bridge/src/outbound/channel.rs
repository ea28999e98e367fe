//! The channels whose topics are delivered.

use std::sync::Arc;

use causeway_protocol::channel::Channel;

use super::decode::{ChannelRules, EchoKeys};
use crate::config::ChannelSettings;

/// A channel whose topic is delivered.
#[derive(Clone, Debug)]
pub struct OutboundChannel {
    /// The name.
    pub channel: Channel,
    /// The outbound topic.
    pub topic: String,
    /// What is demanded of its records.
    pub rules: Arc<ChannelRules>,
}

impl OutboundChannel {
    /// The channels that have an outbound topic.
    #[must_use]
    pub fn all(channels: &[ChannelSettings], echo_keys: &EchoKeys) -> Vec<Self> {
        channels
            .iter()
            .filter_map(|settings| Some((settings, settings.outbound.as_ref()?)))
            .map(|(settings, topic)| Self::new(settings, topic, echo_keys))
            .collect()
    }

    fn new(settings: &ChannelSettings, topic: &str, echo_keys: &EchoKeys) -> Self {
        let keys = settings.signature.clone();
        let rules = ChannelRules {
            max_record_bytes: settings.max_record_bytes,
            schema_registry: settings.schema_registry,
            signature: keys.map(|keys| if settings.echo { keys.with_echo(echo_keys.clone()) } else { keys }),
        };
        Self { channel: settings.name.clone(), topic: topic.to_owned(), rules: Arc::new(rules) }
    }
}
