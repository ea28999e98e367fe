//! The copies of providers' documents that all isolates of a deployment share: sealed, in the key-value store. A new
//! isolate reads a copy instead of fetching. If the store is down, stale or tampered with, the isolate fetches.
//!
//! The seal is bound to the provider and the URL the document was fetched from, so a changed configuration reads no old
//! copy.

use std::{rc::Rc, time::Duration};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::document::{Document, Fetched, Source, usable_for};
use crate::{
    runtime::{
        clock::within,
        copy::CopyChange,
        dependency::Dependency,
        event_name::EventName,
        platform::Platform,
        telemetry::{Event, Name},
        unavailable::Unavailable,
    },
    seal::{Contents, Purpose, Sealed, length_prefixed},
};

/// How long the store may take. Beyond that, fetching from the provider is as fast.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);

/// A copy of a document, with the time the document was fetched at.
pub(super) struct SharedCopy<D> {
    pub(super) fetched_at_ms: u64,
    pub(super) document: D,
}

impl<D: Document> Contents for SharedCopy<D> {
    const PURPOSE: Purpose = Purpose::ProviderDocument;

    /// `fetched_at_ms (8) ‖ document in JSON`
    fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Unavailable> {
        let mut plaintext = Zeroizing::new(self.fetched_at_ms.to_be_bytes().to_vec());
        serde_json::to_writer(&mut *plaintext, &self.document)
            .map_err(|e| Unavailable::new(Dependency::IdentityProvider, e))?;
        Ok(plaintext)
    }

    fn decode(plaintext: &[u8]) -> Option<Self> {
        let (fetched_at_ms, document) = plaintext.split_first_chunk()?;
        let document = serde_json::from_slice(document).ok()?;
        Some(Self { fetched_at_ms: u64::from_be_bytes(*fetched_at_ms), document })
    }
}

impl<D: Document> SharedCopy<D> {
    /// Reads the copy from the store, if there is one that opens and agrees with the configuration. The caller checks its
    /// age.
    pub(super) async fn read<P: Platform>(source: &Source<'_, P>) -> Option<Fetched<D>> {
        let key = kv_key::<D, P>(source);
        let read = within(source.platform, STORE_TIMEOUT, Dependency::KeyValue, source.platform.get(&key)).await;
        match read {
            Ok(sealed) => Self::open(source, &Sealed::from_bytes(sealed?)),
            Err(error) => {
                not_shared(source).with("detail", &error).write(source.platform);
                None
            }
        }
    }

    /// Opens a copy, wherever it was stored.
    pub(super) fn open<P>(source: &Source<'_, P>, sealed: &Sealed<Self>) -> Option<Fetched<D>> {
        let copy = sealed.open(source.ring, &context::<D, P>(source)).ok()?;
        let content = copy.document.content(source.provider).ok()?;
        Some(Fetched { fetched_at_ms: copy.fetched_at_ms, content: Rc::new(content) })
    }

    /// Seals the copy. `None` without randomness.
    pub(super) fn seal<P: Platform>(&self, source: &Source<'_, P>) -> Option<Sealed<Self>> {
        Sealed::seal(self, source.ring, source.platform, &context::<D, P>(source)).ok()
    }

    /// Writes a copy to the store. Best effort.
    pub(super) async fn write<P: Platform>(source: &Source<'_, P>, fetched_at_ms: u64, sealed: &Sealed<Self>) {
        let key = kv_key::<D, P>(source);
        let ttl = usable_for::<D>(fetched_at_ms, source.platform.now_ms());
        CopyChange::put(key, sealed.as_bytes().to_vec(), ttl, not_shared(source)).queue(source.platform).await;
    }

    /// Deletes the copy from the store. Best effort.
    pub(super) async fn delete<P: Platform>(source: &Source<'_, P>) {
        let key = kv_key::<D, P>(source);
        CopyChange::delete(key, not_shared(source)).queue(source.platform).await;
    }
}

fn kv_key<D: Document, P>(source: &Source<'_, P>) -> String {
    format!("provider:{}", digest::<D, P>(source))
}

/// Identifies a document in stores and at the coordinator: a digest of its kind, provider and URL.
pub(super) fn digest<D: Document, P>(source: &Source<'_, P>) -> String {
    hex::encode(Sha256::digest(length_prefixed(&context::<D, P>(source))))
}

fn context<'a, D: Document, P>(source: &Source<'a, P>) -> [&'a [u8]; 3] {
    [D::KIND.as_bytes(), source.provider.id.as_bytes(), source.url.as_str().as_bytes()]
}

fn not_shared<P>(source: &Source<'_, P>) -> Event {
    Event::warn(EventName::ProviderNotShared).with("provider", Name(&source.provider.id))
}
