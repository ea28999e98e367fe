//! Why a record can't be delivered.

/// Why a record can't be delivered, and is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::outbound) enum DecodeError {
    /// There is no key.
    #[error("the record has no key")]
    NoKey,
    /// The key is not of the form `tenant:user`.
    #[error("the key is not of the form tenant:user")]
    BadKey,
    /// The value, or the event made of it, is larger than the channel allows.
    #[error("the record is larger than its channel allows")]
    TooLarge,
    /// The channel demands a signature, and there is none.
    #[error("the channel demands a signature, and the record has none")]
    Unsigned,
    /// The signature is malformed, of an unknown key, or wrong.
    #[error("the signature is malformed, of an unknown key, or wrong")]
    BadSignature,
    /// The value has a schema registry's frame, and the channel does not allow it.
    #[error("the value begins with a schema registry's magic byte, and the channel does not allow that")]
    SchemaRegistryFrame,
    /// The value begins like a schema registry's frame, and is shorter than one.
    #[error("the value begins with a schema registry's magic byte, and has no schema id")]
    BadSchemaRegistryFrame,
    /// The content type announces a CloudEvents format other than JSON.
    #[error("the CloudEvents format is not JSON")]
    UnsupportedFormat,
    /// The event is of another major version of CloudEvents.
    #[error("the version of CloudEvents is not 1")]
    UnsupportedVersion,
    /// An attribute can't be used.
    #[error("an attribute is empty, longer than 256 bytes, or not UTF-8")]
    BadAttribute,
    /// The value is not UTF-8.
    #[error("the value is not UTF-8")]
    NotUtf8,
    /// The value is not JSON.
    #[error("the value is not JSON")]
    NotJson,
    /// The value is JSON, and not the structured form that the content type announces.
    #[error("a structured event lacks specversion, id or type, or has a member of a wrong type")]
    NotCloudEvent,
    /// `data_base64` can't be shown as JSON.
    #[error("data_base64 is not Base64 of JSON or text")]
    BinaryData,
    /// A batch contains no event.
    #[error("the batch is empty")]
    EmptyBatch,
    /// A batch contains too many events.
    #[error("the batch has more than 100 events")]
    TooManyEvents,
}

impl DecodeError {
    /// Every error.
    pub(in crate::outbound) const ALL: [Self; 16] = [
        Self::NoKey,
        Self::BadKey,
        Self::TooLarge,
        Self::Unsigned,
        Self::BadSignature,
        Self::SchemaRegistryFrame,
        Self::BadSchemaRegistryFrame,
        Self::UnsupportedFormat,
        Self::UnsupportedVersion,
        Self::BadAttribute,
        Self::NotUtf8,
        Self::NotJson,
        Self::NotCloudEvent,
        Self::BinaryData,
        Self::EmptyBatch,
        Self::TooManyEvents,
    ];

    /// The dead letter's reason, and the value of the metric's label.
    pub(in crate::outbound) fn reason(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::BadKey => "key_not_a_subject",
            Self::TooLarge => "too_large",
            Self::Unsigned => "unsigned",
            Self::BadSignature => "bad_signature",
            Self::SchemaRegistryFrame => "schema_registry_frame",
            Self::BadSchemaRegistryFrame => "bad_schema_registry_frame",
            Self::UnsupportedFormat => "unsupported_format",
            Self::UnsupportedVersion => "unsupported_specversion",
            Self::BadAttribute => "bad_attribute",
            Self::NotUtf8 => "value_not_utf8",
            Self::NotJson => "value_not_json",
            Self::NotCloudEvent => "not_a_cloudevent",
            Self::BinaryData => "binary_data",
            Self::EmptyBatch => "empty_batch",
            Self::TooManyEvents => "too_many_events",
        }
    }
}
