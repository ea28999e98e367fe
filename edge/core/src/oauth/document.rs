//! What a provider publishes for everybody (its metadata, its keys), as an isolate has it: from memory, from the copy
//! that isolates share, or from the provider, in this order. One request of an isolate fetches for all of them, and a
//! failure is remembered as well, so that an outage costs the provider no more requests than a good day.

use std::{rc::Rc, time::Duration};

use causeway_protocol::signature::KeyRing;
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use super::provider::Provider;
use crate::runtime::unavailable::Unavailable;

/// Its name in errors.
pub(super) const PART: &str = "identity provider";
/// How soon after a failure the provider is asked again, in milliseconds: while there is something to go on with, and
/// while there is nothing.
pub(super) const RETRY_AFTER_MS: u64 = 30 * 1000;
pub(super) const RETRY_SOON_MS: u64 = 5 * 1000;
/// How far in the future a time may be that another isolate's clock, or our own before it was set back, has written.
const SKEW_MS: u64 = 3 * 60 * 1000;
/// Largest document taken, in bytes. Entra's key set is about 20 KB.
pub(super) const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// How long one request may have the turn: to look for a copy, and to fetch.
pub(super) const LEADER_LIMIT: Duration = Duration::from_secs(12);

/// A kind of document, as it is stored: no more of it than is used.
pub(super) trait Document: Serialize + DeserializeOwned + 'static {
    /// Names the kind.
    const KIND: &'static str;
    /// How long it is believed without asking for a newer one, in milliseconds.
    const FRESH_MS: u64;
    /// How long it is believed while no newer one can be had, in milliseconds.
    const USABLE_MS: u64;
    /// What it says.
    type Meaning;

    /// Reads it.
    ///
    /// # Errors
    /// [`Unavailable`] if it contradicts the configuration.
    fn meaning(&self, provider: &Provider) -> Result<Self::Meaning, Unavailable>;
}

/// What a document is fetched with.
pub(super) struct Source<'a, P> {
    pub(super) platform: &'a P,
    pub(super) ring: &'a KeyRing,
    pub(super) provider: &'a Provider,
    pub(super) url: &'a Url,
}

/// A document that was fetched.
pub(super) struct Known<D: Document> {
    /// When it was asked for, in Unix milliseconds. Its age counts from there, wherever it came from.
    pub(super) fetched_at_ms: u64,
    pub(super) meaning: Rc<D::Meaning>,
}

impl<D: Document> Clone for Known<D> {
    fn clone(&self) -> Self {
        Self { fetched_at_ms: self.fetched_at_ms, meaning: Rc::clone(&self.meaning) }
    }
}

impl<D: Document> Known<D> {
    pub(super) fn is_younger_than(&self, limit_ms: u64, now_ms: u64) -> bool {
        self.fetched_at_ms <= now_ms.saturating_add(SKEW_MS) && now_ms.saturating_sub(self.fetched_at_ms) < limit_ms
    }
}

/// Whether something happened in the last `span_ms`.
pub(super) fn is_recent(at_ms: u64, span_ms: u64, now_ms: u64) -> bool {
    now_ms.checked_sub(at_ms).is_some_and(|age_ms| age_ms < span_ms)
}

/// How long from now a document may be used, for stores.
pub(super) fn life<D: Document>(fetched_at_ms: u64, now_ms: u64) -> Duration {
    Duration::from_millis(D::USABLE_MS.saturating_sub(now_ms.saturating_sub(fetched_at_ms)))
}
