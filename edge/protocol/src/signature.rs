//! How edge and bridge authenticate their requests to each other.
//!
//! Both share a key ring. A signature is an HMAC-SHA256 over direction, method, target, time and body digest. The
//! digest is in the header, so a request is accepted or rejected before its body is read. The body is checked against
//! it afterwards.
//!
//! A captured request can be repeated within [`MAX_AGE_SECONDS`]. Every signed operation is idempotent (events by
//! `ce_id`, deliveries by offset), so a repeat changes nothing.

use std::sync::OnceLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret as _, SecretBox};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The name of the header that carries the signature.
pub const SIGNATURE_HEADER: &str = "causeway-signature";

/// The maximum difference between a request's time and the verifier's clock, in seconds, either way.
pub const MAX_AGE_SECONDS: u64 = 60;

/// The length of a key, in bytes.
pub const KEY_BYTES: usize = 32;

/// The salt of derivation keys.
const DERIVATION_SALT: &[u8] = b"causeway-seal-v1";

/// How many purposes a ring keeps the keys of.
const MAX_PURPOSES: usize = 16;

/// The longest header that is read.
const MAX_HEADER_BYTES: usize = 256;

/// Which side sends. A request signed for one direction is rejected in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The edge calls the bridge.
    EdgeToBridge,
    /// The bridge calls the edge.
    BridgeToEdge,
}

impl Direction {
    fn label(self) -> &'static [u8] {
        match self {
            Self::EdgeToBridge => b"edge-to-bridge",
            Self::BridgeToEdge => b"bridge-to-edge",
        }
    }
}

/// The keys that both sides hold. The first signs and all verify, so keys rotate without a gap.
#[derive(Debug)]
pub struct KeyRing {
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    id: String,
    secret: SecretBox<[u8; KEY_BYTES]>,
    /// See [`KeyRing::find_derivation_key`].
    derivation_key: DerivationKey,
}

/// A key that other keys are expanded from (HKDF-Expand, RFC 5869 §2.3): what HKDF-Extract makes of a ring's secret. It
/// keeps those that depend on nothing but what they are for.
#[derive(Debug)]
pub struct DerivationKey {
    key: SecretBox<[u8; KEY_BYTES]>,
    expanded: [OnceLock<SecretBox<[u8; KEY_BYTES]>>; MAX_PURPOSES],
}

impl DerivationKey {
    /// The key itself.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8; KEY_BYTES] {
        self.key.expose_secret()
    }

    /// The key for a purpose, which `expand` makes at the first call. It must make the same each time. Purposes are
    /// numbers below 16; keys for others are made each time.
    pub fn expanded(
        &self,
        purpose: u8,
        expand: impl FnOnce(&[u8; KEY_BYTES]) -> Zeroizing<[u8; KEY_BYTES]>,
    ) -> Zeroizing<[u8; KEY_BYTES]> {
        match self.expanded.get(usize::from(purpose)) {
            Some(kept) => {
                let kept = kept.get_or_init(|| SecretBox::new(Box::new(*expand(self.expose_secret()))));
                Zeroizing::new(*kept.expose_secret())
            }
            None => expand(self.expose_secret()),
        }
    }
}

/// Why a key ring's text is rejected. It never contains any of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// There is no key.
    #[error("is empty")]
    Empty,
    /// An entry is not `id:secret`.
    #[error("must be written id:secret, several separated by commas")]
    Form,
    /// A key id is not 1–16 of `A-Z a-z 0-9 _ -`, or appears twice.
    #[error("has a key id that is not 1-16 letters, digits, _ or -, or one that appears twice")]
    Id,
    /// A secret is not 32 bytes in unpadded base64url.
    #[error("has a secret that is not 32 random bytes in unpadded base64url")]
    Secret,
    /// Two ids have the same secret, so rotating from one to the other would change nothing.
    #[error("has the same secret under two ids")]
    Repeated,
    /// A secret is too regular to be random.
    #[error("has a secret that is not random")]
    Weak,
}

/// Why a request is rejected. From outside, all reasons look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header is missing or malformed.
    #[error("signature missing or malformed")]
    Malformed,
    /// The ring has no such key.
    #[error("signed with an unknown key")]
    UnknownKey,
    /// The signed time is too far from the verifier's.
    #[error("signed too long ago or too far ahead")]
    Stale,
    /// The MAC differs.
    #[error("signature does not match")]
    Mismatch,
}

/// The digest of the body, from a verified header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the body is not authentic until it is checked"]
pub struct BodyDigest([u8; 32]);

impl BodyDigest {
    /// Checks the body.
    ///
    /// # Errors
    /// [`SignatureError::Mismatch`] if the body differs.
    pub fn check(&self, body: &[u8]) -> Result<(), SignatureError> {
        if self.0 == digest(body) { Ok(()) } else { Err(SignatureError::Mismatch) }
    }
}

/// The parts of a request that are signed.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// Which side sends it.
    pub direction: Direction,
    /// Upper-case HTTP method.
    pub method: &'a str,
    /// The path and query as on the request line.
    pub target: &'a str,
    /// The whole body.
    pub body: &'a [u8],
}

impl KeyRing {
    /// Reads `id:secret[,id:secret…]`, the active key first.
    ///
    /// # Errors
    /// [`KeyRingError`] says what is wrong. It contains nothing of the text.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let mut keys: Vec<Key> = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (id, secret) = entry.split_once(':').ok_or(KeyRingError::Form)?;
            let known = keys.iter().any(|key| key.id == id);
            if known
                || !(1..=16).contains(&id.len())
                || !id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
            {
                return Err(KeyRingError::Id);
            }
            let secret = parse_secret(secret)?;
            if keys.iter().any(|key| key.secret.expose_secret() == secret.expose_secret()) {
                return Err(KeyRingError::Repeated);
            }
            let derivation_key = derivation_key(secret.expose_secret())?;
            keys.push(Key { id: id.to_owned(), secret, derivation_key });
        }
        if keys.is_empty() {
            return Err(KeyRingError::Empty);
        }
        Ok(Self { keys })
    }

    /// Whether both rings contain the same secret.
    #[must_use]
    pub fn shares_a_secret_with(&self, other: &Self) -> bool {
        let is_shared =
            |key: &Key| other.keys.iter().any(|other| other.secret.expose_secret() == key.secret.expose_secret());
        self.keys.iter().any(is_shared)
    }

    /// The key that signs and seals.
    #[must_use]
    pub fn active(&self) -> Option<(&str, &[u8; KEY_BYTES])> {
        self.keys.first().map(|key| (key.id.as_str(), key.secret.expose_secret()))
    }

    /// A key by its id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&[u8; KEY_BYTES]> {
        self.keys.iter().find(|key| key.id == id).map(|key| key.secret.expose_secret())
    }

    /// The derivation key of the key that seals, with that key's id.
    #[must_use]
    pub fn active_derivation_key(&self) -> Option<(&str, &DerivationKey)> {
        self.keys.first().map(|key| (key.id.as_str(), &key.derivation_key))
    }

    /// The key that other keys are derived from, of the secret with the id `id`.
    #[must_use]
    pub fn find_derivation_key(&self, id: &str) -> Option<&DerivationKey> {
        self.keys.iter().find(|key| key.id == id).map(|key| &key.derivation_key)
    }

    /// The value of [`SIGNATURE_HEADER`] for a request sent at `now_seconds` (Unix time).
    #[must_use]
    pub fn sign(&self, request: Signed<'_>, now_seconds: u64) -> String {
        // A ring is never empty: `parse` is its only constructor.
        let Some((id, secret)) = self.active() else { return String::new() };
        let digest = digest(request.body);
        let head = Head { direction: request.direction, method: request.method, target: request.target };
        let mac = mac(secret, id, head, now_seconds, &digest).map(|mac| BASE64.encode(mac.finalize().into_bytes()));
        format!("v1,{id},{now_seconds},{},{}", BASE64.encode(digest), mac.unwrap_or_default())
    }

    /// Checks the value of [`SIGNATURE_HEADER`] before the request's body is read.
    ///
    /// # Errors
    /// [`SignatureError`], for the log. All of them must be answered in the same way.
    pub fn verify_head(
        &self,
        header: &str,
        direction: Direction,
        method: &str,
        target: &str,
        now_seconds: u64,
    ) -> Result<BodyDigest, SignatureError> {
        if header.len() > MAX_HEADER_BYTES {
            return Err(SignatureError::Malformed);
        }
        let mut parts = header.split(',');
        let (Some("v1"), Some(id), Some(time), Some(digest), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SignatureError::Malformed);
        };
        let time: u64 = time.parse().map_err(|_| SignatureError::Malformed)?;
        let digest: [u8; 32] = decode(digest)?.try_into().map_err(|_| SignatureError::Malformed)?;
        let signature = decode(signature)?;
        let secret = self.find(id).ok_or(SignatureError::UnknownKey)?;
        if time.abs_diff(now_seconds) > MAX_AGE_SECONDS {
            return Err(SignatureError::Stale);
        }
        let head = Head { direction, method, target };
        let mac = mac(secret, id, head, time, &digest).ok_or(SignatureError::Mismatch)?;
        mac.verify_slice(&signature).map_err(|_| SignatureError::Mismatch)?;
        Ok(BodyDigest(digest))
    }

    /// Checks the value of [`SIGNATURE_HEADER`] of a whole request.
    ///
    /// # Errors
    /// [`SignatureError`], for the log. All of them must be answered in the same way.
    pub fn verify(&self, header: &str, request: Signed<'_>, now_seconds: u64) -> Result<(), SignatureError> {
        self.verify_head(header, request.direction, request.method, request.target, now_seconds)?.check(request.body)
    }
}

/// HKDF-Extract (RFC 5869, §2.2): the HMAC of the secret under a salt.
fn derivation_key(secret: &[u8; KEY_BYTES]) -> Result<DerivationKey, KeyRingError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(DERIVATION_SALT).map_err(|_| KeyRingError::Secret)?;
    mac.update(secret);
    let key = SecretBox::new(Box::new(mac.finalize().into_bytes().into()));
    Ok(DerivationKey { key, expanded: Default::default() })
}

fn digest(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

fn decode(text: &str) -> Result<Vec<u8>, SignatureError> {
    BASE64.decode(text).map_err(|_| SignatureError::Malformed)
}

/// The signed parts of a request other than time and body.
#[derive(Clone, Copy)]
struct Head<'a> {
    direction: Direction,
    method: &'a str,
    target: &'a str,
}

fn parse_secret(text: &str) -> Result<SecretBox<[u8; KEY_BYTES]>, KeyRingError> {
    let bytes = Zeroizing::new(BASE64.decode(text).map_err(|_| KeyRingError::Secret)?);
    let bytes: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| KeyRingError::Secret)?;
    if is_regular(&bytes) {
        return Err(KeyRingError::Weak);
    }
    Ok(SecretBox::new(Box::new(bytes)))
}

/// Whether bytes are too regular to be random. Each rule rejects less than one random key in 10^9.
fn is_regular(bytes: &[u8; KEY_BYTES]) -> bool {
    let mut seen = [false; 256];
    let mut steps = [0_u8; 256];
    for (at, byte) in bytes.iter().enumerate() {
        if let Some(slot) = seen.get_mut(usize::from(*byte)) {
            *slot = true;
        }
        if let Some(slot) = bytes.get(at + 1).and_then(|next| steps.get_mut(usize::from(next.wrapping_sub(*byte)))) {
            *slot += 1;
        }
    }
    // 32 random bytes hold about 30 distinct values.
    let repeats = seen.iter().filter(|seen| **seen).count() < 16;
    // Bytes that count up or down, by any step.
    let counts = steps.iter().any(|times| *times > 8);
    // A shorter key that is repeated.
    let recurs = (1..=KEY_BYTES / 2).any(|period| {
        let later = bytes.iter().skip(period);
        later.zip(bytes).filter(|(a, b)| a == b).count() > 8
    });
    // Typed text, or the digits of a number: 32 such characters contain far less than 256 bits.
    let is_text = bytes.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    repeats || counts || recurs || is_text
}

/// Every part is length-prefixed, so different requests have different inputs.
fn mac(secret: &[u8; KEY_BYTES], id: &str, head: Head<'_>, time: u64, digest: &[u8; 32]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    let parts: [&[u8]; 7] = [
        b"causeway-request-v1",
        head.direction.label(),
        id.as_bytes(),
        &time.to_be_bytes(),
        head.method.as_bytes(),
        head.target.as_bytes(),
        digest,
    ];
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    Some(mac)
}

#[cfg(test)]
mod tests;
