//! Authenticated encryption of everything that leaves the edge's memory: cookies and stored records.
//!
//! A sealed blob is `version (1) ‖ key id length (1) ‖ key id ‖ purpose (1) ‖ nonce (24) ‖ XChaCha20-Poly1305 output`.
//! The additional data (version, key id, purpose, the binding's context) is length-prefixed, so no two bindings share an
//! encoding, and a blob opens only with the binding it was sealed with. Random 192-bit nonces do not collide in any
//! realistic number of seals.
//!
//! [`Sealed`] adds the type of the contents: each type that is sealed says once what it is for and how it is encoded.

use std::marker::PhantomData;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_protocol::signature::{DerivationKey, KeyRing};
use chacha20poly1305::{
    Key, KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hkdf::Hkdf;
use serde::{Serialize, de::DeserializeOwned};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::runtime::{dependency::Dependency, random::Random, unavailable::Unavailable};

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;

/// What a blob is for; a blob of one purpose never opens as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The session cookie: a session's id, its end and the record's generation.
    SessionCookie,
    /// The cookie of a sign-in in progress.
    LoginCookie,
    /// A session record at the coordinator and in the key-value store.
    SessionRecord,
    /// The cookies of a logout that also ends the provider's session.
    LogoutCookie,
    /// A GitHub App's installation token in the key-value store.
    InstallationToken,
    /// A provider's metadata or keys, shared between isolates.
    ProviderDocument,
    /// The code with which a page of another site redeems its session.
    HandoffCode,
    /// An upstream's demand that the user authenticates again, on its way through the page.
    StepUp,
}

impl Purpose {
    fn tag(self) -> u8 {
        match self {
            Self::SessionCookie => 1,
            Self::LoginCookie => 2,
            Self::SessionRecord => 3,
            Self::LogoutCookie => 4,
            Self::InstallationToken => 5,
            Self::ProviderDocument => 6,
            Self::HandoffCode => 7,
            Self::StepUp => 8,
        }
    }
}

/// What a blob is tied to.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// What it is for.
    pub purpose: Purpose,
    /// Where it belongs (cookie name, origin, record key …): authenticated but not stored.
    pub context: &'a [&'a [u8]],
    /// A secret (the session id) mixed into the key, so that the key ring alone does not open the blob. May be empty.
    pub secret: &'a [u8],
}

/// The blob does not open. The reason is not given: it would help only an attacker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed blob does not open")]
pub struct OpenError;

/// Seals under the ring's active key.
///
/// # Errors
/// [`Unavailable`] without randomness.
pub fn seal(
    ring: &KeyRing,
    random: &impl Random,
    binding: Binding<'_>,
    plaintext: &[u8],
) -> Result<Vec<u8>, Unavailable> {
    let broken = || Unavailable::new(Dependency::Seal, "no key");
    let (id, key) = ring.active_derivation_key().ok_or_else(broken)?;
    let mut nonce = [0; NONCE_BYTES];
    random.fill(&mut nonce)?;
    let id_length = u8::try_from(id.len()).map_err(|_| broken())?;
    let mut blob = Vec::with_capacity(3 + id.len() + NONCE_BYTES + plaintext.len() + 16);
    blob.extend([VERSION, id_length]);
    blob.extend(id.as_bytes());
    blob.push(binding.purpose.tag());
    blob.extend(nonce);
    let payload = Payload { msg: plaintext, aad: &additional_data(id, binding) };
    let sealed = cipher(key, binding).encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| broken())?;
    blob.extend(sealed);
    Ok(blob)
}

/// Opens a blob with whichever key of the ring sealed it.
///
/// # Errors
/// [`OpenError`], the same for every reason.
pub fn open(ring: &KeyRing, binding: Binding<'_>, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (&[version, id_length], rest) = blob.split_first_chunk().ok_or(OpenError)?;
    let (id, rest) = rest.split_at_checked(usize::from(id_length)).ok_or(OpenError)?;
    let (&[purpose], rest) = rest.split_first_chunk().ok_or(OpenError)?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError)?;
    if version != VERSION || purpose != binding.purpose.tag() {
        return Err(OpenError);
    }
    let id = str::from_utf8(id).map_err(|_| OpenError)?;
    let key = ring.find_derivation_key(id).ok_or(OpenError)?;
    let payload = Payload { msg: sealed, aad: &additional_data(id, binding) };
    let opened = cipher(key, binding).decrypt(XNonce::from_slice(nonce), payload).map_err(|_| OpenError)?;
    Ok(Zeroizing::new(opened))
}

/// Whether a blob was sealed under the ring's active key. Any other blob should be resealed while it still opens.
#[must_use]
pub fn is_current(ring: &KeyRing, blob: &[u8]) -> bool {
    let (Some((&[_, id_length], rest)), Some((active, _))) = (blob.split_first_chunk(), ring.active()) else {
        return false;
    };
    rest.get(..usize::from(id_length)) == Some(active.as_bytes())
}

/// A type that is sealed: what it is for, and its encoding.
pub trait Contents: Sized {
    /// What a blob of these contents is for.
    const PURPOSE: Purpose;

    /// The bytes to seal.
    ///
    /// # Errors
    /// The contents cannot be serialised.
    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Unavailable>;

    /// Reads the opened bytes. `None` if they are not an encoding of this type.
    fn decode(plaintext: &[u8]) -> Option<Self>;
}

/// [`Contents::encode`] as JSON; `contents_name` names the contents in errors.
pub(crate) fn encode_json(
    contents_name: Dependency,
    contents: &impl Serialize,
) -> Result<Zeroizing<Vec<u8>>, Unavailable> {
    serde_json::to_vec(contents).map(Zeroizing::new).map_err(|error| Unavailable::new(contents_name, error))
}

/// [`Contents::decode`] of JSON.
pub(crate) fn decode_json<T: DeserializeOwned>(plaintext: &[u8]) -> Option<T> {
    serde_json::from_slice(plaintext).ok()
}

/// A sealed `T`: bytes in stores, base64url in cookies and addresses. Only [`Sealed::open`] proves anything about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed<T> {
    blob: Vec<u8>,
    contents: PhantomData<T>,
}

impl<T> Sealed<T> {
    /// Bytes that a store returned.
    #[must_use]
    pub fn from_bytes(blob: Vec<u8>) -> Self {
        Self { blob, contents: PhantomData }
    }

    /// Text that a store, a browser or a page sent. `None` if it is not base64url.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        BASE64.decode(text).ok().map(Self::from_bytes)
    }

    /// The blob, for stores that take bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.blob
    }

    /// The blob in base64url.
    #[must_use]
    pub fn to_text(&self) -> String {
        BASE64.encode(&self.blob)
    }

    /// Whether it was sealed under the ring's active key.
    #[must_use]
    pub fn is_current(&self, ring: &KeyRing) -> bool {
        is_current(ring, &self.blob)
    }
}

impl<T: Contents> Sealed<T> {
    /// Seals contents for the place that `context` describes.
    ///
    /// # Errors
    /// [`Unavailable`] without randomness.
    pub fn seal(contents: &T, ring: &KeyRing, random: &impl Random, context: &[&[u8]]) -> Result<Self, Unavailable> {
        Self::seal_with_secret(contents, ring, random, context, b"")
    }

    /// The same, with [`Binding::secret`].
    ///
    /// # Errors
    /// As [`Sealed::seal`].
    pub fn seal_with_secret(
        contents: &T,
        ring: &KeyRing,
        random: &impl Random,
        context: &[&[u8]],
        secret: &[u8],
    ) -> Result<Self, Unavailable> {
        let binding = Binding { purpose: T::PURPOSE, context, secret };
        seal(ring, random, binding, &contents.encode()?).map(Self::from_bytes)
    }

    /// Opens what was sealed for this context.
    ///
    /// # Errors
    /// [`OpenError`], also if the opened bytes are not an encoding of `T`.
    pub fn open(&self, ring: &KeyRing, context: &[&[u8]]) -> Result<T, OpenError> {
        self.open_with_secret(ring, context, b"")
    }

    /// The same, with [`Binding::secret`].
    ///
    /// # Errors
    /// As [`Sealed::open`].
    pub fn open_with_secret(&self, ring: &KeyRing, context: &[&[u8]], secret: &[u8]) -> Result<T, OpenError> {
        let binding = Binding { purpose: T::PURPOSE, context, secret };
        T::decode(&open(ring, binding, &self.blob)?).ok_or(OpenError)
    }
}

fn cipher(derivation_key: &DerivationKey, binding: Binding<'_>) -> XChaCha20Poly1305 {
    let tag = binding.purpose.tag();
    let key = if binding.secret.is_empty() {
        derivation_key.expanded(tag, |derivation_key| expand(derivation_key, tag, b""))
    } else {
        expand(derivation_key.expose_secret(), tag, binding.secret)
    };
    XChaCha20Poly1305::new(Key::from_slice(key.as_ref()))
}

/// HKDF-Expand (RFC 5869, §2.3).
fn expand(derivation_key: &[u8; 32], tag: u8, secret: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    let info = length_prefixed(&[b"causeway-seal-key", &[tag], secret]);
    // A derivation key is as long as HKDF needs it, and 32 bytes are within its bound, so this cannot fail. If it did, every
    // test here would notice the zero key.
    let expanded = Hkdf::<Sha256>::from_prk(derivation_key).map(|hkdf| hkdf.expand(&info, key.as_mut()));
    debug_assert!(matches!(expanded, Ok(Ok(()))), "32 bytes are within HKDF's bound");
    key
}

fn additional_data(id: &str, binding: Binding<'_>) -> Vec<u8> {
    let tag = [binding.purpose.tag()];
    let parts: [&[u8]; 3] = [b"causeway-seal-v1", id.as_bytes(), &tag];
    // Room for the longest context, a session's.
    let mut out = Vec::with_capacity(192);
    append_length_prefixed(&mut out, &parts);
    append_length_prefixed(&mut out, binding.context);
    out
}

/// Encodes parts as one byte string; different lists of parts have different encodings.
pub(crate) fn length_prefixed(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|part| size_of::<u64>() + part.len()).sum());
    append_length_prefixed(&mut out, parts);
    out
}

fn append_length_prefixed(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests;
