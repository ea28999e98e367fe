//! `InitProducerId`, which rskafka lacks: the id by which a broker recognises a batch that it has already.

use std::io::{Read, Write};

use rskafka::{
    messenger::RequestError,
    protocol::{
        api_key::ApiKey,
        api_version::{ApiVersion, ApiVersionRange},
        error::Error as ErrorCode,
        messages::{ReadVersionedError, ReadVersionedType, RequestBody, WriteVersionedError, WriteVersionedType},
        primitives::{Int16, Int32, Int64, NullableString},
        traits::{ReadType as _, WriteType as _},
    },
};

use super::connection::{Connection, unavailable};
use crate::kafka::{KafkaError, rskafka_error::translate_code};

/// A producer id, and the sequence number of the next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProducerId {
    pub(super) id: i64,
    pub(super) epoch: i16,
    pub(super) sequence: i32,
}

impl ProducerId {
    /// Batches have no id, so the broker recognises none.
    const NONE: Self = Self { id: -1, epoch: -1, sequence: -1 };

    /// Counts the records of a batch that was written.
    pub(super) fn advance(&mut self, records: i32) {
        if *self != Self::NONE {
            // Kafka's numbers go on at 0 after the largest.
            self.sequence = self.sequence.wrapping_add(records) & i32::MAX;
        }
    }
}

/// Asks for a new id. Where the broker grants none, batches go without.
pub(super) async fn request(connection: &Connection) -> Result<ProducerId, KafkaError> {
    let granted = match connection.request(InitProducerId).await {
        Ok(granted) => granted,
        Err(RequestError::NoVersionMatch { .. }) => return Ok(without("the broker has no producer ids")),
        Err(error) => return Err(unavailable(error)),
    };
    match granted.error {
        None => Ok(ProducerId { id: granted.id, epoch: granted.epoch, sequence: 0 }),
        Some(ErrorCode::ClusterAuthorizationFailed) => Ok(without("the bridge may not have a producer id")),
        Some(ErrorCode::CoordinatorLoadInProgress | ErrorCode::CoordinatorNotAvailable) => {
            Err(unavailable("no producer id can be had now"))
        }
        Some(code) => Err(translate_code("", code, None)),
    }
}

fn without(reason: &str) -> ProducerId {
    tracing::warn!(reason, "a batch whose answer is lost may be written twice");
    ProducerId::NONE
}

struct InitProducerId;

struct Granted {
    error: Option<ErrorCode>,
    id: i64,
    epoch: i16,
}

impl RequestBody for InitProducerId {
    type ResponseBody = Granted;

    const API_KEY: ApiKey = ApiKey::InitProducerId;
    const API_VERSION_RANGE: ApiVersionRange = ApiVersionRange::new(ApiVersion(Int16(0)), ApiVersion(Int16(1)));
    const FIRST_TAGGED_FIELD_IN_REQUEST_VERSION: ApiVersion = ApiVersion(Int16(2));
}

impl<W: Write> WriteVersionedType<W> for InitProducerId {
    fn write_versioned(&self, writer: &mut W, _version: ApiVersion) -> Result<(), WriteVersionedError> {
        let (transactional_id, transaction_timeout_ms) = (NullableString(None), Int32(60_000));
        transactional_id.write(writer)?;
        Ok(transaction_timeout_ms.write(writer)?)
    }
}

impl<R: Read> ReadVersionedType<R> for Granted {
    fn read_versioned(reader: &mut R, _version: ApiVersion) -> Result<Self, ReadVersionedError> {
        let _throttle_time_ms = Int32::read(reader)?;
        let error = ErrorCode::new(Int16::read(reader)?.0);
        Ok(Self { error, id: Int64::read(reader)?.0, epoch: Int16::read(reader)?.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_go_on_at_zero_after_the_largest() {
        let mut id = ProducerId { id: 1, epoch: 0, sequence: i32::MAX };
        id.advance(1);
        assert_eq!(id.sequence, 0);
        id.advance(10);
        assert_eq!(id.sequence, 10);
        let mut none = ProducerId::NONE;
        none.advance(10);
        assert_eq!(none, ProducerId::NONE);
    }
}
