//! Authenticated encryption of everything that leaves the edge's memory: cookies and stored records.
//!
//! A sealed blob is `version (1) ‖ key id length (1) ‖ key id ‖ purpose (1) ‖ nonce (24) ‖ XChaCha20-Poly1305 output`.
//! The additional data is length-prefixed (version, key id, purpose, every binding), so no blob opens in another's
//! place and no two bindings share an encoding. Random 192-bit nonces do not collide in any realistic number of seals.

use causeway_protocol::signature::KeyRing;
use chacha20poly1305::{
    Key, KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::runtime::{random::Random, unavailable::Unavailable};

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;

/// What a blob is for; a blob of one purpose never opens as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The session cookie: a session id and its end.
    SessionCookie,
    /// The cookie of a sign-in under way.
    LoginCookie,
    /// A session record in the key-value store.
    SessionRecord,
    /// The cookies of a logout that goes by way of the provider.
    LogoutCookie,
    /// A token of a GitHub App's installation in the key-value store.
    InstallationToken,
    /// A provider's metadata or keys, where isolates share them.
    ProviderDocument,
    /// The code by which a page of another site takes its session.
    HandoffCode,
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
        }
    }
}

/// What a blob is tied to.
#[derive(Debug, Clone, Copy)]
pub struct Binding<'a> {
    /// What it is for.
    pub purpose: Purpose,
    /// Where it belongs (cookie name, origin, record key …), authenticated but not stored.
    pub context: &'a [&'a [u8]],
    /// A secret that the key ring's holder lacks (the session id), mixed into the key; empty where there is none.
    pub secret: &'a [u8],
}

/// The blob does not open. Why is nobody's business.
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
    let broken = || Unavailable::new("seal", "no key");
    let (id, secret) = ring.active().ok_or_else(broken)?;
    let mut nonce = [0; NONCE_BYTES];
    random.fill(&mut nonce)?;
    let id_length = u8::try_from(id.len()).map_err(|_| broken())?;
    let mut blob = Vec::with_capacity(3 + id.len() + NONCE_BYTES + plaintext.len() + 16);
    blob.extend([VERSION, id_length]);
    blob.extend(id.as_bytes());
    blob.push(binding.purpose.tag());
    blob.extend(nonce);
    let payload = Payload { msg: plaintext, aad: &additional_data(id, binding) };
    let sealed = cipher(secret, binding).encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| broken())?;
    blob.extend(sealed);
    Ok(blob)
}

/// Opens a blob with whichever key of the ring sealed it.
///
/// # Errors
/// [`OpenError`] for every reason there is.
pub fn open(ring: &KeyRing, binding: Binding<'_>, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (&[version, id_length], rest) = blob.split_first_chunk().ok_or(OpenError)?;
    let (id, rest) = rest.split_at_checked(usize::from(id_length)).ok_or(OpenError)?;
    let (&[purpose], rest) = rest.split_first_chunk().ok_or(OpenError)?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError)?;
    if version != VERSION || purpose != binding.purpose.tag() {
        return Err(OpenError);
    }
    let id = str::from_utf8(id).map_err(|_| OpenError)?;
    let secret = ring.find(id).ok_or(OpenError)?;
    let payload = Payload { msg: sealed, aad: &additional_data(id, binding) };
    let opened = cipher(secret, binding).decrypt(XNonce::from_slice(nonce), payload).map_err(|_| OpenError)?;
    Ok(Zeroizing::new(opened))
}

/// Whether a blob was sealed under the ring's active key. One that was not should be sealed anew while it opens.
#[must_use]
pub fn is_current(ring: &KeyRing, blob: &[u8]) -> bool {
    let (Some((&[_, id_length], rest)), Some((active, _))) = (blob.split_first_chunk(), ring.active()) else {
        return false;
    };
    rest.get(..usize::from(id_length)) == Some(active.as_bytes())
}

fn cipher(secret: &[u8; 32], binding: Binding<'_>) -> XChaCha20Poly1305 {
    let mut key = Zeroizing::new([0; 32]);
    let info = length_prefixed(&[b"causeway-seal-key", &[binding.purpose.tag()], binding.secret]);
    // 32 bytes are within HKDF's bound, so this cannot fail; a zero key would still be caught by every test here.
    let expanded = Hkdf::<Sha256>::new(Some(b"causeway-seal-v1"), secret).expand(&info, key.as_mut());
    debug_assert!(expanded.is_ok(), "32 bytes are within HKDF's bound");
    XChaCha20Poly1305::new(Key::from_slice(key.as_ref()))
}

fn additional_data(id: &str, binding: Binding<'_>) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = vec![b"causeway-seal-v1", id.as_bytes()];
    let tag = [binding.purpose.tag()];
    parts.push(&tag);
    parts.extend(binding.context);
    length_prefixed(&parts)
}

/// Parts as one text which no other parts have.
pub(crate) fn length_prefixed(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend((part.len() as u64).to_be_bytes());
        out.extend(*part);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::{random::SeededRandom, settings::key_ring};

    const COOKIE: Binding<'static> = Binding { purpose: Purpose::SessionCookie, context: &[b"name"], secret: b"" };

    fn sealed(binding: Binding<'_>) -> Vec<u8> {
        seal(&key_ring("a"), &SeededRandom::new(1), binding, b"hello").unwrap()
    }

    #[test]
    fn s64_opens_what_it_sealed_also_after_the_key_was_rotated() {
        let blob = sealed(COOKIE);
        assert_eq!(open(&key_ring("a"), COOKIE, &blob).unwrap().as_slice(), b"hello");
        assert_eq!(open(&key_ring("b,a"), COOKIE, &blob).unwrap().as_slice(), b"hello");
        assert!(open(&key_ring("b"), COOKIE, &blob).is_err(), "a retired key opens nothing");
    }

    #[test]
    fn s63_a_blob_opens_in_its_own_place_only() {
        let blob = sealed(COOKIE);
        for other in [
            Binding { purpose: Purpose::LoginCookie, ..COOKIE },
            Binding { context: &[b"other"], ..COOKIE },
            Binding { context: &[b"na", b"me"], ..COOKIE },
            Binding { context: &[b"name", b""], ..COOKIE },
            Binding { context: &[], ..COOKIE },
            Binding { secret: b"x", ..COOKIE },
        ] {
            assert_eq!(open(&key_ring("a"), other, &blob).unwrap_err(), OpenError, "{other:?}");
        }
    }

    #[test]
    fn s62_every_flipped_bit_every_truncation_and_every_extension_is_refused() {
        let blob = sealed(COOKIE);
        for n in 0..blob.len() {
            for bit in 0..8 {
                let mut bad = blob.clone();
                bad[n] ^= 1 << bit;
                assert!(open(&key_ring("a"), COOKIE, &bad).is_err());
            }
            assert!(open(&key_ring("a"), COOKIE, &blob[..n]).is_err());
        }
        let mut longer = blob;
        longer.push(0);
        assert!(open(&key_ring("a"), COOKIE, &longer).is_err());
    }

    /// The beginning of a blob is version, key id and nonce, so blobs that differ there have different nonces.
    #[test]
    fn s66_no_nonce_repeats() {
        // A million takes a minute and a half in code that is not optimised; `scripts/test unit` asks for it.
        let seals: usize = std::env::var("CAUSEWAY_SEALS").map_or(200_000, |count| count.parse().unwrap());
        let (ring, random) = (key_ring("a"), SeededRandom::new(7));
        let plain_and_tag = 1 + 16;
        let seen: HashSet<_> = (0..seals)
            .map(|_| {
                let mut blob = seal(&ring, &random, COOKIE, b"x").unwrap();
                blob.truncate(blob.len() - plain_and_tag);
                blob
            })
            .collect();
        assert_eq!(seen.len(), seals);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_open(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(open(&key_ring("a"), COOKIE, &bytes).is_err());
        }
    }
}
