//! Proves who wrote a record. Anyone who may write to a topic can address any user; a channel that demands signatures
//! delivers only what the holders of its keys wrote.
//!
//! docs/events.md describes the signature for producers.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_protocol::{channel::Channel, signature::KeyRing};
use ed25519_dalek::{PUBLIC_KEY_LENGTH, Signature, VerifyingKey};
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{DecodeError, header::CONTENT_TYPE};
use crate::kafka::NewRecord;

/// The header of the signature: `<key id>.<signature in unpadded base64url>`.
pub const SIGNATURE_HEADER: &str = "causeway-signature";

/// The longest header that is read. A key's id has at most 16 characters, one of the edge's keys 64, a signature 86.
const MAX_HEADER_BYTES: usize = 256;

/// The maximum number of keys: two while one replaces the other, for several producers.
const MAX_KEYS: usize = 16;

/// The longest id of a key. A key that is given as an id is longer, so no message that shows an id shows a key.
const MAX_ID_BYTES: usize = 16;

/// The shortest secret of HMAC-SHA-256: as long as its output (RFC 2104, section 3).
const MIN_SECRET_BYTES: usize = 32;

/// The longest secret of HMAC-SHA-256: its block. Longer ones would be hashed first.
const MAX_SECRET_BYTES: usize = 64;

/// The first part of what is signed. It keeps signatures of other protocols with the same key from being valid here.
const CONTEXT: &[u8] = b"causeway-record-v1";

/// The ids of the bridge's own keys begin with it. No other key's id can contain a colon.
const ECHO_KEY_PREFIX: &str = "echo:";

/// `info` of HKDF-Expand (RFC 5869, §2.3), and the counter of its first and only block.
const ECHO_KEY_INFO: &[u8] = b"causeway-echo-v1\x01";

/// How a channel's records are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256. Producers and bridge share the keys.
    HmacSha256,
    /// Ed25519. The bridge has only public keys.
    Ed25519,
}

/// The keys that may sign a channel's records. None of them can be printed.
#[derive(Clone, Debug)]
pub struct RecordKeys {
    keys: Arc<BTreeMap<String, RecordKey>>,
    echo: Option<EchoKeys>,
}

#[derive(Debug)]
enum RecordKey {
    HmacSha256(SecretSlice<u8>),
    Ed25519(VerifyingKey),
}

/// Why texts are no keys. It contains no part of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordKeysError {
    /// There are none, or too many.
    #[error("must hold 1 to {MAX_KEYS} keys")]
    Count,
    /// An id can't stand in a header.
    #[error("has an id that is not 1-{MAX_ID_BYTES} letters, digits, underscores or hyphens")]
    Id,
    /// A secret can't be used.
    #[error("{0} must be {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} random bytes in unpadded base64url")]
    Secret(String),
    /// A public key can't be used.
    #[error("{0} must be the {PUBLIC_KEY_LENGTH} bytes of a public key of Ed25519 in unpadded base64url")]
    PublicKey(String),
}

impl RecordKeys {
    /// Reads keys: of each the id, and in unpadded base64url the secret or, for Ed25519, the public key.
    ///
    /// # Errors
    /// [`RecordKeysError`] says which one is wrong.
    pub fn parse<'a>(
        algorithm: Algorithm,
        entries: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, RecordKeysError> {
        if !(1..=MAX_KEYS).contains(&entries.len()) {
            return Err(RecordKeysError::Count);
        }
        let mut keys = BTreeMap::new();
        for (id, text) in entries {
            if !is_id(id) {
                return Err(RecordKeysError::Id);
            }
            let key = RecordKey::parse(algorithm, text).ok_or_else(|| match algorithm {
                Algorithm::HmacSha256 => RecordKeysError::Secret(id.to_owned()),
                Algorithm::Ed25519 => RecordKeysError::PublicKey(id.to_owned()),
            })?;
            keys.insert(id.to_owned(), key);
        }
        Ok(Self { keys: Arc::new(keys), echo: None })
    }

    /// Also accepts the records that the bridge signs.
    #[must_use]
    pub fn with_echo(self, keys: EchoKeys) -> Self {
        Self { echo: Some(keys), ..self }
    }

    /// Checks a record's signature.
    ///
    /// # Errors
    /// [`DecodeError::Unsigned`] without one, [`DecodeError::BadSignature`] if it is not valid.
    pub(super) fn verify(&self, channel: &Channel, record: &NewRecord) -> Result<(), DecodeError> {
        let header = record.headers.get(SIGNATURE_HEADER).ok_or(DecodeError::Unsigned)?;
        self.check(header, channel, record).ok_or(DecodeError::BadSignature)
    }

    fn check(&self, header: &[u8], channel: &Channel, record: &NewRecord) -> Option<()> {
        if header.len() > MAX_HEADER_BYTES {
            return None;
        }
        let (id, signature) = std::str::from_utf8(header).ok()?.rsplit_once('.')?;
        let signature = BASE64.decode(signature).ok()?;
        if let Some(id) = id.strip_prefix(ECHO_KEY_PREFIX) {
            let mac = self.echo.as_ref()?.mac(id, channel, record)?;
            return mac.verify_slice(&signature).ok();
        }
        match self.keys.get(id)? {
            RecordKey::HmacSha256(secret) => {
                let mac = hmac(secret.expose_secret(), &signed_bytes(channel, record))?;
                mac.verify_slice(&signature).ok()
            }
            RecordKey::Ed25519(key) => {
                let signature = Signature::from_slice(&signature).ok()?;
                key.verify_strict(&signed_bytes(channel, record), &signature).ok()
            }
        }
    }
}

impl RecordKey {
    fn parse(algorithm: Algorithm, text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(BASE64.decode(text).ok()?);
        match algorithm {
            Algorithm::HmacSha256 => {
                let is_secret = (MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&bytes.len());
                // A copy without spare capacity is not moved again, so no other copy is left behind.
                is_secret.then(|| Self::HmacSha256(bytes.to_vec().into()))
            }
            Algorithm::Ed25519 => {
                let key = VerifyingKey::from_bytes(bytes.as_slice().try_into().ok()?).ok()?;
                // Anyone can sign for a weak key.
                (!key.is_weak()).then_some(Self::Ed25519(key))
            }
        }
    }
}

/// Ids stand before a dot in a header, so they contain none.
fn is_id(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// The bridge's own keys. With them it signs the echoes of what users say, which it writes to the same topics as the
/// backends. They are derived from the keys that it shares with the edge, and rotate with them.
#[derive(Clone, Debug)]
pub struct EchoKeys(Arc<KeyRing>);

impl EchoKeys {
    /// Derives them from a ring.
    #[must_use]
    pub fn new(ring: Arc<KeyRing>) -> Self {
        Self(ring)
    }

    /// The value of [`SIGNATURE_HEADER`] for a record of a channel.
    #[must_use]
    pub fn sign(&self, channel: &Channel, record: &NewRecord) -> Option<String> {
        let (id, _) = self.0.active_derivation_key()?;
        let mac = self.mac(id, channel, record)?;
        Some(format!("{ECHO_KEY_PREFIX}{id}.{}", BASE64.encode(mac.finalize().into_bytes())))
    }

    fn mac(&self, id: &str, channel: &Channel, record: &NewRecord) -> Option<Hmac<Sha256>> {
        let derivation_key = self.0.find_derivation_key(id)?;
        let key = Zeroizing::new(<[u8; 32]>::from(
            hmac(derivation_key.expose_secret(), ECHO_KEY_INFO)?.finalize().into_bytes(),
        ));
        hmac(key.as_slice(), &signed_bytes(channel, record))
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(message);
    Some(mac)
}

/// What is signed: everything that decides who receives what. Every part has its length before it, and the number of
/// headers is stated, so different records have different bytes.
fn signed_bytes(channel: &Channel, record: &NewRecord) -> Vec<u8> {
    let NewRecord { key, value, headers } = record;
    // In the order of their names, because that is a map's.
    let headers: Vec<_> = headers.iter().filter(|(name, _)| is_signed(name)).collect();
    let mut bytes = Vec::with_capacity(record.size() + 256);
    push_part(&mut bytes, CONTEXT);
    push_part(&mut bytes, channel.as_str().as_bytes());
    push_part(&mut bytes, key.as_deref().unwrap_or_default());
    push_number(&mut bytes, headers.len());
    for (name, header) in headers {
        push_part(&mut bytes, name.as_bytes());
        push_part(&mut bytes, header);
    }
    match value {
        // A deletion is not an empty value.
        None => bytes.push(0),
        Some(value) => {
            bytes.push(1);
            push_part(&mut bytes, value);
        }
    }
    bytes
}

/// Attributes, and the content type, which says whether the value contains attributes, too.
fn is_signed(header: &str) -> bool {
    header == CONTENT_TYPE || header.starts_with("ce_")
}

fn push_part(bytes: &mut Vec<u8>, part: &[u8]) {
    push_number(bytes, part.len());
    bytes.extend_from_slice(part);
}

fn push_number(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend_from_slice(&(number as u64).to_be_bytes());
}

#[cfg(test)]
mod tests;
