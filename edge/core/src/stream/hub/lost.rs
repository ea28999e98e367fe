//! Why a client can't simply go on with what is in the buffer.

use causeway_protocol::{cursor::Cursor, hub::ResetReason};

/// What a client must get before the records of the buffer.
#[derive(Debug)]
pub(super) enum Lost {
    /// Its position is lost.
    Reset(ResetReason),
    /// The buffer begins after the records from the client's position up to this one. Kafka may have them.
    Missing(Cursor),
}
