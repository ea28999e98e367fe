//! Translates rskafka's errors into [`KafkaError`].

use rskafka::client::error::{Error as ClientError, ProtocolError, RequestError};

use super::KafkaError;

pub(super) fn translate(topic: &str, error: ClientError) -> KafkaError {
    match error {
        ClientError::ServerError { protocol_error, error_message, .. } => {
            translate_code(topic, protocol_error, error_message.as_deref())
        }
        ClientError::Request(
            RequestError::ReadError(_) | RequestError::ReadVersionedError(_) | RequestError::TooMuchData { .. },
        ) => KafkaError::Undecodable(error.to_string()),
        ClientError::Request(RequestError::NoVersionMatch { .. }) => KafkaError::Rejected(error.to_string()),
        other => KafkaError::Unavailable(other.to_string()),
    }
}

/// Translates what a broker answers.
pub(super) fn translate_code(topic: &str, code: ProtocolError, message: Option<&str>) -> KafkaError {
    match code {
        ProtocolError::UnknownTopicOrPartition => KafkaError::UnknownTopic(topic.to_owned()),
        ProtocolError::OffsetOutOfRange => KafkaError::OffsetOutOfRange,
        ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge => KafkaError::TooLarge,
        // The batch is damaged on the broker's disk, so the broker fails the fetch.
        ProtocolError::CorruptMessage => KafkaError::Undecodable(format!("{code:?}")),
        ProtocolError::LeaderNotAvailable
        | ProtocolError::NotLeaderOrFollower
        | ProtocolError::NotController
        | ProtocolError::BrokerNotAvailable
        | ProtocolError::ReplicaNotAvailable
        | ProtocolError::RequestTimedOut
        | ProtocolError::NetworkException
        | ProtocolError::NotEnoughReplicas
        | ProtocolError::NotEnoughReplicasAfterAppend
        | ProtocolError::KafkaStorageError
        | ProtocolError::FencedLeaderEpoch
        | ProtocolError::UnknownLeaderEpoch
        | ProtocolError::OffsetNotAvailable
        | ProtocolError::PreferredLeaderNotAvailable
        | ProtocolError::EligibleLeadersNotAvailable
        | ProtocolError::ThrottlingQuotaExceeded => KafkaError::Unavailable(format!("{code:?}")),
        other => KafkaError::Rejected(format!("{other:?} {}", message.unwrap_or_default())),
    }
}
