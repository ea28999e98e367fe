//! The frame that producers with a schema registry write before a value: a magic byte and the id of the schema. The
//! schema is not looked up, because a value in JSON can be read without it.

use super::DecodeError;

/// The first byte of a frame. JSON can't begin with it.
const MAGIC: u8 = 0;

/// The number of bytes of a schema's id.
const ID_BYTES: usize = 4;

/// The value without its frame, if it has one and may have one.
pub(super) fn payload(value: &[u8], may_be_framed: bool) -> Result<&[u8], DecodeError> {
    match value.split_first() {
        Some((&MAGIC, _)) if !may_be_framed => Err(DecodeError::SchemaRegistryFrame),
        Some((&MAGIC, rest)) => rest.get(ID_BYTES..).ok_or(DecodeError::BadSchemaRegistryFrame),
        _ => Ok(value),
    }
}
