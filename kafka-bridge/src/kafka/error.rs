//! The errors of a Kafka client.

/// Why a call to Kafka failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KafkaError {
    /// No answer in time. A write may have happened nevertheless.
    #[error("kafka did not answer within {0} ms")]
    Timeout(u128),
    /// No broker can be reached, or the cluster can't serve now.
    #[error("kafka is unavailable: {0}")]
    Unavailable(String),
    /// The topic or partition does not exist.
    #[error("topic {0} or its partition does not exist")]
    UnknownTopic(String),
    /// The partition does not hold the offset.
    #[error("the offset is out of the partition's range")]
    OffsetOutOfRange,
    /// A record is larger than the broker accepts.
    #[error("a record is larger than the broker accepts")]
    TooLarge,
    /// Kafka rejects the request. A retry would not help.
    #[error("kafka rejects the request: {0}")]
    Rejected(String),
    /// Kafka's response can't be decoded.
    #[error("kafka's response can't be decoded: {0}")]
    Undecodable(String),
}

impl KafkaError {
    /// The value of a metric's label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Unavailable(_) => "unavailable",
            Self::UnknownTopic(_) => "unknown_topic",
            Self::OffsetOutOfRange => "offset_out_of_range",
            Self::TooLarge => "too_large",
            Self::Rejected(_) => "rejected",
            Self::Undecodable(_) => "undecodable",
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Unavailable(_) | Self::UnknownTopic(_))
    }
}
