//! The handle that names a session everywhere but in its cookie.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::{Deserialize, Serialize};

use crate::base64url::{CHARS_OF_32_BYTES, is_base64url};

/// The name of a session in stores, hubs, the bridge and logs. It is a digest of the session's id, so it is worthless
/// to an attacker.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionHandle(String);

impl SessionHandle {
    /// The handle of a session, from the digest of its id.
    #[must_use]
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        Self(BASE64.encode(digest))
    }

    /// Its text, 43 characters of base64url.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a handle that Causeway wrote, as in a socket's tag or a sealed cookie.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_base64url(text, CHARS_OF_32_BYTES).then(|| Self(text.to_owned()))
    }
}
