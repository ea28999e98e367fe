//! The name of a channel: what a widget sends to and hears from. The bridge maps it to Kafka topics.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::is_name;

/// The name of a channel: 1–64 of `A-Z a-z 0-9 . _ -`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(Arc<str>);

/// The text is not a channel's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a channel's name is 1-64 letters, digits, dots, underscores or hyphens")]
pub struct ChannelError;

impl Channel {
    /// Reads a name.
    ///
    /// # Errors
    /// [`ChannelError`] if the text is none.
    pub fn parse(text: &str) -> Result<Self, ChannelError> {
        if is_name(text) { Ok(Self(text.into())) } else { Err(ChannelError) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a stream that chose these channels hears one. Without a choice it hears all.
#[must_use]
pub fn hears(chosen: &[Channel], name: &str) -> bool {
    chosen.is_empty() || chosen.iter().any(|channel| channel.as_str() == name)
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({})", self.0)
    }
}

impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Channel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
