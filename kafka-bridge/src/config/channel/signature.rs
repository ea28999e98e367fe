//! The `signature` of a channel: how the records of its outbound topic must be signed.

use super::{super::vars::ConfigError, fields::Fields};
use crate::outbound::{Algorithm, RecordKeys};

pub(super) fn signature(fields: &Fields<'_>) -> Result<RecordKeys, ConfigError> {
    fields.only(&["algorithm", "keys"])?;
    let algorithm = match fields.text("algorithm")? {
        Some("hmac-sha256") => Algorithm::HmacSha256,
        Some("ed25519") => Algorithm::Ed25519,
        _ => return Err(fields.error("algorithm", "must be hmac-sha256 or ed25519")),
    };
    let Some(entries) = fields.object("keys")? else {
        return Err(fields.error("keys", "is missing"));
    };
    // What is no text is no key either.
    let entries = entries.members().map(|(id, value)| (id, value.as_str().unwrap_or_default()));
    RecordKeys::parse(algorithm, entries).map_err(|problem| fields.error("keys", problem))
}
