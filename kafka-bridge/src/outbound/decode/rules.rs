//! What a channel demands of its records.

use causeway_protocol::deliver::MAX_RECORD_BYTES;

use super::RecordKeys;

/// What a channel demands of its records.
#[derive(Debug)]
pub struct ChannelRules {
    /// The largest record, in bytes: of its value, and of the frame that is made of it. [`MAX_RECORD_BYTES`] is the
    /// upper limit in any case.
    pub max_record_bytes: usize,
    /// Whether values may have a schema registry's frame.
    pub schema_registry: bool,
    /// If there are keys, every record must be signed with one of them.
    pub signature: Option<RecordKeys>,
}

impl Default for ChannelRules {
    fn default() -> Self {
        Self { max_record_bytes: MAX_RECORD_BYTES, schema_registry: false, signature: None }
    }
}
