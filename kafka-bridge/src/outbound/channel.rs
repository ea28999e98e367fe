//! The channels whose topics are delivered.

use std::sync::Arc;

use causeway_protocol::channel::Channel;

use super::decode::{ChannelRules, EchoKeys, RecordKeys, RecordKeysError};
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

/// A channel's keys can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("channel {channel}: signature {problem}")]
pub struct OutboundChannelError {
    channel: Channel,
    problem: RecordKeysError,
}

impl OutboundChannel {
    /// The channels that have an outbound topic.
    ///
    /// # Errors
    /// [`OutboundChannelError`] names the first one whose keys can't be used.
    pub fn all(channels: &[ChannelSettings], echo_keys: &EchoKeys) -> Result<Vec<Self>, OutboundChannelError> {
        channels
            .iter()
            .filter_map(|settings| Some((settings, settings.outbound.as_ref()?)))
            .map(|(settings, topic)| Self::new(settings, topic, echo_keys))
            .collect()
    }

    fn new(settings: &ChannelSettings, topic: &str, echo_keys: &EchoKeys) -> Result<Self, OutboundChannelError> {
        let failed = |problem| OutboundChannelError { channel: settings.name.clone(), problem };
        let keys = settings.signature.as_ref().map(|signature| {
            let keys = RecordKeys::parse(signature.algorithm, signature.keys.clone()).map_err(failed)?;
            Ok(if settings.echo { keys.with_echo(echo_keys.clone()) } else { keys })
        });
        let rules = ChannelRules {
            max_record_bytes: settings.max_record_bytes,
            schema_registry: settings.schema_registry,
            signature: keys.transpose()?,
        };
        Ok(Self { channel: settings.name.clone(), topic: topic.to_owned(), rules: Arc::new(rules) })
    }
}
