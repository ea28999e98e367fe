//! Translates rdkafka's errors into [`KafkaError`].

use rdkafka::{error::KafkaError as ClientError, types::RDKafkaErrorCode as Code};

use crate::kafka::KafkaError;

pub(super) fn translate(topic: &str, error: &ClientError) -> KafkaError {
    match error {
        // It shows the value of the setting, which may be a secret.
        ClientError::ClientConfig(_, problem, key, _) => KafkaError::Rejected(format!("{key}: {problem}")),
        other => match other.rdkafka_error_code() {
            Some(code) => translate_code(topic, code),
            None => KafkaError::Unavailable(other.to_string()),
        },
    }
}

pub(super) fn translate_code(topic: &str, code: Code) -> KafkaError {
    match code {
        Code::UnknownTopic | Code::UnknownPartition | Code::UnknownTopicOrPartition => {
            KafkaError::UnknownTopic(topic.to_owned())
        }
        // The second is what librdkafka makes of it where it may not choose another offset. The third says that the end
        // of the partition moved back.
        Code::OffsetOutOfRange | Code::AutoOffsetReset | Code::LogTruncation => KafkaError::OffsetOutOfRange,
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => KafkaError::TooLarge,
        Code::BadMessage | Code::BadCompression | Code::InvalidMessage | Code::NotImplemented => {
            KafkaError::Undecodable(format!("{code:?}"))
        }
        Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::InvalidTopic
        | Code::InvalidReplicationFactor
        | Code::PolicyViolation
        | Code::InvalidRecord
        | Code::InvalidConfig => KafkaError::Rejected(format!("{code:?}")),
        _ => KafkaError::Unavailable(format!("{code:?}")),
    }
}
