//! How a call to Kafka fails.

/// Why Kafka did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KafkaError {
    /// No answer in time. A write may have happened nevertheless.
    #[error("kafka did not answer within {0} ms")]
    Timeout(u128),
    /// No broker can be reached, or the cluster can't serve now.
    #[error("kafka is unavailable: {0}")]
    Unavailable(String),
    /// The topic or partition is not there.
    #[error("topic {0} or its partition does not exist")]
    UnknownTopic(String),
    /// The offset is outside of what the partition holds.
    #[error("the offset is out of the partition's range")]
    OffsetOutOfRange,
    /// A record is larger than the broker takes.
    #[error("a record is larger than the broker takes")]
    TooLarge,
    /// Kafka answered, and no repetition will change the answer.
    #[error("kafka refused: {0}")]
    Refused(String),
    /// What Kafka answered can't be decoded.
    #[error("can't decode what kafka answered: {0}")]
    Undecodable(String),
}

impl KafkaError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Unavailable(_) | Self::UnknownTopic(_))
    }
}
