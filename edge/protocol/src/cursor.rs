//! A client's position in its stream: the SSE id `v1.<epoch>.<partition>.<offset>`.
//!
//! The session chooses the user, never the cursor. A forged cursor can at worst name a wrong position in the forger's
//! own stream, which answers with `reset`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest text that is parsed: `v1.` and three numbers of at most 20 digits.
const MAX_TEXT_BYTES: usize = 80;

/// The coordinates of a Kafka record within the outbound topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cursor {
    /// Unix time in seconds at which this incarnation of the topic was first seen. Offsets of different epochs are not
    /// comparable; a later epoch comes after every offset of an earlier one.
    pub epoch: u32,
    /// The Kafka partition.
    pub partition: i32,
    /// The Kafka offset within the partition.
    pub offset: i64,
}

/// The text is not a cursor of a known version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a stream cursor of the form v1.epoch.partition.offset")]
pub struct CursorError;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1.{}.{}.{}", self.epoch, self.partition, self.offset)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(CursorError);
        }
        let mut parts = text.split('.');
        let (Some("v1"), Some(epoch), Some(partition), Some(offset), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(CursorError);
        };
        Ok(Self { epoch: number(epoch)?, partition: number(partition)?, offset: number(offset)? })
    }
}

/// Parses digits without a leading zero. `FromStr` for integers also accepts a sign and leading zeros, so one cursor
/// would have several spellings.
fn number<T: FromStr>(text: &str) -> Result<T, CursorError> {
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    if text.is_empty() || has_leading_zero || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(CursorError);
    }
    text.parse().map_err(|_| CursorError)
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let cursor = Cursor { epoch: 3, partition: 7, offset: i64::MAX };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }

    #[test]
    fn hostile_texts_are_rejected() {
        let huge = "9".repeat(10_000);
        for bad in [
            "",
            "v1",
            "v1.1.2",
            "v2.1.2.3",
            "v1.1.2.3.4",
            "v1.-1.0.0",
            "v1.+1.0.0",
            "v1. 1.0.0",
            "v1.01.0.0",
            "v1.1.0.00",
            "v1.1.2.9999999999999999999",
            &huge,
        ] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
