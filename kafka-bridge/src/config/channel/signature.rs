//! The `signature` of a channel: how the records of its outbound topic must be signed.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use secrecy::SecretString;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{super::vars::ConfigError, fields::Fields};
use crate::outbound::Algorithm;

/// The maximum number of keys: two while one replaces the other, for several producers.
const MAX_KEYS: usize = 16;

/// The shortest key of HMAC-SHA-256: as long as its output (RFC 2104, section 3).
const MIN_HMAC_BYTES: usize = 32;

/// The longest key of HMAC-SHA-256: its block. Longer keys would be hashed first.
const MAX_HMAC_BYTES: usize = 64;

/// The length of a public key of Ed25519.
const ED25519_BYTES: usize = 32;

/// The signature that a channel demands. Keys can't be printed, public ones neither.
#[derive(Clone, Debug)]
pub struct SignatureSettings {
    /// How records are signed.
    pub algorithm: Algorithm,
    /// The keys by their ids. A record names the id of its key.
    pub keys: BTreeMap<String, SecretString>,
}

pub(super) fn signature(fields: &Fields<'_>) -> Result<SignatureSettings, ConfigError> {
    fields.only(&["algorithm", "keys"])?;
    let algorithm = match fields.text("algorithm")? {
        Some("hmac-sha256") => Algorithm::HmacSha256,
        Some("ed25519") => Algorithm::Ed25519,
        _ => return Err(fields.error("algorithm", "must be hmac-sha256 or ed25519")),
    };
    let Some(entries) = fields.object("keys")? else {
        return Err(fields.error("keys", "is missing"));
    };
    if !(1..=MAX_KEYS).contains(&entries.members().len()) {
        return Err(fields.error("keys", format!("must hold 1 to {MAX_KEYS} keys")));
    }
    let mut keys = BTreeMap::new();
    for (id, value) in entries.members() {
        // The error does not show the id: who mixes up id and key would find the key in the log.
        if !is_key_id(id) {
            return Err(fields.error("keys", "has an id that is not 1-16 letters, digits, underscores or hyphens"));
        }
        let key = key(algorithm, value).map_err(|problem| fields.error("keys", format!("{id} {problem}")))?;
        keys.insert(id.to_owned(), key);
    }
    Ok(SignatureSettings { algorithm, keys })
}

/// Ids stand before a dot in a header, so they contain none.
fn is_key_id(id: &str) -> bool {
    (1..=16).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn key(algorithm: Algorithm, value: &Value) -> Result<SecretString, &'static str> {
    let (lengths, problem) = match algorithm {
        Algorithm::HmacSha256 => {
            (MIN_HMAC_BYTES..=MAX_HMAC_BYTES, "must be 32 to 64 random bytes in unpadded base64url")
        }
        Algorithm::Ed25519 => {
            (ED25519_BYTES..=ED25519_BYTES, "must be the 32 bytes of a public key in unpadded base64url")
        }
    };
    let text = value.as_str().ok_or(problem)?;
    let bytes = Zeroizing::new(BASE64.decode(text).map_err(|_| problem)?);
    if lengths.contains(&bytes.len()) { Ok(text.into()) } else { Err(problem) }
}
