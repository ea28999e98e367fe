//! The session id and its handle.
//!
//! The id is 256 random bits, and only the browser's sealed cookie has it. Stores are keyed by the handle, a digest of the
//! id, and records are sealed under a key derived from the id: a reader of the stores gets neither id nor record.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use causeway_protocol::session::SessionHandle;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::runtime::{random::Random, unavailable::Unavailable};

/// Length of an id, in bytes.
const ID_BYTES: usize = 32;

/// A session's id. Cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId(Zeroizing<[u8; ID_BYTES]>);

impl SessionId {
    /// Draws a new id.
    ///
    /// # Errors
    /// [`Unavailable`] without randomness.
    pub fn generate(random: &impl Random) -> Result<Self, Unavailable> {
        let mut bytes = Zeroizing::new([0; ID_BYTES]);
        random.fill(bytes.as_mut())?;
        Ok(Self(bytes))
    }

    /// Reads an id from an opened cookie.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// For sealing only.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; ID_BYTES] {
        &self.0
    }

    /// The handle, by which stores are keyed.
    #[must_use]
    pub fn handle(&self) -> SessionHandle {
        let digest = Sha256::new().chain_update(b"causeway-session-handle-v1").chain_update(self.as_bytes()).finalize();
        SessionHandle::from_digest(&digest.into())
    }
}

/// For sealed cookies only.
impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(BASE64.encode(self.as_bytes())))
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = Zeroizing::new(BASE64.decode(text.as_bytes()).map_err(|_| D::Error::custom("no session id"))?);
        Self::from_bytes(&bytes).ok_or_else(|| D::Error::custom("no session id"))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random::SeededRandom;

    /// Each of the 256 bits is random, and the handle does not reveal them.
    #[test]
    fn m53_an_id_has_256_random_bits() {
        let random = SeededRandom::new(53);
        let ids: Vec<[u8; 32]> = (0..64).map(|_| *SessionId::generate(&random).unwrap().as_bytes()).collect();
        for bit in 0..256 {
            let ones = ids.iter().filter(|id| id[bit / 8] >> (bit % 8) & 1 == 1).count();
            assert!((1..64).contains(&ones), "bit {bit} is always the same");
        }
        let handle = SessionId::from_bytes(&ids[0]).unwrap().handle();
        assert_ne!(BASE64.decode(handle.as_str()).unwrap(), ids[0]);
    }
}
