//! Translates rskafka's errors into [`KafkaError`].

use rskafka::client::error::{Error as ClientError, ProtocolError, RequestError};

use super::KafkaError;

pub(super) fn translate(topic: &str, error: ClientError) -> KafkaError {
    match error {
        ClientError::ServerError { protocol_error, error_message, .. } => match protocol_error {
            ProtocolError::UnknownTopicOrPartition => KafkaError::UnknownTopic(topic.to_owned()),
            ProtocolError::OffsetOutOfRange => KafkaError::OffsetOutOfRange,
            ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge => KafkaError::TooLarge,
            // The batch is damaged on the broker's disk, so the broker fails the fetch.
            ProtocolError::CorruptMessage => KafkaError::Undecodable(format!("{protocol_error:?}")),
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
            | ProtocolError::ThrottlingQuotaExceeded => KafkaError::Unavailable(format!("{protocol_error:?}")),
            other => KafkaError::Rejected(format!("{other:?} {}", error_message.unwrap_or_default())),
        },
        ClientError::Request(
            RequestError::ReadError(_) | RequestError::ReadVersionedError(_) | RequestError::TooMuchData { .. },
        ) => KafkaError::Undecodable(error.to_string()),
        ClientError::Request(RequestError::NoVersionMatch { .. }) => KafkaError::Rejected(error.to_string()),
        other => KafkaError::Unavailable(other.to_string()),
    }
}
