//! `BRIDGE_CHANNELS`: the channels, as a JSON list of objects.
//!
//! The members are read one by one, and not by derived code: its messages would show values, and some are secrets.

mod fields;
mod signature;

use causeway_protocol::{channel::Channel, deliver::MAX_RECORD_BYTES};
use serde_json::Value;

use self::fields::Fields;
use super::{topic::is_topic, vars::ConfigError};
use crate::outbound::RecordKeys;

const KEY: &str = "BRIDGE_CHANNELS";

/// The channels if none are named.
const DEFAULT: &str = r#"[{"name":"chat","inbound":"chat.inbound","outbound":"chat.outbound"}]"#;

const FORM: &str = "must be a JSON list of objects such as \
     [{\"name\":\"chat\",\"inbound\":\"chat.inbound\",\"outbound\":\"chat.outbound\"}]";

/// The maximum number of channels.
const MAX_CHANNELS: usize = 100;

/// The smallest limit for the size of a record. Below it not even a short message has room.
const MIN_RECORD_BYTES: usize = 1024;

/// The settings of a channel.
#[derive(Clone, Debug)]
pub struct ChannelSettings {
    /// Its name, as in `POST /events/{channel}`.
    pub name: Channel,
    /// The topic that receives what users say. Without it, nobody can say anything.
    pub inbound: Option<String>,
    /// The topic whose records are delivered. Without it, nothing is delivered. No other channel has it.
    pub outbound: Option<String>,
    /// Whether what a user says is also written to the outbound topic, so that all streams of the user have it.
    pub echo: bool,
    /// The keys that records of the outbound topic must be signed with, if they must.
    pub signature: Option<RecordKeys>,
    /// The largest record, in bytes.
    pub max_record_bytes: usize,
    /// Whether values of the outbound topic begin with a schema registry's frame.
    pub schema_registry: bool,
}

/// The channels, or the default: one of the name `chat`.
pub(super) fn channels(text: Option<&str>) -> Result<Vec<ChannelSettings>, ConfigError> {
    let text = text.unwrap_or(DEFAULT);
    let list = match serde_json::from_str(text) {
        Ok(Value::Array(list)) => list,
        Ok(_) => return Err(ConfigError::new(KEY, FORM)),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            return Err(ConfigError::new(KEY, format!("{FORM}; it is no JSON at line {line}, column {column}")));
        }
    };
    if !(1..=MAX_CHANNELS).contains(&list.len()) {
        return Err(ConfigError::new(KEY, format!("must name 1 to {MAX_CHANNELS} channels")));
    }
    let mut channels: Vec<ChannelSettings> = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let fields = Fields::new(KEY, format!("channel {}", index + 1), value)?;
        let channel = channel(&fields)?;
        if channels.iter().any(|other| other.name == channel.name) {
            return Err(fields.error("name", format!("{} is taken by another channel", channel.name)));
        }
        // A record's channel is the one that its topic belongs to.
        if channel.outbound.is_some() && channels.iter().any(|other| other.outbound == channel.outbound) {
            return Err(fields.error("outbound", "is the outbound topic of another channel"));
        }
        channels.push(channel);
    }
    Ok(channels)
}

fn channel(fields: &Fields<'_>) -> Result<ChannelSettings, ConfigError> {
    fields.only(&["name", "inbound", "outbound", "echo", "signature", "max_record_bytes", "schema_registry"])?;
    let name = fields.text("name")?.and_then(|name| Channel::parse(name).ok());
    let name =
        name.ok_or_else(|| fields.error("name", "must be 1-64 letters, digits, dots, underscores or hyphens"))?;
    let (inbound, outbound) = (topic(fields, "inbound")?, topic(fields, "outbound")?);
    if inbound.is_none() && outbound.is_none() {
        return Err(fields.error("inbound", "and outbound are missing: a channel has at least one of them"));
    }
    if inbound == outbound {
        return Err(fields.error("outbound", "is the channel's inbound topic, too"));
    }
    let has_both = inbound.is_some() && outbound.is_some();
    let echo = fields.flag("echo")?.unwrap_or(has_both);
    if echo && !has_both {
        return Err(fields.error("echo", "needs both inbound and outbound"));
    }
    let signature = match fields.object("signature")? {
        Some(fields) if outbound.is_some() => Some(signature::signature(&fields)?),
        Some(_) => return Err(fields.error("signature", "needs outbound")),
        None => None,
    };
    let max_record_bytes = fields.number("max_record_bytes")?.unwrap_or(MAX_RECORD_BYTES);
    if !(MIN_RECORD_BYTES..=MAX_RECORD_BYTES).contains(&max_record_bytes) {
        let problem = format!("must be a whole number from {MIN_RECORD_BYTES} to {MAX_RECORD_BYTES}");
        return Err(fields.error("max_record_bytes", problem));
    }
    let schema_registry = fields.flag("schema_registry")?.unwrap_or(false);
    Ok(ChannelSettings { name, inbound, outbound, echo, signature, max_record_bytes, schema_registry })
}

fn topic(fields: &Fields<'_>, name: &str) -> Result<Option<String>, ConfigError> {
    match fields.text(name)? {
        Some(topic) if is_topic(topic) => Ok(Some(topic.to_owned())),
        Some(_) => Err(fields.error(name, "is not a legal name of a Kafka topic")),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests;
