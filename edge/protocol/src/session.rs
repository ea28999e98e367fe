//! The public name of a session.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::{Deserialize, Serialize};

/// Length of a handle: 32 bytes in base64url without padding.
const HANDLE_CHARS: usize = 43;

/// Names a session to stores, hubs, the bridge and logs. A digest of the session's id, so it is worthless to an attacker.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionHandle(String);

impl SessionHandle {
    /// The handle that a digest of a session's id makes.
    #[must_use]
    pub fn from_digest(digest: &[u8; 32]) -> Self {
        Self(BASE64.encode(digest))
    }

    /// Its text: 43 characters of base64url.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a handle that Causeway wrote (the tag of a socket, a sealed cookie).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_base64url = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        (text.len() == HANDLE_CHARS && text.bytes().all(is_base64url)).then(|| Self(text.to_owned()))
    }
}
