//! What names indexes and messages in stores: digests, which tell nothing of a user.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::seal::length_prefixed;

/// The name of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IndexName(String);

impl IndexName {
    /// A user's own sessions, by the subject of their streams.
    #[must_use]
    pub fn user(subject: &str) -> Self {
        Self(digest(&[b"user", subject.as_bytes()]))
    }

    /// The sessions with an account of a provider.
    #[must_use]
    pub fn account(issuer: &str, sub: &str) -> Self {
        Self(digest(&[b"account", issuer.as_bytes(), sub.as_bytes()]))
    }

    /// Those of them whose sign-in named no provider session. When a provider ends any of its sessions, it may be theirs.
    #[must_use]
    pub fn account_without_session(issuer: &str, sub: &str) -> Self {
        Self(digest(&[b"account-without-sid", issuer.as_bytes(), sub.as_bytes()]))
    }

    /// The sessions that belong to a provider's session.
    #[must_use]
    pub fn provider_session(issuer: &str, sid: &str) -> Self {
        Self(digest(&[b"sid", issuer.as_bytes(), sid.as_bytes()]))
    }

    /// Its text, for stores.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A digest of a list of parts. Different lists have different digests.
pub(in crate::session) fn digest(parts: &[&[u8]]) -> String {
    let digest = Sha256::new_with_prefix(b"causeway-session-index-v1").chain_update(length_prefixed(parts));
    BASE64.encode(digest.finalize())
}

/// A digest of the id that a message's sender gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(String);

impl MessageId {
    /// The id of a message.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(digest(&[b"message", id.as_bytes()]))
    }
}
