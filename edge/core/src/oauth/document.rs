//! A document that a provider publishes for everyone: its metadata, its signing keys. An isolate takes it from its memory,
//! from the copy that isolates share, or from the provider, in this order. One request of an isolate fetches for all that
//! wait. A failure is remembered as well, so an outage causes no more requests to the provider than normal operation.

use std::{rc::Rc, time::Duration};

use causeway_protocol::signature::KeyRing;
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::provider::Provider;
use crate::runtime::unavailable::Unavailable;

/// Time between a failed fetch and the next one while an older document is usable, in milliseconds.
pub(super) const RETRY_AFTER_MS: u64 = 30 * 1000;
/// The same while there is no usable document.
pub(super) const RETRY_WITHOUT_DOCUMENT_MS: u64 = 5 * 1000;
/// How far in the future a time may be, in milliseconds: another isolate's clock wrote it, or our own before it was set
/// back.
const SKEW_MS: u64 = 3 * 60 * 1000;
/// Largest document read, in bytes. Entra's key set is about 20 KB.
pub(super) const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one request may be the leader: it looks for a copy, then fetches.
pub(super) const LEADER_LIMIT: Duration = Duration::from_secs(12);

/// A kind of document, in the form it is stored: only the fields that are used.
pub(super) trait Document: Serialize + DeserializeOwned + 'static {
    /// Name of the kind.
    const KIND: &'static str;
    /// How long a document is used before a newer one is fetched, in milliseconds.
    const FRESH_MS: u64;
    /// How long a document is used while no newer one can be fetched, in milliseconds.
    const USABLE_MS: u64;
    /// The document in the form the edge uses.
    type Content;

    /// Checks and converts it.
    ///
    /// # Errors
    /// [`Unavailable`] if it contradicts the configuration.
    fn content(&self, provider: &Provider) -> Result<Self::Content, Unavailable>;
}

/// Where a document comes from.
pub(super) struct Source<'a, P> {
    pub(super) platform: &'a P,
    pub(super) ring: &'a KeyRing,
    pub(super) provider: &'a Provider,
    pub(super) url: &'a Url,
}

/// A document that was fetched.
pub(super) struct Fetched<D: Document> {
    /// When the request was sent, in Unix milliseconds. The document's age counts from then, also in copies.
    pub(super) fetched_at_ms: u64,
    pub(super) content: Rc<D::Content>,
}

impl<D: Document> Clone for Fetched<D> {
    fn clone(&self) -> Self {
        Self { fetched_at_ms: self.fetched_at_ms, content: Rc::clone(&self.content) }
    }
}

impl<D: Document> Fetched<D> {
    pub(super) fn is_younger_than(&self, limit_ms: u64, now_ms: u64) -> bool {
        self.fetched_at_ms <= now_ms.saturating_add(SKEW_MS) && now_ms.saturating_sub(self.fetched_at_ms) < limit_ms
    }
}

/// Whether something happened in the last `span_ms`.
pub(super) fn is_recent(at_ms: u64, span_ms: u64, now_ms: u64) -> bool {
    now_ms.checked_sub(at_ms).is_some_and(|age_ms| age_ms < span_ms)
}

/// How long from now a document is usable; stores keep it no longer.
pub(super) fn usable_for<D: Document>(fetched_at_ms: u64, now_ms: u64) -> Duration {
    Duration::from_millis(D::USABLE_MS.saturating_sub(now_ms.saturating_sub(fetched_at_ms)))
}
